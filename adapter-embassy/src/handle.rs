//! What the application holds: every verb of the node, and the waits that a closure cannot give.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer, with_timeout};
use gossip_proto::adapter::{Closed, Life, SocketStats, WaitError};
use gossip_proto::{Convergence, Event, Instant, Node};

/// The application's side of a running node; copies share the node. Usable from every task of the runner's executor.
///
/// *Do not nest* closures: one that uses a handle of the same node panics, for the node is lent already.
#[derive(Clone, Copy)]
pub struct Handle(pub(crate) &'static Shared);

impl Handle {
    /// Lends the node, and wakes the runner to carry out what that brings.
    pub fn with<R>(&self, verb: impl FnOnce(&mut Node<'static>, Instant) -> R) -> R {
        let result = verb(self.0.locked.borrow_mut().node, now());
        self.0.changed.signal(());
        result
    }

    /// Lends the node to look at.
    pub fn read<R>(&self, getter: impl FnOnce(&Node<'static>) -> R) -> R {
        getter(self.0.locked.borrow().node)
    }

    /// The node's clock, to compare with instants that it tells: zero at boot.
    #[must_use]
    pub fn now(&self) -> Instant {
        now()
    }

    /// Counts of what the socket did.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.0.locked.borrow().stats
    }

    /// Waits for the next event and lends it to `read`; `None` once the node has left, or its runner is gone, and all is
    /// read. Cancel-safe.
    ///
    /// Nothing is queued: the node keeps what is still to be told in its own tables. Each event goes to one reader, so
    /// let one task read them and tell the others. A key is borrowed: copy it before acting on it.
    pub async fn event<R>(&self, read: impl FnOnce(Event<'_>) -> R) -> Option<R> {
        let mut read = Some(read);
        self.wait(|locked| match locked.node.poll_event() {
            Some(event) => Some(read.take().map(|read| read(event))),
            None => (locked.life != Life::Running).then_some(None),
        })
        .await
    }

    /// Waits until the node belongs to a swarm of more than itself; at once if it does.
    ///
    /// # Errors
    /// The runner is gone, or the node is leaving.
    pub async fn joined(&self) -> Result<(), Closed> {
        self.wait(|locked| locked.life.joined(locked.node)).await
    }

    /// Waits until the swarm has converged: every live member *that this node knows of* last told the summary root that
    /// this node has. At once if it has, so a node that is alone converges at once: wait for [`Handle::joined`] first.
    ///
    /// # Errors
    /// The time was up, with how far the swarm agreed; or the runner is gone, or the node has left.
    pub async fn converged(&self, timeout: Duration) -> Result<Convergence, WaitError> {
        let reached = with_timeout(timeout, self.wait(|locked| locked.life.converged(locked.node))).await;
        let locked = self.0.locked.borrow();
        reached.unwrap_or_else(|_| locked.life.converged_in_time(locked.node))
    }

    /// Says farewell, and waits until it has gone out and the runner has ended. Dropping the wait does not take the
    /// farewell back. A node that has left stays so: calling again succeeds at once.
    ///
    /// # Errors
    /// The runner is gone: nobody was told, and the others will find this node dead.
    pub async fn leave(&self) -> Result<(), Closed> {
        self.with(|node, now| node.leave(now));
        self.wait(|locked| locked.life.left()).await
    }

    /// Waits until `check` has an answer. The runner wakes all waits after each of its turns; those for which there is no
    /// place look again by themselves.
    async fn wait<R>(&self, mut check: impl FnMut(&mut Locked) -> Option<R>) -> R {
        loop {
            let answer = poll_fn(|cx| {
                let locked = &mut *self.0.locked.borrow_mut();
                match check(locked) {
                    Some(answer) => Poll::Ready(Some(answer)),
                    None if locked.told.register(cx.waker()) => Poll::Pending,
                    None => Poll::Ready(None),
                }
            });
            match answer.await {
                Some(answer) => return answer,
                None => Timer::after(LOOK_AGAIN).await,
            }
        }
    }
}

/// What a handle and its runner share.
pub(crate) struct Shared {
    pub(crate) locked: RefCell<Locked>,
    /// Something was asked of the node: wakes the runner.
    pub(crate) changed: Signal<NoopRawMutex, ()>,
}

pub(crate) struct Locked {
    pub(crate) node: &'static mut Node<'static>,
    pub(crate) life: Life,
    pub(crate) stats: SocketStats,
    /// The waits that the runner wakes after a turn.
    pub(crate) told: Wakers,
}

/// The one place that reads the clock.
pub(crate) fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// Tasks to wake.
pub(crate) struct Wakers([Option<Waker>; WAITS]);

impl Wakers {
    pub(crate) const fn new() -> Self {
        Self([const { None }; WAITS])
    }

    /// Whether there was a place.
    pub(crate) fn register(&mut self, waker: &Waker) -> bool {
        let held = self.0.iter().flatten().any(|held| held.will_wake(waker));
        let free = self.0.iter_mut().find(|place| place.is_none()).filter(|_| !held);
        held || free.map(|place| *place = Some(waker.clone())).is_some()
    }

    pub(crate) fn wake(&mut self) {
        self.0.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

/// Tasks that wait at the same time and are woken at once; and how soon the others look again.
const WAITS: usize = 8;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
