//! Nodes that lack a part of the protocol, as on a microcontroller, among nodes that have it: each does what it can, and
//! all come to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use gossip_proto::sim::{Faults, Happening, Latency, Network, Setup};
use gossip_proto::{
    Config, InterestError, Kind, MemberChange, PublishOptions, PutError, PutOptions, ReceiptError, SleepError, Stats,
    Without,
};

const SECOND: Duration = Duration::from_secs(1);
const LARGE: Without = Without { large: true, ..Without::NONE };
const CATCHUP: Without = Without { catchup: true, ..Without::NONE };
const MESSAGES: Without = Without { messages: true, ..Without::NONE };
const KINDS: Without = Without { kinds: true, ..Without::NONE };
const INTEREST: Without = Without { interest: true, ..Without::NONE };
const RELAY: Without = Without { relay: true, ..Without::NONE };
const SLEEP: Without = Without { sleep: true, ..Without::NONE };
const RECEIPTS: Without = Without { receipts: true, ..Without::NONE };
const SIBLINGS: Without = Without { siblings: true, ..Without::NONE };
const SKEW: Without = Without { skew: true, ..Without::NONE };
const SAMPLE: Without = Without { sample: true, ..Without::NONE };

/// A swarm of nodes of which the first `bare` lack something, and the others nothing.
fn swarm(seed: u64, nodes: usize, bare: usize, without: Without) -> Network {
    let mut net = Network::new(seed);
    net.set_replay(format!("cargo test -p gossip-proto --features sim --test it parts # seed {seed}"));
    net.set_faults(Faults { latency: Latency::Fixed(Duration::from_millis(25)), ..Faults::default() });
    for node in 0..nodes {
        add(&mut net, if node < bare { without } else { Without::NONE });
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all() && net.roots_agree()), "seed {seed}");
    net.log_events(true);
    net.run_for(60 * SECOND);
    net
}

fn add(net: &mut Network, without: Without) -> usize {
    let value_len_max = if without.large { 0 } else { 20_000 };
    let config = Config { value_len_max, without, ..Config::lan("parts") };
    net.add(Setup::new(config).capacity(16, 4_096, 1 << 20))
}

fn put(net: &mut Network, node: usize, key: &str, value: &[u8]) {
    net.with(node, |node, now| node.put(now, key.as_bytes(), value, PutOptions::new())).unwrap();
}

fn holds(net: &Network, node: usize, key: &str) -> bool {
    net.node(node).is_some_and(|node| node.get(key.as_bytes()).is_some())
}

fn stats(net: &Network, node: usize) -> Stats {
    *net.node(node).unwrap().stats()
}

/// Bytes that all send, and questions that they ask, in so long.
fn spent(net: &mut Network, time: Duration) -> (u64, u64) {
    let asked = |net: &Network| net.running().map(|node| stats(net, node).sessions).sum::<u64>();
    let before = asked(net);
    net.reset_figures();
    net.run_for(time);
    (net.counts().sent_bytes, asked(net) - before)
}

/// Which nodes were told of a message.
fn told(net: &Network) -> BTreeSet<usize> {
    let log = net.record().log().iter().filter(|seen| matches!(seen.what, Happening::Message { .. }));
    log.map(|seen| seen.observer).collect()
}

