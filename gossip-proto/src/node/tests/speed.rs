//! Time to take in many members: `cargo test --release -p gossip-proto --features sim --lib node::tests::speed -- --ignored
//! --nocapture`.

use super::*;

/// Nanoseconds that this thread was on a processor (Linux): what others run meanwhile does not count.
fn on_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

#[test]
#[ignore = "a measurement"]
fn ten_thousand_members_at_once() {
    let members: Vec<_> = (100..10_100u64)
        .map(|n| {
            let [a, b, ..] = n.to_le_bytes();
            let addr = Addr::new(&[0x1c, 0x68, 10, 0, b, a]).unwrap();
            MemberItem { id: NodeId(n), incarnation: 0, addr, tags_version: 0, asleep: 0, tags: &[] }
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..9 {
        let storage = Storage::with_capacity(10_240, 64, 65_536);
        let mut node = Node::new(OWN, addr(OWN), config(), storage, Seed::new([7; 32])).unwrap();
        // As many as a datagram of 1,400 bytes takes.
        let mut datagrams: Vec<_> = members
            .chunks(60)
            .map(|members| {
                let told: Vec<_> =
                    [Message::Copies].into_iter().chain(members.iter().map(|&one| Message::Alive(one))).collect();
                datagram(NodeId(2), 0, &told)
            })
            .collect();
        assert!(datagrams.iter().all(|datagram| datagram.len() <= 1_400));
        let begin = on_cpu();
        for datagram in &mut datagrams {
            node.handle_datagram(Instant::from_micros(1), addr(NodeId(2)), datagram).unwrap();
        }
        times.push(on_cpu() - begin);
        assert_eq!(node.live(), 10_002);
    }
    times.sort_unstable();
    println!("10,000 members merged: median {} µs, worst of 9 {} µs", times[4] / 1000, times[8] / 1000);
}
