//! Who is behind which hardware address: a table of our own, beside the stack's cache.
//!
//! The stack asks for one neighbour per second, keeps few, and holds back everything until the one it asked for answers.
//! So it is never left to ask: each datagram is preceded by an answer to the question that the stack would have.

use core::cell::RefCell;
use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::{Context, Poll};

use embassy_net::{Ipv4Cidr, Stack};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::Instant;

use crate::handle::Wakers;
use crate::network::Network;

/// The neighbours of an Ethernet interface: `N` of them, at least as many as there are members on the same network, and
/// one for the gateway. With fewer the least recently used are asked for again, which costs a round trip each.
///
/// Wrap the driver of the stack with [`Neighbors::wrap`], and send through [`Neighbors::on`]. Addresses are learnt from
/// what arrives; who is not known yet is asked for at once, whoever else is asked for; who does not answer is asked
/// again, once per second at most, while datagrams for it are dropped.
///
/// The stack's own cache must hold them all, or the build fails: this crate sets it to 64; the environment variable
/// `SMOLTCP_IFACE_NEIGHBOR_CACHE_COUNT` of the build has the last word. A place takes 24 bytes there, and 24 here.
pub struct Neighbors<const N: usize>(RefCell<Table<[Peer; N]>>);

/// A table of any size.
pub(crate) type Shared = RefCell<Table<[Peer]>>;

pub(crate) struct Table<T: ?Sized> {
    /// Our address and network, once something was sent.
    own: Option<Ipv4Cidr>,
    /// The stack's task, to be woken when there is something to ask.
    stack: WakerRegistration,
    /// Tasks that wait for an answer.
    senders: Wakers,
    peers: T,
}

/// One neighbour; an unspecified address is a free place.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    ip: Ipv4Addr,
    mac: [u8; 6],
    /// It has answered or sent, and `mac` holds.
    known: bool,
    /// To be asked for.
    ask: bool,
    /// To be told to the stack.
    tell: bool,
    /// In milliseconds: when it was entered or last heard, last asked for, and last used.
    since: u32,
    asked: u32,
    used: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Known,
    /// Asked for just now.
    Asked,
    Silent,
}

impl<const N: usize> Neighbors<N> {
    /// Nobody is known.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N <= smoltcp::config::IFACE_NEIGHBOR_CACHE_COUNT, "the stack's neighbour cache is too small") };
        Self(RefCell::new(Table {
            own: None,
            stack: WakerRegistration::new(),
            senders: Wakers::new(),
            peers: [Peer::FREE; N],
        }))
    }

    /// The driver to give to the stack in place of `driver`. It changes no frame; it looks at them, asks for neighbours,
    /// and gives the stack their answers.
    pub const fn wrap<D: Driver>(&'static self, driver: D) -> Resolving<D> {
        Resolving { driver, neighbors: &self.0 }
    }

    /// The network on which to send: the stack that was made with the wrapped driver.
    #[must_use]
    pub fn on(&'static self, stack: Stack<'static>) -> Network {
        Network::new(stack, &self.0)
    }
}

impl<const N: usize> Default for Neighbors<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the stack ready to send to `hop`, or says that this takes a while, or is in vain.
pub(crate) fn prepare(neighbors: &Shared, own: Ipv4Cidr, hop: Ipv4Addr) -> Resolution {
    let (table, now) = (&mut *neighbors.borrow_mut(), millis());
    table.own = Some(own);
    let found = table.peers.iter().any(|peer| peer.ip == hop);
    let Some(peer) = table.place(hop, now) else { return Resolution::Silent };
    peer.used = now;
    let doubtful = !peer.known || now.wrapping_sub(peer.since) >= SURE_MILLIS;
    if !found || (doubtful && now.wrapping_sub(peer.asked) >= ASK_MILLIS) {
        (peer.ask, peer.asked) = (true, now);
    }
    peer.tell = peer.known;
    let (known, ask) = (peer.known, peer.ask);
    if ask {
        table.stack.wake();
    }
    match (known, found) {
        (true, _) => Resolution::Known,
        (false, false) => Resolution::Asked,
        (false, true) => Resolution::Silent,
    }
}

/// Waits until `hop` is known.
pub(crate) async fn known(neighbors: &Shared, hop: Ipv4Addr) {
    poll_fn(|cx| {
        let table = &mut *neighbors.borrow_mut();
        if table.peers.iter().any(|peer| peer.ip == hop && peer.known) {
            return Poll::Ready(());
        }
        // Without a place it waits in vain, but not for long.
        let _ = table.senders.register(cx.waker());
        Poll::Pending
    })
    .await;
}

impl Table<[Peer]> {
    /// The place of `ip`, perhaps at the expense of the silent or least recently used one.
    fn place(&mut self, ip: Ipv4Addr, now: u32) -> Option<&mut Peer> {
        let rank = |peer: &Peer| match peer {
            peer if peer.ip == ip => (0, 0),
            peer if peer.ip.is_unspecified() => (1, 0),
            peer => (2 + u8::from(peer.known), u32::MAX - now.wrapping_sub(peer.used)),
        };
        let peer = self.peers.iter_mut().min_by_key(|peer| rank(peer))?;
        if peer.ip != ip {
            *peer = Peer { ip, since: now, asked: now, used: now, ..Peer::FREE };
        }
        Some(peer)
    }

