//! Links the core without an operating system and without a heap, so that its size can be read; it is never run.
//!
//! Symbols that `.ci/run` looks for: `MEMORY` and `NODE`, both of which must lie in .bss.
#![no_std]
#![no_main]

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use gossip_proto::{Addr, Config, Instant, Memory, Node, NodeId, PutOptions, Seed};

#[unsafe(no_mangle)]
static MEMORY: Once<Memory<16, 64, 4096>> = Once(UnsafeCell::new(Memory::new()));
#[unsafe(no_mangle)]
static NODE: Once<MaybeUninit<Node<'static>>> = Once(UnsafeCell::new(MaybeUninit::uninit()));

/// Memory that one caller takes, once.
struct Once<T>(UnsafeCell<T>);

// SAFETY: one core, no interrupts, and `_start` takes each once.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    fn take(&'static self) -> &'static mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.get() }
    }
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let config = Config::embedded("thumb");
    let addr = black_box(Addr::NONE);
    let (id, seed) = (NodeId(black_box(1)), Seed::new(black_box([0; 32])));
    if let Ok(node) = Node::new_in(NODE.take(), id, addr, config, MEMORY.take(), seed) {
        run(node, addr);
    }
    loop {}
}

/// Every door, with inputs that the compiler cannot foresee.
#[inline(never)]
fn run(node: &mut Node<'static>, addr: Addr) {
    let mut buf = [0; 512];
    loop {
        let now = Instant::from_micros(black_box(0));
        _ = black_box(node.join(now, addr));
        _ = black_box(node.handle_datagram(now, addr, black_box(&mut buf)));
        node.handle_timeout(now);
        node.handle_wall_clock(now, black_box(0));
        _ = black_box(node.put(now, black_box(b"a/key"), black_box(b"value"), PutOptions::new()));
        _ = black_box(node.delete(now, black_box(b"a/key")));
        #[cfg(feature = "messages")]
        {
            let options = gossip_proto::PublishOptions::new();
            _ = black_box(node.publish(now, black_box(b"a"), black_box(b"message"), options));
        }
        #[cfg(feature = "kinds")]
        {
            _ = black_box(node.counter_add(now, black_box(b"a/count"), black_box(1)));
            _ = black_box(node.counter_delete(now, black_box(b"a/count")));
            _ = black_box(node.counter(black_box(b"a/count")));
        }
        #[cfg(feature = "siblings")]
        {
            _ = black_box(node.set_add(now, black_box(b"a/set"), black_box(b"element")));
            _ = black_box(node.set_remove(now, black_box(b"a/set"), black_box(b"element")));
            _ = black_box(node.set_members(black_box(b"a/set")).count());
        }
        #[cfg(feature = "interest")]
        {
            subscribe(node, now);
        }
        #[cfg(feature = "sleep")]
        {
            _ = black_box(node.sleep(now, core::time::Duration::from_secs(black_box(60))));
            node.wake(now);
        }
        #[cfg(feature = "receipts")]
        if let Ok(receipt) = node.open_receipt(now, black_box(b"a/key")) {
            _ = black_box(node.receipt(receipt));
            node.close_receipt(receipt);
        }
        set_tags(node, now);
        _ = black_box(node.get(black_box(b"a/key")).is_some());
        list(node);
        _ = black_box(node.convergence());
        _ = black_box(node.poll_transmit(now, black_box(&mut buf)));
        _ = black_box(node.poll_event());
        _ = black_box(node.poll_timeout());
        if black_box(false) {
            node.leave(now);
        }
    }
}

/// Doors that are compiled where they are called: here, so that the stack that they take is theirs alone.
#[inline(never)]
fn set_tags(node: &mut Node<'static>, now: Instant) {
    _ = black_box(node.set_tags(now, [("role", "worker")]));
}

#[cfg(feature = "interest")]
#[inline(never)]
fn subscribe(node: &mut Node<'static>, now: Instant) {
    _ = black_box(node.subscribe(now, [black_box(&b"a"[..])]));
}

#[inline(never)]
fn list(node: &Node<'static>) {
    _ = black_box(node.scan(black_box(b"a/")).count());
    _ = black_box(node.members().count());
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
