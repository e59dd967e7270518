//! What a seed means for topics.

use crate::dice::Dice;
use crate::schedule::{MS, Micros, SECOND};

/// All channels of a run.
pub(crate) const CHANNELS: [&str; 6] = ["t.a.1", "t.a.2", "t.b.1", "t.b.2", "t.c", "other"];
/// What readers read, and somebody flushes.
pub(crate) const PATTERNS: [&[&str]; 7] = [
    &["*"],
    &["t.*"],
    &["t.a.*"],
    &["t.a.1"],
    &["t.?.2", "t.a.*"],
    &["t.[ab].1"],
    &["other", "t.c"],
];

/// What PSUBSCRIBE names.
pub(crate) const GLOBS: [&[&str]; 4] = [&["*"], &["t.*"], &["t.[ab].1"], &["t.a.1"]];
/// What SUBSCRIBE names: the last one matches channels as a glob, and is the name of none.
pub(crate) const NAMES: [&[&str]; 4] = [&["t.a.1"], &["t.a.2"], &["t.b.1"], &["t.?.1"]];

/// Topics of a run.
#[derive(Debug, Clone)]
pub(crate) struct TopicPlan {
    /// Between two TPUBs, on average.
    pub(crate) publish_every: Micros,
    /// How many channels are published to.
    pub(crate) channels: usize,
    pub(crate) readers: usize,
    /// In percent, how often a reader goes on by TSUB.
    pub(crate) following: u64,
    /// Between two flushes, on average.
    pub(crate) flush_every: Option<Micros>,
    /// Between two changes of rules of retention, on average.
    pub(crate) retain_every: Option<Micros>,
    /// When somebody binds channels to a queue.
    pub(crate) bind_at: Option<Micros>,
    /// `topic-max-memory`; an eighth of it holds the newest entries.
    pub(crate) memory: u64,
    /// `topic-max-disk`.
    pub(crate) disk: u64,
    /// Records in a segment of the log of topics.
    pub(crate) segment: u64,
    /// Bytes that a body is filled up to.
    pub(crate) width: usize,
    /// A subscriber that takes less than this many messages of what comes is slow.
    pub(crate) slow: usize,
    /// `topic-dedup-window`, in milliseconds.
    pub(crate) dedup_ms: u64,
    /// Readers of other kinds.
    pub(crate) others: Others,
}

/// How many readers there are of other kinds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Others {
    /// Named cursors.
    pub(crate) names: usize,
    /// Readers of each name.
    pub(crate) readers: usize,
    /// Between two TCURSOR SETs of a name, on average.
    pub(crate) rewind_every: Option<Micros>,
    /// Readers that begin with LAST.
    pub(crate) newest: usize,
    /// Readers that read with TO.
    pub(crate) bounded: usize,
    /// Connections that SUBSCRIBE or PSUBSCRIBE.
    pub(crate) listeners: usize,
}

impl Others {
    /// Their dice are their own, too.
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x006f_7468_6572_7300);
        let names = dice.weighted(&[(60, 0), (30, 1), (10, 2)]);
        let rewinds = dice.percent(60);
        Others {
            names,
            readers: dice.weighted(&[(70, 1), (30, 2)]),
            rewind_every: rewinds.then(|| dice.between(1000, 8000) * MS),
            newest: dice.weighted(&[(70, 0), (30, 1)]),
            bounded: dice.weighted(&[(70, 0), (30, 1)]),
            listeners: dice.weighted(&[(60, 0), (25, 1), (15, 3)]),
        }
    }
}

impl TopicPlan {
    /// What this seed means, if it has topics at all. Its dice are its own: what jobs do does not hang on it.
    pub(crate) fn new(seed: u64, hosts: usize) -> Option<Self> {
        let mut dice = Dice::new(seed ^ 0x0074_6f70_6963_7300);
        // With one node the rest of a run is small.
        if hosts > 1 && !dice.percent(60) {
            return None;
        }
        let (flushes, retains) = (dice.percent(40), dice.percent(25));
        let full = retains && dice.percent(30);
        Some(TopicPlan {
            publish_every: dice.pick(&[10, 30, 100, 300]) * MS,
            channels: dice.between(1, CHANNELS.len() as u64) as usize,
            readers: dice.between(1, 5) as usize,
            following: dice.pick(&[0, 30, 50, 100]),
            flush_every: flushes.then(|| dice.between(500, 8000) * MS),
            retain_every: retains.then_some(3 * SECOND),
            bind_at: {
                let mut dice = Dice::new(seed ^ 0x0062_696e_6469_6e67);
                dice.percent(35).then(|| dice.between(1000, 9000) * MS)
            },
            memory: match dice.weighted(&[(50, 1 << 30), (25, 1_000_000), (25, 200_000)]) {
                // A member that is full does not get what others publish, and its readers do not.
                _ if hosts > 1 => 1 << 30,
                memory => memory,
            },
            disk: if full { 20_000 } else { 1 << 40 },
            segment: dice.between(20, 400),
            width: dice.pick(&[1, 100, 1000]),
            slow: dice.pick(&[2, 10, 1000]),
            dedup_ms: dice.pick(&[2000, 120_000]),
            others: Others::new(seed),
        })
    }
}
