//! What the application holds: every verb of the node under a lock, and the waits that a lock cannot give.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{self, Duration};

use async_io::Timer;
use event_listener::Event as Notice;
use futures_lite::future::or;
use gossip_proto::adapter::{Closed, EntryEvent, Hosted, Life, MemberEvent, SocketStats, WaitError};
use gossip_proto::{Convergence, Instant, Node, OwnedEvent as Event};

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
        let locked = Mutex::new(Hosted::new(node));
        let (channels, changed, told) = (Channels::new(), Notice::new(), Notice::new());
        Self(Arc::new(Shared { locked, start, channels, changed, told }))
    }

    /// Lends the node, and wakes the runner to carry out what that brings.
    ///
    /// It works without a runner too: what is to be sent then waits for the next [`Runner::run`](crate::Runner::run).
    pub fn with<R>(&self, verb: impl FnOnce(&mut Node<'static>, Instant) -> R) -> R {
        let result = verb(&mut self.lock().node, self.now());
        self.0.changed.notify(1);
        result
    }

    /// Lends the node to look at.
    pub fn read<R>(&self, getter: impl FnOnce(&Node<'static>) -> R) -> R {
        getter(&self.lock().node)
    }

    /// The node's clock, to compare with instants that it tells: zero when the handle was made.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.0.start.elapsed().as_micros() as u64)
    }

    /// Counts of what the socket did, at most one turn of the runner old.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.lock().stats
    }

    /// Every event from now on.
    pub fn events(&self) -> Events<Event> {
        self.0.channels.all.events()
    }

    /// Every change of a member from now on.
    pub fn member_events(&self) -> Events<MemberEvent> {
        self.0.channels.members.events()
    }

    /// Every change of an entry from now on.
    pub fn entry_events(&self) -> Events<EntryEvent> {
        self.0.channels.entries.events()
    }

    /// Every message of another node from now on, and every gap.
    pub fn message_events(&self) -> Events<Event> {
        self.0.channels.messages.events()
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
        let late = async {
            Timer::after(timeout).await;
            let hosted = self.lock();
            hosted.life.converged_in_time(&hosted.node)
        };
        or(self.wait(|hosted| hosted.life.converged(&hosted.node)), late).await
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
            // Before the look: a notice reaches every listener that exists, polled or not.
            let told = self.0.told.listen();
            if let Some(answer) = look(&self.lock()) {
                return answer;
            }
            told.await;
        }
    }

    /// Ends all waits and, when they have been read, all streams. Only the first call says how.
    pub(crate) fn close(&self, how: Life) {
        self.lock().life.end(how);
        self.0.channels.close();
        self.0.told.notify(usize::MAX);
    }

    /// A panic of a caller's closure poisons nothing: the node's own doors do not panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Hosted> {
        self.0.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handle and its runner share.
#[derive(Debug)]
pub(crate) struct Shared {
    locked: Mutex<Hosted>,
    pub(crate) start: time::Instant,
    pub(crate) channels: Channels,
    /// Something was asked of the node: wakes the runner.
    pub(crate) changed: Notice,
    /// The runner made a turn: wakes the waits.
    pub(crate) told: Notice,
}
