//! What the image takes: from the linker's symbols, and from the paint that is left on the stack.

use core::ptr::addr_of;

unsafe extern "C" {
    static __sdata: u32;
    static __edata: u32;
    static __sidata: u32;
    static __sbss: u32;
    static __ebss: u32;
    static __sheap: u32;
    static _stack_start: u32;
}

/// Bytes.
pub(crate) struct Budget {
    pub(crate) flash: usize,
    pub(crate) data: usize,
    pub(crate) bss: usize,
}

impl Budget {
    pub(crate) fn measure() -> Self {
        let data = at(addr_of!(__edata)) - at(addr_of!(__sdata));
        Self { flash: at(addr_of!(__sidata)) + data, data, bss: at(addr_of!(__ebss)) - at(addr_of!(__sbss)) }
    }
}

/// The most that the stack took since it was painted last: by cortex-m-rt before `main`, or by [`repaint`].
pub(crate) fn stack_peak() -> usize {
    let (low, high) = (at(addr_of!(__sheap)), at(addr_of!(_stack_start)));
    // SAFETY: between the end of .bss and the top of the stack, aligned, and nothing there is borrowed.
    let painted = |at: &usize| unsafe { core::ptr::read_volatile(*at as *const u32) } == PAINT;
    high - low - (low..high).step_by(4).take_while(painted).count() * 4
}

/// What the stack takes now.
#[allow(dead_code, reason = "for the image that counts instructions")]
pub(crate) fn stack_used() -> usize {
    at(addr_of!(_stack_start)) - cortex_m::register::msp::read() as usize
}

/// Paints what is free now.
#[inline(never)]
pub(crate) fn repaint() {
    let (low, high) = (at(addr_of!(__sheap)), cortex_m::register::msp::read() as usize - MARGIN);
    for at in (low..high).step_by(4) {
        // SAFETY: below the stack pointer and the frames of what is called here; interrupts save what they find.
        unsafe { core::ptr::write_volatile(at as *mut u32, PAINT) };
    }
}

fn at(symbol: *const u32) -> usize {
    symbol as usize
}

/// What cortex-m-rt paints with, and what an interrupt may need meanwhile.
const PAINT: u32 = 0xcccc_cccc;
const MARGIN: usize = 256;
