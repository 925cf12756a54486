//! Pulling large values: which are coming in, who has them, what was asked of whom; and whom this node serves.
//!
//! Knows: pulls, each with its holders; asks, each for a run of units of one pull from one holder, so that nothing is asked
//! for twice; and the two members at a time that have their turn to be served. Does not know: the bytes, or which units
//! have come: it is handed a function that says so.
//! When full: a further pull takes the place of one that has stalled, else it is put off and counted: comparing finds it
//! again. A further holder takes the place of one that was silent. Who has no turn is not answered, and asks again, or
//! somebody else.

use crate::slab::Ix;
use crate::slab::index::Key;
use crate::time::Instant;
use crate::wire::{Large, UNIT};

/// Whether a node can pull at all: what only that needs is left out where it cannot.
const POSSIBLE: bool = cfg!(feature = "large");

/// A value that is coming in.
#[derive(Debug)]
pub(crate) struct Pull {
    /// The hidden record.
    pub(crate) slot: usize,
    /// What was announced.
    pub(crate) what: Large,
    /// How many units are still to come.
    pub(crate) left: u16,
    /// Units from here on may be asked for; all before were seen to be there.
    from: u16,
    units: u16,
    /// Whether it is to be passed on as news once it is whole.
    pub(crate) news: bool,
    /// Bytes of several holders did not match: one alone is asked, to tell who lies.
    single: bool,
    holders: heapless::Vec<Holder, HOLDERS_MAX>,
    /// When bytes came last.
    moved: Instant,
}

/// Who has a value that is coming in.
#[derive(Clone, Copy, Debug)]
struct Holder {
    ix: Ix,
    /// How often in a row it did not answer.
    silent: u8,
    /// Whether some of the bytes are from it.
    gave: bool,
    /// The longest time between two of its chunks lately, in µs.
    gap: u32,
    /// When its last chunk came; after a silence, when to ask it again.
    at: Instant,
}

/// A run of units that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// The short digest of the pull.
    pub(crate) of: u32,
    pub(crate) to: Ix,
    pub(crate) from: u16,
    pub(crate) end: u16,
    /// Where what has come of it ends: at its end, nothing more comes but what was overtaken.
    seen: u16,
    due: Instant,
}

/// Everything about pulling and being pulled from.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    pulls: heapless::Vec<Pull, PULLS_MAX>,
    asks: heapless::Vec<Ask, ASKS_MAX>,
    /// Who gave wrong bytes, and until when it is not asked.
    liars: heapless::Vec<(Ix, Instant), LIARS_MAX>,
    /// Who is served, and until when it is its turn.
    turns: [Option<(Ix, Instant)>; TURNS],
    /// When it was last seen that nobody is to be asked for anything.
    looked: Instant,
}

impl Pull {
    pub(crate) fn new(now: Instant, slot: usize, what: Large) -> Self {
        let (units, holders) = ((what.len as usize).div_ceil(UNIT) as u16, heapless::Vec::new());
        Self { slot, what, left: units, from: 0, units, news: false, single: false, holders, moved: now }
    }

    /// One more holds all of it.
    pub(crate) fn add_holder(&mut self, now: Instant, ix: usize) {
        let ix = ix as Ix;
        if self.holders.iter().any(|holder| holder.ix == ix) {
            return;
        }
        let holder = Holder { ix, silent: 0, gave: false, gap: 0, at: now };
        if let Err(holder) = self.holders.push(holder) {
            if let Some(silent) =
                self.holders.iter_mut().filter(|old| old.silent > 0 && !old.gave).max_by_key(|old| old.silent)
            {
                *silent = holder;
            }
        }
    }

    /// Whether a member was named as a holder.
    pub(crate) fn has_holder(&self, ix: usize) -> bool {
        self.holders.iter().any(|holder| holder.ix as usize == ix)
    }

    fn short(&self) -> u32 {
        self.what.short()
    }
}

impl Pulls {
    /// Whether one more can begin; if one has stalled that is to make room for it, its slot.
    pub(crate) fn room(&mut self, now: Instant) -> Result<Option<usize>, ()> {
        if !self.pulls.is_full() {
            return Ok(None);
        }
        let stalled = self.pulls.iter().min_by_key(|pull| pull.moved).filter(|pull| now.since(pull.moved) > STALL);
        stalled.map(|pull| Some(pull.slot)).ok_or(())
    }

