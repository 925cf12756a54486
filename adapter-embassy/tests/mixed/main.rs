//! One swarm of two `gossip` agents, a node of gossip-smol and the firmware on both boards under QEMU, over loopback; and
//! one of boards alone.
//!
//! `bare.sh mixed` builds all of them, names them in the environment, and runs this.

mod board;
mod hosts;
#[cfg(feature = "defmt")]
#[path = "../it/logger.rs"]
mod logger;

use std::thread::sleep;
use std::time::{Duration, Instant};

use board::{Board, Machine, free_port};
use hosts::{Agent, Smol};

/// Far more than anything takes.
const FOREVER: Duration = Duration::from_secs(60);

/// Waits until the condition holds; how long that took.
fn until(what: &str, boards: &[&Board], mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > FOREVER {
            boards.iter().for_each(|board| println!("{}", board.transcript()));
            panic!("never: {what}");
        }
        sleep(Duration::from_millis(5));
    }
    let took = start.elapsed();
    println!("{:7.3} s: {what}", took.as_secs_f64());
    took
}

#[test]
#[ignore = "needs QEMU, and the programs that bare.sh builds"]
fn agents_smol_and_two_boards_are_one_swarm() {
    let a = Agent::start(None);
    let b = Agent::start(Some(a.port));
    let smol = Smol::start(b.port);
    let hosts = [a.id, b.id, smol.id];
    until("the hosts know each other", &[], || a.sees(&hosts, "alive") && b.sees(&hosts, "alive"));

    // All see all.
    let ports = [free_port(), free_port()];
    let stellaris = Board::behind_port(Machine::Lm3s6965, 3, 1, ports[0], a.port);
    let mut lan9118 = Board::behind_port(Machine::An385, 4, 1, ports[1], b.port);
    until("both boards have joined", &[&stellaris, &lan9118], || {
        [&stellaris, &lan9118].iter().all(|board| board.shows("joined after"))
    });
    for board in [&stellaris, &lan9118] {
        let micros: u64 = board.line("joined after").unwrap().split(' ').nth(2).unwrap().parse().unwrap();
        println!("          {:?}: joined {micros} us after boot", board.machine);
        assert!(micros < 1_000_000, "boot to member of the swarm took {micros} us");
    }
    let all = [a.id, b.id, smol.id, 3, 4];
    let alive = || a.sees(&all, "alive") && b.sees(&all, "alive");
    until("the agents see five", &[&stellaris, &lan9118], alive);
    until("gossip-smol sees four others", &[], || all.iter().all(|id| *id == smol.id || smol.saw(*id, "Joined")));
    for (board, own) in [(&stellaris, 3), (&lan9118, 4)] {
        until(&format!("{:?} sees four others", board.machine), &[board], || {
            all.iter().all(|id| *id == own || board.shows(&format!("event member {id} Joined")))
        });
    }

    // From the boards to the command line, and back.
    until("the command line reads both sensors, as JSON", &[&stellaris, &lan9118], || {
        ["sensor/3", "sensor/4"]
            .iter()
            .all(|key| [&a, &b].iter().all(|agent| agent.get(key).is_some_and(|entry| entry["value"].is_number())))
    });
    a.set("config/interval_ms", "250");
    for board in [&stellaris, &lan9118] {
        until(&format!("{:?} follows the setting", board.machine), &[board], || board.shows("setting 250 ms"));
    }

    // One is killed, and noticed; restarted, and back.
    let mut dead = stellaris;
    dead.kill();
    until("the dead one is found", &[&lan9118], || a.sees(&[3], "dead") && b.sees(&[3], "dead"));
    until("by the others too", &[&lan9118], || smol.saw(3, "Died") && lan9118.shows("event member 3 Died"));
    a.set("meanwhile", "\"yes\"");
    let mut stellaris = Board::behind_port(Machine::Lm3s6965, 3, 2, ports[0], a.port);
    until("it is back", &[&stellaris, &lan9118], alive);
    until("it has what was written meanwhile", &[&stellaris], || stellaris.shows("event entry meanwhile Put"));
    until("and follows the setting", &[&stellaris], || stellaris.shows("setting 250 ms"));

    // Both segments are cut off, and joined again.
    stellaris.cut(true);
    lan9118.cut(true);
    until("the agents find both dead", &[], || a.sees(&[3, 4], "dead") && b.sees(&[3, 4], "dead"));
    for board in [&stellaris, &lan9118] {
        until(&format!("{:?} knows that it is cut off", board.machine), &[board], || board.shows("event Isolated"));
    }
    a.set("across", "[1, 2]");
    let before = [a.get("sensor/3"), a.get("sensor/4")];
    stellaris.cut(false);
    lan9118.cut(false);
    until("all see all again", &[&stellaris, &lan9118], alive);
    for board in [&stellaris, &lan9118] {
        until(&format!("{:?} has what was written across", board.machine), &[board], || {
            board.shows("event Reconnected") && board.shows("event entry across Put")
        });
    }
    until("new readings arrive", &[&stellaris, &lan9118], || {
        before.iter().zip(["sensor/3", "sensor/4"]).all(|(before, key)| a.get(key) != *before)
    });

    // When nobody writes, all agree.
    a.set("config/interval_ms", "60000");
    for board in [&stellaris, &lan9118] {
        until(&format!("{:?} is quiet", board.machine), &[board], || board.shows("setting 60000 ms"));
    }
    for agent in [&a, &b] {
        let agreed = agent.ask(&["converged", "--wait", "--timeout", "60s", "--live", "5"]).expect("they agree");
        println!("          {agreed}");
    }
    until("the boards and gossip-smol agree", &[&stellaris, &lan9118], || {
        let agrees = |board: &Board| {
            board.last(&["event Converged", "event Diverged"]).is_some_and(|line| line == "event Converged")
        };
        agrees(&stellaris) && agrees(&lan9118) && smol.last("Ok(Converged)") > smol.last("Ok(Diverged)")
    });

    // The boards leave, with their budgets.
    a.set("config/stop", "true");
    let ends = [stellaris.end(FOREVER), lan9118.end(FOREVER)];
    for end in &ends {
        println!("{}", end.transcript);
        assert_eq!(end.status, Some(0), "the firmware's verdict");
    }
    until("the agents see farewells and no deaths", &[], || a.sees(&[3, 4], "left") && b.sees(&[3, 4], "left"));
    for end in &ends {
        end.check_budget();
    }
    a.ask(&["leave"]).expect("it leaves");
}

