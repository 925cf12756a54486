//! A swarm of two hosts and two boards: gossip-tokio nodes in this process, and the firmware under QEMU on both machines,
//! over loopback.
//!
//! Needs `qemu-system-arm` and the image: `GOSSIP_FIRMWARE=<image> cargo test -p gossip-embassy --test mixed -- --ignored`.

mod board;
#[cfg(feature = "defmt")]
#[path = "../it/logger.rs"]
mod logger;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use gossip_tokio::Handle;
use gossip_tokio::proto::{Addr, Config, MemberState, Node, NodeId, PutOptions, Seed, Storage};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use board::{Board, Machine, free_port};

/// Far more than anything takes.
const FOREVER: Duration = Duration::from_secs(60);

struct Host {
    handle: Handle,
    addr: SocketAddr,
}

async fn host(id: u64) -> Host {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = socket.local_addr().unwrap();
    let storage = Storage::with_capacity(64, 1000, 1 << 18);
    let node = Node::new(NodeId(id), addr.into(), Config::lan("mixed"), storage, Seed::new([id as u8; 32])).unwrap();
    let (handle, mut runner) = gossip_tokio::new(socket, node);
    tokio::spawn(async move { runner.run().await });
    Host { handle, addr }
}

impl Host {
    fn put(&self, key: &str, value: &str) {
        let put = |node: &mut Node<'_>, now| node.put(now, key.as_bytes(), value.as_bytes(), PutOptions::new());
        self.handle.with(put).unwrap();
    }

    fn get(&self, key: &str) -> Option<String> {
        self.handle
            .read(|node| node.get(key.as_bytes()).map(|entry| String::from_utf8_lossy(entry.value()).into_owned()))
    }

    fn state(&self, id: u64) -> Option<MemberState> {
        self.handle.read(|node| node.member(NodeId(id)).map(|member| member.state))
    }

    fn live(&self) -> usize {
        self.handle.read(Node::live)
    }
}

/// Waits until the condition holds; how long that took.
async fn until(what: &str, boards: &[&Board], mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > FOREVER {
            boards.iter().for_each(|board| println!("{}", board.transcript()));
            panic!("never: {what}");
        }
        sleep(Duration::from_millis(5)).await;
    }
    let took = start.elapsed();
    println!("{:7.3} s: {what}", took.as_secs_f64());
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs QEMU, and the image in GOSSIP_FIRMWARE"]
async fn two_hosts_and_two_boards_are_one_swarm() {
    let (a, b) = (host(1).await, host(2).await);
    b.handle.with(|node, now| node.join(now, Addr::from(a.addr))).unwrap();
    until("the hosts know each other", &[], || a.live() == 2 && b.live() == 2).await;

    // All see all.
    let ports = [free_port(), free_port()];
    let stellaris = Board::behind_port(Machine::Lm3s6965, 3, 1, ports[0], a.addr.port());
    let lan9118 = Board::behind_port(Machine::An385, 4, 1, ports[1], b.addr.port());
    let boards = [&stellaris, &lan9118];
    until("both boards have joined", &boards, || boards.iter().all(|board| board.shows("joined after"))).await;
    for board in boards {
        let micros: u64 = board.line("joined after").unwrap().split(' ').nth(2).unwrap().parse().unwrap();
        println!("          {:?}: joined {micros} us after boot", board.machine);
        assert!(micros < 1_000_000, "boot to member of the swarm took {micros} us");
    }
    until("the hosts see four", &boards, || a.live() == 4 && b.live() == 4).await;
    for (board, other) in [(&stellaris, 4), (&lan9118, 3)] {
        for id in [1, 2, other] {
            until(&format!("{:?} sees {id}", board.machine), &boards, || {
                board.shows(&format!("event member {id} Joined"))
            })
            .await;
        }
    }

    // From the boards to the hosts, and back.
    until("both readings are on both hosts", &boards, || {
        [&a, &b].iter().all(|host| host.get("sensor/3").is_some() && host.get("sensor/4").is_some())
    })
    .await;
    a.put("config/interval_ms", "250");
    until("both boards follow the setting", &boards, || boards.iter().all(|board| board.shows("setting 250 ms"))).await;
    let converged = a.handle.converged(FOREVER).await;
    println!("          {converged:?}");

    // One is killed, and noticed; restarted, and back.
    let killed = Instant::now();
    let mut stellaris = stellaris;
    stellaris.kill();
    until("the dead one is found", &[&lan9118], || a.state(3) == Some(MemberState::Dead)).await;
    println!("          {:.1} s after it was killed", killed.elapsed().as_secs_f64());
    a.put("meanwhile", "yes");
    let stellaris = Board::behind_port(Machine::Lm3s6965, 3, 2, ports[0], a.addr.port());
    let boards = [&stellaris, &lan9118];
    until("it is back", &boards, || [&a, &b].iter().all(|host| host.state(3) == Some(MemberState::Alive))).await;
    until("it has what was written meanwhile", &boards, || stellaris.shows("event entry meanwhile Put")).await;
    until("and follows the setting", &boards, || stellaris.shows("setting 250 ms")).await;

    // All leave, with their budgets.
    a.put("config/stop", "now");
    let ends = [stellaris.end(FOREVER), lan9118.end(FOREVER)];
    for end in &ends {
        println!("{}", end.transcript);
        assert_eq!(end.status, Some(0), "the firmware's verdict");
    }
    until("the hosts see farewells and no deaths", &[], || {
        [&a, &b].iter().all(|host| [3, 4].iter().all(|id| host.state(*id) == Some(MemberState::Left)))
    })
    .await;
    for end in &ends {
        end.check_budget();
    }
}

#[tokio::test]
#[ignore = "needs QEMU, and the image in GOSSIP_FIRMWARE"]
async fn sixteen_boards_share_a_segment() {
    const COUNT: u8 = 16;
    let port = free_port();
    let machine = |id: u8| if id.is_multiple_of(2) { Machine::Lm3s6965 } else { Machine::An385 };
    let board = |id: u8, life| {
        // A ring of contacts; the last one sets the setting.
        let contact = format!("contact=10.0.0.{}:7946", if id == 1 { COUNT } else { id - 1 });
        let setting = (id == COUNT).then(|| "interval_ms=5000".to_owned());
        let args: Vec<String> = [contact].into_iter().chain(setting).chain(["seconds=45".to_owned()]).collect();
        Board::on_segment(machine(id), id, life, port, &args)
    };
    let mut boards: Vec<Board> = (1..=COUNT).map(|id| board(id, 1)).collect();
    let all: Vec<&Board> = boards.iter().collect();
    until("all see all", &all, || {
        (1..=COUNT).all(|id| {
            let others = all.iter().enumerate().filter(|(at, _)| *at + 1 != usize::from(id));
            others.into_iter().all(|(_, board)| board.shows(&format!("event member {id} Joined")))
        })
    })
    .await;
    until("all follow the setting", &all, || all.iter().all(|board| board.shows("setting 5000 ms"))).await;

    boards[4].kill();
    let rest: Vec<&Board> = boards.iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, board)| board).collect();
    until("the dead one is found by all", &rest, || rest.iter().all(|board| board.shows("event member 5 Died"))).await;
    let fifth = board(5, 2);
    until("it is back", &rest, || rest.iter().all(|board| board.shows("event member 5 Returned"))).await;
    until("it follows the setting", &[&fifth], || fifth.shows("setting 5000 ms")).await;
    for board in boards.into_iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, board)| board) {
        let end = board.end(FOREVER);
        assert_eq!(end.status, Some(0), "{}", end.transcript);
        end.check_budget();
    }
    drop(fifth);
}
