//! Settings: the entries of the one map that all nodes of a cluster share.

use std::sync::Arc;

use crate::id::NodeId;

/// What a setting is about. A node keeps and passes on kinds that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettingKind(pub u8);

impl SettingKind {
    /// Whether the queue of this name takes no new jobs: `yes` or `no`.
    pub const PAUSE_IN: SettingKind = SettingKind(0);
    /// Whether the queue of this name hands out no jobs: `yes` or `no`.
    pub const PAUSE_OUT: SettingKind = SettingKind(1);
    /// QPURGE: the jobs of the queue of this name that are to go, as the text of [`Stamps`](crate::stamp::Stamps). Two values
    /// are merged.
    pub const PURGED: SettingKind = SettingKind(2);
    /// TFLUSH: the id at and below which entries of the channels that the pattern of this name matches are gone. The higher
    /// id wins.
    pub const TOPIC_FLUSHED: SettingKind = SettingKind(32);
    /// TRETAIN: how long entries of the channels that the pattern of this name matches are kept, as words.
    pub const TOPIC_RULE: SettingKind = SettingKind(33);
    /// A named cursor: how far its reader has come, and what it reads. The version is its epoch, and stays when the reader
    /// comes further; two values of one epoch are merged.
    pub const TOPIC_CURSOR: SettingKind = SettingKind(34);
    /// TBIND: that the entries which a pattern matches become jobs of a queue, and how far that has come. The version stays
    /// when it comes further; two values of one version are merged.
    pub const TOPIC_BINDING: SettingKind = SettingKind(35);
    /// A policy: RETRY of jobs that name none.
    pub const RETRY: SettingKind = SettingKind(16);
    /// A policy: TTL of jobs that name none.
    pub const TTL: SettingKind = SettingKind(17);
    /// A policy: DELAY of jobs that name none.
    pub const DELAY: SettingKind = SettingKind(18);
    /// A policy: REPLICATE of jobs that name none.
    pub const REPLICATE: SettingKind = SettingKind(19);
    /// A policy: MAXLEN of jobs that name none.
    pub const MAX_LEN: SettingKind = SettingKind(20);

    /// A policy: how often a job is handed out before it is buried.
    pub const MAX_DELIVER: SettingKind = SettingKind(21);
    /// A policy: the queue of dead letters.
    pub const DEAD_QUEUE: SettingKind = SettingKind(22);
    /// A policy: how long a job waits after NACK, as `base:max` in seconds.
    pub const BACKOFF: SettingKind = SettingKind(23);
    /// A policy: PRIORITY of jobs that name none.
    pub const PRIORITY: SettingKind = SettingKind(25);
    /// A policy: KEEP of jobs that name none.
    pub const KEEP: SettingKind = SettingKind(26);
    /// A policy: how many seconds a dead letter lives.
    pub const DEAD_TTL: SettingKind = SettingKind(24);

    /// Whether it is about topics.
    pub fn is_of_topics(self) -> bool {
        matches!(
            self,
            SettingKind::TOPIC_FLUSHED
                | SettingKind::TOPIC_RULE
                | SettingKind::TOPIC_CURSOR
                | SettingKind::TOPIC_BINDING
        )
    }
}

/// One entry of the map. Kind and name are its key; of two entries with one key, the one with the higher version wins,
/// then the one of the greater node, unless the kind says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it is about.
    pub kind: SettingKind,
    /// The name of what it is set on: a queue, or for a policy perhaps the beginning of names, with `*` behind it.
    pub name: Arc<[u8]>,
    /// What is set; none when the entry was removed.
    pub value: Option<Arc<[u8]>>,
    /// Rises with every write of the entry, unless the kind says otherwise. Also the wall clock of the write in milliseconds,
    /// unless the replaced entry was of a later time.
    pub version: u64,
    /// The node that wrote it.
    pub node: NodeId,
}
