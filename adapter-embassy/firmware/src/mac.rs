//! The Ethernet controllers of the two boards, polled through their FIFOs; interrupts only wake.

use core::cell::RefCell;
use core::ptr;
use core::task::Context;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::WakerRegistration;

/// Which board this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Board {
    /// `lm3s6965evb`: Stellaris.
    Lm3s6965,
    /// `mps2-an385`: LAN9118.
    An385,
}

impl Board {
    /// Told by the number of interrupts that the core was built with: 32 on the AN385, more on the LM3S6965.
    pub(crate) fn probe() -> Self {
        // SAFETY: the interrupt controller type register, which every Cortex-M3 has, and reading changes nothing.
        let lines = unsafe { ptr::read_volatile(0xe000_e004 as *const u32) } & 0xf;
        if lines == 0 { Self::An385 } else { Self::Lm3s6965 }
    }

    /// The processor's clock after reset.
    pub(crate) fn hertz(self) -> u32 {
        match self {
            Self::Lm3s6965 => 12_500_000,
            Self::An385 => 25_000_000,
        }
    }

    fn base(self) -> usize {
        match self {
            Self::Lm3s6965 => 0x4004_8000,
            Self::An385 => 0x4020_0000,
        }
    }

    pub(crate) fn irq(self) -> Irq {
        match self {
            Self::Lm3s6965 => Irq(42),
            Self::An385 => Irq(13),
        }
    }

    fn read(self, register: usize) -> u32 {
        // SAFETY: a register of the controller of this board.
        unsafe { ptr::read_volatile((self.base() + register) as *const u32) }
    }

    fn write(self, register: usize, value: u32) {
        // SAFETY: as above; none of them makes the controller access memory.
        unsafe { ptr::write_volatile((self.base() + register) as *mut u32, value) }
    }

    fn start(self, mac: [u8; 6]) {
        let [a, b, c, d, e, f] = mac;
        let (low, high) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, 0, 0]));
        match self {
            Self::Lm3s6965 => {
                self.write(stellaris::IA0, low);
                self.write(stellaris::IA1, high);
                self.write(stellaris::TCTL, 0b111); // on, pad, CRC
                self.write(stellaris::RCTL, 0b1001); // on, no bad CRC
                self.write(stellaris::RIS, 0x7f);
                self.write(stellaris::IM, 1); // received
            }
            Self::An385 => {
                for (register, value) in [(lan9118::ADDRL, low), (lan9118::ADDRH, high), (lan9118::MAC_CR, 0b1100)] {
                    self.write(lan9118::MAC_DATA, value);
                    self.write(lan9118::MAC_CMD, 1 << 31 | register);
                    while self.read(lan9118::MAC_CMD) >> 31 != 0 {}
                }
                self.write(lan9118::TX_CFG, 2); // on
                self.write(lan9118::FIFO_INT, 0);
                self.write(lan9118::IRQ_CFG, 0x111); // on, push-pull, active high
                self.write(lan9118::INT_STS, u32::MAX);
                self.write(lan9118::INT_EN, lan9118::RECEIVED);
            }
        }
    }

    /// Takes the next frame, without its checksum; its length.
    fn receive(self, frame: &mut [u8]) -> Option<usize> {
        match self {
            Self::Lm3s6965 => {
                self.write(stellaris::RIS, 1);
                if self.read(stellaris::NP) == 0 {
                    return None;
                }
                // The length, two bytes, counts itself and the checksum.
                let first = self.read(stellaris::DATA);
                let total = (first & 0xffff) as usize;
                let len = total.saturating_sub(6);
                let words = (1..total.div_ceil(4)).map(|_| self.read(stellaris::DATA));
                fill(frame, first.to_le_bytes().into_iter().skip(2).chain(words.flat_map(u32::to_le_bytes)), len)
            }
            Self::An385 => {
                self.write(lan9118::INT_STS, lan9118::RECEIVED);
                if self.read(lan9118::RX_INF) >> 16 & 0xff == 0 {
                    return None;
                }
                let total = (self.read(lan9118::RX_STATUS) >> 16 & 0x3fff) as usize;
                let words = (0..total.div_ceil(4)).map(|_| self.read(lan9118::RX_DATA));
                fill(frame, words.flat_map(u32::to_le_bytes), total.saturating_sub(4))
            }
        }
    }

    fn transmit(self, frame: &[u8]) {
        let len = frame.len() as u32;
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        match self {
            Self::Lm3s6965 => {
                let (start, rest) = frame.split_at(2);
                self.write(stellaris::DATA, (len - 14) | word(start) << 16);
                rest.chunks(4).for_each(|chunk| self.write(stellaris::DATA, word(chunk)));
                self.write(stellaris::TR, 1);
            }
            Self::An385 => {
                self.write(lan9118::TX_DATA, 1 << 13 | 1 << 12 | len); // the first and the last part
                self.write(lan9118::TX_DATA, len);
                frame.chunks(4).for_each(|chunk| self.write(lan9118::TX_DATA, word(chunk)));
                while self.read(lan9118::TX_INF) >> 16 & 0xff != 0 {
                    self.read(lan9118::TX_STATUS);
                }
            }
        }
    }

    /// Whether the controller takes a frame.
    fn is_idle(self) -> bool {
        match self {
            Self::Lm3s6965 => self.read(stellaris::TR) & 1 == 0,
            Self::An385 => self.read(lan9118::TX_INF) & 0xffff > (FRAME as u32) + 8,
        }
    }
}

