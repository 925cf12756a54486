//! The loop between a socket and a node. It moves datagrams, time and events, and decides nothing.

use std::io::{self, ErrorKind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gossip_proto::Instant;
use gossip_proto::adapter::{DATAGRAM_LEN_MAX, Life, Outgoing, SocketStats, TURN_MAX};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::{task, time};

use crate::handle::Handle;

/// The other side of a [`Handle`]: sends, receives and keeps time. Dropping it ends every wait and every stream.
#[derive(Debug)]
pub struct Runner {
    socket: UdpSocket,
    handle: Handle,
    received: Box<[u8]>,
    outgoing: Outgoing,
    /// The turn stopped at a limit: let other tasks run, and go on.
    more: bool,
    stats: SocketStats,
}

impl Runner {
    pub(crate) fn new(socket: UdpSocket, handle: Handle) -> Self {
        // A socket that has no address is dead, which the first turn finds.
        let local = socket.local_addr().unwrap_or_else(|_| ([0; 4], 0).into());
        let outgoing = handle.read(|node| Outgoing::new(node, local));
        let (received, stats) = (vec![0; DATAGRAM_LEN_MAX].into(), SocketStats::default());
        let mut runner = Self { socket, handle, received, outgoing, more: false, stats };
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

    fn keep_time(&mut self) {
        self.handle.0.lock().hosted.keep_time(self.handle.0.now(), wall_clock);
    }

    /// Sends what there is to send, at most [`TURN_MAX`] datagrams.
    fn send(&mut self) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            let filled = self.outgoing.fill(&mut self.handle.0.lock().hosted.node, self.handle.0.now());
            if !filled || !self.transmit()? {
                return Ok(());
            }
        }
        self.more = true;
        Ok(())
    }

    /// Gives the socket the datagram that waits; `false`: it has no room.
    fn transmit(&mut self) -> io::Result<bool> {
        let Some((to, datagram)) = self.outgoing.waiting() else { return Ok(true) };
        let sent = to.map(|to| self.socket.try_send_to(datagram, to));
        match sent.unwrap_or_else(|| Err(ErrorKind::AddrNotAvailable.into())) {
            Ok(_) => self.stats.count_sent(),
            Err(full) if full.kind() == ErrorKind::WouldBlock => {
                self.stats.send_waits += 1;
                return Ok(false);
            }
            Err(error) => self.survive(error, false)?,
        }
        self.outgoing.done();
        Ok(true)
    }

    /// Passes on what the node has to tell, wakes the waits, and says how long to sleep; `None` when the node has left and
    /// nothing remains.
    fn tell(&mut self) -> Option<Instant> {
        let locked = &mut *self.handle.0.lock();
        locked.hosted.stats = self.stats;
        let channels = locked.channels.as_ref();
        self.more |= locked.hosted.tell(|event| _ = channels.map(|channels| channels.tell(event)));
        let remains = self.more || self.outgoing.waiting().is_some();
        self.handle.0.told.notify_waiters();
        locked.hosted.deadline(remains)
    }

    /// Sleeps until there is something to do; when a turn stopped at a limit, until other tasks had theirs.
    async fn wait(&mut self, deadline: Instant) -> io::Result<()> {
        if std::mem::take(&mut self.more) || deadline <= self.handle.now() {
            task::yield_now().await;
            return Ok(());
        }
        let writable = self.outgoing.waiting().map(|_| Interest::WRITABLE);
        let interest = writable.map_or(Interest::READABLE, |writable| writable | Interest::READABLE);
        tokio::select! {
            biased;
            ready = self.socket.ready(interest) => ready.map(|_| ()),
            () = self.handle.0.changed.notified() => Ok(()),
            () = time::sleep_until(self.handle.0.start + Duration::from_micros(deadline.as_micros())) => Ok(()),
        }
    }

    /// Takes what has arrived, at most [`TURN_MAX`] datagrams, and sends the first answer to each; the next turn sends
    /// the others.
    fn take(&mut self) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            match self.socket.try_recv_from(&mut self.received) {
                Ok((len, from)) => {
                    self.stats.count_received();
                    let (node, now) = (&mut self.handle.0.lock().hosted.node, self.handle.0.now());
                    // What is refused, the node counts.
                    let _ = node.handle_datagram(now, from.into(), &mut self.received[..len]);
                    self.outgoing.fill(node, now);
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
    /// more, or fails for ever.
    fn survive(&mut self, error: io::Error, receiving: bool) -> io::Result<()> {
        let dead = self.stats.count_error(receiving);
        self.socket.local_addr()?;
        if dead { Err(error) } else { Ok(()) }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.handle.0.close(Life::Closed);
    }
}

/// The one place that reads the wall clock: µs since 1970; `None` when it is set to before.
#[allow(clippy::disallowed_methods, reason = "the core has no clock; this is where it gets the time of day")]
fn wall_clock() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_micros() as u64)
}