    pub(crate) fn begin(&mut self, pull: Pull) -> Option<&mut Pull> {
        self.pulls.push(pull).ok()?;
        self.pulls.last_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pull> {
        self.pulls.iter()
    }

    pub(crate) fn find(&mut self, short_digest: u32) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|pull| pull.short() == short_digest)
    }

    /// Forgets the pull into this slot.
    pub(crate) fn end(&mut self, slot: usize) {
        if let Some(at) = self.pulls.iter().position(|pull| pull.slot == slot) {
            let pull = self.pulls.swap_remove(at);
            self.asks.retain(|ask| ask.of != pull.short());
        }
    }

    /// What to ask for next, of whom; noted as asked. `lacks` says whether a unit of a pull is to come.
    pub(crate) fn next_ask(
        &mut self,
        now: Instant,
        lacks: impl Fn(&Pull, u16) -> bool,
        wait: impl Fn(usize) -> u64,
    ) -> Option<(Key, Ask)> {
        let Self { pulls, asks, liars, looked, .. } = self;
        *looked = now;
        if asks.is_full() {
            return None;
        }
        for pull in pulls {
            let of = pull.short();
            while pull.from < pull.units && !lacks(pull, pull.from) {
                pull.from += 1;
            }
            // The first unit that neither is there nor was asked for.
            let mut from = pull.from;
            while from < pull.units {
                match asks.iter().find(|ask| ask.of == of && (ask.from..ask.end).contains(&from)) {
                    Some(ask) => from = ask.end,
                    None if lacks(pull, from) => break,
                    None => from += 1,
                }
            }
            if from >= pull.units {
                continue;
            }
            let asked = |ix: Ix| asks.iter().filter(|ask| ask.of == of && ask.to == ix && ask.seen < ask.end).count();
            let lies = |ix: Ix| liars.iter().any(|(liar, until)| *liar == ix && now < *until);
            let usable = |holder: &&Holder| {
                let most = if holder.gave && holder.silent == 0 { ASKS_EACH } else { 1 };
                !lies(holder.ix) && (holder.silent == 0 || now >= holder.at) && asked(holder.ix) < most
            };
            let considered = if pull.single { 1 } else { pull.holders.len() };
            let free = pull.holders.iter().take(considered).filter(usable);
            let Some(holder) = free.min_by_key(|holder| (holder.silent, asked(holder.ix))).copied() else { continue };
            let most = from.saturating_add(RUN_MAX).min(pull.units);
            let taken = |unit: u16| asks.iter().any(|ask| ask.of == of && (ask.from..ask.end).contains(&unit));
            let end = (from..most).find(|&unit| !lacks(pull, unit) || taken(unit)).unwrap_or(most);
            let due = now.plus(holder.wait(wait(holder.ix as usize)));
            let ask = Ask { of, to: holder.ix, from, end, seen: from, due };
            return asks.push(ask).ok().map(|()| (pull.what.key, ask));
        }
        None
    }

    /// The end of the run that was asked of a member from a unit on; `None` if it is not wanted any more.
    pub(crate) fn asked(&self, to: usize, of: u32, from: u16) -> Option<u16> {
        { self.asks.iter() }.find(|ask| ask.to as usize == to && ask.of == of && ask.from == from).map(|ask| ask.end)
    }

    /// Of a pull these units came from a member, of which `new` were new.
    pub(crate) fn came(
        &mut self,
        now: Instant,
        ix: usize,
        (of, from, end): (u32, u16, u16),
        new: usize,
        lacks: impl Fn(&Pull, u16) -> bool,
        wait: u64,
    ) {
        let Some(pull) = self.pulls.iter_mut().find(|pull| pull.short() == of) else { return };
        pull.left = pull.left.saturating_sub(new as u16);
        if new > 0 {
            pull.moved = now;
        }
        let Some(holder) = pull.holders.iter_mut().find(|holder| holder.ix as usize == ix) else { return };
        if holder.gave && holder.silent == 0 {
            holder.gap = (now.since(holder.at).min(GAP_MAX) as u32).max(holder.gap / 8 * 7);
        }
        (holder.silent, holder.gave, holder.at) = (0, true, now);
        let due = now.plus(holder.wait(wait));
        // What a later datagram has overtaken may still come: an ask is done with when all of it is there.
        for ask in self.asks.iter_mut().filter(|ask| ask.of == of) {
            let here = ask.from < end && from < ask.end;
            if ask.to as usize == ix && ask.seen < ask.end {
                ask.due = due;
                ask.seen = if here { ask.seen.max(end.min(ask.end)) } else { ask.seen };
            }
            while here && ask.from < ask.end && !lacks(pull, ask.from) {
                ask.from += 1;
            }
        }
        self.asks.retain(|ask| ask.from < ask.end);
    }

    /// Gives up asks that nobody answered in time; says whether there were any, and whose slot is given up, as nothing
    /// has come for long.
    pub(crate) fn time_out(&mut self, now: Instant, wait: impl Fn(usize) -> u64) -> Option<usize> {
        for ask in self.asks.iter().filter(|ask| ask.due <= now && ask.seen < ask.end) {
            let pull = self.pulls.iter_mut().find(|pull| pull.short() == ask.of);
            let Some(pull) = pull else { continue };
            let Some(at) = pull.holders.iter().position(|holder| holder.ix == ask.to) else { continue };
            if let Some(holder) = pull.holders.get_mut(at).filter(|holder| holder.silent == 0 || holder.at <= now) {
                holder.silent = holder.silent.saturating_add(1).min(SILENT_MAX);
                // At once the first time: a question may be lost.
                let pause = holder.wait(wait(holder.ix as usize)) * ((1 << holder.silent) / 2 - 1);
                holder.at = now.plus(pause.min(PAUSE_MAX));
            }
            if pull.single {
                // The next one alone.
                pull.holders.rotate_left(1);
            }
        }
        self.asks.retain(|ask| ask.due > now);
        self.pulls.iter().find(|pull| now.since(pull.moved) >= EXPIRY).map(|pull| pull.slot)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        if !POSSIBLE {
            return None;
        }
        let silent = |holder: &Holder| (holder.silent > 0 && holder.at > self.looked).then_some(holder.at);
        let pulls = self.pulls.iter().flat_map(move |pull| {
            let considered = if pull.single { 1 } else { pull.holders.len() };
            let again = pull.holders.iter().take(considered).filter_map(silent).min();
            again.into_iter().chain([pull.moved.plus(EXPIRY)])
        });
        self.asks.iter().map(|ask| ask.due).chain(pulls).min()
    }

    /// All bytes of a pull were there, and not what was announced. If one holder gave all of them, it is not asked again
    /// soon; else the holders are asked one by one from now on. Returns the slot if nobody is left to ask.
    pub(crate) fn wrong(&mut self, now: Instant, of: u32) -> Option<usize> {
        self.asks.retain(|ask| ask.of != of);
        let pull = self.pulls.iter_mut().find(|pull| pull.short() == of)?;
        let mut gave = pull.holders.iter().filter(|holder| holder.gave).map(|holder| holder.ix);
        if let (Some(liar), None) = (gave.next(), gave.next()) {
            let liar_until = (liar, now.plus(LIAR_REST));
            if self.liars.push(liar_until).is_err() {
                if let Some(oldest) = self.liars.iter_mut().min_by_key(|(_, until)| *until) {
                    *oldest = liar_until;
                }
            }
            pull.holders.retain(|holder| holder.ix != liar);
        }
        (pull.single, pull.from, pull.left, pull.moved) = (true, 0, pull.units, now);
        pull.holders.iter_mut().for_each(|holder| holder.gave = false);
        pull.holders.is_empty().then_some(pull.slot)
    }

    /// Whether a member gave wrong bytes lately.
    pub(crate) fn lied(&self, now: Instant, ix: usize) -> bool {
        self.liars.iter().any(|(liar, until)| *liar as usize == ix && now < *until)
    }

    /// A member is gone: its slot may soon be somebody else's.
    pub(crate) fn forget(&mut self, ix: usize) {
        if !POSSIBLE {
            return;
        }
        let ix = ix as Ix;
        self.asks.retain(|ask| ask.to != ix);
        self.liars.retain(|(liar, _)| *liar != ix);
        self.pulls.iter_mut().for_each(|pull| pull.holders.retain(|holder| holder.ix != ix));
        self.turns.iter_mut().for_each(|turn| *turn = turn.filter(|(to, _)| *to != ix));
    }

    /// Whether it is a member's turn to be served; it stays so for `wait` more.
    pub(crate) fn turn(&mut self, now: Instant, ix: usize, wait: u64) -> bool {
        let ix = ix as Ix;
        let own = self.turns.iter().position(|turn| turn.is_some_and(|(to, _)| to == ix));
        let free = || self.turns.iter().position(|turn| turn.is_none_or(|(_, until)| until <= now));
        let Some(turn) = own.or_else(free).and_then(|at| self.turns.get_mut(at)) else { return false };
        *turn = Some((ix, now.plus(wait)));
        true
    }
}