    /// Learns from a frame who sent it: from any ARP packet for us or of a known peer; from IPv4 packets for us only what
    /// was not known, for their source is easily forged.
    fn learn(&mut self, frame: &[u8]) {
        let Some(own) = self.own else { return };
        let (ip, mac, arp, for_us) = match (frame.get(12..14), frame.len()) {
            (Some(ARP), 42..) => (address(frame, 28), &frame[22..28], true, address(frame, 38) == own.address()),
            (Some(IPV4), 34..) => (address(frame, 26), &frame[6..12], false, address(frame, 30) == own.address()),
            _ => return,
        };
        let known = self.peers.iter().any(|peer| peer.ip == ip);
        if !own.contains_addr(&ip)
            || ip == own.address()
            || ip.is_unspecified()
            || mac[0] & 1 != 0
            || !(known || for_us)
        {
            return;
        }
        let now = millis();
        let Some(peer) = self.place(ip, now) else { return };
        if arp || !peer.known {
            peer.mac.copy_from_slice(mac);
        }
        if arp || peer.mac == *mac {
            peer.since = now;
        }
        if !core::mem::replace(&mut peer.known, true) {
            self.senders.wake();
        }
    }

    /// When the stack asks by itself, for another socket: it gets its answer from here if there is one.
    fn overhear(&mut self, frame: &[u8]) {
        if frame.len() >= 42 && frame[12..14] == *ARP && frame[20..22] == REQUEST {
            let ip = address(frame, 38);
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.ip == ip && peer.known) {
                peer.tell = true;
                self.stack.wake();
            }
        }
    }
}

/// A driver that knows the neighbours; see [`Neighbors`].
pub struct Resolving<D> {
    driver: D,
    neighbors: &'static Shared,
}

impl<D: Driver> Resolving<D> {
    /// Sends the questions that are due.
    fn ask(&mut self, cx: &mut Context<'_>) {
        let HardwareAddress::Ethernet(mac) = self.driver.hardware_address() else { return };
        let table = &mut *self.neighbors.borrow_mut();
        table.stack.register(cx.waker());
        let Some(own) = table.own else { return };
        for peer in table.peers.iter_mut().filter(|peer| peer.ask) {
            let Some(token) = self.driver.transmit(cx) else { return };
            peer.ask = false;
            let frame = arp([0xff; 6], REQUEST, (mac, own.address()), ([0; 6], peer.ip));
            token.consume(frame.len(), |buf| buf.copy_from_slice(&frame));
        }
    }
}

/// The next answer for the stack.
fn answer(table: &mut Table<[Peer]>, mac: [u8; 6]) -> Option<[u8; 42]> {
    let own = table.own?.address();
    let peer = table.peers.iter_mut().find(|peer| peer.tell)?;
    peer.tell = false;
    Some(arp(mac, REPLY, (peer.mac, peer.ip), (mac, own)))
}

impl<D: Driver> Driver for Resolving<D> {
    type RxToken<'a>
        = Received<D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (neighbors, mac) = (self.neighbors, self.driver.hardware_address());
        self.ask(cx);
        let due = neighbors.borrow().peers.iter().any(|peer| peer.tell);
        if let (true, HardwareAddress::Ethernet(mac)) = (due, mac) {
            // While the driver has no room the stack sends nothing, and answers can wait.
            let token = self.driver.transmit(cx)?;
            let answer = answer(&mut neighbors.borrow_mut(), mac)?;
            return Some((Received(Source::Answer(answer)), Sending { token, neighbors }));
        }
        let (token, sending) = self.driver.receive(cx)?;
        Some((Received(Source::Frame { token, neighbors }), Sending { token: sending, neighbors }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let neighbors = self.neighbors;
        self.driver.transmit(cx).map(|token| Sending { token, neighbors })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.driver.link_state(cx)
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}

/// A frame that arrived, or an answer from the table.
pub struct Received<T>(Source<T>);

enum Source<T> {
    Frame { token: T, neighbors: &'static Shared },
    Answer([u8; ARP_LEN]),
}

impl<T: RxToken> RxToken for Received<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        match self.0 {
            Source::Frame { token, neighbors } => token.consume(|frame| {
                neighbors.borrow_mut().learn(frame);
                f(frame)
            }),
            Source::Answer(mut frame) => f(&mut frame),
        }
    }
}

/// Room for a frame that goes out.
pub struct Sending<T> {
    token: T,
    neighbors: &'static Shared,
}

impl<T: TxToken> TxToken for Sending<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.token.consume(len, |frame| {
            let result = f(frame);
            self.neighbors.borrow_mut().overhear(frame);
            result
        })
    }
}

/// An ARP packet in its frame.
fn arp(to: [u8; 6], operation: [u8; 2], sender: ([u8; 6], Ipv4Addr), target: ([u8; 6], Ipv4Addr)) -> [u8; ARP_LEN] {
    let mut frame = [0; ARP_LEN];
    let parts: [&[u8]; 9] = [
        &to,
        &sender.0,
        ARP,
        &[0, 1, 8, 0, 6, 4],
        &operation,
        &sender.0,
        &sender.1.octets(),
        &target.0,
        &target.1.octets(),
    ];
    let bytes = parts.into_iter().flatten();
    frame.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    frame
}

fn address(frame: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3])
}

fn millis() -> u32 {
    Instant::now().as_millis() as u32
}

impl Peer {
    const FREE: Self = Self {
        ip: Ipv4Addr::UNSPECIFIED,
        mac: [0; 6],
        known: false,
        ask: false,
        tell: false,
        since: 0,
        asked: 0,
        used: 0,
    };
}

/// Types of frames, operations of ARP (RFC 826), and the length of a frame with an ARP packet.
const ARP: &[u8] = &[8, 6];
const IPV4: &[u8] = &[8, 0];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];
const ARP_LEN: usize = 42;
/// How often one neighbour is asked for at most (RFC 1122 §2.3.2.1), and for how long an answer is not doubted (Linux's
/// `base_reachable_time`).
const ASK_MILLIS: u32 = 1000;
const SURE_MILLIS: u32 = 30_000;