#[test]
fn messages_reach_those_who_take_them_and_trouble_no_others() {
    for (seed, bare) in [(1, 2), (2, 4), (3, 6)] {
        let mut net = swarm(seed, 8, bare, MESSAGES);
        let (idle, asked) = spent(&mut net, 300 * SECOND);
        for n in 0..24u8 {
            let options = PublishOptions::new().ttl(Duration::from_secs(3_600));
            // Small ones go whole, and of large ones a window.
            let bytes = vec![n; if n % 2 == 0 { 8 } else { 200 }];
            net.with(bare + usize::from(n) % (8 - bare), |node, now| node.publish(now, b"t", &bytes, options)).unwrap();
            net.run_for(SECOND);
        }
        let late = add(&mut net, Without::NONE);
        net.join(late, 0);
        // Few take messages, and digests of what was missed go in quiet rounds alone, to one member each.
        let all = |net: &mut Network| (bare..=late).all(|node| net.node(node).unwrap().messages_used().0 == 24);
        assert!(net.run_to(600 * SECOND, all), "seed {seed}");
        assert_eq!(told(&net), (bare..=late).collect(), "seed {seed}");
        for node in 0..bare {
            let (stats, held) = (stats(&net, node), net.node(node).unwrap());
            assert_eq!((held.messages_used().0, held.entries_used().0, stats.messages_new), (0, 0, 0), "node {node}");
            assert!(stats.refused_message > 0, "seed {seed}: node {node}");
        }
        let (live, asking) = spent(&mut net, 300 * SECOND);
        eprintln!(
            "{bare} of 8 without messages: {idle} B and {asked} questions idle, {live} B and {asking} with messages"
        );
        // One node more; and a digest more in each quiet round, of those who have messages.
        assert!(live < idle * 3 / 2, "seed {seed}: {live} bytes against {idle}");
        assert!(asking <= asked + 8, "seed {seed}: {asking} questions against {asked}");
        assert!(net.all_know_all() && net.roots_agree(), "seed {seed}");
    }
}

#[test]
fn large_values_are_refused_where_they_cannot_be_held() {
    for (seed, bare) in [(1, 1), (2, 3)] {
        let mut net = swarm(seed, 6, bare, LARGE);
        put(&mut net, 5, "large", &[7; 20_000]);
        put(&mut net, 5, "small", b"v");
        let had = |net: &mut Network| (bare..6).all(|node| holds(net, node, "large"));
        assert!(net.run_to(60 * SECOND, had), "seed {seed}");
        assert!(net.run_to(60 * SECOND, |net| (0..6).all(|node| holds(net, node, "small"))), "seed {seed}");
        let refused = |net: &mut Network| (0..bare).all(|node| stats(net, node).pulls_refused > 0);
        assert!(net.run_to(60 * SECOND, refused), "seed {seed}");
        for node in 0..bare {
            let stats = stats(&net, node);
            assert!(stats.pulls == 0 && stats.bytes_in < 40_000, "seed {seed}: {stats:?}");
        }
        net.run_for(1200 * SECOND);
        let (bytes, asked) = spent(&mut net, 3600 * SECOND);
        eprintln!("{bare} of 6 without large values: {asked} questions in an hour, {} B/s", bytes / 3600);
        // Six sessions in an hour at each node, of some 13 questions.
        assert!(asked < 6 * 120, "seed {seed}: {asked} questions");
        put(&mut net, 0, "small", b"w");
        let news = |net: &mut Network| {
            (0..6).all(|node| net.node(node).unwrap().get(b"small").is_some_and(|entry| entry.value() == b"w"))
        };
        assert!(net.run_to(5 * SECOND, news), "seed {seed}");
    }
}

