//! News reaches everybody however it spreads, and what news missed is found by comparing, however much it is.

use std::time::Duration;

use gossip_proto::sim::{Network, Scenario, Setup, Spec, run};
use gossip_proto::{Config, PutOptions, Spread};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_mode_reaches_everybody() {
    for (spread, payloads_max) in [(Spread::Push, 10.0), (Spread::Pull, 2.0), (Spread::PushPull, 2.0)] {
        for (loss_ppm, seed) in [(0, 1), (0, 2), (200_000, 3), (200_000, 4)] {
            let mut spec = Spec::new(Scenario::Spread).nodes(32).loss_ppm(loss_ppm).seed(seed);
            spec.config.spread = spread;
            let report = run(&spec, &mut |_| {});
            assert!(report.converged, "{spread:?}: {}", spec.command());
            let payloads = report.payloads_per_node.unwrap();
            assert!(payloads <= payloads_max, "{spread:?}: {payloads} payloads per node; {}", spec.command());
        }
    }
}

#[test]
fn any_number_of_keys_converges_in_datagrams_of_any_length() {
    for (mtu, keys, value_len) in [(128, 300, 0), (256, 3_000, 44), (1400, 30_000, 44)] {
        let mut net = Network::new(u64::from(mtu));
        for node in 0..3 {
            let mut setup = Setup::new(Config { datagram_len_max: mtu, ..Config::lan("keys") });
            (setup.entries, setup.bytes, setup.mtu) = (2 * keys, keys * 400, mtu);
            net.add(setup);
            if node > 0 {
                net.join(node, 0);
            }
        }
        net.run_for(5 * SECOND);
        // Two of them write apart from each other, most keys alike, one in sixteen their own.
        let cut = net.split([0], [1, 2]);
        for node in 0..2 {
            for key in 0..keys {
                let owner = if key % 16 == 0 { b'a' + node as u8 } else { b'=' };
                let key = [owner, b'/', (key >> 16) as u8, (key >> 8) as u8, key as u8];
                let write = net.with(node, |node, now| node.put(now, &key, &vec![7; value_len], PutOptions::new()));
                assert_eq!(write, Ok(()));
            }
        }
        net.run_for(SECOND);
        net.heal(cut);
        assert!(net.run_to(900 * SECOND, |net| net.roots_agree()), "{keys} keys in datagrams of {mtu}");
        net.assert_agreement();
    }
}
