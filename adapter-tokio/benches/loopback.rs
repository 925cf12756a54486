//! Datagrams per second through a node on loopback, against a bare echo loop on the same kind of runtime: the difference
//! is what node and adapter cost. `cargo bench -p gossip-tokio` prints one table.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use gossip_tokio::proto::{self, Addr, Config, Node, NodeId, Seed, Storage};

/// Requests under way at a time: enough to keep the other side busy, and few enough for any socket buffer.
const WINDOW: u64 = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(600);

fn main() {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let from = client.local_addr().unwrap();
    let echo = serve(|socket| async move {
        let mut buf = [0; 65_535];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..len], from).await.unwrap();
        }
    });
    let agent = serve(|socket| async move {
        let node = node(1, socket.local_addr().unwrap());
        let (_handle, mut runner) = gossip_tokio::new(socket, node);
        runner.run().await.unwrap();
    });
    let request = request(from, agent);
    let alone = median(|| node_alone(from, &request));

    // In turns, so that both see the same noise.
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(exchange(&client, echo, &request));
        whole.push(exchange(&client, agent, &request));
    }
    let (bare, whole) = (middle(bare), middle(whole));
    println!("request of {} bytes, {WINDOW} under way, median of {ROUNDS} rounds", request.len());
    println!("  node without a socket   {alone:>9.0} answers/s");
    println!("  bare echo               {bare:>9.0} answers/s");
    println!("  gossip-tokio            {whole:>9.0} answers/s   ratio {:.2}", whole / bare);
}

/// Runs a server on a runtime and a thread of its own.
fn serve<F: Future>(server: impl FnOnce(tokio::net::UdpSocket) -> F + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    socket.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { server(tokio::net::UdpSocket::from_std(socket).unwrap()).await });
    });
    addr
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

/// Answers per second when nothing but the node works.
fn node_alone(from: SocketAddr, request: &[u8]) -> f64 {
    let (mut node, mut buf) = (node(1, SocketAddr::from(([127, 0, 0, 1], 9))), [0; 1400]);
    let (start, mut answers) = (Instant::now(), 0);
    while start.elapsed() < ROUND {
        let now = proto::Instant::from_micros(start.elapsed().as_micros() as u64);
        let mut datagram = [0; 1400];
        let datagram = &mut datagram[..request.len()];
        datagram.copy_from_slice(request);
        node.handle_datagram(now, from.into(), datagram).unwrap();
        while node.poll_transmit(now, &mut buf).is_some() {
            answers += 1;
        }
    }
    f64::from(answers) / start.elapsed().as_secs_f64()
}

/// Answers per second with a window of requests under way. What is lost is asked again.
fn exchange(client: &UdpSocket, server: SocketAddr, request: &[u8]) -> f64 {
    let (mut buf, mut answers, start) = ([0; 65_535], 0, Instant::now());
    let send = |count| (0..count).for_each(|_| drop(client.send_to(request, server)));
    send(WINDOW);
    while start.elapsed() < ROUND {
        match client.recv_from(&mut buf) {
            Ok((_, from)) if from == server => {
                answers += 1;
                send(1);
            }
            Ok(_) => {}
            Err(_) => send(WINDOW),
        }
    }
    let took = start.elapsed();
    // What is still under way belongs to no other round.
    while client.recv_from(&mut buf).is_ok() {}
    f64::from(answers) / took.as_secs_f64()
}

fn median(round: impl Fn() -> f64) -> f64 {
    middle((0..ROUNDS).map(|_| round()).collect())
}

fn middle(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