/// What such a node cannot join it neither holds nor passes on, so nobody loses an increment by it; and it takes part in
/// all else, sets among it.
#[test]
fn values_that_join_are_left_to_those_who_can_join_them() {
    for (seed, bare) in [(1, 1), (2, 3), (3, 5)] {
        let mut net = swarm(seed, 6, bare, KINDS);
        for round in 0..20 {
            for node in bare..6 {
                net.with(node, |node, now| node.counter_add(now, b"count", 1)).unwrap();
                let max = PutOptions::new().kind(Kind::Max);
                net.with(node, |node, now| node.put(now, b"max", &[round], max)).unwrap();
            }
            for node in 0..6 {
                let element = [round, node as u8];
                net.with(node, |node, now| node.set_add(now, b"set", &element)).unwrap();
            }
            net.run_for(SECOND);
        }
        let refused = net.with(0, |node, now| node.counter_add(now, b"count", 1));
        assert_eq!(refused, Err(PutError::Kind), "seed {seed}");
        let refused = net.with(0, |node, now| node.put(now, b"own", b"v", PutOptions::new().kind(Kind::Min)));
        assert_eq!(refused, Err(PutError::Kind), "seed {seed}");
        put(&mut net, 5, "small", b"v");
        let all = |net: &mut Network| {
            (0..6).all(|node| holds(net, node, "small") && net.node(node).unwrap().set_members(b"set").count() == 120)
                && (bare..6).all(|node| net.node(node).unwrap().counter(b"count") == Some(20 * (6 - bare as i64)))
        };
        assert!(net.run_to(60 * SECOND, all), "seed {seed}");
        for node in 0..bare {
            let held = net.node(node).unwrap();
            assert!(held.counter(b"count").is_none() && held.get(b"max").is_none(), "seed {seed}: node {node}");
            assert!(stats(&net, node).refused_entry > 0, "seed {seed}: node {node}");
        }
        net.run_for(1200 * SECOND);
        let (bytes, asked) = spent(&mut net, 3600 * SECOND);
        eprintln!("{bare} of 6 without kinds: {asked} questions in an hour, {} B/s", bytes / 3600);
        // As of large values.
        assert!(asked < 6 * 120, "seed {seed}: {asked} questions");
    }
}

/// Two who can hold siblings agree on them, however often a comparison with the four others is in vain.
#[test]
fn two_who_can_hold_siblings_agree_among_those_who_cannot() {
    for seed in 0..60 {
        let mut net = swarm(seed, 6, 4, SIBLINGS);
        for node in 0..6 {
            put(&mut net, node, "register", &[node as u8]);
            let added = net.with(node, |node, now| node.set_add(now, b"set", b"element"));
            let siblings = PutOptions::new().kind(Kind::Siblings);
            let written = net.with(node, |node, now| node.put(now, b"siblings", &[node.id().0 as u8], siblings));
            assert!(node < 4 || added.is_ok() && written.is_ok(), "seed {seed}: node {node}");
        }
        let both = |net: &mut Network| {
            (4..6).all(|node| net.node(node).unwrap().get(b"siblings").is_some_and(|entry| entry.siblings() == 1))
        };
        assert!(net.run_to(60 * SECOND, both), "seed {seed}");
    }
}

/// Who holds one value of each entry leaves those of several to others, registers upon which they are written among them;
/// all else it has.
#[test]
fn siblings_are_left_to_those_who_can_hold_them() {
    for (seed, bare) in [(1, 1), (2, 3), (3, 4)] {
        let mut net = swarm(seed, 6, bare, SIBLINGS);
        let siblings = PutOptions::new().kind(Kind::Siblings);
        for node in 0..6 {
            put(&mut net, node, "register", &[node as u8]);
            let element = [node as u8];
            let added = net.with(node, |node, now| node.set_add(now, b"set", &element));
            let written = net.with(node, |node, now| node.put(now, b"siblings", &element, siblings));
            let expected = if node < bare { Err(PutError::Kind) } else { Ok(()) };
            assert_eq!((added, written), (expected, expected), "seed {seed}: node {node}");
        }
        let all = |net: &mut Network| {
            let last = net.node(5).unwrap().get(b"register").unwrap().value().to_vec();
            (0..6).all(|node| net.node(node).unwrap().get(b"register").is_some_and(|entry| entry.value() == last))
                && (bare..6).all(|node| {
                    let held = net.node(node).unwrap();
                    held.set_members(b"set").count() == 6 - bare
                        && held.get(b"siblings").is_some_and(|entry| entry.siblings() == (5 - bare).min(3))
                })
        };
        assert!(net.run_to(60 * SECOND, all), "seed {seed}");
        for node in 0..bare {
            let held = net.node(node).unwrap();
            assert!(held.get(b"siblings").is_none() && held.set_members(b"set").next().is_none(), "seed {seed}");
            assert!(stats(&net, node).refused_entry > 0, "seed {seed}: node {node}");
        }
        net.run_for(1200 * SECOND);
        let (bytes, asked) = spent(&mut net, 3600 * SECOND);
        eprintln!("{bare} of 6 without siblings: {asked} questions in an hour, {} B/s", bytes / 3600);
        // As of large values.
        assert!(asked < 6 * 120, "seed {seed}: {asked} questions");
    }
}

