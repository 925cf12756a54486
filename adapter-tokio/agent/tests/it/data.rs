//! `agent --data DIR`: an agent comes back as itself, whenever and however it was ended.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::agents::{Agent, until};

/// A directory of one test, which goes with it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gossip-data-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ok(agent: &Agent, args: &[&str]) {
    let said = agent.run(args);
    assert_eq!(said.exit, 0, "{args:?}: {said:?}");
}

#[test]
fn an_agent_comes_back_with_what_it_held() {
    let dir = Dir::new("back");
    let first = Agent::start(&["--data", dir.path()]);
    ok(&first, &["merge", r#"{"site": {"speed": 1, "lights": true}}"#]);
    ok(&first, &["set", "gone", "1"]);
    ok(&first, &["delete", "gone"]);
    let (id, root) = (first.id.clone(), first.json(&["converged"])["root"].clone());
    drop(first); // SIGKILL
    let again = Agent::start(&["--data", dir.path()]);
    assert_eq!((&again.id, &again.json(&["converged"])["root"]), (&id, &root));
    assert_eq!(again.json(&["get", "site"])["value"], serde_json::json!({"speed": 1, "lights": true}));
    assert_eq!(again.json(&["info"])["incarnation"], 1);
    assert_eq!(again.run(&["get", "gone"]).exit, 3);
}

#[test]
fn what_others_wrote_is_kept_too() {
    let dir = Dir::new("others");
    let other = Agent::start(&[]);
    let kept = Agent::start(&["--data", dir.path(), "--join", &other.bind]);
    kept.converged("2");
    ok(&other, &["set", "a", "1"]);
    ok(&other, &["set", "b", "2"]);
    until("both entries to arrive", || kept.run(&["get", "b"]).exit == 0 && kept.run(&["get", "a"]).exit == 0);
    // A write that is answered is on disk, and with it all that was asked for before.
    ok(&kept, &["set", "c", "3"]);
    thread::sleep(Duration::from_millis(200));
    drop((kept, other));
    let again = Agent::start(&["--data", dir.path()]);
    assert_eq!(again.json(&["get", ""])["value"], serde_json::json!({"a": 1, "b": 2, "c": 3}));
}

#[test]
fn a_directory_belongs_to_one_agent_of_one_swarm() {
    let dir = Dir::new("owner");
    let first = Agent::start(&["--data", dir.path(), "--name", "first"]);
    let refused = |options: &[&str]| {
        let said = Agent::try_start(&[&["--data", dir.path()], options].concat()).err().expect("it must not start");
        assert_eq!(said.exit, 9, "{said:?}");
        said.err
    };
    assert!(refused(&["--name", "first"]).contains("already open"), "{}", refused(&[]));
    drop(first);
    assert!(refused(&["--name", "second"]).contains("belongs to the agent"));
    assert!(refused(&["--swarm", "other"]).contains("belongs to the swarm `test`, not `other`"));
    let said = Agent::try_start(&["--data", "/dev/null/x"]).err().expect("it must not start");
    assert!(said.exit == 9 && said.err.contains("--data /dev/null/x"), "{said:?}");
    // A file that is no database is neither taken for one nor overwritten.
    let spoilt = Dir::new("spoilt");
    fs::create_dir_all(&spoilt.0).unwrap();
    let file = spoilt.0.join("gossip.redb");
    fs::write(&file, vec![7; 4096]).unwrap();
    let said = Agent::try_start(&["--data", spoilt.path()]).err().expect("it must not start");
    assert_eq!(said.exit, 9, "{said:?}");
    assert_eq!(fs::read(&file).unwrap(), vec![7; 4096]);
}

/// Kills an agent in the midst of writes, again and again: every write that was answered is there, and it always starts.
fn killed(times: u32) {
    let dir = Dir::new(&format!("killed-{times}"));
    let mut known = 0;
    for life in 0..times {
        let agent = Agent::start(&["--data", dir.path()]);
        for nth in 0..known {
            if nth % 16 == life % 16 || nth + 64 > known {
                let got = agent.json(&["get", &format!("k/{nth}")]);
                assert_eq!(got["value"], nth, "life {life}: an answered write is lost");
            }
        }
        let (answered, ending) = (AtomicU32::new(known), AtomicBool::new(false));
        let control = agent.control.clone();
        thread::scope(|scope| {
            scope.spawn(|| {
                for nth in known.. {
                    let (key, value) = (format!("k/{nth}"), nth.to_string());
                    let said = crate::agents::run(&["set", &key, &value, "--control", &control]);
                    if said.exit != 0 {
                        assert!(ending.load(Ordering::SeqCst), "{said:?}");
                        break;
                    }
                    answered.store(nth + 1, Ordering::SeqCst);
                }
            });
            // Not at the same moment of a write each time.
            thread::sleep(Duration::from_micros(20_000 + u64::from(life) * 7919 % 30_000));
            ending.store(true, Ordering::SeqCst);
            drop(agent);
        });
        known = answered.load(Ordering::SeqCst);
    }
    assert!(known >= times, "{known} writes were answered in {times} lives");
}

#[test]
fn no_answered_write_is_lost_by_a_kill() {
    killed(10);
}

#[test]
#[ignore = "takes minutes"]
fn no_answered_write_is_lost_by_two_hundred_kills() {
    killed(200);
}
