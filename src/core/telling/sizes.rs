//! What things take in memory beside the bytes of their users: what the account adds up.

use crate::job::Job;
use crate::queue::Queue;
use crate::telling::Traffic;

/// What a job takes beside its body: its slot, and its share of the table (5 bytes at half load).
pub(crate) const JOB_BYTES: usize = size_of::<Option<Job>>() + 10;
/// What a body takes beside its bytes: counter and length.
pub(crate) const BODY_BYTES: usize = 16;

/// What a job's extras take beside their allocation: an entry of 16 bytes in a table that is about two thirds full.
pub(crate) const EXTRAS_BYTES: usize = 26;

/// What an allocation of `bytes` bytes takes: allocators round up to size classes, of which jemalloc has four between
/// two powers of two (its manual, "size classes"). A body of 4 KiB takes 5.
pub(crate) fn allocated(bytes: usize) -> usize {
    let doubling = bytes.saturating_sub(1).max(1).ilog2();
    let step = (1_usize << doubling.saturating_sub(2)).max(16);
    bytes.next_multiple_of(step)
}

/// What the collection of an acked job takes: its entry in a tree that is two thirds full.
pub(crate) const COLLECTION_BYTES: usize = 40;
/// What a tombstone takes.
pub(crate) const TOMBSTONE_BYTES: usize = JOB_BYTES + BODY_BYTES + COLLECTION_BYTES;
/// What a known queue takes beside its name.
pub(crate) const QUEUE_BYTES: usize = size_of::<Option<Queue>>() + 26;
/// What a job takes that waits for copies, or that is being healed: entries in two trees.
pub(crate) const PENDING_BYTES: usize = 160;
/// What the key of a job takes beside its job: an entry in a tree that is at least half full.
pub(crate) const KEYED_BYTES: usize = 32;
/// What a queue takes besides while it has traffic.
pub(crate) const TRAFFIC_BYTES: usize = size_of::<Traffic>();
/// What a waiting client takes: its entry, its timer, and its place in each queue.
pub(crate) const WAITER_BYTES: usize = 192;
/// What an unconfirmed move takes: its entry in a tree that is at least half full.
pub(crate) const UNCONFIRMED_BYTES: usize = 96;
/// What the progress of a job takes beside its text: its entry in a tree that is at least half full.
pub(crate) const PROGRESS_BYTES: usize = 80;
/// What a remembered id takes.
pub(crate) const FORGOTTEN_BYTES: usize = 31;

#[cfg(test)]
mod tests {
    use super::allocated;

    #[test]
    fn an_allocation_takes_its_size_class() {
        let classes = [
            (1, 16),
            (16, 16),
            (17, 32),
            (113, 128),
            (129, 160),
            (257, 320),
        ];
        let larger = [(4096, 4096), (4097, 5120), (5121, 6144), (100_000, 114_688)];
        for (asked, taken) in classes.into_iter().chain(larger) {
            assert_eq!(allocated(asked), taken, "{asked} bytes");
        }
    }
}