/// Writes of registers at once end alike, and the loss of one is told, whoever holds siblings.
#[test]
fn registers_meet_alike_with_siblings_and_without() {
    for bare in [0, 3, 6] {
        let mut net = swarm(9, 6, bare, SIBLINGS);
        for round in 0..20u8 {
            let cut = net.split(0..3, 3..6);
            for node in [0, 5, 2, 3] {
                put(&mut net, node, &format!("key/{}", round % 5), &[round, node as u8]);
            }
            net.run_for(2 * SECOND);
            net.heal(cut);
            assert!(net.run_to(60 * SECOND, |net| net.all_know_all() && net.roots_agree()), "{bare} round {round}");
        }
        let conflicts: u64 = (0..6).map(|node| stats(&net, node).conflicts).sum();
        assert!(conflicts >= 20, "{bare} without siblings: {conflicts} conflicts");
    }
}

/// What a wrong clock stamped is refused by others until that time has come; what is written once it is right is not.
#[test]
fn a_clock_set_right_stamps_anew() {
    for bare in [1, 5] {
        let mut net = swarm(1, 6, bare, SKEW);
        net.set_wall_offset(0, Some(3_600_000_000));
        net.run_for(SECOND);
        put(&mut net, 0, "old", b"value");
        put(&mut net, 5, "other", b"value");
        net.run_for(60 * SECOND);
        assert!((1..6).all(|node| !holds(&net, node, "old") && stats(&net, node).refused_stamp > 0), "{bare}");
        assert!((0..6).all(|node| holds(&net, node, "other")), "{bare}");
        net.set_wall_offset(0, Some(0));
        net.run_for(SECOND);
        put(&mut net, 0, "new", b"value");
        assert!(net.run_to(10 * SECOND, |net| (0..6).all(|node| holds(net, node, "new"))), "{bare}");
        assert!((1..6).all(|node| !holds(&net, node, "old")), "{bare}");
        net.run_for(1200 * SECOND);
        let (bytes, asked) = spent(&mut net, 1800 * SECOND);
        eprintln!("{bare} of 6 without skew: {asked} questions in half an hour, {} B/s", bytes / 1800);
        // As of large values.
        assert!(asked < 6 * 60, "{bare}: {asked} questions");
        net.run_for(600 * SECOND);
        assert!(net.run_to(300 * SECOND, |net| net.roots_agree() && holds(net, 3, "old")), "{bare}");
    }
}

/// Who cannot want less than all compares with those who do what they want, and agrees with them.
#[test]
fn what_others_want_is_heeded() {
    for (seed, bare) in [(1, 1), (2, 3), (3, 4)] {
        let mut net = swarm(seed, 6, bare, INTEREST);
        let refused = net.with(0, |node, now| node.subscribe(now, [&b"a"[..]]));
        assert_eq!(refused, Err(InterestError::TooManyTopics { max: 0 }));
        for node in 4..6 {
            net.with(node, |node, now| node.subscribe(now, [&b"a"[..]])).unwrap();
        }
        net.set_faults(Faults { loss_ppm: 200_000, ..Faults::default() });
        for nth in 0..60 {
            put(&mut net, 0, &format!("a/{nth}"), b"value");
            put(&mut net, 0, &format!("b/{nth}"), b"value");
            put(&mut net, 5, &format!("a/5/{nth}"), b"value");
        }
        let count = |net: &Network, node: usize, topic: &[u8]| net.node(node).unwrap().scan(topic).count();
        let all = |net: &mut Network| {
            (0..6).all(|node| {
                let b = if node < 4 { 60 } else { 0 };
                count(net, node, b"a/") == 120 && count(net, node, b"b/") == b
            }) && net.running().all(|node| net.node(node).unwrap().convergence().is_converged())
        };
        assert!(net.run_to(120 * SECOND, all), "seed {seed}");
        net.set_faults(Faults::default());
        net.run_for(120 * SECOND);
        let (_, asked) = spent(&mut net, 300 * SECOND);
        assert!(all(&mut net) && asked == 0, "seed {seed}: {asked} questions among those who agree");
    }
}

