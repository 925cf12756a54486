#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gossip_proto::fuzzing::swarm(data));
