//! What the tests share: a segment of Ethernet in memory, hosts on it, and an executor that skips the time in which
//! nothing happens.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{ConfigV4, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver_channel::driver::{HardwareAddress, LinkState};
use embassy_net_driver_channel::{self as channel, Device};
use embassy_time::{Duration, Instant, MockDriver};
use gossip_embassy::proto::{Addr, Config, Node, NodeId, PutOptions, Seed, Storage};
use gossip_embassy::{Handle, Neighbors, Network, Resources, Runner};

pub(crate) const PORT: u16 = 7946;
const FRAME: usize = 1514;
/// Far more than anything takes: who waits this long waits for ever.
pub(crate) const FOREVER: Duration = Duration::from_secs(60);

pub(crate) fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

/// One segment, its hosts, and the clock. The clock belongs to the process: one world at a time.
pub(crate) struct World {
    tasks: RefCell<Vec<Task>>,
    segment: Rc<Segment>,
    _clock: MutexGuard<'static, ()>,
}

#[derive(Default)]
pub(crate) struct Segment {
    ports: RefCell<Vec<Port>>,
    pub(crate) arp_requests: Cell<usize>,
    changed: RefCell<Option<Waker>>,
}

struct Port {
    mac: [u8; 6],
    up: bool,
    /// Takes no frames from its host.
    clogged: bool,
    runner: channel::Runner<'static, FRAME>,
}

impl Segment {
    /// Passes frames on, as a switch that knows all ports would.
    fn forward(&self, cx: &mut Context<'_>) {
        *self.changed.borrow_mut() = Some(cx.waker().clone());
        let ports = &mut *self.ports.borrow_mut();
        for from in 0..ports.len() {
            if ports[from].clogged {
                continue;
            }
            while let Poll::Ready(frame) = ports[from].runner.poll_tx_buf(cx) {
                let frame = frame.to_vec();
                ports[from].runner.tx_done();
                if !ports[from].up {
                    continue;
                }
                let broadcast = frame[..6] == [0xff; 6];
                if broadcast && frame[12..14] == [8, 6] && frame[20..22] == [0, 1] {
                    self.arp_requests.set(self.arp_requests.get() + 1);
                }
                for (to, port) in ports.iter_mut().enumerate() {
                    if to == from || !port.up || !(broadcast || frame[..6] == port.mac) {
                        continue;
                    }
                    if let Some(buf) = port.runner.try_rx_buf() {
                        buf[..frame.len()].copy_from_slice(&frame);
                        port.runner.rx_done(frame.len());
                    }
                }
            }
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        static CLOCK: Mutex<()> = Mutex::new(());
        let clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        MockDriver::get().reset();
        let segment = Rc::new(Segment::default());
        let world = Self { tasks: RefCell::default(), segment: segment.clone(), _clock: clock };
        world.spawn(poll_fn(move |cx| {
            segment.forward(cx);
            Poll::Pending
        }));
        world
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.borrow_mut().push(Task { future: Box::pin(future), flag });
    }

    /// Runs all tasks until `future` is done; the time it took.
    pub(crate) fn run<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let mut future = std::pin::pin!(future);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 10_000, "{what}: they are busy for ever, and time stands still");
            if flag.0.swap(false, Ordering::SeqCst)
                && let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return value;
            }
            if !self.turn() && !flag.0.load(Ordering::SeqCst) {
                assert!(start.elapsed() < FOREVER, "never: {what}");
                MockDriver::get().advance(Duration::from_millis(1));
                turns = 0;
            }
        }
    }

    /// Polls what was woken; whether there was any.
    fn turn(&self) -> bool {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        let (mut busy, mut kept) = (false, Vec::new());
        for mut task in tasks {
            let mut done = false;
            if task.flag.0.swap(false, Ordering::SeqCst) {
                busy = true;
                let waker = Waker::from(task.flag.clone());
                done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            }
            if !done {
                kept.push(task);
            }
        }
        kept.append(&mut *self.tasks.borrow_mut());
        *self.tasks.borrow_mut() = kept;
        busy
    }

    /// Runs until all rest, while the clock stands still; how many turns that took.
    pub(crate) fn settle(&self) -> usize {
        (0..10_000).take_while(|_| self.turn()).count()
    }

    /// Runs until the condition holds; the time it took.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
        let start = Instant::now();
        self.run(what, async {
            while !holds() {
                embassy_time::Timer::after_millis(1).await;
            }
        });
        start.elapsed()
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.run("time passes", embassy_time::Timer::after(duration));
    }

    /// A host with address 10.0.0.`number`, with the cure or without.
    pub(crate) fn host(&self, number: u8, cured: bool) -> Host {
        let mac = [2, 0, 0, 0, 0, number];
        let (runner, device) = channel::new(leak(channel::State::<FRAME, 8, 8>::new()), HardwareAddress::Ethernet(mac));
        self.segment.ports.borrow_mut().push(Port { mac, up: false, clogged: false, runner });
        let resources = leak(StackResources::<4>::new());
        let config = embassy_net::Config::ipv4_static(address(number));
        let neighbors = leak(Neighbors::<40>::new());
        let (stack, network) = if cured {
            let driver = neighbors.wrap(device);
            let (stack, mut runner) = embassy_net::new(driver, config, resources, number.into());
            self.spawn(async move { runner.run().await });
            (stack, neighbors.on(stack))
        } else {
            let (stack, mut runner) =
                embassy_net::new::<Device<'static, FRAME>, 4>(device, config, resources, number.into());
            self.spawn(async move { runner.run().await });
            (stack, Network::from(stack))
        };
        let host = Host { number, stack, network, segment: self.segment.clone() };
        host.set_link(true);
        self.wake_switch();
        self.run("the link comes up", stack.wait_link_up());
        host
    }

    fn wake_switch(&self) {
        if let Some(waker) = self.segment.changed.borrow_mut().take() {
            waker.wake();
        }
    }

    /// A host that counts by payload what arrives at its port.
    pub(crate) fn listener(&self, number: u8) -> Rc<RefCell<BTreeMap<Vec<u8>, Duration>>> {
        let host = self.host(number, false);
        let arrived = Rc::new(RefCell::new(BTreeMap::new()));
        let told = arrived.clone();
        let socket = host.socket();
        self.spawn(async move {
            let mut buf = [0; 1500];
            while let Ok((len, _)) = socket.recv_from(&mut buf).await {
                told.borrow_mut()
                    .entry(buf[..len].to_vec())
                    .or_insert(Duration::from_micros(Instant::now().as_micros()));
            }
        });
        arrived
    }

    /// A host with a node whose runner runs.
    pub(crate) fn agent(&self, number: u8) -> Agent {
        let (host, handle, mut runner) = self.still(number);
        let ended = Rc::new(Cell::new(false));
        let end = ended.clone();
        self.spawn(async move {
            runner.run().await;
            end.set(true);
        });
        Agent { host, handle, ended }
    }

    /// A host with a node whose runner does not run yet.
    pub(crate) fn still(&self, number: u8) -> (Host, Handle, Runner) {
        let host = self.host(number, true);
        let (handle, runner) =
            gossip_embassy::new(leak(Resources::<512>::new()), host.network, host.socket(), leak(node(number)));
        (host, handle, runner)
    }
}

