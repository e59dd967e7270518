//! Bugs on purpose in the rules of this room, so that the model and the simulation can prove that they find such.
//!
//! They exist only in tests and with the feature `planted-bugs`; without both, [`Origins::has`] is always false, and
//! nothing of this is left.

use super::origins::Origins;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Rule 2: an origin that a cut does not name counts as read as far as the log goes.
    NewcomerRead,
    /// Rule 3: who finds more of an ended origin writes no further end record.
    EndedCutShort,
    /// Rule 5: an end record is passed though the node lacks some of what it ends.
    EndTooEarly,
    /// Rule 5: an end record is passed though what it ends contains one that may not be passed.
    NestedEndTooEarly,
    /// Rule 6: a later origin that the cut names is ignored because this node has no log of it.
    LaterIgnored,
    /// Rule 7: a name is dropped as soon as the cut names a later origin.
    NameDroppedEarly,
    /// Rule 7: a name is dropped though others rest on it.
    NameDroppedUnderOthers,
    /// Rule 5: the cut does not keep which losses were told.
    LostTwice,
    /// An end record leaves the table with its segment.
    EndLostWithSegment,
    /// Rule 1: a page's cursor is past what the page had no room for.
    CursorPastPage,
    /// A node closes its log up to records that no other member has.
    ClosedEarly,
    /// A node that starts goes on with its last life, whose last records a crash may have taken.
    LifeGoesOn,
    /// A flush reaches entries of the next seconds.
    FlushReachesOn,
    /// A member that copies is not told which records were freed.
    FreedNotNamed,
    /// A member that says nothing is set aside, though nothing was asked.
    IdleAside,
    /// A binding passes entries of which its queue took no jobs.
    BoundEarly,
    /// The lowest member takes a binding over though its maker is there, and makes jobs of the same entries under other ids.
    BoundTwice,
    /// The cursor of a commit replaces the one that was committed, also if that is further.
    CommitBack,
    /// A commit also counts as read what the live readers of the node have got.
    CommitBeyond,
    /// TCOMMIT is answered before the commit is on disk.
    CommitEarly,
    /// A cursor that was handed out before a name was set elsewhere is committed.
    CommitStale,
    /// A cursor of the present epoch is refused as one of before.
    CommitRefused,
    /// A reader of a name gets the epoch of its first use.
    EpochOfBefore,
    /// TCURSOR SET merges its place with what was committed.
    RewindMerged,
    /// TCURSOR tells nothing of a name to which nobody has committed.
    NameUnseen,
    /// LAST counts entries of channels that its reader does not want.
    LastOfOthers,
    /// LAST begins with one entry more.
    LastAndOneMore,
    /// A TREAD that waits passes what lies behind its TO.
    EndPassed,
    /// TO leaves its own id out.
    EndExclusive,
    /// A subscription without a cursor goes on with what is new when its connection has fallen behind.
    ListenerSkips,
    /// SUBSCRIBE takes its name for a pattern when its connection has fallen behind.
    NameAsGlob,
}

impl Bug {
    /// Those of the rules, which the model finds.
    pub const ALL: [Bug; 10] = [
        Bug::NewcomerRead,
        Bug::EndedCutShort,
        Bug::EndTooEarly,
        Bug::NestedEndTooEarly,
        Bug::LaterIgnored,
        Bug::NameDroppedEarly,
        Bug::NameDroppedUnderOthers,
        Bug::LostTwice,
        Bug::EndLostWithSegment,
        Bug::CursorPastPage,
    ];

    /// Those between members and in serving, which the simulation finds.
    pub const SERVED: [Bug; 21] = [
        Bug::ClosedEarly,
        Bug::LifeGoesOn,
        Bug::FlushReachesOn,
        Bug::FreedNotNamed,
        Bug::IdleAside,
        Bug::BoundEarly,
        Bug::BoundTwice,
        Bug::CommitBack,
        Bug::CommitBeyond,
        Bug::CommitEarly,
        Bug::CommitStale,
        Bug::CommitRefused,
        Bug::EpochOfBefore,
        Bug::RewindMerged,
        Bug::NameUnseen,
        Bug::LastOfOthers,
        Bug::LastAndOneMore,
        Bug::EndPassed,
        Bug::EndExclusive,
        Bug::ListenerSkips,
        Bug::NameAsGlob,
    ];
}

impl Origins {
    /// Whether the rules are broken in this way.
    #[cfg(any(test, feature = "planted-bugs"))]
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.planted() == Some(bug)
    }

    /// Whether the rules are broken in this way.
    #[cfg(not(any(test, feature = "planted-bugs")))]
    #[expect(clippy::unused_self, reason = "with the feature it looks")]
    pub(super) const fn has(&self, _: Bug) -> bool {
        false
    }
}

#[cfg(feature = "planted-bugs")]
impl super::Topics {
    /// Gives the rules a bug, for ever.
    pub(crate) fn plant(&mut self, bug: Bug) {
        self.origins.plant(bug);
    }
}
