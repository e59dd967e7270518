//! What was counted: packets in and out, and why some were dropped.

/// Why a packet was dropped, or a member ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Longer than any packet of ours.
    Oversize,
    /// Not of this protocol, or of another version of it.
    Version,
    /// Of another cluster's name.
    Cluster,
    /// Its seal does not fit: another secret, or damage on the way.
    Seal,
    /// Sealed well, and still not to be read.
    Malformed,
    /// From a node that was forgotten less than a minute ago.
    Barred,
    /// From, or for, somebody that this node was before, or is not.
    Misaddressed,
    /// From this node itself.
    Own,
    /// From a claim that a newer one of the same node has replaced.
    Outranked,
    /// Seen before, or too old to tell.
    Replay,
    /// From a node that has yet to answer this one's question.
    Unproven,
    /// An answer that nobody waits for.
    Unasked,
    /// There are already as many members as there may be.
    Full,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Reason; 13] = [
        Reason::Oversize,
        Reason::Version,
        Reason::Cluster,
        Reason::Seal,
        Reason::Malformed,
        Reason::Barred,
        Reason::Misaddressed,
        Reason::Own,
        Reason::Outranked,
        Reason::Replay,
        Reason::Unproven,
        Reason::Unasked,
        Reason::Full,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Oversize => "oversize",
            Reason::Version => "version",
            Reason::Cluster => "cluster",
            Reason::Seal => "seal",
            Reason::Malformed => "malformed",
            Reason::Barred => "barred",
            Reason::Misaddressed => "misaddressed",
            Reason::Own => "own",
            Reason::Outranked => "outranked",
            Reason::Replay => "replay",
            Reason::Unproven => "unproven",
            Reason::Unasked => "unasked",
            Reason::Full => "full",
        }
    }
}

/// Counters since the start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Packets that came, whatever became of them.
    pub packets_in: u64,
    /// Packets that were sent.
    pub packets_out: u64,
    /// Bytes that came, without the headers of UDP and IP.
    pub bytes_in: u64,
    /// Bytes that were sent, without the headers of UDP and IP.
    pub bytes_out: u64,
    /// How often a false DOWN of this node was answered.
    pub renewals: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Stats {
    /// How often something was dropped for this reason.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(crate) fn drop_for(&mut self, reason: Reason) {
        self.dropped[reason as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter_and_name() {
        let mut stats = Stats::default();
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "{reason:?}");
            stats.drop_for(reason);
            assert_eq!(stats.dropped(reason), 1);
        }
        let mut names = Reason::ALL.map(Reason::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
