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
    pub const SERVED: [Bug; 7] = [
        Bug::ClosedEarly,
        Bug::LifeGoesOn,
        Bug::FlushReachesOn,
        Bug::FreedNotNamed,
        Bug::IdleAside,
        Bug::BoundEarly,
        Bug::BoundTwice,
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
