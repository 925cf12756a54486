//! The README's code runs, and its figures are those of this source.

use core::error::Error;
use core::time::Duration;

use gossip_proto::sim::Network;
use gossip_proto::{Addr, Config, Instant, Kind, Memory, Node, NodeId, PutOptions, Seed};

#[test]
fn the_first_example_runs() -> Result<(), Box<dyn Error>> {
    let (mut room_a, mut room_b) = (Memory::<16, 64, 4096>::new(), Memory::<16, 64, 4096>::new());
    let (at_a, at_b) = (Addr::new(b"a").unwrap(), Addr::new(b"b").unwrap());
    let mut a = Node::new(NodeId(1), at_a, Config::lan("demo"), &mut room_a, Seed::new([1; 32]))?;
    let mut b = Node::new(NodeId(2), at_b, Config::lan("demo"), &mut room_b, Seed::new([2; 32]))?;

    let (mut now, mut buf) = (Instant::ZERO, [0; 1400]);
    b.join(now, at_a)?; // all that b knows of the swarm is one address
    a.put(now, b"greeting", b"hello", PutOptions::new())?;
    while a.get(b"greeting").is_none() || b.get(b"greeting").is_none() {
        for _ in 0..2 {
            while let Some(len) = a.poll_transmit(now, &mut buf).map(|sent| sent.payload.len()) {
                b.handle_datagram(now, a.addr(), &mut buf[..len])?; // here: a socket
            }
            core::mem::swap(&mut a, &mut b);
        }
        now = a.poll_timeout().into_iter().chain(b.poll_timeout()).min().unwrap_or(now).max(now); // here: a timer
        a.handle_timeout(now);
        b.handle_timeout(now);
    }
    assert_eq!(b.get(b"greeting").map(|entry| entry.value()), Some(&b"hello"[..]));
    Ok(())
}

#[test]
fn the_example_of_the_state_runs() -> Result<(), Box<dyn Error>> {
    let (mut room, at) = (Memory::<16, 64, 4096>::new(), Addr::new(b"a").unwrap());
    let mut node = Node::new(NodeId(1), at, Config::embedded("demo"), &mut room, Seed::new([1; 32]))?;
    let now = Instant::ZERO;
    node.handle_wall_clock(now, 1_790_000_000_000_000); // µs since 1970, if there is a clock
    node.put(now, b"config/mode", b"night", PutOptions::new())?;
    node.put(now, b"cart/milk", b"2", PutOptions::new().kind(Kind::Siblings))?; // concurrent values are all kept
    node.put(now, b"alarm", b"fire", PutOptions::new().urgent())?; // sent whole and at once
    node.put(now, b"lease/7", b"me", PutOptions::new().ttl(Duration::from_secs(30)))?; // gone after that, everywhere
    node.counter_add(now, b"visits", 3)?; // adds to what all others add
    node.set_add(now, b"crew", b"alice")?; // an add beats a remove that had not seen it
    assert_eq!((node.scan(b"config/").count(), node.counter(b"visits")), (1, Some(3)));
    assert!(node.delete(now, b"config/mode")?);
    node.set_tags(now, [("role", "worker")])?;
    assert!(node.convergence().is_converged() && node.disagreeing().count() == 0);
    assert_eq!(node.entries_used(), (7, 64)); // the deleted one and the tags keep a slot each
    Ok(())
}

#[test]
fn the_example_of_the_simulator_runs() {
    let mut net = Network::new(7); // the seed
    for index in 0..8 {
        let node = net.add_node(Config::lan("example"));
        if index > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(Duration::from_secs(60), |net| net.all_know_all()));
    let cut = net.split(0..4, 4..8);
    net.with(3, |node, now| node.put(now, b"config/mode", b"night", PutOptions::new())).unwrap();
    net.run_for(Duration::from_secs(60)); // long enough for each half to take the other for dead
    net.heal(cut);
    assert!(net.run_to(Duration::from_secs(600), |net| net.all_know_all() && net.roots_agree()));
    net.assert_agreement();
}

/// What the README shows is what stands above, line by line.
#[test]
fn what_is_shown_is_what_runs() {
    let source = lines(include_str!("readme.rs"));
    let mut shown = README.split("\n```rust\n").skip(1).map(|rest| lines(rest.split("\n```").next().unwrap()));
    for (nth, block) in shown.by_ref().enumerate() {
        assert!(source.contains(&block), "block {nth} of README.md is not in readme.rs:\n{block}");
    }
    assert_eq!(README.matches("\n```rust\n").count(), 3, "one for each test");
}

/// Without indentation: the README is not inside of a function.
fn lines(text: &str) -> String {
    text.lines().map(|line| line.trim().to_owned() + "\n").collect()
}

#[test]
fn both_commands_are_there() {
    for command in ["cargo run --release -p gossip-agent -- demo", "cargo test --workspace"] {
        assert!(README.lines().any(|line| line == command), "{command}");
    }
}

/// Within a tenth: the README need not follow every byte, and must not go stale.
#[test]
#[cfg(all(target_pointer_width = "64", not(gossip_ix16)))]
fn the_sizes_on_a_host_are_as_stated() {
    let sizes = [
        ("`Memory<16, 64, 4096>`", size_of::<Memory<16, 64, 4096>>()),
        ("`Memory<1024, 16384, 4194304>`", size_of::<Memory<1024, 16384, 4_194_304>>()),
        ("`Node`", size_of::<Node<'_>>()),
    ];
    for (what, size) in sizes {
        let row = README.lines().find(|line| line.starts_with(&format!("| {what}"))).unwrap();
        let stated: usize = row.split('|').nth(2).unwrap().trim().replace(',', "").parse().unwrap();
        assert!(stated.abs_diff(size) * 10 <= size, "README.md says {stated} for {what}; it is {size}");
    }
}

const README: &str = include_str!("../../../README.md");
