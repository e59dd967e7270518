//! What a node tells of its topics, for metrics and for people. Read only.
//!
//! Everything here is counted where it happens, so that reading it costs no more than copying it.
//!
//! The first channels are those with the lowest keys. A channel keeps its key while it is here, so it stays among the first,
//! or among the rest. What is published to the rest is counted in one sum, which never falls.

use std::sync::Arc;

use super::channels::{Channel, ChannelKey};
use super::command::{ChannelView, Told};
use super::glob::{Case, matches};
use super::id::EntryId;
use super::topics::Topics;
use crate::node::{Log, Node};

/// What was counted since this process began to serve.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Entries that clients of this node published.
    pub(super) published: u64,
    /// Those of them that went to channels which are not among the first.
    pub(super) published_to_rest: u64,
    /// Entries that readers at this node were given.
    pub(super) delivered: u64,
    /// Entries that a flush took.
    pub(super) flushed: u64,
    /// Entries that retention took, or the bound of the disk.
    pub(super) taken: u64,
    /// Jobs that bindings made at this node.
    pub(super) bound: u64,
}

impl Counts {
    /// A reader was given this.
    pub(super) fn deliver(&mut self, told: &Told) {
        match told {
            Told::Entry(..) | Told::Unread(_) => self.delivered += 1,
            Told::Lost(..) => {}
        }
    }
}

/// The figures of all topics at one node. The first six count from the start of the process on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicFigures {
    /// Entries that clients of this node published.
    pub published: u64,
    /// Those of them that went to channels which are not among the first.
    pub published_to_rest: u64,
    /// Entries that readers at this node were given: pages of TREAD, and what subscriptions were told.
    pub delivered: u64,
    /// Entries that TFLUSH took.
    pub flushed: u64,
    /// Entries that retention took, or the bound of the disk.
    pub taken: u64,
    /// Jobs that bindings made at this node.
    pub bound: u64,
    /// Channels that have entries.
    pub channels: usize,
    /// Entries that readers may get.
    pub entries: u64,
    /// The bytes of their channels, bodies and extras.
    pub bytes: u64,
    /// Subscriptions, and TREADs that wait.
    pub readers: usize,
    /// Bindings of the cluster.
    pub bindings: usize,
    /// Those of them that make no jobs at present.
    pub bindings_waiting: usize,
    /// Named cursors of the cluster.
    pub cursors: usize,
    /// About what the log of topics takes.
    pub log_bytes: u64,
    /// What it may take; 0 without a log.
    pub log_limit: u64,
    /// Memory in use by the index and the newest entries.
    pub memory: u64,
    /// What they may take of it.
    pub memory_limit: u64,
    /// The others, as this node sees them.
    pub members: MemberFigures,
}

/// The figures of the other members, as one node sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberFigures {
    /// Those that are there.
    pub present: usize,
    /// Those that are known and do not hold up the order: they are down, do not answer, or have a wrong clock.
    pub aside: usize,
    /// Records that are known of and not here.
    pub missing: u64,
    /// Logs that exist twice, of which nothing is taken any more.
    pub refused: usize,
}

/// The figures of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFigures {
    /// Its name.
    pub name: Arc<[u8]>,
    /// Entries that clients of this node published, since it has been here.
    pub published: u64,
    /// Entries that readers may get.
    pub entries: u64,
    /// The bytes of their channels, bodies and extras.
    pub bytes: u64,
}

/// How far a walk over the channels may go.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// Where it goes on; 0 at first.
    pub cursor: u64,
    /// How many channels it may look at.
    pub looks: usize,
    /// How many it may find.
    pub finds: usize,
    /// Which ones it looks for.
    pub pattern: Option<&'a [u8]>,
}

impl Node {
    /// The figures of all topics.
    pub fn topic_figures(&self) -> TopicFigures {
        let (topics, settings) = (&self.topics, &self.settings);
        let Counts {
            published,
            published_to_rest,
            delivered,
            flushed,
            taken,
            bound,
        } = topics.counts;
        let log_limit = match settings.log {
            Log::On => settings.topic_disk,
            Log::Off => 0,
        };
        TopicFigures {
            published,
            published_to_rest,
            delivered,
            flushed,
            taken,
            bound,
            channels: topics.channels.visible(),
            entries: topics.channels.entries(),
            bytes: topics.channels.bytes(),
            readers: topics.readers.clients(),
            bindings: topics.bindings.len(),
            bindings_waiting: topics.bindings.waiting(),
            cursors: self.cursor_count(),
            log_bytes: topics.segments.bytes(),
            log_limit,
            memory: topics.memory() as u64,
            memory_limit: settings.topic_memory,
            members: topics.member_figures(),
        }
    }

    /// The figures of each of the first channels: as many as have series of their own.
    pub fn first_channels(&self) -> impl Iterator<Item = ChannelFigures> {
        let first = self.topics.channels.iter();
        let first = first.take_while(|(key, _)| self.is_among_first(*key));
        first.map(|(_, channel)| ChannelFigures {
            name: Arc::clone(channel.name()),
            published: channel.published(),
            entries: channel.entries(),
            bytes: channel.bytes(),
        })
    }

    /// Whether a channel has series of its own.
    pub(super) fn is_among_first(&self, key: ChannelKey) -> bool {
        key.number() < self.settings.topic_series
    }

    /// Names of channels that have entries. Returns where to go on, 0 at the end: a walk from 0 to there finds every channel
    /// that has entries all the time.
    pub fn scan_topics(&self, scan: Scan<'_>) -> (u64, Vec<Arc<[u8]>>) {
        let from = u32::try_from(scan.cursor).unwrap_or(u32::MAX);
        let mut found: Vec<Arc<[u8]>> = Vec::new();
        let channels = self.topics.channels.iter_from(from);
        for (looked, (key, channel)) in (0..).zip(channels) {
            if looked >= scan.looks || found.len() >= scan.finds {
                return (u64::from(key.number()), found);
            }
            let pattern = scan.pattern;
            let is_match = pattern.is_none_or(|p| matches(p, channel.name(), Case::Exact));
            if channel.entries() > 0 && is_match {
                found.push(Arc::clone(channel.name()));
            }
        }
        (0, found)
    }

    /// What TSTAT tells of a channel, if it is known.
    pub fn topic_view(&mut self, name: &[u8]) -> Option<ChannelView> {
        let topics = &mut self.topics;
        let key = topics.channels.find(name)?;
        let readers = topics.readers.count(name);
        let oldest = topics.oldest(key);
        let channel = topics.channels.get(key);
        Some(ChannelView {
            oldest,
            newest: oldest.map(|_| channel.newest()),
            entries: channel.entries(),
            bytes: channel.bytes(),
            readers,
            bindings: topics.bindings.count(name),
        })
    }
}

impl Topics {
    /// The id of the oldest entry of a channel that readers may get.
    fn oldest(&self, key: ChannelKey) -> Option<EntryId> {
        let channel = self.channels.get(key);
        if let Some(first) = channel.first_id() {
            return Some(first);
        }
        let span = channel.first_span()?;
        let mut oldest = None;
        self.entries.visit_backwards(span, |entry| {
            if entry.channel == key && entry.id > channel.floor() {
                oldest = Some(oldest.map_or(entry.id, |id: EntryId| id.min(entry.id)));
            }
            true
        });
        oldest
    }
}

impl Channel {
    /// The id of its first entry, where that is known without a look at the index: a block that a floor cut begins above the
    /// floor, not at an entry.
    fn first_id(&self) -> Option<EntryId> {
        let (first, _) = self.first_span()?;
        (first > self.floor().after()).then_some(first)
    }
}
