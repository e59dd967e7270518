//! Named cursors: TREAD AS, TSUB AS, TCOMMIT and TCURSOR.
//!
//! A name is a setting of the cluster (see `named`), so it outlives restarts and reaches nodes that were away. Its first use
//! makes it, with the patterns of that use. A reader gets the epoch of the name with each cursor. TCOMMIT refuses a cursor of
//! an earlier epoch, because the name was set to another place after that cursor was handed out; one without an epoch counts
//! as of the present one. Reading commits nothing.
//!
//! A commit is recorded and sent to the other nodes as every setting is, and answered when enough of them have it
//! (`cluster/committing`).

use std::sync::Arc;

use super::command::{Misread, NamedView, Start, Told, TopicRefusal, TopicReply};
use super::cursor::{Cursor, NAMES_MAX};
use super::id::EntryId;
use super::named::Named;
use super::origin::OriginNode;
use super::planted::Bug;
use super::reading::{Ended, Room};
use super::topics::Topics;
use super::wanted::Wanted;
use crate::command::Reply;
use crate::effect::Effect;
use crate::limits;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::setting::SettingKind;
use crate::settings::Change;
use crate::time::Now;

const KIND: SettingKind = SettingKind::TOPIC_CURSOR;

/// What is known of a name.
enum Known {
    /// Nothing.
    Nothing,
    /// It was deleted, in this epoch.
    Deleted(u64),
    /// What a newer node wrote.
    Unreadable,
    /// This, in this epoch.
    Named(u64, Named),
}

impl Node {
    fn known(&self, name: &[u8]) -> Known {
        let Some(setting) = self.shared.get(KIND, name) else {
            return Known::Nothing;
        };
        match setting.value.as_deref().map(Named::decode) {
            Some(Some(named)) => Known::Named(setting.version, named),
            Some(None) => Known::Unreadable,
            None => Known::Deleted(setting.version),
        }
    }

    /// Where a reader begins. A name is made if this is its first use.
    pub(super) fn begin_reader(
        &mut self,
        now: Now,
        start: &Start,
        patterns: &[&[u8]],
        effects: &mut Vec<Effect>,
    ) -> Result<Cursor, Reply> {
        let Start::Named(name, first) = start else {
            return Ok(self.topics.start(start, patterns));
        };
        let wanted = in_order(patterns);
        let epoch = match self.known(name) {
            Known::Named(epoch, named) if named.patterns == wanted => {
                let is_former = self.topics.origins.has(Bug::EpochOfBefore);
                let epoch = if is_former { 1 } else { epoch };
                return Ok(named.cursor.in_epoch(Some(epoch)));
            }
            Known::Named(_, named) => {
                let misread = Misread {
                    name: Arc::clone(name),
                    reads: named.patterns,
                    not: wanted,
                };
                return Err(Reply::Topic(Box::new(TopicReply::Misread(misread))));
            }
            Known::Unreadable => return Err(Reply::Refused(TopicRefusal::UnknownCursor.into())),
            Known::Deleted(epoch) => epoch.saturating_add(1),
            Known::Nothing if self.shared.count_of(KIND) >= limits::TOPIC_CURSORS => {
                return Err(Reply::Refused(TopicRefusal::TooManyCursors.into()));
            }
            // The same at all nodes: two that make it at once mean one name.
            Known::Nothing => 1,
        };
        let cursor = self.topics.start(first, patterns).in_epoch(None);
        let named = Named::begin(wanted, cursor.clone());
        let written = self.write_named(now, (name, epoch), &named, effects);
        written.map_err(Reply::Refused)?;
        Ok(cursor.in_epoch(Some(epoch)))
    }

    fn write_named(
        &mut self,
        now: Now,
        (name, epoch): (&[u8], u64),
        named: &Named,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let value = named.encode();
        let change = Change {
            kind: KIND,
            name,
            value: Some(&value),
        };
        self.write_setting_at(now, epoch, change, effects)?;
        self.arm_lagging(now);
        Ok(())
    }