/// Others lower a ceiling where there is no room; who cannot refuses, and all else goes on.
#[test]
fn who_has_no_room_refuses() {
    let mut net = swarm(1, 4, 0, Without::NONE);
    let config = Config { without: INTEREST, ..Config::lan("parts") };
    let small = net.add(Setup::new(config).capacity(16, 32, 1 << 14));
    net.join(small, 0);
    for key in 0..200 {
        put(&mut net, key % 4, &format!("{}/{key}", key % 3), b"value");
    }
    let rest = |net: &mut Network| (0..4).all(|node| net.node(node).unwrap().scan(b"").count() == 200);
    assert!(net.run_to(60 * SECOND, rest));
    net.run_for(1200 * SECOND);
    let (used, refused) = (net.node(small).unwrap().entries_used(), stats(&net, small).refused_full);
    assert!(used == (32, 32) && refused > 0, "{used:?}, {refused} refused");
    let (bytes, asked) = spent(&mut net, 3600 * SECOND);
    eprintln!("one that is full: {asked} questions in an hour, {} B/s", bytes / 3600);
    assert!(asked < 5 * 120, "{asked} questions");
    // What it holds it keeps up to date.
    let held = net.node(small).unwrap().scan(b"").next().map(|entry| String::from_utf8(entry.key().to_vec()).unwrap());
    let key = held.unwrap();
    put(&mut net, 0, &key, b"news");
    let news = |net: &mut Network| net.node(small).unwrap().get(key.as_bytes()).unwrap().value() == b"news";
    assert!(net.run_to(5 * SECOND, news));
}

/// Two who do not reach each other: what one writes reaches the other by those between them, and nobody is called dead,
/// whoever of them lacks relays.
#[test]
fn without_relays_nobody_dies_and_news_arrives() {
    // All, one who has relays, those between them alone, or the two alone lack them.
    for (seed, bare, (left, right), one_way) in [
        (1, 6, (1, 2), true),
        (2, 6, (1, 2), false),
        (3, 4, (0, 5), true),
        (4, 4, (0, 5), false),
        (5, 4, (4, 5), true),
        (6, 4, (4, 5), false),
        (7, 2, (0, 1), true),
        (8, 2, (0, 1), false),
    ] {
        let mut net = swarm(seed, 6, bare, RELAY);
        net.cut([left], [right]);
        if !one_way {
            net.cut([right], [left]);
        }
        for minute in 0..10u8 {
            net.run_for(60 * SECOND);
            put(&mut net, left, &format!("a/{minute}"), &[minute; 300]);
            put(&mut net, right, &format!("b/{minute}"), &[minute; 300]);
            let had = |net: &mut Network| {
                holds(net, right, &format!("a/{minute}")) && holds(net, left, &format!("b/{minute}"))
            };
            assert!(net.run_to(10 * SECOND, had), "seed {seed} minute {minute}");
        }
        let died = net.record().members();
        assert_eq!((died.excused_deaths, died.false_deaths), (0, 0), "seed {seed}");
        assert!(net.run_to(60 * SECOND, |net| net.roots_agree()), "seed {seed}");
        let (forwarded, paths) = (0..bare)
            .map(|node| stats(&net, node))
            .fold((0, 0), |(forwarded, paths), stats| (forwarded + stats.forwarded, paths + stats.paths));
        assert_eq!((forwarded, paths), (0, 0), "seed {seed}");
        let refused: u64 = (0..bare).map(|node| stats(&net, node).forward_refused).sum();
        eprintln!("{bare} of 6 without relays: {refused} datagrams not passed on");
        assert!(if bare == 6 { refused == 0 } else { refused > 0 || left != 4 }, "seed {seed}: {refused}");
    }
}

