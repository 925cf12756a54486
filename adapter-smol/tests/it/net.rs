//! What the tests share: an executor for each test, quick agents on loopback, and waiting for conditions.
#![allow(clippy::disallowed_methods, reason = "tests read the clock")]

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gossip_smol::proto::{Addr, Config, MemberState, Node, NodeId, PutOptions, Seed, Storage};
use gossip_smol::{Handle, Runner};
use smol::{Async, Executor, Task, Timer};

/// Far more than anything takes: who waits this long waits for ever.
pub(crate) const FOREVER: Duration = Duration::from_secs(30);

thread_local! {
    static EXECUTOR: RefCell<Option<Arc<Executor<'static>>>> = const { RefCell::new(None) };
}

/// Runs a test on an executor of its own, which that many threads drive. Its tasks end with it.
pub(crate) fn run(threads: usize, test: impl Future<Output = ()>) {
    let executor = Arc::new(Executor::new());
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    std::thread::scope(|scope| {
        // Gone when the test returns or panics.
        let _stop = stop;
        for _ in 1..threads {
            scope.spawn(|| smol::block_on(executor.run(stopped.recv())));
        }
        EXECUTOR.set(Some(executor.clone()));
        smol::block_on(executor.run(test));
        EXECUTOR.set(None);
    });
}

/// Runs a task beside the test, until it is dropped.
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    EXECUTOR.with_borrow(|executor| executor.as_ref().expect("within `run`").spawn(future))
}

/// A swarm of its own for each test, so that a port used twice connects no two tests.
pub(crate) struct Swarm {
    pub(crate) config: Config,
    nodes: AtomicU64,
}

impl Swarm {
    /// Probes every 50 ms, rounds every 20 ms.
    pub(crate) fn quick() -> Self {
        static SWARMS: AtomicU64 = AtomicU64::new(0);
        let name = format!("smol test {} {}", std::process::id(), SWARMS.fetch_add(1, Ordering::Relaxed));
        let config = Config {
            probe_interval: Duration::from_millis(50),
            probe_timeout: Duration::from_millis(25),
            suspicion_mult: 8,
            gossip_interval: Duration::from_millis(20),
            gossip_interval_max: Duration::from_millis(200),
            ..Config::lan(&name)
        };
        Self { config, nodes: AtomicU64::new(0) }
    }

    /// Probes every second: nobody is called dead while a test looks.
    pub(crate) fn patient() -> Self {
        let mut swarm = Self::quick();
        (swarm.config.probe_interval, swarm.config.probe_timeout) =
            (Duration::from_secs(1), Duration::from_millis(500));
        swarm
    }

    pub(crate) fn node(&self, addr: SocketAddr) -> Node<'static> {
        let id = self.nodes.fetch_add(1, Ordering::Relaxed) + 1;
        let storage = Storage::with_capacity(16, 4096, 1 << 19);
        Node::new(NodeId(id), Addr::from(addr), self.config.clone(), storage, Seed::new([id as u8; 32])).unwrap()
    }

    /// A node on a socket of its own, whose runner does not run yet.
    pub(crate) fn still(&self, ip: impl Into<IpAddr>) -> (Handle, Runner, SocketAddr) {
        let (socket, addr) = bind(ip);
        let (handle, runner) = gossip_smol::new(socket, self.node(addr));
        (handle, runner, addr)
    }

    pub(crate) fn agent(&self, ip: impl Into<IpAddr>) -> Agent {
        let (handle, runner, addr) = self.still(ip);
        Agent::spawn(handle, runner, addr)
    }

    /// Two agents on IPv4 that know each other.
    pub(crate) async fn pair(&self) -> (Agent, Agent) {
        let (a, b) = (self.agent(LOCALHOST), self.agent(LOCALHOST));
        b.join(a.addr);
        meet(&[&a.handle, &b.handle]).await;
        (a, b)
    }
}

pub(crate) const LOCALHOST: [u8; 4] = [127, 0, 0, 1];

pub(crate) fn bind(ip: impl Into<IpAddr>) -> (Async<UdpSocket>, SocketAddr) {
    let socket = Async::<UdpSocket>::bind((ip.into(), 0)).unwrap();
    let addr = socket.get_ref().local_addr().unwrap();
    (socket, addr)
}

/// A node whose runner runs in a task.
pub(crate) struct Agent {
    pub(crate) handle: Handle,
    pub(crate) addr: SocketAddr,
    pub(crate) task: Task<std::io::Result<()>>,
}

impl Agent {
    pub(crate) fn spawn(handle: Handle, mut runner: Runner, addr: SocketAddr) -> Self {
        Self { handle, addr, task: spawn(async move { runner.run().await }) }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.handle.read(Node::id)
    }

    pub(crate) fn join(&self, contact: SocketAddr) {
        self.handle.with(|node, now| node.join(now, contact.into())).unwrap();
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        put(&self.handle, key, value);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        get(&self.handle, key)
    }

    /// Drops the runner, as a crash would: nobody is told.
    pub(crate) async fn crash(self) -> Handle {
        self.task.cancel().await;
        self.handle
    }
}

pub(crate) fn put(handle: &Handle, key: &str, value: &str) {
    handle.with(|node, now| node.put(now, key.as_bytes(), value.as_bytes(), PutOptions::new())).unwrap();
}

pub(crate) fn get(handle: &Handle, key: &str) -> Option<Vec<u8>> {
    handle.read(|node| node.get(key.as_bytes()).map(|entry| entry.value().to_vec()))
}

pub(crate) fn state(handle: &Handle, id: NodeId) -> Option<MemberState> {
    handle.read(|node| node.member(id).map(|member| member.state))
}

/// Waits until each of them counts all of them.
pub(crate) async fn meet(handles: &[&Handle]) {
    until("all know each other", || handles.iter().all(|handle| handle.read(Node::live) == handles.len())).await;
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < FOREVER, "never: {what}");
        Timer::after(Duration::from_millis(2)).await;
    }
}

/// Awaits what must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(FOREVER, future).await.unwrap_or_else(|| panic!("never: {what}"))
}

/// Awaits something for a while.
pub(crate) async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(limit).await;
        None
    };
    smol::future::or(async { Some(future.await) }, late).await
}
