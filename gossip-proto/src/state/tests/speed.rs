//! Times of the store's doors; `cargo test --release -p gossip-proto --lib state::tests::speed -- --ignored --nocapture`.

use std::println;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn doors_at_100_000_entries() {
    let count = 100_000;
    let mut store = store(count, 40 << 20, &Config::lan("speed"));
    let keys: Vec<Vec<u8>> = (0..count).map(|n| std::format!("topic{}/key{n:06}", n % 100).into_bytes()).collect();
    let mut order: Vec<usize> = (0..count).collect();
    let mut dice = Dice(1);
    let mut stamp = 1_780_000_000_000_000;
    for (what, kind) in [("put new", Kind::Register), ("put again", Kind::Register), ("put third", Kind::Register)] {
        dice.shuffle(&mut order);
        let begin = Instant::now();
        for &n in &order {
            stamp += 1;
            let value = [n as u8; 64];
            store.put(stamp % 5, stamp, &keys[n], Some(&value[..40 + n % 24]), kind).expect("there is room");
        }
        println!("{what}: {} ns", begin.elapsed().as_nanos() / count as u128);
    }
    dice.shuffle(&mut order);
    let begin = Instant::now();
    assert_eq!(
        order.iter().filter(|&&n| store.find(&keys[n]).is_some_and(|slot| store.entry(slot).is_some())).count(),
        count
    );
    println!("get: {} ns", begin.elapsed().as_nanos() / count as u128);
    dice.shuffle(&mut order);
    let items: Vec<_> = order.iter().filter_map(|&n| store.item(store.find(&keys[n])?, 0)).collect();
    let mut other = super::store(count, 40 << 20, &Config::lan("speed"));
    for what in ["merge new", "merge known"] {
        let begin = Instant::now();
        for item in &items {
            other.merge(item).expect("there is room");
        }
        println!("{what}: {} ns", begin.elapsed().as_nanos() / count as u128);
    }
    assert_eq!(store.root(), other.root());
    let begin = Instant::now();
    let bytes: usize = other.iter().map(|entry| entry.value().len()).sum();
    println!("scan all: {} ns each ({bytes} bytes)", begin.elapsed().as_nanos() / count as u128);
    let begin = Instant::now();
    while other.poll_change().is_some() {}
    println!("poll_change: {} ns", begin.elapsed().as_nanos() / count as u128);
}
