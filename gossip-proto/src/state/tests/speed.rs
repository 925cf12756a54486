//! Times of doors: `cargo test --release -p gossip-proto --features sim --lib doors_at_ -- --ignored --nocapture`.

use std::println;

use super::*;

/// Nanoseconds that this thread was on a processor (Linux): what others run meanwhile does not count.
fn on_cpu() -> usize {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

#[test]
#[ignore = "a measurement"]
fn doors_at_100_000_entries() {
    let count = 100_000;
    let mut store = store(count, 40 << 20, &Config::lan("speed"));
    let keys: Vec<Vec<u8>> = (0..count).map(|n| std::format!("topic{}/key{n:06}", n % 100).into_bytes()).collect();
    let mut order: Vec<usize> = (0..count).collect();
    let mut dice = Dice(1);
    let mut stamp = 1_780_000_000_000_000;
    for what in ["put new", "put again, longer", "put again, longer", "put again, longer", "put again", "put again"] {
        dice.shuffle(&mut order);
        // The caller has its key at hand: to fetch one from a table of all keys took a fifth of the time.
        let calls: Vec<([u8; 20], usize, usize)> = order
            .iter()
            .map(|&n| (core::array::from_fn(|at| keys[n].get(at).copied().unwrap_or(0)), keys[n].len(), n))
            .collect();
        let begin = on_cpu();
        for (key, len, n) in &calls {
            stamp += 1;
            let value = [*n as u8; 64];
            store
                .put(stamp % 5, stamp, &key[..*len], Some(&value[..40 + n % 24]), Kind::Register)
                .expect("there is room");
        }
        println!("{what}: {} ns", (on_cpu() - begin) / count);
    }
    dice.shuffle(&mut order);
    let begin = on_cpu();
    assert_eq!(
        order.iter().filter(|&&n| store.find(&keys[n]).is_some_and(|slot| store.entry(slot).is_some())).count(),
        count
    );
    println!("get: {} ns", (on_cpu() - begin) / count);
    dice.shuffle(&mut order);
    let begin = on_cpu();
    let names: Vec<_> = order.iter().map(|&n| StateHash::new(&[7; 16]).key(&keys[n])).collect();
    println!("hash of a key, cold: {} ns", (on_cpu() - begin) / count);
    let begin = on_cpu();
    assert_eq!(names.iter().filter(|&&name| store.find_hash(name).is_some()).count(), count);
    println!("index alone: {} ns", (on_cpu() - begin) / count);
    let items: Vec<_> = order.iter().filter_map(|&n| store.item(store.find(&keys[n])?, 0)).collect();
    let mut other = super::store(count, 40 << 20, &Config::lan("speed"));
    for what in ["merge new", "merge known"] {
        let begin = on_cpu();
        for item in &items {
            other.merge(item).expect("there is room");
        }
        println!("{what}: {} ns", (on_cpu() - begin) / count);
    }
    assert_eq!(store.root(), other.root());
    let begin = on_cpu();
    let bytes: usize = other.iter().map(|entry| entry.value().len()).sum();
    println!("scan all: {} ns each ({bytes} bytes)", (on_cpu() - begin) / count);
    let begin = on_cpu();
    while other.poll_change().is_some() {}
    println!("poll_change: {} ns", (on_cpu() - begin) / count);
}