    /// TCOMMIT. Returns whether it said anything new, which has gone to the other nodes.
    pub(super) fn commit_cursor(
        &mut self,
        now: Now,
        name: &[u8],
        cursor: &Cursor,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, Refusal> {
        self.check_topics()?;
        let (epoch, mut named) = match self.known(name) {
            Known::Named(epoch, named) => (epoch, named),
            Known::Deleted(epoch) if cursor.epoch().is_some_and(|own| own <= epoch) => {
                return Err(TopicRefusal::StaleCursor.into());
            }
            Known::Deleted(_) | Known::Nothing | Known::Unreadable => {
                return Err(TopicRefusal::UnknownCursor.into());
            }
        };
        match cursor.epoch() {
            Some(own) if self.is_stale(own, epoch) => {
                return Err(TopicRefusal::StaleCursor.into());
            }
            Some(own) if own > epoch => return Err(TopicRefusal::CursorAhead.into()),
            Some(_) | None => {}
        }
        let mut both = self.topics.both(&named.cursor, cursor);
        if self.topics.origins.has(Bug::CommitBack) {
            both = cursor.clone().in_epoch(None);
        }
        if self.topics.origins.has(Bug::CommitBeyond) {
            both.merge(&self.topics.live);
        }
        if both == named.cursor {
            return Ok(false);
        }
        if both.cut().len() > NAMES_MAX {
            return Err(TopicRefusal::TooManyNames.into());
        }
        named.commit(OriginNode::of(&self.id), now.wall.0, both);
        self.write_named(now, (name, epoch), &named, effects)?;
        Ok(true)
    }

    /// Whether a name was set elsewhere since a cursor was handed out.
    fn is_stale(&self, own: u64, epoch: u64) -> bool {
        let origins = &self.topics.origins;
        own < epoch && !origins.has(Bug::CommitStale) || origins.has(Bug::CommitRefused)
    }

    /// TCURSOR: all names.
    pub(super) fn cursor_names(&self) -> TopicReply {
        let all = self.shared.of_kind(KIND);
        let kept = all.filter(|setting| setting.value.is_some());
        TopicReply::Names(kept.map(|setting| Arc::clone(&setting.name)).collect())
    }

    /// How many named cursors there are.
    pub(super) fn cursor_count(&self) -> usize {
        let all = self.shared.of_kind(KIND);
        all.filter(|setting| setting.value.is_some()).count()
    }

    /// TCURSOR name.
    pub(super) fn cursor_view(&mut self, now: Now, name: &[u8]) -> TopicReply {
        self.topics.advance(now.wall);
        let Known::Named(epoch, named) = self.known(name) else {
            return TopicReply::Named(None);
        };
        if self.topics.origins.has(Bug::NameUnseen) && named.committed_ms().is_none() {
            return TopicReply::Named(None);
        }
        let behind = self.topics.behind(&named);
        let committed = named.committed_ms();
        let view = NamedView {
            cursor: named.cursor.in_epoch(Some(epoch)),
            patterns: named.patterns,
            behind,
            committed_ms_ago: committed.map(|ms| now.wall.0.saturating_sub(ms)),
        };
        TopicReply::Named(Some(Box::new(view)))
    }

    /// TCURSOR name SET start.
    pub(super) fn set_cursor(
        &mut self,
        now: Now,
        name: &[u8],
        start: &Start,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        self.check_topics()?;
        let Known::Named(epoch, named) = self.known(name) else {
            return Err(TopicRefusal::UnknownCursor.into());
        };
        self.topics.advance(now.wall);
        let patterns: Vec<&[u8]> = named.patterns.iter().map(|pattern| &**pattern).collect();
        let cursor = self.topics.start(start, &patterns);
        let named = Named::begin(named.patterns, cursor);
        if self.topics.origins.has(Bug::RewindMerged) {
            self.write_named(now, (name, epoch), &named, effects)?;
            return Ok(TopicReply::Done);
        }
        let value = named.encode();
        let change = Change {
            kind: KIND,
            name,
            value: Some(&value),
        };
        self.write_settings(now, &[change], effects)?;
        Ok(TopicReply::Done)
    }

    /// TCURSOR name DEL.
    pub(super) fn delete_cursor(
        &mut self,
        now: Now,
        name: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        self.unset_topic(now, KIND, name, effects)
    }
}

impl Topics {
    /// What the readers of either cursor have passed, with no name that follows from the rest.
    pub(super) fn both(&self, one: &Cursor, other: &Cursor) -> Cursor {
        let mut both = one.clone();
        both.merge(other);
        self.origins.tidy(both.cut_mut());
        both
    }

    /// How many entries its reader may get here that it has not committed. The first ten thousand records are counted one by
    /// one; beyond them each channel counts in blocks of its own, so that the count may be too high by some hundred for each.
    pub(super) fn behind(&self, named: &Named) -> u64 {
        let mut wanted = Wanted::new(named.patterns.iter().map(|pattern| &**pattern));
        let room = Room {
            count: u64::MAX,
            bytes: u64::MAX,
            to: None,
            lost: EntryId::ZERO,
        };
        let mut behind = 0;
        let cursor = named.cursor.clone();
        let (cursor, ended) = self.fill(cursor, &mut wanted, room, true, |told, _, _| {
            behind += match told {
                Told::Entry(..) | Told::Unread(_) => 1,
                Told::Lost(..) => 0,
            };
        });
        match ended {
            Ended::Empty | Ended::Full | Ended::Crossing => behind,
            Ended::Tired => {
                let channels = self.channels.iter();
                let those = channels.filter(|(key, channel)| {
                    channel.newest() > cursor.id() && wanted.above(&self.channels, *key).is_some()
                });
                let rest = those.map(|(_, channel)| {
                    let (first, _) = channel.span_of(cursor.id());
                    channel.entries_from(first)
                });
                behind + rest.sum::<u64>()
            }
        }
    }
}

/// Patterns in order, each once: in which order a client gives them means nothing.
fn in_order(patterns: &[&[u8]]) -> Vec<Arc<[u8]>> {
    let mut patterns: Vec<Arc<[u8]>> = patterns.iter().map(|&pattern| pattern.into()).collect();
    patterns.sort_unstable();
    patterns.dedup();
    patterns
}
