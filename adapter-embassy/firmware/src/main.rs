//! A sensor node for `lm3s6965evb` and `mps2-an385`: it joins a swarm, publishes a reading, follows a shared setting, and
//! shows on its console what it knows.
#![no_std]
#![no_main]

mod budget;
mod clock;
mod mac;
mod options;

use core::cell::Cell;
use core::fmt::Write;
use core::net::{SocketAddr, SocketAddrV4};
use core::panic::PanicInfo;

use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use embassy_executor::{Spawner, raw::Executor};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, Instant, Timer};
use gossip_embassy::proto::{Addr, Config, Event, Memory, Node, NodeId, PutOptions, Seed};
use gossip_embassy::{Handle, Neighbors, Network, Resolving, Resources, Runner};
use semihosting::eprintln;
use semihosting::process::exit;
use static_cell::{ConstStaticCell, StaticCell};

use budget::Budget;
use mac::{Board, Nic};
use options::Options;

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

/// Datagrams: what is received may come from larger nodes, what is sent is 512 bytes at most.
const DATAGRAM: usize = 1400;
/// The setting that this node follows, and how often it measures without; and what makes it leave.
const SETTING: &[u8] = b"config/interval_ms";
const STOP: &[u8] = b"config/stop";
const INTERVAL: Duration = Duration::from_millis(1000);

static NIC: ConstStaticCell<Nic> = ConstStaticCell::new(Nic::EMPTY);
static NEIGHBORS: ConstStaticCell<Neighbors<32>> = ConstStaticCell::new(Neighbors::new());
static STACK: ConstStaticCell<StackResources<2>> = ConstStaticCell::new(StackResources::new());
static MEMORY: ConstStaticCell<Memory<16, 64, 4096>> = ConstStaticCell::new(Memory::new());
static NODE: StaticCell<Node<'static>> = StaticCell::new();
static RESOURCES: ConstStaticCell<Resources<DATAGRAM>> = ConstStaticCell::new(Resources::new());
static EXECUTOR: StaticCell<Executor> = StaticCell::new();
static QUEUES: ConstStaticCell<[[PacketMetadata; 4]; 2]> = ConstStaticCell::new([[PacketMetadata::EMPTY; 4]; 2]);
static RECEIVED: ConstStaticCell<[u8; 2 * DATAGRAM]> = ConstStaticCell::new([0; 2 * DATAGRAM]);
static SENT: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);

#[entry]
fn main() -> ! {
    let executor = EXECUTOR.init(Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    let boot = budget::stack_peak();
    critical_section::with(|cs| BOOT_STACK.borrow(cs).set(boot));
    budget::repaint();
    loop {
        // SAFETY: on this executor's only thread, and not from within itself.
        unsafe { executor.poll() };
        critical_section::with(|cs| {
            if !PENDING.borrow(cs).replace(false) {
                // Wakes on a pending interrupt, which is served when the section ends.
                cortex_m::asm::wfi();
            }
        });
    }
}

/// The peak of the stack before the executor runs.
static BOOT_STACK: Mutex<Cell<usize>> = Mutex::new(Cell::new(0));
static PENDING: Mutex<Cell<bool>> = Mutex::new(Cell::new(false));

/// The executor has work.
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    critical_section::with(|cs| PENDING.borrow(cs).set(true));
}

#[inline(never)]
fn start(spawner: Spawner) {
    let board = Board::probe();
    let peripherals = cortex_m::Peripherals::take().expect("this runs once");
    clock::start(peripherals.SYST, board.hertz());
    let options = options();
    eprintln!("boot {board:?} id {} life {}", options.id, options.life);

    let neighbors: &'static Neighbors<32> = NEIGHBORS.take();
    let (stack, net) = attach(board, neighbors, &options);
    let (handle, runner) = swarm(neighbors.on(stack), stack, &options);
    if let Some(contact) = options.contact {
        handle.with(|node, now| node.join(now, SocketAddr::V4(contact).into())).expect("the first contact fits");
    }
    spawner.spawn(network(net).expect("there is room for each task once"));
    spawner.spawn(gossip(stack, runner).expect("there is room for each task once"));
    spawner.spawn(console(handle, options.seconds).expect("there is room for each task once"));
    spawner.spawn(sensor(handle).expect("there is room for each task once"));
    spawner.spawn(joined(handle, options.interval_ms).expect("there is room for each task once"));
}

type Net = embassy_net::Runner<'static, Resolving<&'static mut Nic>>;

/// The stack. Functions of their own keep what is built on the stack from adding up.
#[inline(never)]
fn attach(board: Board, neighbors: &'static Neighbors<32>, options: &Options) -> (Stack<'static>, Net) {
    let nic = NIC.take().start(board, [2, 0, 0, 0, 0, options.id]);
    let address = StaticConfigV4 { address: options.ip, gateway: options.gateway, dns_servers: Default::default() };
    let config = embassy_net::Config::ipv4_static(address);
    embassy_net::new(neighbors.wrap(nic), config, STACK.take(), options.id.into())
}

/// The node, and the socket that it speaks through.
#[inline(never)]
fn swarm(network: Network, stack: Stack<'static>, options: &Options) -> (Handle, Runner) {
    let [received, sent] = QUEUES.take();
    let mut socket = UdpSocket::new(stack, received, RECEIVED.take(), sent, SENT.take());
    socket.bind(options.port).expect("the port is free");
    let own = options.announce.unwrap_or(SocketAddrV4::new(options.ip.address(), options.port));
    // A board has a generator of random numbers for this; the emulated ones have none.
    let mut seed = [options.id; 32];
    seed[..4].copy_from_slice(&options.life.to_le_bytes());
    let (id, addr, config) = (NodeId(options.id.into()), Addr::from(SocketAddr::V4(own)), Config::embedded("mixed"));
    match Node::new_in(NODE.uninit(), id, addr, config, MEMORY.take(), Seed::new(seed)) {
        Ok(node) => gossip_embassy::new(RESOURCES.take(), network, socket, node),
        Err(_) => fail("the configuration is out of range"),
    }
}

