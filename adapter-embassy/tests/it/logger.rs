//! With feature `defmt` every program needs a logger; on a host nobody reads it.

#[defmt::global_logger]
struct Silent;

// SAFETY: it holds nothing and does nothing.
unsafe impl defmt::Logger for Silent {
    fn acquire() {}
    unsafe fn flush() {}
    unsafe fn release() {}
    unsafe fn write(_: &[u8]) {}
}

defmt::timestamp!("");

#[defmt::panic_handler]
fn panic() -> ! {
    panic!("a panic of defmt")
}
