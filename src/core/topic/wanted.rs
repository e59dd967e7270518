//! What a page is after: which channels match, above which ids their entries are wanted, and where none is.

use super::channels::{ChannelKey, Channels};
use super::entries::Runs;
use super::glob::{Case, matches};
use super::id::EntryId;

/// Channels with neighbouring keys of which is kept together whether they match.
const KNOWN_BLOCK: usize = 1024;

/// What is known of a channel, for as long as one page is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Wanted,
    Unwanted,
}

/// What a reader wants, for as long as one page is filled.
pub(super) struct Wanted<'a> {
    pub(super) channels: Matching<'a>,
    /// What is known of the places that the page goes through.
    pub(super) runs: Runs,
}

/// The channels that match.
pub(super) struct Matching<'a> {
    patterns: Vec<&'a [u8]>,
    /// Not patterns, but names.
    is_exact: bool,
    /// What is known of channels already, by their keys, in blocks.
    known: Vec<Option<Box<[Known; KNOWN_BLOCK]>>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(patterns: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Wanted {
            channels: Matching {
                patterns: patterns.into_iter().collect(),
                is_exact: false,
                known: Vec::new(),
            },
            runs: Runs::default(),
        }
    }

    /// Wants the channels of these names.
    pub(super) fn exactly(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut wanted = Wanted::new(names);
        wanted.channels.is_exact = true;
        wanted
    }

    /// How many entries could have been looked at in place of those that were passed together.
    pub(super) fn cost(&self) -> u64 {
        self.runs.cost()
    }

    /// Above which id the entries of a channel are wanted; none if they are not.
    pub(super) fn above(&mut self, channels: &Channels, key: ChannelKey) -> Option<EntryId> {
        self.channels.above(channels, key)
    }
}

impl Matching<'_> {
    /// As [`Wanted::above`].
    pub(super) fn above(&mut self, channels: &Channels, key: ChannelKey) -> Option<EntryId> {
        let channel = channels.known(key)?;
        let number = key.number() as usize;
        let (block, at) = (number / KNOWN_BLOCK, number % KNOWN_BLOCK);
        if self.known.len() <= block {
            self.known.resize_with(block + 1, || None);
        }
        let unknown = || Box::new([Known::Nothing; KNOWN_BLOCK]);
        let known = &mut self.known[block].get_or_insert_with(unknown)[at];
        if *known == Known::Nothing {
            let name = channel.name();
            let is_match = |pattern: &&[u8]| {
                if self.is_exact {
                    *pattern == &**name
                } else {
                    matches(pattern, name, Case::Exact)
                }
            };
            let is_wanted = self.patterns.iter().any(is_match);
            *known = if is_wanted {
                Known::Wanted
            } else {
                Known::Unwanted
            };
        }
        (*known == Known::Wanted).then(|| channel.floor())
    }
}
