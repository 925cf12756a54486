//! Whether this node hears anybody, and whether it holds a quorum.

use super::Node;
use crate::Event;
use crate::membership::Quorum;
use crate::time::Instant;

impl Node<'_> {
    /// How many of the members that this node remembers are live: see [`Quorum`].
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.members.tally().quorum(self.live())
    }

    /// Somebody was heard.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard_at, self.isolated) = (now, false);
    }

    /// Nobody was heard for a while though there are members: it is this node that is cut off. Asked at every probe, and
    /// when there is nobody left to probe, with every search for lost parts.
    pub(super) fn watch_isolation(&mut self, now: Instant) {
        let silent = self.silence(now) >= self.config.probe_interval() * SILENT_PROBES;
        self.isolated |= silent && (self.members.tally().dead() > 0 || self.awake_peer(now).is_some());
    }

    /// For how many µs nobody was heard, as far as that was not this node's own doing.
    fn silence(&self, now: Instant) -> u64 {
        now.since(self.heard_at.max(self.blocked_until))
    }

    /// How long to wait between two probes, in µs: longer the less this node trusts itself. Whoever hears nobody at all
    /// for long learns nothing by waiting: it finds out quickly who is there.
    pub(super) fn probe_wait(&self, now: Instant) -> u64 {
        let interval = self.config.probe_interval();
        let lonely = self.isolated && self.silence(now) >= interval * (2 * SILENT_PROBES);
        if lonely { interval / LONELY_PROBES } else { self.health.scale(interval) }
    }

    /// What the application is not told yet of either.
    pub(super) fn poll_isolation(&mut self) -> Option<Event<'static>> {
        if core::mem::replace(&mut self.told.isolated, self.isolated) != self.isolated {
            return Some(if self.isolated { Event::Isolated } else { Event::Reconnected });
        }
        let held = self.quorum().held;
        if core::mem::replace(&mut self.told.quorum, held) != held {
            return Some(if held { Event::QuorumRegained } else { Event::QuorumLost });
        }
        None
    }
}

/// How many probe intervals without a datagram are silence. In each, one ping of others is due on average and one ack to
/// our own: at 40 % loss each way and with relays, eight in a row are silent in about 1 of 100,000 cases.
const SILENT_PROBES: u64 = 8;
/// How many members are probed per interval by a node that has been cut off for twice as long: a guess that looks at 200 in
/// less than a minute.
const LONELY_PROBES: u64 = 4;
