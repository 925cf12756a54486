//! Time from SysTick: an interrupt per millisecond, and the counter for what lies between.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

struct Clock {
    millis: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    millis: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

/// Starts the clock; `hertz` is the processor's.
pub(crate) fn start(mut syst: SYST, hertz: u32) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(hertz / 1000 - 1);
    syst.clear_current();
    syst.enable_counter();
    syst.enable_interrupt();
}

impl Clock {
    fn micros(&self, cs: CriticalSection<'_>) -> u64 {
        let reload = SYST::get_reload() + 1;
        let (before, pending) = (SYST::get_current(), SCB::is_pendst_pending());
        // Where the counter has begun anew unheard, its value after that counts.
        let current = if pending { SYST::get_current() } else { before };
        let passed = reload.saturating_sub(1).saturating_sub(current) as u64 * 1000 / reload as u64;
        (self.millis.borrow(cs).get() + u64::from(pending)) * 1000 + passed
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.micros(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            self.queue.borrow(cs).borrow_mut().schedule_wake(at, waker);
        });
    }
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let millis = CLOCK.millis.borrow(cs);
        millis.set(millis.get() + 1);
        let now = CLOCK.micros(cs);
        CLOCK.queue.borrow(cs).borrow_mut().next_expiration(now);
    });
}
