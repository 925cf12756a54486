//! How many instructions a node spends on a datagram when nothing happens, and how deep its doors go: two nodes in one image, joined by a buffer, in
//! a time of their own. Under QEMU with `-icount shift=4` an instruction takes 16 ns, always.
#![no_std]
#![no_main]

#[path = "../budget.rs"]
#[allow(dead_code, reason = "the other image prints all of it")]
mod budget;

use core::panic::PanicInfo;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;
use gossip_embassy::proto::{Addr, Config, Instant, Memory, Node, NodeId, PutOptions, Seed};
use semihosting::eprintln;
use semihosting::process::exit;
use static_cell::{ConstStaticCell, StaticCell};

static MEMORIES: ConstStaticCell<[Memory<16, 64, 4096>; 2]> = ConstStaticCell::new([const { Memory::new() }; 2]);
static NODES: [StaticCell<Node<'static>>; 2] = [const { StaticCell::new() }; 2];
static BUF: ConstStaticCell<[u8; 512]> = ConstStaticCell::new([0; 512]);

/// What is spent, in ticks of the processor's clock, and how often.
#[derive(Default)]
struct Spent {
    ticks: u64,
    most: u32,
    calls: u32,
}

impl Spent {
    fn measure<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let before = SYST::get_current();
        let result = call();
        let ticks = before.wrapping_sub(SYST::get_current()) & 0xff_ffff;
        (self.ticks, self.most, self.calls) = (self.ticks + u64::from(ticks), self.most.max(ticks), self.calls + 1);
        result
    }

    fn show(&self, what: &str) {
        let instructions = |ticks: u64| ticks * NANOS_PER_TICK / NANOS_PER_INSTRUCTION;
        let mean = instructions(self.ticks) / u64::from(self.calls.max(1));
        eprintln!("instructions {what} {mean} most {} calls {}", instructions(self.most.into()), self.calls);
    }
}

#[entry]
fn main() -> ! {
    let mut syst = cortex_m::Peripherals::take().expect("this runs once").SYST;
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(0xff_ffff);
    syst.clear_current();
    syst.enable_counter();

    let [first, second] = MEMORIES.take();
    let before = budget::stack_used();
    let (a, b) = (make(1, first, &NODES[0]), make(2, second, &NODES[1]));
    budget::repaint();
    b.join(Instant::ZERO, addr(1)).expect("one contact fits");
    for key in 0..32u8 {
        a.put(Instant::ZERO, &[b's', b'/', b'a' + key], b"reading", PutOptions::new()).expect("it fits");
    }

    let (mut taking, mut sending, mut timers) = (Spent::default(), Spent::default(), Spent::default());
    let buf = BUF.take();
    let mut now = Instant::ZERO;
    while now < END {
        now = [a.poll_timeout(), b.poll_timeout()].into_iter().flatten().min().unwrap_or(END).max(now);
        if now < BEGIN {
            (taking, sending, timers) = Default::default();
        }
        timers.measure(|| a.handle_timeout(now));
        b.handle_timeout(now);
        loop {
            let from_b = b.poll_transmit(now, buf).map(|transmit| transmit.payload.len());
            if let Some(len) = from_b {
                let _ = taking.measure(|| a.handle_datagram(now, addr(2), &mut buf[..len]));
            }
            let from_a = sending.measure(|| a.poll_transmit(now, buf).map(|transmit| transmit.payload.len()));
            if let Some(len) = from_a {
                let _ = b.handle_datagram(now, addr(1), &mut buf[..len]);
            }
            if (from_a, from_b) == (None, None) {
                break;
            }
        }
        while a.poll_event().is_some() || b.poll_event().is_some() {}
    }
    // Before anything is said: formatting goes deeper than some doors.
    let deepest = budget::stack_peak() - before;
    let agreed = a.convergence().is_converged() && a.live() == 2 && b.scan(b"s/").count() == 32;
    taking.show("handle_datagram");
    sending.show("poll_transmit");
    timers.show("handle_timeout");
    eprintln!("stack {deepest} for the deepest door");
    exit(i32::from(!agreed));
}

#[inline(never)]
fn make(
    id: u8,
    memory: &'static mut Memory<16, 64, 4096>,
    place: &'static StaticCell<Node<'static>>,
) -> &'static mut Node<'static> {
    let node = Node::new(NodeId(id.into()), addr(id), Config::embedded("count"), memory, Seed::new([id; 32]));
    place.init(node.expect("all is in range"))
}

fn addr(id: u8) -> Addr {
    Addr::new(&[id]).expect("a byte fits")
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    exit(4);
}

/// Quiet has come by the one, and is watched until the other.
const BEGIN: Instant = Instant::from_millis(60_000);
const END: Instant = Instant::from_millis(360_000);
/// The board's clock is 25 MHz, and `shift=4` makes an instruction take 2^4 ns.
const NANOS_PER_TICK: u64 = 40;
const NANOS_PER_INSTRUCTION: u64 = 16;
