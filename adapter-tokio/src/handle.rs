//! What the application holds: every verb of the node under a lock, and the waits that a lock cannot give.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gossip_proto::{Convergence, Instant, Lifecycle, Node};
use tokio::sync::Notify;
use tokio::time;

use crate::events::{Channels, EntryEvent, Event, Events, MemberEvent, MessageEvent};
use crate::runner::SocketStats;

/// The runner is gone, or the node has left: what was waited for cannot happen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why waiting for convergence ended without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl std::error::Error for Closed {}
impl std::error::Error for WaitError {}

/// The application's side of a running node; clones share the node and cost a reference count.
///
/// Closures run under the node's lock, on the caller's thread: keep them short, and *do not nest*: a closure that uses a
/// handle of the same node waits for itself for ever. A panic in one is the caller's; the node goes on.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Shared>);

impl Handle {
    pub(crate) fn new(node: Node<'static>) -> Self {
        let locked =
            Locked { node, life: Life::Running, channels: Some(Channels::new()), stats: SocketStats::default() };
        let (start, changed, told) = (time::Instant::now(), Notify::new(), Notify::new());
        Self(Arc::new(Shared { locked: Mutex::new(locked), start, changed, told }))
    }

    /// Lends the node, and wakes the runner to carry out what that brings.
    ///
    /// It works without a runner too: what is to be sent then waits for the next [`Runner::run`](crate::Runner::run).
    pub fn with<R>(&self, verb: impl FnOnce(&mut Node<'static>, Instant) -> R) -> R {
        let mut locked = self.0.lock();
        let result = verb(&mut locked.node, self.0.now());
        drop(locked);
        self.0.changed.notify_one();
        result
    }

    /// Lends the node to look at.
    pub fn read<R>(&self, getter: impl FnOnce(&Node<'static>) -> R) -> R {
        getter(&self.0.lock().node)
    }

    /// The node's clock, to compare with instants that it tells: zero when the handle was made.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Counts of what the socket did, at most one turn of the runner old.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.0.lock().stats
    }

    /// Every event from now on.
    #[must_use]
    pub fn events(&self) -> Events<Event> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.all))
    }

    /// Every change of a member from now on.
    #[must_use]
    pub fn member_events(&self) -> Events<MemberEvent> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.members))
    }

    /// Every change of an entry from now on.
    #[must_use]
    pub fn entry_events(&self) -> Events<EntryEvent> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.entries))
    }

    /// Every message of another node from now on, and every gap.
    #[must_use]
    pub fn message_events(&self) -> Events<MessageEvent> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.messages))
    }

    /// Waits until the node belongs to a swarm of more than itself; at once if it does.
    ///
    /// # Errors
    /// The runner is gone, or the node has left.
    pub async fn joined(&self) -> Result<(), Closed> {
        self.wait(|locked| (locked.is_running() && locked.node.lifecycle() == Lifecycle::Member).then_some(())).await
    }

    /// Waits until the swarm has converged: every live member *that this node knows of* last told the summary root that
    /// this node has. At once if it has, so a node that is alone converges at once: wait for [`Handle::joined`] first.
    ///
    /// # Errors
    /// The time was up, with how far the swarm agreed; or the runner is gone, or the node has left.
    pub async fn converged(&self, timeout: Duration) -> Result<Convergence, WaitError> {
        let reached = self.wait(|locked| {
            let at = locked.node.convergence();
            (locked.is_running() && at.is_converged()).then_some(at)
        });
        match time::timeout(timeout, reached).await {
            Ok(reached) => reached.or(Err(WaitError::Closed)),
            Err(_) => match self.read(Node::convergence) {
                at if at.is_converged() => Ok(at),
                at => Err(WaitError::Timeout(at)),
            },
        }
    }

    /// Says farewell, and waits until it has gone out and the runner has ended. Dropping the wait does not take the
    /// farewell back. A node that has left stays so: calling again succeeds at once.
    ///
    /// # Errors
    /// The runner is gone: nobody was told, and the others will find this node dead.
    pub async fn leave(&self) -> Result<(), Closed> {
        self.with(|node, now| node.leave(now));
        self.wait(|locked| (locked.life == Life::Left).then_some(())).await
    }

    /// Waits until `check` has an answer. The runner wakes all waits after each of its turns: a condition is looked at
    /// after every change, so it cannot pass unseen for being true twice in a row.
    async fn wait<R>(&self, check: impl Fn(&Locked) -> Option<R>) -> Result<R, Closed> {
        let look = || {
            let locked = self.0.lock();
            check(&locked).map(Ok).or_else(|| (!locked.is_running()).then_some(Err(Closed)))
        };
        loop {
            // Before the look: a notification reaches every wait that exists, polled or not.
            let told = self.0.told.notified();
            match look() {
                Some(answer) => return answer,
                None => told.await,
            }
        }
    }
}

/// What a handle and its runner share.
#[derive(Debug)]
pub(crate) struct Shared {
    locked: Mutex<Locked>,
    pub(crate) start: time::Instant,
    /// Something was asked of the node: wakes the runner.
    pub(crate) changed: Notify,
    /// The runner made a turn: wakes the waits.
    pub(crate) told: Notify,
}

#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) node: Node<'static>,
    pub(crate) life: Life,
    pub(crate) channels: Option<Channels>,
    pub(crate) stats: SocketStats,
}

impl Locked {
    fn is_running(&self) -> bool {
        self.life == Life::Running
    }
}

/// Whether anything can still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    Left,
    Closed,
}

impl Shared {
    /// A panic of a caller's closure poisons nothing: the node's own doors do not panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one place that reads the monotonic clock, tokio's, so that it can be paused in tests. Read it under the lock.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// Ends all waits and, when they have been read, all streams. Only the first call counts.
    pub(crate) fn close(&self, life: Life) {
        let mut locked = self.lock();
        if locked.life == Life::Running {
            locked.life = life;
        }
        locked.channels = None;
        drop(locked);
        self.told.notify_waiters();
    }
}