/// In a swarm larger than its table such a node keeps whom it met first. It has all entries, and others have what it
/// writes; who crashes is dead for all who hold it, and makes room.
#[test]
fn a_full_table_keeps_whom_it_holds() {
    for (seed, bare) in [(1, 1), (2, 12), (3, 24)] {
        let mut net = Network::new(seed);
        net.set_replay(format!("cargo test -p gossip-proto --features sim --test it parts # seed {seed}"));
        for node in 0..24 {
            let without = if node < bare { SAMPLE } else { Without::NONE };
            let config = Config { without, ..Config::lan("parts") };
            net.add(Setup::new(config).capacity(8, 64, 1 << 14));
            if node > 0 {
                net.join(node, 0);
            }
        }
        net.run_for(60 * SECOND);
        for node in 0..24 {
            put(&mut net, node, &format!("a/{node}"), b"value");
        }
        let all = |net: &mut Network| net.running().all(|node| net.node(node).unwrap().scan(b"a/").count() == 24);
        assert!(net.run_to(60 * SECOND, all), "seed {seed}");
        for node in 0..bare {
            let stats = stats(&net, node);
            assert_eq!(stats.members_evicted, 0, "seed {seed}: node {node}");
            assert!(net.node(node).unwrap().members().count() == 8, "seed {seed}: node {node}");
        }
        assert!((0..bare).all(|node| stats(&net, node).members_refused > 0), "seed {seed}");
        let died = net.record().members();
        assert_eq!((died.excused_deaths, died.false_deaths), (0, 0), "seed {seed}");
        let victims = [3, 13, 23];
        victims.iter().for_each(|&victim| net.crash(victim));
        let ids = victims.map(|victim| net.id_of(victim));
        let gone = |net: &mut Network| {
            net.running().all(|node| {
                ids.iter().all(|&id| net.node(node).unwrap().member(id).is_none_or(|member| !member.state.is_live()))
            })
        };
        assert!(net.run_to(60 * SECOND, gone), "seed {seed}");
        put(&mut net, 0, "b/late", b"value");
        put(&mut net, 22, "b/later", b"value");
        let all = |net: &mut Network| net.running().all(|node| net.node(node).unwrap().scan(b"b/").count() == 2);
        assert!(net.run_to(60 * SECOND, all), "seed {seed}");
        let asked = |net: &Network| net.running().map(|node| stats(net, node).sessions).sum::<u64>();
        net.run_for(120 * SECOND);
        let before = asked(&net);
        net.run_for(300 * SECOND);
        assert!(net.roots_agree(), "seed {seed}");
        eprintln!("{bare} of 24 without samples: {} sessions in five minutes of rest", asked(&net) - before);
    }
}

/// Nobody suspects who said that it sleeps, and it has all that it missed when it is back.
#[test]
fn sleep_of_others_is_heeded() {
    for (seed, bare) in [(1, 1), (2, 3), (3, 5)] {
        let mut net = swarm(seed, 6, bare, SLEEP);
        let refused = net.with(0, |node, now| node.sleep(now, SECOND));
        assert_eq!(refused, Err(SleepError::TooLong { max: Duration::ZERO }));
        net.with(5, |node, now| node.sleep(now, 600 * SECOND)).unwrap();
        net.run_for(SECOND);
        net.switch_off(5);
        put(&mut net, 0, "key", b"value");
        net.run_for(500 * SECOND);
        let accused = net.record().log().iter().any(|seen| {
            matches!(seen.what, Happening::Member { subject: 5, change: MemberChange::Suspected | MemberChange::Died })
        });
        assert!(!accused, "seed {seed}");
        assert!(net.node(0).unwrap().member(net.id_of(5)).unwrap().asleep.is_some(), "seed {seed}");
        net.resume(5);
        net.with(5, |node, now| node.wake(now));
        assert!(net.run_to(SECOND, |net| holds(net, 5, "key")), "seed {seed}");
        // Who goes without a word is noticed as ever.
        net.crash(5);
        let gone = |net: &mut Network| {
            (0..5).all(|node| !net.node(node).unwrap().member(net.id_of(5)).unwrap().state.is_live())
        };
        assert!(net.run_to(60 * SECOND, gone), "seed {seed}");
    }
}