/// Takes all bytes, and keeps the first `len` of them when they fit.
fn fill(frame: &mut [u8], bytes: impl Iterator<Item = u8>, len: usize) -> Option<usize> {
    bytes.enumerate().for_each(|(at, byte)| {
        if let Some(place) = frame.get_mut(at) {
            *place = byte;
        }
    });
    Some(if len <= frame.len() { len } else { 0 })
}

/// A line of the interrupt controller.
#[derive(Clone, Copy)]
pub(crate) struct Irq(u16);

// SAFETY: both boards have the lines that `Board::irq` names.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

static WAKER: Mutex<RefCell<WakerRegistration>> = Mutex::new(RefCell::new(WakerRegistration::new()));

/// A frame has arrived: no more interrupts until the stack has looked.
pub(crate) fn interrupted(line: u16) {
    NVIC::mask(Irq(line));
    critical_section::with(|cs| WAKER.borrow(cs).borrow_mut().wake());
}

/// The controller with room for a frame in each direction; it lives in a static, since moving it takes that room on the
/// stack.
pub(crate) struct Nic {
    board: Board,
    mac: [u8; 6],
    received: [u8; FRAME],
    sending: [u8; FRAME],
}

impl Nic {
    pub(crate) const EMPTY: Self =
        Self { board: Board::Lm3s6965, mac: [0; 6], received: [0; FRAME], sending: [0; FRAME] };

    pub(crate) fn start(&'static mut self, board: Board, mac: [u8; 6]) -> &'static mut Self {
        (self.board, self.mac) = (board, mac);
        board.start(mac);
        self
    }
}

impl Driver for Nic {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Sending<'_>)> {
        let Some(len) = self.board.receive(&mut self.received) else {
            critical_section::with(|cs| WAKER.borrow(cs).borrow_mut().register(cx.waker()));
            // SAFETY: no critical section relies on this line being masked.
            unsafe { NVIC::unmask(self.board.irq()) };
            return None;
        };
        Some((Received(&mut self.received[..len]), Sending { board: self.board, buf: &mut self.sending }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Sending<'_>> {
        if !self.board.is_idle() {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(Sending { board: self.board, buf: &mut self.sending })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

pub(crate) struct Received<'a>(&'a mut [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(crate) struct Sending<'a> {
    board: Board,
    buf: &'a mut [u8],
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let frame = &mut self.buf[..len];
        let result = f(frame);
        while !self.board.is_idle() {}
        self.board.transmit(frame);
        result
    }
}

/// An Ethernet frame without its checksum.
const FRAME: usize = 1514;

/// Registers of the LM3S6965's controller (data sheet, chapter 17).
mod stellaris {
    pub(super) const RIS: usize = 0x00;
    pub(super) const IM: usize = 0x04;
    pub(super) const RCTL: usize = 0x08;
    pub(super) const TCTL: usize = 0x0c;
    pub(super) const DATA: usize = 0x10;
    pub(super) const IA0: usize = 0x14;
    pub(super) const IA1: usize = 0x18;
    pub(super) const NP: usize = 0x34;
    pub(super) const TR: usize = 0x38;
}

/// Registers of the LAN9118 (data sheet, chapter 5); the last three are its MAC's.
mod lan9118 {
    pub(super) const RX_DATA: usize = 0x00;
    pub(super) const TX_DATA: usize = 0x20;
    pub(super) const RX_STATUS: usize = 0x40;
    pub(super) const TX_STATUS: usize = 0x48;
    pub(super) const IRQ_CFG: usize = 0x54;
    pub(super) const INT_STS: usize = 0x58;
    pub(super) const INT_EN: usize = 0x5c;
    pub(super) const FIFO_INT: usize = 0x68;
    pub(super) const TX_CFG: usize = 0x70;
    pub(super) const RX_INF: usize = 0x7c;
    pub(super) const TX_INF: usize = 0x80;
    pub(super) const MAC_CMD: usize = 0xa4;
    pub(super) const MAC_DATA: usize = 0xa8;
    /// The bit of INT_STS and INT_EN for a frame that has arrived.
    pub(super) const RECEIVED: u32 = 1 << 3;
    pub(super) const MAC_CR: u32 = 1;
    pub(super) const ADDRH: u32 = 2;
    pub(super) const ADDRL: u32 = 3;
}