#[inline(never)]
fn options() -> Options {
    let Ok(args) = semihosting::experimental::env::args::<512>() else {
        fail("the command line is too long");
    };
    match Options::parse((&args).skip(1).filter_map(Result::ok)) {
        Ok(options) => options,
        Err(arg) => {
            eprintln!("this is no option: {arg}");
            exit(2);
        }
    }
}

#[embassy_executor::task]
async fn network(mut runner: Net) {
    runner.run().await;
}

#[embassy_executor::task]
async fn gossip(stack: Stack<'static>, mut runner: Runner) {
    stack.wait_link_up().await;
    runner.run().await;
}

/// Prints events; in the end the node leaves, and the budget is printed.
#[embassy_executor::task]
async fn console(handle: Handle, seconds: Option<u64>) {
    let end = seconds.map_or(Instant::MAX, Instant::from_secs);
    while embassy_time::with_deadline(end, handle.event(show)).await == Ok(Some(true)) {}
    let left = embassy_time::with_timeout(Duration::from_secs(5), handle.leave()).await;
    // What there was still to tell, that it left last of all.
    while embassy_time::with_timeout(Duration::from_millis(10), handle.event(show)).await == Ok(Some(true)) {}
    handle.read(|node| {
        for member in node.members() {
            eprintln!("member {:?} at {} {:?}", member.id.0, member.addr, member.state);
        }
        for entry in node.scan(b"") {
            eprintln!("entry {} = {}", text(entry.key()), text(entry.value()));
        }
        let stats = node.stats();
        eprintln!("stats in {} out {} socket {:?}", stats.datagrams_in, stats.datagrams_out, handle.socket_stats());
    });
    let (running, boot) = (budget::stack_peak(), critical_section::with(|cs| BOOT_STACK.borrow(cs).get()));
    let Budget { flash, data, bss } = Budget::measure();
    let (node, memory) = (size_of::<Node<'static>>(), size_of::<Memory<16, 64, 4096>>());
    eprintln!("budget flash {flash} data {data} bss {bss} stack {running} boot {boot} node {node} memory {memory}");
    exit(if matches!(left, Ok(Ok(()))) { 0 } else { 1 });
}

/// Shows an event; whether to go on.
fn show(event: Event<'_>) -> bool {
    #[cfg(feature = "defmt")]
    defmt::info!("{}", event);
    match event {
        Event::Member { id, change } => eprintln!("event member {} {change:?}", id.0),
        Event::Entry { key, change, .. } => eprintln!("event entry {} {change:?}", text(key)),
        other => eprintln!("event {other:?}"),
    }
    !matches!(event, Event::Entry { key: STOP, .. })
}

#[embassy_executor::task]
async fn joined(handle: Handle, interval_ms: Option<u32>) {
    if handle.joined().await.is_ok() {
        eprintln!("joined after {} us", Instant::now().as_micros());
        if let Some(interval_ms) = interval_ms {
            let mut value = Line::default();
            let _ = write!(value, "{interval_ms}");
            let put = handle.with(|node, now| node.put(now, SETTING, value.bytes(), PutOptions::new()));
            put.expect("it is small");
        }
    }
}

/// Publishes a reading per interval; the interval is shared by all.
#[embassy_executor::task]
async fn sensor(handle: Handle) {
    let (mut reading, mut shown) = (0u32, INTERVAL);
    loop {
        let setting = |node: &Node<'static>| text(node.get(SETTING)?.value()).parse().ok().map(Duration::from_millis);
        let interval = handle.read(setting).unwrap_or(INTERVAL).max(Duration::from_millis(10));
        if interval != shown {
            eprintln!("setting {} ms", interval.as_millis());
            shown = interval;
        }
        reading += 1;
        let (mut key, mut value) = (Line::default(), Line::default());
        let id = handle.read(|node| node.id().0);
        let _ = write!(key, "sensor/{id}");
        let _ = write!(value, "{}.{}", 20 + reading / 10 % 5, reading % 10);
        let put = handle.with(|node, now| node.put(now, key.bytes(), value.bytes(), PutOptions::new()));
        if put.is_err() {
            // The node has left, or its tables are full, which is no reason to stop.
            eprintln!("reading {} is not shared", text(value.bytes()));
        }
        wait(&handle, interval).await;
    }
}

/// Waits for the interval, in steps, so that a shorter one holds soon.
async fn wait(handle: &Handle, interval: Duration) {
    let end = Instant::now() + interval;
    let before = handle.read(|node| node.get(SETTING).map(|entry| hash(entry.value())));
    while Instant::now() < end && handle.read(|node| node.get(SETTING).map(|entry| hash(entry.value()))) == before {
        Timer::at(end.min(Instant::now() + Duration::from_millis(100))).await;
    }
}

fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte))
}

fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("?")
}

/// A short line of text.
#[derive(Default)]
struct Line {
    bytes: [u8; 24],
    len: usize,
}

impl Line {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + s.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

#[exception]
unsafe fn DefaultHandler(irq: i16) {
    match u16::try_from(irq) {
        Ok(line @ (13 | 42)) => mac::interrupted(line),
        _ => fail("an interrupt that nobody asked for"),
    }
}

#[exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    eprintln!("hard fault at {:08x}", frame.pc());
    exit(3);
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    exit(1);
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    exit(4);
}
