//! Counters: every refusal, drop and eviction of the core has one.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the node was made; they wrap at 2^64 or, on 32-bit targets, are simply large.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Name and value of every counter, in the order of the fields.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Datagrams that were accepted.
    datagrams_in,
    /// Bytes of accepted datagrams.
    bytes_in,
    /// Datagrams that were sent.
    datagrams_out,
    /// Bytes of sent datagrams.
    bytes_out,
    /// Datagrams shorter than an envelope.
    refused_short,
    /// Datagrams of an unknown version or profile.
    refused_version,
    /// Datagrams that were damaged, or of another swarm, or for another node.
    refused_check,
    /// Datagrams that were not a sequence of messages.
    refused_malformed,
    /// Datagrams with this node's own id.
    refused_own_id,
    /// Datagrams that arrived after this node had left.
    refused_left,
    /// Reports about members with an incarnation that nobody can have come to.
    refused_incarnation,
    /// Stamps further ahead than `clock_skew_max`.
    refused_stamp,
    /// Times that another node refused an entry of ours, for a stamp too far ahead of its clock.
    stamps_refused,
    /// Entries that found no free slot or no free bytes.
    refused_full,
    /// Entries of topics that this node did not subscribe to, or has no room for.
    entries_unwanted,
    /// Entries that were dropped since this node wants them no longer.
    entries_shed,
    /// Entries that no rule allows: another kind than held, a key too long, a colliding hash.
    refused_entry,
    /// Values that arrived after their lifetime.
    refused_ended,
    /// Tombstones that arrived after they were collected here.
    refused_collected,
    /// Floors that nobody can have come to yet.
    refused_floor,
    /// Entries that were new to us.
    entries_new,
    /// Entries that we had already.
    entries_known,
    /// Values that lost to a value whose writer had not seen them.
    conflicts,
    /// Siblings dropped because four newer ones are held.
    siblings_dropped,
    /// Entries that were removed: they had ended, or the floor has passed their tombstones.
    entries_removed,
    /// Tombstones that came late, ended a value all the same, and count from then on.
    tombstones_reissued,
    /// Entries of ours that the swarm had deleted while we were away, and collected since: deleted.
    zombies,
    /// Messages of the application that were new to us.
    messages_new,
    /// Messages that we had seen already.
    messages_known,
    /// Messages that came when they were over.
    messages_over,
    /// Messages, and windows of what others have seen, that found no room; others may offer them again.
    messages_full,
    /// Messages dropped for newer ones before they were over; the application had been told of them.
    messages_evicted,
    /// Messages that were missed for good, or were over before the application asked for them.
    messages_missed,
    /// Messages that no rule allows: too long, too long-lived, or before the time is known.
    refused_message,
    /// Members that found no free slot, and in a sample records of members that were not looked into.
    members_refused,
    /// Members that gave way to others: dead or left ones forgotten early, and live ones pushed out of a sample.
    members_evicted,
    /// Rumors about members that this node does not hold that gave way before they were passed on often enough.
    rumors_dropped,
    /// Tags that found no room; the member is kept without them.
    tags_dropped,
    /// Probes that nobody answered, directly or through relays.
    probes_failed,
    /// Times that this node found itself to have been blocked, and took back what it believed of others meanwhile.
    stalls,
    /// Times that this node was called suspect or dead and answered.
    refutations,
    /// Answers dropped because the replies table was full; the other asks again.
    replies_dropped,
    /// Datagrams passed on to members whom their senders cannot reach.
    forwarded,
    /// Datagrams to be passed on, or passed on to us, that were dropped: no live member that we reach directly, no room,
    /// passed on once already, or not fit to be taken in.
    forward_refused,
    /// Times that a member was found to be reached by a relay alone, and a path through it was taken.
    paths,
    /// Sends put off because the byte budget was used up.
    budget_waits,
    /// Items that do not fit in an empty datagram of the caller's buffer.
    items_too_large,
    /// Large values that this node began to pull.
    pulls,
    /// Announcements of large values that led to nothing: too long for this node, no room beside what is held, as many
    /// pulls as there may be, or from somebody who is not asked.
    pulls_refused,
    /// Pulls that were given up: a newer version was announced, another pull needed the place, or nothing came any more.
    pulls_dropped,
    /// Pulls whose bytes were not those that had been announced.
    pulls_wrong,
    /// Questions for chunks that were not answered since others had their turn; they are asked again.
    pulls_put_off,
    /// Chunks of which some bytes had come before.
    chunks_known,
    /// Chunks that nobody asked for, or that are not of the value that they name.
    chunks_refused,
    /// Comparisons of summaries that this node began.
    sessions,
    /// Sketches that did not show the differences, so that digests had to.
    sketches_failed,
}