#[test]
fn who_asks_for_no_receipts_gives_them() {
    for (seed, bare) in [(1, 1), (2, 5)] {
        let mut net = swarm(seed, 6, bare, RECEIPTS);
        put(&mut net, 0, "own", b"value");
        let refused = net.with(0, |node, now| node.open_receipt(now, b"own").err());
        assert_eq!(refused, Some(ReceiptError::Full { max: 0 }));
        net.set_faults(Faults { loss_ppm: 300_000, ..Faults::default() });
        put(&mut net, 5, "key", b"value");
        let receipt = net.with(5, |node, now| node.open_receipt(now, b"key")).unwrap();
        let all = |net: &mut Network| net.node(5).unwrap().receipt(receipt).unwrap().is_all();
        assert!(net.run_to(20 * SECOND, all), "seed {seed}");
        assert!((0..6).all(|node| holds(&net, node, "key")), "seed {seed}");
    }
}

/// A fresh node asks whoever took it in; where that one serves nobody, another one does, or else they compare.
#[test]
fn who_is_turned_away_fetches_elsewhere_or_compares() {
    for (seed, nodes, bare) in [(1, 1, 1), (2, 4, 4), (3, 4, 2), (4, 4, 1), (5, 4, 0)] {
        let mut net = swarm(seed, nodes, bare, CATCHUP);
        for key in 0..2_000 {
            put(&mut net, 0, &format!("{}/{key}", key % 5), b"value");
        }
        assert!(net.run_to(120 * SECOND, |net| net.roots_agree()), "seed {seed}");
        net.run_for(5 * SECOND);
        net.reset_figures();
        let fresh = add(&mut net, Without::NONE);
        let begun = net.now();
        net.join(fresh, 0);
        let all = |net: &mut Network| net.node(fresh).unwrap().scan(b"").count() == 2_000;
        assert!(net.run_to(60 * SECOND, all), "seed {seed}");
        let took = net.now() - begun;
        assert!(net.run_to(10 * SECOND, |net| net.node(fresh).unwrap().has_caught_up()), "seed {seed}");
        eprintln!("{bare} of {nodes} serve nobody: {took:?}, {} B", net.counts().sent_bytes);
        // Some round trips of 50 ms each.
        assert!(took < SECOND, "seed {seed}: {took:?}");
    }
}

/// One that lacks everything joins a swarm that uses everything, and has what it can have.
#[test]
fn a_bare_node_joins_a_full_swarm() {
    let mut net = swarm(1, 5, 0, Without::ALL);
    for key in 0..200 {
        put(&mut net, 1, &format!("a/{key}"), b"value");
    }
    put(&mut net, 2, "large", &[7; 20_000]);
    net.with(3, |node, now| node.publish(now, b"t", b"message", PublishOptions::new())).unwrap();
    assert!(net.run_to(60 * SECOND, |net| net.roots_agree()));
    let bare = add(&mut net, Without::ALL);
    net.join(bare, 0);
    assert!(net.run_to(20 * SECOND, |net| net.node(bare).unwrap().scan(b"a/").count() == 200));
    net.run_for(60 * SECOND);
    assert!(!holds(&net, bare, "large") && !told(&net).contains(&bare));
    let refused = net.with(bare, |node, now| node.publish(now, b"t", b"message", PublishOptions::new()));
    assert!(refused.is_err());
    // What it writes itself is everybody's.
    put(&mut net, bare, "a/own", b"value");
    assert!(net.run_to(5 * SECOND, |net| (0..5).all(|node| holds(net, node, "a/own"))));
}
