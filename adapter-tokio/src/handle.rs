//! What the application holds: every verb of the node under a lock, and the waits that a lock cannot give.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gossip_proto::adapter::{Closed, EntryEvent, Hosted, Life, MemberEvent, SocketStats, WaitError};
use gossip_proto::{Convergence, Instant, Node, OwnedEvent as Event};
use tokio::sync::Notify;
use tokio::time;

use crate::events::{Channels, Events};

/// The application's side of a running node; clones share the node and cost a reference count.
///
/// Closures run under the node's lock, on the caller's thread: keep them short, and *do not nest*: a closure that uses a
/// handle of the same node waits for itself for ever. A panic in one is the caller's; the node goes on.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Shared>);

impl Handle {
    /// The node's clock stands at zero until `start`.
    pub(crate) fn new(node: Node<'static>, start: time::Instant) -> Self {
        let locked = Mutex::new(Locked { hosted: Hosted::new(node), channels: Some(Channels::new()) });
        let (changed, told) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared { locked, start, changed, told }))
    }

    /// Lends the node, and wakes the runner to carry out what that brings.
    ///
    /// It works without a runner too: what is to be sent then waits for the next [`Runner::run`](crate::Runner::run).
    pub fn with<R>(&self, verb: impl FnOnce(&mut Node<'static>, Instant) -> R) -> R {
        let result = verb(&mut self.0.lock().hosted.node, self.0.now());
        self.0.changed.notify_one();
        result
    }

    /// Lends the node to look at.
    pub fn read<R>(&self, getter: impl FnOnce(&Node<'static>) -> R) -> R {
        getter(&self.0.lock().hosted.node)
    }

    /// The node's clock, to compare with instants that it tells: zero when the handle was made.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Counts of what the socket did, at most one turn of the runner old.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.0.lock().hosted.stats
    }

    /// Every event from now on.
    pub fn events(&self) -> Events<Event> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.all))
    }

    /// Every change of a member from now on.
    pub fn member_events(&self) -> Events<MemberEvent> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.members))
    }

    /// Every change of an entry from now on.
    pub fn entry_events(&self) -> Events<EntryEvent> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.entries))
    }

    /// Every message of another node from now on, and every gap.
    pub fn message_events(&self) -> Events<Event> {
        Events::of(self.0.lock().channels.as_ref().map(|channels| &channels.messages))
    }

    /// Waits until the node belongs to a swarm of more than itself; at once if it does.
    ///
    /// # Errors
    /// The runner is gone, or the node has left.
    pub async fn joined(&self) -> Result<(), Closed> {
        self.wait(|hosted| hosted.life.joined(&hosted.node)).await
    }

    /// Waits until the swarm has converged: every live member *that this node knows of* last told the summary root that
    /// this node has. At once if it has, so a node that is alone converges at once: wait for [`Handle::joined`] first.
    ///
    /// # Errors
    /// The time was up, with how far the swarm agreed; or the runner is gone, or the node has left.
    pub async fn converged(&self, timeout: Duration) -> Result<Convergence, WaitError> {
        let reached = self.wait(|hosted| hosted.life.converged(&hosted.node));
        match time::timeout(timeout, reached).await {
            Ok(reached) => reached,
            Err(_) => {
                let hosted = &self.0.lock().hosted;
                hosted.life.converged_in_time(&hosted.node)
            }
        }
    }

    /// Says farewell, and waits until it has gone out and the runner has ended. Dropping the wait does not take the
    /// farewell back. A node that has left stays so: calling again succeeds at once.
    ///
    /// # Errors
    /// The runner is gone: nobody was told, and the others will find this node dead.
    pub async fn leave(&self) -> Result<(), Closed> {
        self.with(|node, now| node.leave(now));
        self.wait(|hosted| hosted.life.left()).await
    }

    /// Waits until `look` has an answer. The runner wakes all waits after each of its turns: a condition is looked at
    /// after every change, so it cannot pass unseen for being true twice in a row.
    async fn wait<R>(&self, look: impl Fn(&Hosted) -> Option<R>) -> R {
        loop {
            // Before the look: a notification reaches every wait that exists, polled or not.
            let told = self.0.told.notified();
            if let Some(answer) = look(&self.0.lock().hosted) {
                return answer;
            }
            told.await;
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
    pub(crate) hosted: Hosted,
    pub(crate) channels: Option<Channels>,
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
    pub(crate) fn close(&self, how: Life) {
        let mut locked = self.lock();
        locked.hosted.life.end(how);
        locked.channels = None;
        drop(locked);
        self.told.notify_waiters();
    }
}