#[test]
#[ignore = "needs QEMU, and the image in GOSSIP_FIRMWARE"]
fn sixteen_boards_share_a_segment() {
    const COUNT: u8 = 16;
    let port = free_port();
    let machine = |id: u8| if id.is_multiple_of(2) { Machine::Lm3s6965 } else { Machine::An385 };
    let board = |id: u8, life| {
        // A ring of contacts; the last one sets the setting.
        let contact = format!("contact=10.0.0.{}:7946", if id == 1 { COUNT } else { id - 1 });
        let setting = (id == COUNT).then(|| "interval_ms=5000".to_owned());
        let args: Vec<String> = [contact].into_iter().chain(setting).chain(["seconds=45".to_owned()]).collect();
        Board::on_segment(machine(id), id, life, port, &args)
    };
    let mut boards: Vec<Board> = (1..=COUNT).map(|id| board(id, 1)).collect();
    let all: Vec<&Board> = boards.iter().collect();
    until("all see all", &all, || {
        (1..=COUNT).all(|id| {
            let others = all.iter().enumerate().filter(|(at, _)| *at + 1 != usize::from(id));
            others.into_iter().all(|(_, board)| board.shows(&format!("event member {id} Joined")))
        })
    });
    until("all follow the setting", &all, || all.iter().all(|board| board.shows("setting 5000 ms")));

    boards[4].kill();
    let rest: Vec<&Board> = boards.iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, board)| board).collect();
    until("the dead one is found by all", &rest, || rest.iter().all(|board| board.shows("event member 5 Died")));
    let fifth = board(5, 2);
    until("it is back", &rest, || rest.iter().all(|board| board.shows("event member 5 Returned")));
    until("it follows the setting", &[&fifth], || fifth.shows("setting 5000 ms"));
    for board in boards.into_iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, board)| board) {
        let end = board.end(FOREVER);
        assert_eq!(end.status, Some(0), "{}", end.transcript);
        end.check_budget();
    }
    drop(fifth);
}
