//! Datagrams per second through a node on loopback, against a bare echo loop on the same kind of runtime: the difference
//! is what node and adapter cost. `cargo bench -p gossip-smol` prints one table.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gossip_smol::proto::{self, Addr, Config, Node, NodeId, Seed, Storage};
use smol::Async;

/// Requests under way at a time: enough to keep the other side busy, and few enough for any socket buffer.
const WINDOW: u64 = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(600);

fn main() {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let from = client.local_addr().unwrap();
    let echo = serve("echo", |socket| async move {
        let mut buf = [0; 65_535];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..len], from).await.unwrap();
        }
    });
    let agent = serve("agent", |socket| async move {
        let node = node(1, socket.get_ref().local_addr().unwrap());
        let (_handle, mut runner) = gossip_smol::new(socket, node);
        runner.run().await.unwrap();
    });
    let request = request(from, agent.addr);

    // In turns, so that all see the same noise.
    let (mut alone, mut bare, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(node_alone(from, &request));
        bare.push(exchange(&client, &echo, &request));
        whole.push(exchange(&client, &agent, &request));
    }
    println!("request of {} bytes, {WINDOW} under way, medians of {ROUNDS} rounds", request.len());
    for (name, rounds) in [("node without a socket", &alone), ("bare echo", &bare), ("gossip-smol", &whole)] {
        let (rate, cpu) = (middle(rounds, |round| round.rate), middle(rounds, |round| round.cpu));
        println!("  {name:<22}{rate:>9.0} answers/s {cpu:>7.2} us of CPU each");
    }
    let by_clock = middle(&whole, |round| round.rate) / middle(&bare, |round| round.rate);
    let by_cpu = middle(&bare, |round| round.cpu) / middle(&whole, |round| round.cpu);
    println!("  gossip-smol : echo   {by_clock:>9.2} by the clock {by_cpu:>7.2} by CPU, which noise disturbs less");
}

struct Server {
    addr: SocketAddr,
    /// Where Linux tells the time that the server's thread was on a CPU.
    cpu: PathBuf,
}

/// Answers per second by the clock, and µs on a CPU for each.
struct Round {
    rate: f64,
    cpu: f64,
}

/// Counts what happens until the end of a round on the thread whose CPU time is told at `cpu`.
fn round(cpu: &Path, mut step: impl FnMut(Duration) -> u64) -> Round {
    let nanos = || {
        let told = std::fs::read_to_string(cpu).ok();
        told.and_then(|told| told.split(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    };
    let (start, before, mut answers) = (Instant::now(), nanos(), 0);
    while start.elapsed() < ROUND {
        answers += step(start.elapsed());
    }
    let answers = answers as f64;
    Round { rate: answers / start.elapsed().as_secs_f64(), cpu: (nanos() - before) / 1e3 / answers }
}

/// Runs a server on a runtime and a thread of its own.
fn serve<F: Future>(name: &str, server: impl FnOnce(Async<UdpSocket>) -> F + Send + 'static) -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let thread = std::thread::Builder::new().name(name.into());
    let (tell, told) = std::sync::mpsc::channel();
    let started = thread.spawn(move || {
        tell.send(std::fs::read_link("/proc/thread-self").unwrap_or_default()).unwrap();
        smol::block_on(async { server(Async::new(socket).unwrap()).await });
    });
    started.unwrap();
    Server { addr, cpu: PathBuf::from("/proc").join(told.recv().unwrap()).join("schedstat") }
}

/// No limit on bytes, and no traffic of its own within the time of a bench.
fn node(id: u64, addr: SocketAddr) -> Node<'static> {
    let config = Config {
        bytes_per_second: u32::MAX,
        probe_interval: Duration::from_secs(3600),
        gossip_interval_max: Duration::from_secs(3600),
        ..Config::lan("bench")
    };
    Node::new(NodeId(id), Addr::from(addr), config, Storage::with_capacity(16, 16, 1 << 16), Seed::new([id as u8; 32]))
        .unwrap()
}

/// A datagram that a node answers each time that it comes: another node's question to be taken in.
fn request(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (mut node, mut buf) = (node(2, from), [0; 1400]);
    node.join(proto::Instant::ZERO, to.into()).unwrap();
    node.poll_transmit(proto::Instant::ZERO, &mut buf).unwrap().payload.to_vec()
}

/// Nothing but the node works.
fn node_alone(from: SocketAddr, request: &[u8]) -> Round {
    let (mut node, mut buf) = (node(1, SocketAddr::from(([127, 0, 0, 1], 9))), [0; 1400]);
    round(Path::new("/proc/thread-self/schedstat"), |elapsed| {
        let now = proto::Instant::from_micros(elapsed.as_micros() as u64);
        node.handle_datagram(now, from.into(), &mut request.to_vec()).unwrap();
        std::iter::from_fn(|| node.poll_transmit(now, &mut buf).map(drop)).count() as u64
    })
}

/// A server works. What is lost is asked again.
fn exchange(client: &UdpSocket, server: &Server, request: &[u8]) -> Round {
    let (mut buf, mut open) = ([0; 65_535], 0);
    let round = round(&server.cpu, |_| {
        // In bursts, so that neither side sleeps and wakes for each datagram.
        if open <= WINDOW / 2 {
            (open..WINDOW).for_each(|_| drop(client.send_to(request, server.addr)));
            open = WINDOW;
        }
        match client.recv_from(&mut buf) {
            Ok((_, from)) if from == server.addr => {
                open = open.saturating_sub(1);
                1
            }
            Ok(_) => 0,
            Err(_) => {
                open = 0;
                0
            }
        }
    });
    // What is still under way belongs to no other round.
    while client.recv_from(&mut buf).is_ok() {}
    round
}

fn middle(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
