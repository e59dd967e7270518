//! What one reader has read, from its start to its cursor.

use std::collections::BTreeSet;

use shoalmq_core::topic::{Case, Cursor, EntryId, matches};

use crate::schedule::Micros;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the oldest entry.
    Oldest,
    /// With what comes from now on.
    Now,
}

/// One reader's way. A reader that goes back to an older cursor goes back to what it had read then.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) begin: Begin,
    /// Each of them has a channel that one of these matches.
    pub(crate) patterns: &'static [&'static str],
    /// Where it is, as text; nowhere before the first answer.
    pub(crate) cursor: Option<String>,
    /// When the answer came that gave the first cursor.
    pub(crate) begun: Micros,
    pub(crate) got: BTreeSet<EntryId>,
    /// The last entry that was not late.
    pub(crate) last: EntryId,
    /// How many entries it was told to have lost.
    pub(crate) lost: u64,
    /// What may count as read: it was read before, and committed, perhaps.
    pub(crate) may: BTreeSet<EntryId>,
    /// What was there before it began, and must be read all the same.
    pub(crate) must: BTreeSet<EntryId>,
    /// What lies below counts as read, unless it is late.
    pub(crate) floor: EntryId,
    /// Patterns are the names of channels.
    pub(crate) is_literal: bool,
    /// The connection lasts as long as its node.
    pub(crate) lasts: bool,
}

impl Line {
    pub(crate) fn new(begin: Begin, patterns: &'static [&'static str]) -> Self {
        Line {
            begin,
            patterns,
            cursor: None,
            begun: 0,
            got: BTreeSet::new(),
            last: EntryId::ZERO,
            lost: 0,
            may: BTreeSet::new(),
            must: BTreeSet::new(),
            floor: EntryId::ZERO,
            is_literal: false,
            lasts: false,
        }
    }

    /// Whether it reads this channel.
    pub(crate) fn wants(&self, channel: &str) -> bool {
        let is_match = |pattern: &&str| {
            if self.is_literal {
                *pattern == channel
            } else {
                matches(pattern.as_bytes(), channel.as_bytes(), Case::Exact)
            }
        };
        self.patterns.iter().any(is_match)
    }

    pub(crate) fn patterns(&self) -> Vec<String> {
        let patterns = self.patterns.iter();
        patterns.map(|&pattern| pattern.to_owned()).collect()
    }

    /// Its cursor as a client sends it.
    pub(crate) fn parsed(&self) -> Option<Cursor> {
        let text = self.cursor.as_ref()?;
        Some(Cursor::parse(text.as_bytes()).expect("a node wrote it, and it was checked"))
    }
}
