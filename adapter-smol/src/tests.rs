//! What no socket shows: a clock that stands still, and one that goes on from there.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::UdpSocket;
use std::pin::pin;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::future::or;
use gossip_proto::{Addr, Config, Lifecycle, Node, NodeId, PutOptions, Seed, Storage};

use crate::{Handle, Runner};

const STILL: Duration = Duration::from_millis(400);

fn agent(id: u8, start: Instant) -> (Handle, Runner, Addr) {
    let socket = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap();
    let addr = Addr::from(socket.get_ref().local_addr().unwrap());
    let config = Config { gossip_interval: Duration::from_millis(20), ..Config::lan("a clock that stands still") };
    let storage = Storage::with_capacity(16, 100, 1 << 16);
    let node = Node::new(NodeId(id.into()), addr, config, storage, Seed::new([id; 32])).unwrap();
    let handle = Handle::new(node, start);
    (handle.clone(), Runner::new(socket, handle), addr)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test makes a clock")]
fn a_clock_that_stands_still_stops_nothing_and_spins_nothing() {
    let start = Instant::now() + STILL;
    let ((still, mut still_runner, contact), (other, mut other_runner, _)) =
        (agent(1, start), agent(2, Instant::now()));
    other.with(|node, now| node.join(now, contact)).unwrap();
    other.with(|node, now| node.put(now, b"other", b"value", PutOptions::new())).unwrap();
    let (mut still_run, mut other_run) = (pin!(still_runner.run()), pin!(other_runner.run()));
    let polls = Cell::new(0);
    let running = poll_fn(|context| {
        polls.set(polls.get() + 1);
        assert!(other_run.as_mut().poll(context).is_pending());
        still_run.as_mut().poll(context)
    });
    let test = async {
        let until = async |holds: &dyn Fn() -> bool| {
            while !holds() {
                assert!(start.elapsed() < Duration::from_secs(30), "never");
                Timer::after(Duration::from_millis(5)).await;
            }
        };
        // It answers, takes what it is told, and leaves its handle usable.
        until(&|| other.read(Node::lifecycle) == Lifecycle::Member && still.read(|node| node.get(b"other").is_some()))
            .await;
        still.with(|node, now| node.put(now, b"still", b"value", PutOptions::new())).unwrap();
        Timer::at(start - Duration::from_millis(50)).await;
        assert_eq!(still.now(), gossip_proto::Instant::ZERO);
        assert!(polls.get() < 2_000, "{} turns while the clock stood", polls.get());
        // And what waited for the clock is done when it goes on.
        until(&|| other.read(|node| node.get(b"still").is_some()) && still.now() > gossip_proto::Instant::ZERO).await;
        assert_eq!((still.read(Node::live), other.read(Node::live)), (2, 2));
        still.leave().await.unwrap();
        Ok(())
    };
    smol::block_on(or(test, async { running.await.and(std::future::pending().await) })).unwrap();
}