pub(crate) fn node(number: u8) -> Node<'static> {
    let config = Config { forget_after: std::time::Duration::from_secs(600), ..Config::lan("test") };
    let storage = Storage::with_capacity(48, 64, 8192);
    let seed = Seed::new([number; 32]);
    Node::new(NodeId(number.into()), SocketAddr::from(at(number)).into(), config, storage, seed).unwrap()
}

pub(crate) fn address(number: u8) -> StaticConfigV4 {
    StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Addr::new(10, 0, 0, number), 24),
        gateway: None,
        dns_servers: Default::default(),
    }
}

pub(crate) fn at(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, number), PORT)
}

#[derive(Clone)]
pub(crate) struct Host {
    number: u8,
    pub(crate) stack: Stack<'static>,
    pub(crate) network: Network,
    segment: Rc<Segment>,
}

impl Host {
    /// A bound socket with room for four datagrams in each direction.
    pub(crate) fn socket(&self) -> UdpSocket<'static> {
        self.socket_at(PORT)
    }

    pub(crate) fn socket_at(&self, port: u16) -> UdpSocket<'static> {
        let buffers = [leak([0; 6000]), leak([0; 6000])];
        let metas = [leak([PacketMetadata::EMPTY; 4]), leak([PacketMetadata::EMPTY; 4])];
        let ([rx, tx], [rx_meta, tx_meta]) = (buffers, metas);
        let mut socket = UdpSocket::new(self.stack, rx_meta, rx, tx_meta, tx);
        socket.bind(port).unwrap();
        socket
    }

    pub(crate) fn set_link(&self, up: bool) {
        let mut ports = self.segment.ports.borrow_mut();
        let port = ports.iter_mut().find(|port| port.mac[5] == self.number).unwrap();
        port.up = up;
        port.runner.set_link_state(if up { LinkState::Up } else { LinkState::Down });
    }

    /// Its frames stay in its driver, or go on.
    pub(crate) fn clog(&self, clogged: bool) {
        let ports = &mut *self.segment.ports.borrow_mut();
        ports.iter_mut().filter(|port| port.mac[5] == self.number).for_each(|port| port.clogged = clogged);
        if let Some(waker) = self.segment.changed.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Pulls the plug at the far end: nothing passes, and nobody is told.
    pub(crate) fn cut(&self, cut: bool) {
        self.segment
            .ports
            .borrow_mut()
            .iter_mut()
            .filter(|port| port.mac[5] == self.number)
            .for_each(|port| port.up = !cut);
    }

    pub(crate) fn set_config(&self, config: Option<StaticConfigV4>) {
        self.stack.set_config_v4(config.map_or(ConfigV4::None, ConfigV4::Static));
    }
}

#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) host: Host,
    pub(crate) handle: Handle,
    pub(crate) ended: Rc<Cell<bool>>,
}

impl Agent {
    pub(crate) fn join(&self, number: u8) {
        self.handle.with(|node, now| node.join(now, SocketAddr::from(at(number)).into())).unwrap();
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        self.handle.with(|node, now| node.put(now, key.as_bytes(), value.as_bytes(), PutOptions::new())).unwrap();
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.handle
            .read(|node| node.get(key.as_bytes()).map(|entry| String::from_utf8(entry.value().to_vec()).unwrap()))
    }

    pub(crate) fn live(&self) -> usize {
        self.handle.read(Node::live)
    }

    /// Whether it has heard each live member itself.
    pub(crate) fn has_heard_all(&self) -> bool {
        self.handle
            .read(|node| node.members().filter(|member| member.id != node.id()).all(|member| member.heard.is_some()))
    }
}

pub(crate) fn addr(number: u8) -> Addr {
    SocketAddr::from(at(number)).into()
}
