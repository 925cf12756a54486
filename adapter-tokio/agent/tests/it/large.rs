//! Values larger than a datagram, from a file to a file.

use std::fs;

use crate::agents::{Agent, until};

#[test]
fn a_mebibyte_from_file_to_file_by_way_of_the_swarm() {
    let dir = std::env::temp_dir().join(format!("gossip-large-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let (from, to, data) = (dir.join("from"), dir.join("to"), dir.join("data"));
    // No text, let alone JSON.
    let bytes: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&from, &bytes).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (from, to, data) = (path(&from), path(&to), path(&data));
    let first = Agent::start(&[]);
    let second = Agent::start(&["--join", &first.bind, "--data", &data]);
    second.converged("2");
    let said = first.run(&["set", "firmware/image", "--file", &from]);
    assert_eq!(said.exit, 0, "{said:?}");
    until("the value to arrive", || second.run(&["get", "firmware/image", "--output", &to]).exit == 0);
    assert!(fs::read(&to).unwrap() == bytes);
    // What an agent held is there again in its next life.
    let said = second.run(&["set", "other", "1"]);
    assert_eq!(said.exit, 0, "{said:?}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop((second, first));
    let again = Agent::start(&["--data", &data]);
    fs::remove_file(&to).unwrap();
    let said = again.run(&["get", "firmware/image", "--output", &to]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(fs::read(&to).unwrap() == bytes);
    // Too long, for agent and for request.
    fs::write(&from, [&bytes[..], &[0]].concat()).unwrap();
    let said = again.run(&["set", "firmware/image", "--file", &from]);
    assert!(said.exit != 0 && said.err.contains("1048576"), "{said:?}");
    fs::write(&from, [&bytes[..], &bytes, &[0]].concat()).unwrap();
    assert!(again.run(&["set", "firmware/image", "--file", &from]).exit != 0);
    assert_eq!(again.json(&["info"])["limits"]["value_len_max"], 1 << 20);
    fs::remove_dir_all(&dir).unwrap();
}
