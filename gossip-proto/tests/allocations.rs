//! A node allocates nothing: not when it is made, and not in its whole life after.
//!
//! In a binary of its own, since the allocator that counts is the whole program's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use gossip_proto::{Addr, Config, Event, Instant, Kind, Memory, Node, NodeId, PutOptions, Seed};

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator; a cell of a thread that is not to be dropped counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Two nodes in lent memory go through all there is: join, tags, writes of both kinds until the tables are full, deletes,
/// repair, silence until the other is dead, its return, and farewell.
#[test]
fn a_node_allocates_nothing_in_its_whole_life() {
    let mut rooms = [const { Memory::<8, 32, 8192>::new() }; 2];
    let before = CALLS.get();
    let [one, other] = &mut rooms;
    let mut pair = Pair::new(one, other);
    assert!(pair.one.join(pair.now, addr(2)).is_ok());
    pair.run(1_000, true);
    assert_eq!((pair.one.live(), pair.other.live()), (2, 2));
    assert!(pair.one.set_tags(pair.now, [("role", "worker"), ("zone", "a")]).is_ok());
    for round in 0..64u8 {
        let kind = if round % 2 == 0 { Kind::Register } else { Kind::Siblings };
        let (key, value) = ([b'k', b'/', round], [round; 100]);
        let options = PutOptions::new().kind(kind);
        // Most find the tables full: that is part of life.
        _ = pair.one.put(pair.now, &key, &value, options);
        _ = pair.other.put(pair.now, &key, &value[1..], options.urgent());
        _ = pair.other.put(pair.now, &key[1..], &value[2..], options);
        if round % 5 == 0 {
            _ = pair.one.delete(pair.now, &key);
        }
        pair.run(50, round % 8 != 0);
    }
    assert!(pair.one.stats().refused_full + pair.other.stats().refused_full > 0, "the tables were full");
    pair.run(60_000, false);
    assert_eq!((pair.one.live(), pair.other.live()), (1, 1), "each takes the other for dead");
    pair.run(120_000, true);
    assert_eq!((pair.one.live(), pair.other.live()), (2, 2), "each has found the other again");
    black_box(pair.one.scan(b"k/").count() + pair.other.members().count() + pair.one.disagreeing().count());
    pair.one.leave(pair.now);
    pair.run(5_000, true);
    assert!(pair.one.poll_timeout().is_none());
    assert_eq!(CALLS.get() - before, 0, "allocations");
    // The counter does count.
    drop(black_box(Box::new(1)));
    assert_eq!(CALLS.get() - before, 1);
}

/// Two nodes and the wire between them.
struct Pair<'a> {
    one: Node<'a>,
    other: Node<'a>,
    now: Instant,
}

impl<'a> Pair<'a> {
    fn new<const M: usize, const E: usize, const B: usize>(
        one: &'a mut Memory<M, E, B>,
        other: &'a mut Memory<M, E, B>,
    ) -> Self {
        let config = || Config { datagram_len_max: 512, ..Config::lan("allocations") };
        let (Ok(one), Ok(other)) = (
            Node::new(NodeId(1), addr(1), config(), one, Seed::new([1; 32])),
            Node::new(NodeId(2), addr(2), config(), other, Seed::new([2; 32])),
        ) else {
            panic!("tables of this size")
        };
        Self { one, other, now: Instant::ZERO }
    }

    /// Lets so many milliseconds pass; what is sent arrives at once, or never.
    fn run(&mut self, millis: u64, wire: bool) {
        let end = Instant::from_micros(self.now.as_micros() + millis * 1000);
        let mut buf = [0; 512];
        loop {
            for _ in 0..1_000 {
                let a = exchange(&mut self.one, &mut self.other, self.now, &mut buf, wire);
                let b = exchange(&mut self.other, &mut self.one, self.now, &mut buf, wire);
                if !a && !b {
                    break;
                }
            }
            for node in [&mut self.one, &mut self.other] {
                while let Some(event) = node.poll_event() {
                    black_box(matches!(event, Event::Lagged));
                }
            }
            let due = [self.one.poll_timeout(), self.other.poll_timeout()].into_iter().flatten().min();
            match due {
                Some(due) if due <= end => self.now = self.now.max(due),
                _ => break,
            }
            self.one.handle_timeout(self.now);
            self.other.handle_timeout(self.now);
        }
        self.now = end;
    }
}

fn exchange(from: &mut Node<'_>, to: &mut Node<'_>, now: Instant, buf: &mut [u8], wire: bool) -> bool {
    let Some(sent) = from.poll_transmit(now, buf) else { return false };
    let (len, bound_for) = (sent.payload.len(), sent.to);
    if wire && bound_for == to.addr() {
        _ = to.handle_datagram(now, from.addr(), &mut buf[..len]);
    }
    true
}

fn addr(last: u8) -> Addr {
    Addr::from(core::net::SocketAddr::from(([127, 0, 0, last], 7000)))
}