impl Holder {
    /// How long to wait for it: some round trips, or some of its own steps.
    fn wait(&self, round_trips: u64) -> u64 {
        round_trips.max(u64::from(self.gap) * 3)
    }
}

/// How many values come in at once.
const PULLS_MAX: usize = if POSSIBLE { 2 } else { 0 };
const HOLDERS_MAX: usize = 3;
const ASKS_MAX: usize = if POSSIBLE { 6 } else { 0 };
/// How many runs one holder is asked for at once: with runs of 16 KiB, a round trip of 50 ms leaves 10 Mb/s busy.
const ASKS_EACH: usize = 4;
/// Units in one run: 16 KiB.
const RUN_MAX: u16 = 256;
const LIARS_MAX: usize = if POSSIBLE { 2 } else { 0 };
/// How many members are served at once: who is served alone is whole sooner, and then serves others.
const TURNS: usize = if POSSIBLE { 2 } else { 0 };
/// The longest pause before a silent holder is asked again, in µs, and how often it doubles.
const PAUSE_MAX: u64 = 1_000_000;
const SILENT_MAX: u8 = 6;
/// The longest time between two chunks, in µs, that counts for the next.
const GAP_MAX: u64 = 2_000_000;
/// A pull gives way to another when nothing came for this long, and gives up when nothing came for that long, in µs.
const STALL: u64 = 2_000_000;
const EXPIRY: u64 = 60_000_000;
/// How long who gave wrong bytes is not asked, in µs.
const LIAR_REST: u64 = 600_000_000;
