//! Counters: every refusal, drop and eviction of the core has one.

/// How far is counted: to 2^64, or on bare metal to 2^32, which takes 500 days at a hundred datagrams per second; bytes to
/// 2^64 everywhere.
#[cfg(not(target_os = "none"))]
pub type Count = u64;
/// How far is counted: to 2^32 on bare metal, which takes 500 days at a hundred datagrams per second; bytes to 2^64
/// everywhere.
#[cfg(target_os = "none")]
pub type Count = u32;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $count:ty,)*) => {
        /// Counters since the node was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: $count,)*
        }

        impl Stats {
            /// Name and value of every counter, in the order of the fields.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), u64::from(self.$name))),*].into_iter()
            }
        }
    };
}

counters! {
    /// Datagrams that were accepted.
    datagrams_in: Count,
    /// Bytes of accepted datagrams.
    bytes_in: u64,
    /// Datagrams that were sent.
    datagrams_out: Count,
    /// Bytes of sent datagrams.
    bytes_out: u64,
    /// Datagrams shorter than an envelope.
    refused_short: Count,
    /// Datagrams of an unknown version or profile.
    refused_version: Count,
    /// Datagrams that were damaged, or of another swarm, or for another node.
    refused_check: Count,
    /// Datagrams that were not a sequence of messages.
    refused_malformed: Count,
    /// Datagrams with this node's own id.
    refused_own_id: Count,
    /// Datagrams that arrived after this node had left.
    refused_left: Count,
    /// Reports about members with an incarnation that nobody can have come to.
    refused_incarnation: Count,
    /// Stamps further ahead than `clock_skew_max`.
    refused_stamp: Count,
    /// Times that another node refused an entry of ours, for a stamp too far ahead of its clock.
    stamps_refused: Count,
    /// Entries that found no free slot or no free bytes.
    refused_full: Count,
    /// Entries, messages and offers of topics that this node did not subscribe to, or has no room for.
    entries_unwanted: Count,
    /// Entries that were dropped since this node wants them no longer.
    entries_shed: Count,
    /// Entries that no rule allows: another kind than held, a key too long, a colliding hash.
    refused_entry: Count,
    /// Values that arrived after their lifetime.
    refused_ended: Count,
    /// Tombstones that arrived after they were collected here.
    refused_collected: Count,
    /// Floors that nobody can have come to yet.
    refused_floor: Count,
    /// Entries that were new to us.
    entries_new: Count,
    /// Entries that we had already.
    entries_known: Count,
    /// Values that lost to a value whose writer had not seen them.
    conflicts: Count,
    /// Siblings dropped because four newer ones are held.
    siblings_dropped: Count,
    /// Entries that were removed: they had ended, or the floor has passed their tombstones.
    entries_removed: Count,
    /// Tombstones that came late, ended a value all the same, and count from then on.
    tombstones_reissued: Count,
    /// Entries of ours that the swarm had deleted while we were away, and collected since: deleted.
    zombies: Count,
    /// Messages of the application that were new to us.
    messages_new: Count,
    /// Messages that we had seen already.
    messages_known: Count,
    /// Messages that came when they were over.
    messages_over: Count,
    /// Messages, and windows of what others have seen, that found no room; others may offer them again.
    messages_full: Count,
    /// Messages dropped for newer ones before they were over; the application had been told of them.
    messages_evicted: Count,
    /// Messages that were missed for good, or were over before the application asked for them.
    messages_missed: Count,
    /// Messages that no rule allows: too long, too long-lived, before the time is known; at a node without feature
    /// `messages`, windows and questions for messages, too, and at one without `large`, chunks and questions for them.
    refused_message: Count,
    /// Members that found no free slot, and in a sample records of members that were not looked into.
    members_refused: Count,
    /// Members that gave way to others: dead or left ones forgotten early, and live ones pushed out of a sample.
    members_evicted: Count,
    /// Rumors about members that this node does not hold that gave way before they were passed on often enough.
    rumors_dropped: Count,
    /// Tags that found no room; the member is kept without them.
    tags_dropped: Count,
    /// Probes that nobody answered, directly or through relays.
    probes_failed: Count,
    /// Times that this node found itself to have been blocked, and took back what it believed of others meanwhile.
    stalls: Count,
    /// Times that this node was called suspect or dead and answered.
    refutations: Count,
    /// Answers dropped because the replies table was full; the other asks again.
    replies_dropped: Count,
    /// Datagrams passed on to members whom their senders cannot reach.
    forwarded: Count,
    /// Datagrams to be passed on, or passed on to us, that were dropped: no live member that we reach directly, no room,
    /// passed on once already, or not fit to be taken in.
    forward_refused: Count,
    /// Times that a member was found to be reached by a relay alone, and a path through it was taken.
    paths: Count,
    /// Sends put off because the byte budget was used up.
    budget_waits: Count,
    /// Items that do not fit in an empty datagram of the caller's buffer.
    items_too_large: Count,
    /// Large values that this node began to pull.
    pulls: Count,
    /// Announcements of large values that led to nothing: too long for this node, or all of them without feature `large`; no
    /// room beside what is held, as many pulls as there may be, or from somebody who is not asked.
    pulls_refused: Count,
    /// Pulls that were given up: a newer version was announced, another pull needed the place, or nothing came any more.
    pulls_dropped: Count,
    /// Pulls whose bytes were not those that had been announced.
    pulls_wrong: Count,
    /// Questions for chunks that were not answered since others had their turn; they are asked again.
    pulls_put_off: Count,
    /// Chunks of which some bytes had come before.
    chunks_known: Count,
    /// Chunks that nobody asked for, or that are not of the value that they name.
    chunks_refused: Count,
    /// Comparisons of summaries that this node began.
    sessions: Count,
    /// Sketches that did not show the differences, so that digests had to.
    sketches_failed: Count,
}
