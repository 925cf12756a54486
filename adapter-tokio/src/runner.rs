//! The loop between a socket and a node. It moves datagrams, time and events, and decides nothing.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gossip_proto::{Addr, Instant, Lifecycle};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::{task, time};

use crate::handle::{Handle, Life};

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
    socket: UdpSocket,
    ipv6: bool,
    handle: Handle,
    received: Box<[u8]>,
    encoded: Box<[u8]>,
    /// The datagram at the front of `encoded` that the socket has not taken yet: where to, and its length.
    waiting: Option<(Option<SocketAddr>, usize)>,
    /// The turn stopped at a limit: let other tasks run, and go on.
    more: bool,
    clock_at: Instant,
    stats: SocketStats,
    /// Errors of receiving in a row.
    failures: u32,
}

impl Runner {
    pub(crate) fn new(socket: UdpSocket, handle: Handle) -> Self {
        let encoded = vec![0; handle.read(|node| node.config().datagram_len_max.into())].into();
        let ipv6 = socket.local_addr().is_ok_and(|addr| addr.is_ipv6());
        let (received, stats) = (vec![0; DATAGRAM_LEN_MAX].into(), SocketStats::default());
        let (waiting, more, clock_at, failures) = (None, false, Instant::ZERO, 0);
        let mut runner = Self { socket, ipv6, handle, received, encoded, waiting, more, clock_at, stats, failures };
        runner.keep_time();
        runner
    }

    /// Runs the node until it has left, or its socket is dead.
    ///
    /// Dropping the future loses nothing: all state is here or in the node, and the next call goes on from there.
    ///
    /// # Errors
    /// The socket is no socket any more, or gives nothing but errors, or the runtime is shutting down. All other errors
    /// of the socket are counted in [`SocketStats`], and the datagram counts as lost.
    pub async fn run(&mut self) -> io::Result<()> {
        let ended = self.turns().await;
        self.handle.0.close(if ended.is_ok() { Life::Left } else { Life::Closed });
        ended
    }

    async fn turns(&mut self) -> io::Result<()> {
        loop {
            self.keep_time();
            self.send()?;
            let Some(deadline) = self.tell() else { return Ok(()) };
            self.wait(deadline).await?;
            self.take()?;
        }
    }

    /// Does what is due by the clock.
    fn keep_time(&mut self) {
        let mut locked = self.handle.0.lock();
        let now = self.handle.0.now();
        if now >= self.clock_at {
            if let Some(unix_micros) = wall_clock() {
                locked.node.handle_wall_clock(now, unix_micros);
            }
            self.clock_at = now + WALL_CLOCK_INTERVAL;
        }
        if locked.node.poll_timeout().is_some_and(|deadline| deadline <= now) {
            locked.node.handle_timeout(now);
        }
    }

    /// Sends what there is to send, at most [`TURN_MAX`] datagrams.
    fn send(&mut self) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            let Some((to, len)) = self.encode() else { return Ok(()) };
            let sent = match to {
                Some(to) => self.socket.try_send_to(&self.encoded[..len], to),
                None => Err(ErrorKind::AddrNotAvailable.into()),
            };
            match sent {
                Ok(_) => (self.stats.sent, self.failures) = (self.stats.sent + 1, 0),
                Err(full) if full.kind() == ErrorKind::WouldBlock => {
                    self.stats.send_waits += 1;
                    return Ok(());
                }
                Err(error) => {
                    self.stats.send_errors += 1;
                    self.survive(error)?;
                }
            }
            self.waiting = None;
        }
        self.more = true;
        Ok(())
    }

    /// The datagram that waits, or else the node's next one.
    fn encode(&mut self) -> Option<(Option<SocketAddr>, usize)> {
        if self.waiting.is_none() {
            let mut locked = self.handle.0.lock();
            let transmit = locked.node.poll_transmit(self.handle.0.now(), &mut self.encoded)?;
            self.waiting = Some((outbound(transmit.to, self.ipv6), transmit.payload.len()));
        }
        self.waiting
    }

    /// Passes on what the node has to tell, wakes the waits, and says how long to sleep; `None` when the node has left and
    /// nothing remains. It tells at most a quarter of what a stream holds: who keeps up on average misses nothing of a burst.
    fn tell(&mut self) -> Option<Instant> {
        let mut guard = self.handle.0.lock();
        let locked = &mut *guard;
        locked.stats = self.stats;
        self.more |= (0..EVENTS_MAX).all(|_| {
            let event = locked.node.poll_event();
            event.zip(locked.channels.as_ref()).map(|(event, channels)| channels.tell(event)).is_some()
        });
        let left = locked.node.lifecycle() == Lifecycle::Left && self.waiting.is_none() && !self.more;
        let deadline = locked.node.poll_timeout().map_or(self.clock_at, |at| at.min(self.clock_at));
        drop(guard);
        self.handle.0.told.notify_waiters();
        (!left).then_some(deadline)
    }

    /// Sleeps until there is something to do; when a turn stopped at a limit, until other tasks had theirs.
    async fn wait(&mut self, deadline: Instant) -> io::Result<()> {
        if std::mem::take(&mut self.more) || deadline <= self.handle.now() {
            task::yield_now().await;
            return Ok(());
        }
        let interest =
            if self.waiting.is_some() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        tokio::select! {
            biased;
            ready = self.socket.ready(interest) => ready.map(|_| ()),
            () = self.handle.0.changed.notified() => Ok(()),
            () = time::sleep_until(self.handle.0.start + Duration::from_micros(deadline.as_micros())) => Ok(()),
        }
    }

    /// Takes what has arrived, at most [`TURN_MAX`] datagrams, and sends after each.
    fn take(&mut self) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            match self.socket.try_recv_from(&mut self.received) {
                Ok((len, from)) => {
                    (self.stats.received, self.failures) = (self.stats.received + 1, 0);
                    let mut locked = self.handle.0.lock();
                    // What is refused, the node counts.
                    let _ = locked.node.handle_datagram(self.handle.0.now(), inbound(from), &mut self.received[..len]);
                }
                Err(empty) if empty.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.stats.receive_errors += 1;
                    self.failures += 1;
                    self.survive(error)?;
                }
            }
            self.send()?;
        }
        self.more = true;
        Ok(())
    }

    /// Swallows an error of the socket unless the socket is dead: it does not know its own address any more, or has
    /// failed to receive [`RECEIVE_ERRORS_MAX`] times with no success of any kind in between.
    fn survive(&self, error: io::Error) -> io::Result<()> {
        let dead = self.failures >= RECEIVE_ERRORS_MAX || self.socket.local_addr().is_err();
        if dead { Err(error) } else { Ok(()) }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.handle.0.close(Life::Closed);
    }
}

/// Where a transmit goes. An IPv6 socket reaches IPv4 under a mapped address.
fn outbound(to: Addr, ipv6: bool) -> Option<SocketAddr> {
    match to.socket()? {
        SocketAddr::V4(v4) if ipv6 => Some(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()),
        socket => Some(socket),
    }
}

/// Whence a datagram came, with an IPv4 address as such: one member has one address, whatever socket hears it.
fn inbound(from: SocketAddr) -> Addr {
    match from.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, from.port())).into(),
        IpAddr::V6(_) => from.into(),
    }
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
