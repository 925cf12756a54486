//! Write receipts: who holds a write is known, and nobody is said to hold what it does not.

use std::time::Duration;

use gossip_proto::sim::{Faults, Network, Setup};
use gossip_proto::{Config, Holders, Instant, Kind, Node, PutOptions, Receipt, ReceiptError};

const SECOND: Duration = Duration::from_secs(1);

fn swarm(seed: u64, nodes: usize) -> Network {
    let mut net = Network::new(seed);
    for node in 0..nodes {
        net.add(Setup::new(Config::lan("receipts")));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all() && net.roots_agree()), "seed {seed}");
    net
}

fn put(net: &mut Network, node: usize, key: &[u8], value: &[u8]) -> Receipt {
    net.with(node, |node, now| {
        node.put(now, key, value, PutOptions::new()).unwrap();
        node.open_receipt(now, key).unwrap()
    })
}

fn holders(net: &mut Network, node: usize, receipt: Receipt) -> Holders {
    net.with(node, |node, _| node.receipt(receipt)).expect("it is open")
}

#[test]
fn a_write_is_confirmed_by_all_and_never_too_early() {
    for (seed, loss) in [(1, 0), (2, 0), (3, 20), (4, 20), (5, 40)] {
        let mut net = swarm(seed, 24);
        net.set_faults(Faults { loss_ppm: loss * 10_000, ..Faults::default() });
        let receipt = put(&mut net, 3, b"watched", b"1");
        // Others write all the time, so the roots hardly ever agree.
        let begun = net.now();
        let mut count = 0;
        let all = net.run_to(60 * SECOND, |net| {
            if net.now() > begun + count * SECOND / 20 {
                count += 1;
                let (node, key) = (count as usize % 24, count.to_le_bytes());
                net.with(node, |node, now| node.put(now, &key, b"x", PutOptions::new())).unwrap();
            }
            let said = holders(net, 3, receipt).confirmed;
            let held = (0..24).filter(|&node| net.with(node, |node, _| node.get(b"watched").is_some())).count();
            assert!(said <= held, "seed {seed}: {said} confirmed, {held} hold it");
            said == 24
        });
        let took = net.now() - begun;
        assert!(all, "seed {seed}, {loss} % loss: {:?}", holders(&mut net, 3, receipt));
        assert!(took <= if loss == 0 { 2 * SECOND } else { 10 * SECOND }, "seed {seed}: {took:?}");
    }
}

#[test]
fn who_is_cut_off_confirms_nothing_until_it_is_back() {
    let mut net = swarm(7, 8);
    let cut = net.split([0, 1, 2, 3, 4, 5], [6, 7]);
    let receipt = put(&mut net, 0, b"watched", b"1");
    net.run_for(2 * SECOND);
    assert_eq!(holders(&mut net, 0, receipt), Holders { confirmed: 6, live: 8 });
    net.heal(cut);
    assert!(net.run_to(20 * SECOND, |net| holders(net, 0, receipt).is_all()));
}

#[test]
fn something_newer_counts_and_a_deletion_can_be_watched() {
    let mut net = swarm(8, 4);
    let receipt = put(&mut net, 0, b"watched", b"1");
    net.with(1, |node, now| node.put(now, b"watched", b"2", PutOptions::new())).unwrap();
    assert!(net.run_to(5 * SECOND, |net| holders(net, 0, receipt).is_all()), "{:?}", holders(&mut net, 0, receipt));
    let deleted = net.with(2, |node, now| {
        assert_eq!(node.delete(now, b"watched"), Ok(true));
        node.open_receipt(now, b"watched").unwrap()
    });
    assert!(net.run_to(5 * SECOND, |net| holders(net, 2, deleted).is_all()));
    assert!((0..4).all(|node| net.with(node, |node, _| node.get(b"watched").is_none())));
}

#[test]
fn receipts_have_a_limit_and_closing_frees_one() {
    let mut net = swarm(9, 2);
    net.with(0, |node, now| node.put(now, b"k", b"", PutOptions::new().kind(Kind::Siblings))).unwrap();
    let open = |net: &mut Network| net.with(0, |node, now| node.open_receipt(now, b"k"));
    let receipts: Vec<_> = (0..8).map(|_| open(&mut net).unwrap()).collect();
    assert_eq!(open(&mut net), Err(ReceiptError::Full { max: 8 }));
    assert_eq!(net.with(0, |node, now| node.open_receipt(now, b"none")), Err(ReceiptError::NotFound));
    net.with(0, |node, _| node.close_receipt(receipts[3]));
    assert_eq!(net.with(0, |node, _| node.receipt(receipts[3])), None);
    let again = open(&mut net).unwrap();
    // The one that is closed does not speak of its successor, nor does closing it twice.
    net.with(0, |node, _| node.close_receipt(receipts[3]));
    assert_eq!(net.with(0, |node, _| node.receipt(receipts[3])), None);
    assert!(net.with(0, |node, _| node.receipt(again)).is_some());
    assert!(net.now() > Instant::ZERO);
}

