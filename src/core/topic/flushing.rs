//! TFLUSH: a mark below which everything that a pattern matches is gone, also what comes later.
//!
//! The mark is a setting, so it outlives restarts and reaches nodes that were away. Of two marks of one pattern the higher
//! one wins. It never lies above the clock of the node that sets it, so it cannot reach entries to come.

use super::command::{Before, TopicRefusal, TopicReply};
use super::id::EntryId;
use super::planted::Bug;
use crate::effect::Effect;
use crate::limits;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::setting::{Setting, SettingKind};
use crate::settings::Change;
use crate::time::{Now, WallTime};

impl Node {
    /// TFLUSH.
    pub(super) fn flush_topics(
        &mut self,
        now: Now,
        pattern: &[u8],
        before: Before,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        self.check_topics()?;
        self.topics.advance(now.wall);
        let marks = &self.topics.marks;
        if marks.get(pattern).is_none() && marks.len() >= limits::TOPIC_MARKS {
            return Err(TopicRefusal::TooManyMarks.into());
        }
        let wish = before.last();
        let former = self.topics.marks.get(pattern);
        let mark = self.topics.flush_mark(pattern, wish);
        // An earlier flush reaches further: the setting of a lower mark would take it back.
        if former.is_some_and(|former| former >= mark) {
            return Ok(TopicReply::Count(0));
        }
        let value = mark.to_string();
        let change = Change {
            kind: SettingKind::TOPIC_FLUSHED,
            name: pattern,
            value: Some(value.as_bytes()),
        };
        self.write_settings(now, &[change], effects)?;
        let gone = self.topics.flush(pattern, mark);
        self.retire_topics(effects);
        self.watch_topic_log(now);
        Ok(TopicReply::Count(gone))
    }

    /// Removes what is set on a name. The answer is 1, or 0 if nothing is.
    pub(super) fn unset_topic(
        &mut self,
        now: Now,
        kind: SettingKind,
        name: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        self.check_topics()?;
        let is_known = self.shared.value(kind, name).is_some();
        if is_known {
            let value = None;
            self.write_settings(now, &[Change { kind, name, value }], effects)?;
        }
        Ok(TopicReply::Count(u64::from(is_known)))
    }

    /// A setting of topics was taken over, from another node or from the log.
    /// No clock is known yet while the log is read.
    pub(crate) fn follow_topic_setting(&mut self, wall: Option<WallTime>, setting: &Setting) {
        let value = setting.value.as_deref();
        if setting.kind == SettingKind::TOPIC_FLUSHED
            && let Some(id) = value.and_then(EntryId::parse)
        {
            // What is published from now on lies above it.
            self.topics.pass_mark(wall, id);
            self.topics.marks.merge(&setting.name, id);
            self.topics.flush(&setting.name, id);
        }
        if setting.kind == SettingKind::TOPIC_BINDING {
            self.topics
                .follow_binding(&setting.name, setting.version, value);
        }
        if setting.kind == SettingKind::TOPIC_RULE {
            self.topics.follow_rule(&setting.name, value);
        }
    }
}

impl super::Topics {
    /// The clock moves past a mark, unless a wrong clock made it.
    fn pass_mark(&mut self, wall: Option<WallTime>, id: EntryId) {
        match wall {
            Some(wall) => {
                self.meet_clock(wall, id);
            }
            None => self.pass_clock(id),
        }
    }

    /// Where a flush ends that is to reach up to this id.
    fn flush_mark(&mut self, pattern: &[u8], wish: EntryId) -> EntryId {
        let clock = *self.clock();
        if self.origins.has(Bug::FlushReachesOn) {
            let reading = clock.reading();
            let mark = EntryId::new(reading.ms() + 3000, reading.seq());
            self.marks.merge(pattern, mark);
            return mark;
        }
        self.marks.flush(pattern, wish, &clock)
    }
}
