//! The loop between a socket and a node. It moves datagrams, time and events, and decides nothing.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_io::{Async, Timer};
use futures_lite::future::{or, yield_now};
use gossip_proto::{Addr, Instant, Lifecycle, Node};

use crate::handle::{Closed, Handle};

/// Counts of what the socket did. What the node made of the datagrams is in its own
/// [`Stats`](gossip_proto::Stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Datagrams that the socket took.
    pub sent: u64,
    /// Datagrams that the socket gave, empty ones and garbage among them.
    pub received: u64,
    /// Times that the socket was full: the datagram waited until it was writable.
    pub send_waits: u64,
    /// Datagrams that were dropped because the socket refused them, or their address was none of its kind.
    pub send_errors: u64,
    /// Errors of receiving; mostly late news of a datagram that somebody refused.
    pub receive_errors: u64,
}

/// The other side of a [`Handle`]: sends, receives and keeps time. Dropping it ends every wait and every stream.
#[derive(Debug)]
pub struct Runner {
    socket: Async<UdpSocket>,
    handle: Handle,
    received: Box<[u8]>,
    outgoing: Outgoing,
    /// The turn stopped at a limit: let other tasks run, and go on.
    more: bool,
    clock_at: Instant,
    stats: SocketStats,
    /// Errors of receiving in a row.
    failures: u32,
}

/// A datagram on its way from the node to the socket.
#[derive(Debug)]
struct Outgoing {
    ipv6: bool,
    encoded: Box<[u8]>,
    /// What the socket has not taken yet is at the front of `encoded`: where to, and its length.
    waiting: Option<(Option<SocketAddr>, usize)>,
}

impl Outgoing {
    /// Whether there is a datagram to send: the one that waits, or else the node's next one.
    fn fill(&mut self, node: &mut Node<'static>, now: Instant) -> bool {
        if self.waiting.is_none() {
            let transmit = node.poll_transmit(now, &mut self.encoded);
            self.waiting = transmit.map(|transmit| (outbound(transmit.to, self.ipv6), transmit.payload.len()));
        }
        self.waiting.is_some()
    }
}

impl Runner {
    pub(crate) fn new(socket: Async<UdpSocket>, handle: Handle) -> Self {
        let encoded = vec![0; handle.read(|node| node.config().datagram_len_max.into())].into();
        let ipv6 = socket.get_ref().local_addr().is_ok_and(|addr| addr.is_ipv6());
        let (received, outgoing) = (vec![0; DATAGRAM_LEN_MAX].into(), Outgoing { ipv6, encoded, waiting: None });
        let (more, clock_at, stats, failures) = (false, Instant::ZERO, SocketStats::default(), 0);
        let mut runner = Self { socket, handle, received, outgoing, more, clock_at, stats, failures };
        runner.keep_time();
        runner
    }

    /// Runs the node until it has left, or its socket is dead.
    ///
    /// Dropping the future loses nothing: all state is here or in the node, and the next call goes on from there.
    ///
    /// # Errors
    /// The socket is no socket any more, or gives nothing but errors, or cannot be watched. All other errors of the
    /// socket are counted in [`SocketStats`], and the datagram counts as lost.
    pub async fn run(&mut self) -> io::Result<()> {
        let ended = self.turns().await;
        self.handle.close(ended.as_ref().map(drop).or(Err(Closed)));
        ended
    }

    async fn turns(&mut self) -> io::Result<()> {
        loop {
            // Before the node is asked: what the application does from here on ends the wait.
            let changed = self.handle.0.changed.listen();
            self.keep_time();
            self.send()?;
            let Some(deadline) = self.tell() else { return Ok(()) };
            if std::mem::take(&mut self.more) || deadline <= self.handle.now() {
                // The turn stopped at a limit: other tasks have theirs.
                yield_now().await;
            } else {
                let ready = poll_fn(|context| match self.socket.poll_readable(context) {
                    Poll::Pending if self.outgoing.waiting.is_some() => self.socket.poll_writable(context),
                    ready => ready,
                });
                let timer = Timer::at(self.handle.0.start + Duration::from_micros(deadline.as_micros()));
                let woken = async {
                    or(changed, async { _ = timer.await }).await;
                    Ok(())
                };
                or(ready, woken).await?;
            }
            self.take()?;
        }
    }

    /// Does what is due by the clock; what is not yet, the node does not do.
    fn keep_time(&mut self) {
        let mut locked = self.handle.lock();
        let now = self.handle.now();
        if now >= self.clock_at {
            if let Some(unix_micros) = wall_clock() {
                locked.node.handle_wall_clock(now, unix_micros);
            }
            self.clock_at = now + WALL_CLOCK_INTERVAL;
        }
        locked.node.handle_timeout(now);
    }