#[test]
fn a_closed_receipt_costs_nothing() {
    let mut net = swarm(10, 4);
    let receipt = put(&mut net, 0, b"watched", b"1");
    net.cut([1], [0]);
    net.run_for(SECOND);
    net.with(0, |node, _| node.close_receipt(receipt));
    net.heal_all();
    net.run_for(60 * SECOND);
    let sent = |net: &Network| net.traffic(0).sent_bytes;
    let before = sent(&net);
    net.run_for(60 * SECOND);
    let idle = (sent(&net) - before) / 60;
    assert!(idle < 60, "{idle} B per second");
}

/// What a node does in a test.
type Does = fn(&mut Node<'_>, Instant);

/// Values that join hardly ever are the same on two nodes while others write them.
#[test]
fn values_that_join_are_confirmed_while_others_join_theirs() {
    let put = |node: &mut Node<'_>, now, value: u64, kind| {
        node.put(now, b"k", &value.to_be_bytes(), PutOptions::new().kind(kind)).unwrap();
    };
    let opens = |node: &mut Node<'_>, now, kind| match kind {
        Kind::Max => {
            put(node, now, 1 << 40, kind);
            node.open_receipt(now, b"k").unwrap()
        }
        Kind::Counter => {
            node.counter_add(now, b"k", 7).unwrap();
            node.open_part_receipt(now, b"k", kind, b"").unwrap()
        }
        _ => {
            node.set_add(now, b"k", b"seven").unwrap();
            node.open_part_receipt(now, b"k", kind, b"seven").unwrap()
        }
    };
    let others: [(Kind, Does); 3] = [
        (Kind::Max, |node, now| {
            let value = (1 << 41) + now.as_micros();
            node.put(now, b"k", &value.to_be_bytes(), PutOptions::new().kind(Kind::Max)).unwrap();
        }),
        (Kind::Counter, |node, now| node.counter_add(now, b"k", 1).unwrap()),
        (Kind::Set, |node, now| node.set_add(now, b"k", &(now.as_micros() % 16).to_le_bytes()).unwrap()),
    ];
    let has = |node: &Node<'_>, kind| match kind {
        Kind::Max => node.get(b"k").is_some_and(|entry| entry.value() >= &(1u64 << 40).to_be_bytes()[..]),
        Kind::Counter => node.scan(b"k").any(|part| part.count() >= 7),
        _ => node.set_contains(b"k", b"seven"),
    };
    for (kind, writes) in others {
        for (seed, loss) in [(1, 0), (2, 20), (3, 40)] {
            let mut net = swarm(seed, 16);
            net.set_faults(Faults { loss_ppm: loss * 10_000, ..Faults::default() });
            let (begun, mut count) = (net.now(), 0);
            let receipt = net.with(3, |node, now| opens(node, now, kind));
            let all = net.run_to(60 * SECOND, |net| {
                if net.now() > begun + count * SECOND / 1000 {
                    count += 1;
                    // The one that waits writes, too.
                    net.with(count as usize % 16, |node, now| writes(node, now));
                }
                let said = holders(net, 3, receipt).confirmed;
                // A counter's part is that of the one that waits, which goes on counting: what it began with is 7.
                let held = (0..16).filter(|&node| net.with(node, |node, _| has(node, kind))).count();
                assert!(said <= held, "{kind:?}, seed {seed}: {said} confirmed, {held} hold it");
                said == 16
            });
            let took = net.now() - begun;
            assert!(all, "{kind:?}, seed {seed}, {loss} % loss: {:?}", holders(&mut net, 3, receipt));
            assert!(took <= if loss == 0 { 2 * SECOND } else { 10 * SECOND }, "{kind:?}, seed {seed}: {took:?}");
        }
    }
}

#[test]
fn a_long_value_that_joins_is_confirmed() {
    let mut net = swarm(1, 8);
    let long = vec![7; 1_270];
    let receipt = net.with(0, |node, now| {
        node.put(now, b"k", &long, PutOptions::new().kind(Kind::Max)).unwrap();
        node.open_receipt(now, b"k").unwrap()
    });
    assert!(net.run_to(10 * SECOND, |net| holders(net, 0, receipt).is_all()), "{:?}", holders(&mut net, 0, receipt));
    assert!(net.with(0, |node, now| node.open_part_receipt(now, b"k", Kind::Counter, b"")).is_err());
}
