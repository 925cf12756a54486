//! What every adapter needs and must not decide anew: how a running node ends, what waits for it are answered, when a
//! socket is dead, and how much of its runtime one turn of the loop may take. Nothing here changes what a node does.
//!
//! Knows: the node's doors. Does not know: sockets, runtimes, locks, tasks.

use core::fmt;
use core::time::Duration;

use crate::{Convergence, Lifecycle, Node};

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod host;
#[cfg(test)]
mod tests;

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use host::{EntryEvent, Hosted, Lagged, MemberEvent, Outgoing, Topic};

/// The runner is gone, or the node has left: what was waited for cannot happen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Closed;

/// Why waiting for convergence ended without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WaitError {
    /// The time was up; this is how far the swarm agreed by then.
    Timeout(Convergence),
    /// The runner is gone, or the node has left.
    Closed,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node has left, or its runner is gone")
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(at) => write!(f, "{} of {} live members agreed in time", at.agreeing, at.live),
            Self::Closed => Closed.fmt(f),
        }
    }
}

impl core::error::Error for Closed {}
impl core::error::Error for WaitError {}

/// Whether anything can still happen to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// A runner runs it, or will.
    #[default]
    Running,
    /// It has said farewell, and its runner has ended.
    Left,
    /// Its runner is gone.
    Closed,
}

/// What waits are answered; `None`: wait on, and look again after the runner's next turn.
impl Life {
    /// Ends it; only the first call says how.
    pub fn end(&mut self, how: Self) {
        if *self == Self::Running {
            *self = how;
        }
    }

    /// Whether the node belongs to a swarm of more than itself.
    #[must_use]
    pub fn joined(self, node: &Node<'_>) -> Option<Result<(), Closed>> {
        match (self, node.lifecycle()) {
            (Self::Running, Lifecycle::Member) => Some(Ok(())),
            (Self::Running, Lifecycle::Alone | Lifecycle::Joining) => None,
            _ => Some(Err(Closed)),
        }
    }

    /// Whether all live members that the node knows of agree with it.
    #[must_use]
    pub fn converged(self, node: &Node<'_>) -> Option<Result<Convergence, WaitError>> {
        match node.convergence() {
            _ if self != Self::Running => Some(Err(WaitError::Closed)),
            at => at.is_converged().then_some(Ok(at)),
        }
    }

    /// The same when the time is up.
    ///
    /// # Errors
    /// They do not agree yet, or it cannot happen any more.
    pub fn converged_in_time(self, node: &Node<'_>) -> Result<Convergence, WaitError> {
        self.converged(node).unwrap_or_else(|| Err(WaitError::Timeout(node.convergence())))
    }

    /// Whether the farewell has gone out.
    #[must_use]
    pub fn left(self) -> Option<Result<(), Closed>> {
        match self {
            Self::Running => None,
            Self::Left => Some(Ok(())),
            Self::Closed => Some(Err(Closed)),
        }
    }
}

/// Counts of what a socket did. What the node made of the datagrams is in its own [`Stats`](crate::Stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SocketStats {
    /// Datagrams that the socket took.
    pub sent: u64,
    /// Datagrams that the socket gave, empty ones and garbage among them.
    pub received: u64,
    /// Times that the socket was full: the datagram waited until it was writable.
    pub send_waits: u64,
    /// Datagrams that were dropped because the socket refused them, their address was none of its kind, or nobody was
    /// behind it.
    pub send_errors: u64,
    /// Errors of receiving: late news of a datagram that somebody refused, or one longer than the buffer.
    pub receive_errors: u64,
    /// Times that the socket was bound anew, and lost what it held.
    pub rebound: u64,
    /// Errors of receiving in a row.
    failures: u32,
}

impl SocketStats {
    /// A datagram has gone out.
    pub fn count_sent(&mut self) {
        (self.sent, self.failures) = (self.sent + 1, 0);
    }

    /// A datagram has come in.
    pub fn count_received(&mut self) {
        (self.received, self.failures) = (self.received + 1, 0);
    }

    /// Sending or receiving has failed; whether the socket is dead for having failed to receive 1,000 times with no
    /// success of any kind in between: a guess; a live socket's errors are few and far between.
    pub fn count_error(&mut self, receiving: bool) -> bool {
        *if receiving { &mut self.receive_errors } else { &mut self.send_errors } += 1;
        self.failures += u32::from(receiving);
        self.failures >= RECEIVE_ERRORS_MAX
    }
}

/// Datagrams per turn of the loop and direction: a guess; a turn stays well under a millisecond, so that nothing else
/// starves.
pub const TURN_MAX: usize = 32;
/// Events per turn of the loop: a quarter of what a stream holds, so who keeps up on average misses nothing of a burst.
pub const EVENTS_MAX: usize = STREAM_LEN_MAX / 4;
/// Events that wait for a slow reader of a stream: a guess; more than one misses in a turn, and about 60 kB.
pub const STREAM_LEN_MAX: usize = 1024;
/// The longest UDP payload there is, and some.
pub const DATAGRAM_LEN_MAX: usize = 65_535;
/// How often the node is told the wall clock, which may have been set meanwhile.
pub const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(60);

const RECEIVE_ERRORS_MAX: u32 = 1000;
