//! The fuzzer's bodies, over fixed seeds and over what it has found so far.
//!
//! `SEED=0x… cargo test -p gossip-proto --features sim fuzz_bodies` replays one story.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::{env, fs};

use gossip_proto::fuzzing;

#[test]
fn decode_takes_any_bytes() {
    run("decode", 1000, 2000, fuzzing::decode);
}

#[test]
fn messages_round_trip() {
    run("roundtrip", 4000, 300, fuzzing::roundtrip);
}

#[test]
fn node_takes_any_story() {
    run("node", 3000, 2000, fuzzing::node);
}

#[test]
fn swarm_agrees_after_any_story() {
    run("swarm", 600, 600, fuzzing::swarm);
}

/// Runs `body` over the corpus of `target` and over `stories` pseudo-random inputs of at most `len_max` bytes.
fn run(target: &str, stories: u64, len_max: u64, body: fn(&[u8])) {
    if let Some(seed) = env::var("SEED").ok().map(|seed| parse(&seed)) {
        return body(&story(seed, len_max));
    }
    for (name, data) in corpus(target) {
        guard(|| body(&data), || eprintln!("failed on fuzz/corpus/{target}/{name}"));
    }
    for at in 0..stories {
        // Seeds that look random, since they are to be told apart in a log.
        let seed = SplitMix(at).next();
        guard(|| body(&story(seed, len_max)), || eprintln!("replay with SEED={seed:#018x}, filter `{target}`"));
    }
}

fn guard(body: impl Fn(), say: impl Fn()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        say();
        resume_unwind(panic);
    }
}

fn parse(seed: &str) -> u64 {
    let digits = seed.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("SEED is {seed}; it must be hexadecimal, 64 bits"))
}

fn story(seed: u64, len_max: u64) -> Vec<u8> {
    let mut random = SplitMix(seed);
    let len = random.next() % (len_max + 1);
    (0..len).map(|_| (random.next() >> 32) as u8).collect()
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| (path.file_name().unwrap().display().to_string(), fs::read(path).unwrap());
    paths.iter().map(read).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough to tell stories.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
