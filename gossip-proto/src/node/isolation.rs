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
        if core::mem::take(&mut self.isolated) && self.config.lifeguard.health {
            // Whoever is suspect was not heard, like all others.
            self.blocked_until = now;
        }
        self.heard_at = now;
    }

    /// Until when no suspect dies here. Who was blocked, or hears nobody at all, has more reason to doubt itself than
    /// them: so none dies before it could refute since then and be heard, and none while nobody is heard, before the
    /// silence has lasted for [`DEAF_PROBES`] probe intervals.
    pub(super) fn doubts_until(&self, now: Instant) -> Instant {
        let interval = self.config.probe_interval();
        let (heard, blocked) = (self.heard_at, self.blocked_until);
        let unheard = blocked > Instant::ZERO && heard < blocked.plus(interval);
        let silent = unheard || self.silence(now) >= interval * SILENT_PROBES;
        let deaf = silent && self.config.lifeguard.health;
        let silence = heard.max(blocked).plus(if deaf { interval * DEAF_PROBES } else { 0 });
        silence.max(blocked.plus(self.refuting_time()))
    }

    /// Nobody was heard for a while though there are members: it is this node that is cut off. Asked at every probe, and
    /// when there is nobody left to probe, with every search for lost parts.
    pub(super) fn watch_isolation(&mut self, now: Instant) {
        let silent = self.silence(now) >= self.config.probe_interval() * SILENT_PROBES;
        self.isolated |= silent && (self.members.tally().dead() > 0 || self.awake_peer(now).is_some());
    }

    /// For how many µs nobody was heard, as far as that was not this node's own doing.
    #[cfg_attr(target_os = "none", inline(never))]
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
/// After how many probe intervals of silence it is taken that all others are gone: a guess, longer than most stalls.
const DEAF_PROBES: u64 = 60;
/// How many members are probed per interval by a node that has been cut off for twice as long: a guess that looks at 200 in
/// less than a minute.
const LONELY_PROBES: u64 = 4;
