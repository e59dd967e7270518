//! What happened in a run, in numbers.

use std::fmt;

/// What happened in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) asked: u64,
    pub(crate) added: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    /// Of the unknown: those whose producers were told that they are not added.
    pub(crate) withdrawn: u64,
    pub(crate) deliveries: u64,
    pub(crate) duplicates: u64,
    /// Promised jobs whose copies faults took away, as they may.
    pub(crate) taken: u64,
    /// What happened with topics.
    pub(crate) entries: Entries,
    /// Bodies that had left memory, and were read back.
    pub(crate) read: u64,
    /// That of the run; the sum of those of several runs, in whatever order they ended.
    pub(crate) fingerprint: u64,
}

/// What happened with topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) published: u64,
    /// What readers got, all together.
    pub(crate) read: u64,
    pub(crate) late: u64,
    /// What readers were told that they lost.
    pub(crate) lost: u64,
    /// Acknowledged entries that faults took away, as they may, or that were flushed.
    pub(crate) taken: u64,
}

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entries {
            published,
            read,
            late,
            lost,
            taken,
        } = self;
        write!(
            f,
            "{published} entries published, {read} read, {late} late, {lost} lost, {taken} taken"
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            asked,
            added,
            refused,
            unknown,
            withdrawn,
            deliveries,
            duplicates,
            taken,
            read,
            entries,
            fingerprint,
        } = self;
        write!(
            f,
            "{asked} jobs, {added} added, {refused} refused, {unknown} unknown, {withdrawn} of them withdrawn; {deliveries} deliveries, {duplicates} not \
             the first; {taken} taken by faults that may; {read} bodies read; {entries}; fingerprint {fingerprint:016x}"
        )
    }
}

impl Summary {
    /// Adds another run.
    pub(crate) fn add(&mut self, other: &Summary) {
        self.asked += other.asked;
        self.added += other.added;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.withdrawn += other.withdrawn;
        self.deliveries += other.deliveries;
        self.duplicates += other.duplicates;
        self.taken += other.taken;
        self.read += other.read;
        self.entries.published += other.entries.published;
        self.entries.read += other.entries.read;
        self.entries.late += other.entries.late;
        self.entries.lost += other.entries.lost;
        self.entries.taken += other.entries.taken;
        self.fingerprint = self.fingerprint.wrapping_add(other.fingerprint);
    }
}