    /// Sends what there is to send, at most [`TURN_MAX`] datagrams.
    fn send(&mut self) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            let filled = self.outgoing.fill(&mut self.handle.lock().node, self.handle.now());
            if !filled || !self.transmit()? {
                return Ok(());
            }
        }
        self.more = true;
        Ok(())
    }

    /// Gives the socket the datagram that waits; `false`: it has no room.
    fn transmit(&mut self) -> io::Result<bool> {
        let Some((to, len)) = self.outgoing.waiting else { return Ok(true) };
        let sent = to.map(|to| self.socket.get_ref().send_to(&self.outgoing.encoded[..len], to));
        match sent.unwrap_or_else(|| Err(ErrorKind::AddrNotAvailable.into())) {
            Ok(_) => (self.stats.sent, self.failures) = (self.stats.sent + 1, 0),
            Err(full) if full.kind() == ErrorKind::WouldBlock => {
                self.stats.send_waits += 1;
                return Ok(false);
            }
            Err(error) => self.survive(error, false)?,
        }
        self.outgoing.waiting = None;
        Ok(true)
    }

    /// Passes on what the node has to tell, wakes the waits, and says how long to sleep; `None` when the node has left and
    /// nothing remains. It tells at most a quarter of what a stream holds: who keeps up on average misses nothing of a burst.
    fn tell(&mut self) -> Option<Instant> {
        let (mut locked, channels) = (self.handle.lock(), &self.handle.0.channels);
        locked.stats = self.stats;
        self.more |= (0..EVENTS_MAX).all(|_| locked.node.poll_event().map(|event| channels.tell(event)).is_some());
        let left = locked.node.lifecycle() == Lifecycle::Left && self.outgoing.waiting.is_none() && !self.more;
        let deadline = locked.node.poll_timeout().map_or(self.clock_at, |at| at.min(self.clock_at));
        drop(locked);
        self.handle.0.told.notify(usize::MAX);
        (!left).then_some(deadline)
    }

    /// Takes what has arrived, at most [`TURN_MAX`] datagrams, and sends the first answer to each; the next turn
    /// sends the others.
    fn take(&mut self) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            match self.socket.get_ref().recv_from(&mut self.received) {
                Ok((len, from)) => {
                    (self.stats.received, self.failures) = (self.stats.received + 1, 0);
                    let (mut locked, now) = (self.handle.lock(), self.handle.now());
                    // What is refused, the node counts.
                    let _ = locked.node.handle_datagram(now, inbound(from), &mut self.received[..len]);
                    self.outgoing.fill(&mut locked.node, now);
                }
                Err(empty) if empty.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => self.survive(error, true)?,
            }
            self.transmit()?;
        }
        self.more = true;
        Ok(())
    }

    /// Counts an error of the socket, and returns it only when the socket is dead: it does not know its own address any
    /// more, or has failed to receive [`RECEIVE_ERRORS_MAX`] times with no success of any kind in between.
    fn survive(&mut self, error: io::Error, receiving: bool) -> io::Result<()> {
        *if receiving { &mut self.stats.receive_errors } else { &mut self.stats.send_errors } += 1;
        self.failures += u32::from(receiving);
        self.socket.get_ref().local_addr()?;
        if self.failures < RECEIVE_ERRORS_MAX { Ok(()) } else { Err(error) }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.handle.close(Err(Closed));
    }
}

/// Where a transmit goes. An IPv6 socket reaches IPv4 under a mapped address.
fn outbound(to: Addr, ipv6: bool) -> Option<SocketAddr> {
    match to.socket()? {
        SocketAddr::V4(v4) if ipv6 => Some((v4.ip().to_ipv6_mapped(), v4.port()).into()),
        to => Some(to),
    }
}

/// Whence a datagram came, with an IPv4 address as such: one member has one address, whatever socket hears it.
fn inbound(from: SocketAddr) -> Addr {
    let ip = from.ip().to_canonical();
    if ip.is_ipv4() { SocketAddr::from((ip, from.port())).into() } else { from.into() }
}

/// The one place that reads the wall clock: µs since 1970; `None` when it is set to before.
#[allow(clippy::disallowed_methods, reason = "the core has no clock; this is where it gets the time of day")]
fn wall_clock() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_micros() as u64)
}

/// The longest UDP payload there is, and some.
const DATAGRAM_LEN_MAX: usize = 65_535;
/// Datagrams per turn and direction: a guess; a turn stays well under a millisecond, so that nothing else starves.
const TURN_MAX: usize = 32;
/// Events per turn.
const EVENTS_MAX: usize = 256;
/// How often the node is told the wall clock, which may have been set meanwhile.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(60);
/// A guess: a live socket's errors are few and far between, a dead one's follow each other at once.
const RECEIVE_ERRORS_MAX: u32 = 1000;
