//! A port of the core to a radio, as the README's guide says: no sockets, no runtime, frames of 128 bytes with short
//! addresses on a channel that loses a fifth of them. Runs on the host, in virtual time: `cargo run --example radio`.

use gossip_embassy::proto::{Addr, Config, Instant, Node, NodeId, PutOptions, Seed, Storage};
use std::time::Duration;

#[cfg(feature = "defmt")]
#[path = "../tests/it/logger.rs"]
mod logger;

/// What one frame carries, without the two addresses.
const FRAME: usize = 128;
const STATIONS: u16 = 6;
/// At 50 kbit/s.
const AIR_TIME: Duration = Duration::from_millis(21);
const LOSS_PERCENT: u32 = 20;

/// A frame on the air: all hear it, and those for whom it is not drop it by its address.
struct Frame {
    to: u16,
    from: u16,
    payload: Vec<u8>,
    arrives: Instant,
}

/// The channel, half duplex: who sends while another does, waits.
#[derive(Default)]
struct Air {
    frames: Vec<Frame>,
    free_at: Instant,
    dice: u32,
    sent: usize,
    lost: usize,
}

impl Air {
    fn send(&mut self, now: Instant, to: u16, from: u16, payload: &[u8]) {
        assert!(payload.len() <= FRAME);
        self.free_at = self.free_at.max(now) + AIR_TIME;
        self.sent += 1;
        // A linear congruential generator is good enough for a bad channel.
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (self.dice >> 16) % 100 < LOSS_PERCENT {
            self.lost += 1;
            return;
        }
        self.frames.push(Frame { to, from, payload: payload.to_vec(), arrives: self.free_at });
    }

    fn receive(&mut self, now: Instant) -> Option<Frame> {
        let at = self.frames.iter().position(|frame| frame.arrives <= now)?;
        Some(self.frames.remove(at))
    }

    fn next(&self) -> Option<Instant> {
        self.frames.iter().map(|frame| frame.arrives).min()
    }
}

/// A short address as the node sees it: two bytes that only this transport reads.
fn addr(station: u16) -> Addr {
    Addr::new(&station.to_be_bytes()).expect("two bytes fit")
}

fn station(addr: Addr) -> Option<u16> {
    Some(u16::from_be_bytes(addr.as_bytes().try_into().ok()?))
}

fn node(station: u16) -> Node<'static> {
    let config = Config {
        datagram_len_max: FRAME as u16,
        // The channel carries 6,000: all stations may be busy at once.
        bytes_per_second: 1_000,
        probe_interval: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(2),
        gossip_interval: Duration::from_secs(1),
        ..Config::embedded("radio")
    };
    let seed = Seed::new([station as u8; 32]);
    Node::new(NodeId(station.into()), addr(station), config, Storage::with_capacity(16, 64, 4096), seed)
        .expect("all fields are in range")
}

/// What a port does after every input: send until there is nothing to send.
fn transmit(node: &mut Node<'_>, now: Instant, air: &mut Air) {
    let mut buf = [0; FRAME];
    let own = station(node.addr()).expect("it is one of ours");
    while let Some(transmit) = node.poll_transmit(now, &mut buf) {
        if let Some(to) = station(transmit.to) {
            air.send(now, to, own, transmit.payload);
        }
    }
}

fn main() {
    let (mut air, mut now) = (Air::default(), Instant::ZERO);
    let mut nodes: Vec<Node<'static>> = (1..=STATIONS).map(node).collect();
    for node in &mut nodes[1..] {
        node.join(now, addr(1)).expect("one contact fits");
    }
    for node in &mut nodes {
        // Frames of 128 bytes leave 6 for key and value together: a version with its history takes the rest.
        let key = format!("t/{}", node.id().0);
        node.put(now, key.as_bytes(), b"215", PutOptions::new()).expect("it fits in a frame");
    }

    let agree = |nodes: &[Node<'_>]| {
        nodes
            .iter()
            .all(|node| node.live() == usize::from(STATIONS) && node.scan(b"t/").count() == usize::from(STATIONS))
    };
    while !agree(&nodes) {
        for node in &mut nodes {
            if node.poll_timeout().is_some_and(|deadline| deadline <= now) {
                node.handle_timeout(now);
            }
            transmit(node, now, &mut air);
        }
        // Sleep until a frame arrives or a deadline is due.
        let deadlines = nodes.iter().filter_map(Node::poll_timeout).chain(air.next());
        now = deadlines.min().expect("they have timers").max(now);
        while let Some(mut frame) = air.receive(now) {
            let to = &mut nodes[usize::from(frame.to) - 1];
            // What is refused, the node counts.
            let _ = to.handle_datagram(now, addr(frame.from), &mut frame.payload);
            transmit(to, now, &mut air);
        }
        assert!(now < Instant::from_millis(600_000), "ten minutes are more than enough");
    }
    let seconds = now.as_micros() as f64 / 1e6;
    println!("{STATIONS} stations share everything after {seconds:.1} s: {} frames, {} lost", air.sent, air.lost);
}
