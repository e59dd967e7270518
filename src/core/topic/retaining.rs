//! TRETAIN: how long entries are kept. Each node applies the rules by itself, in steps, about once a second.
//!
//! A rule takes entries by raising the floor of their channels, as a flush does, but readers who have not read them are told.

use std::sync::Arc;
use std::time::Duration;

use super::channels::{ChannelKey, Floor};
use super::command::{TopicRefusal, TopicReply};
use super::entries::Stretch;
use super::glob::{Case, matches};
use super::id::EntryId;
use super::retention::Rule;
use super::topics::Topics;
use crate::agenda::Timer;
use crate::effect::Effect;
use crate::limits;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::setting::SettingKind;
use crate::settings::Change;
use crate::time::{Now, WallTime};

/// A pass over all channels.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// The next channel that is looked at.
    next: u32,
    /// The timer is on the agenda.
    is_armed: bool,
}

impl Node {
    /// TRETAIN with a pattern.
    pub(super) fn set_rule(
        &mut self,
        now: Now,
        pattern: &[u8],
        rule: Option<Rule>,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        self.check_topics()?;
        let is_known = self.topics.rules.get(pattern).is_some();
        if rule.is_some() && !is_known && self.topics.rules.len() >= limits::TOPIC_RULES {
            return Err(TopicRefusal::TooManyRules.into());
        }
        let value = rule.map(|rule| rule.to_string());
        let change = Change {
            kind: SettingKind::TOPIC_RULE,
            name: pattern,
            value: value.as_ref().map(String::as_bytes),
        };
        if rule.is_some() || is_known {
            self.write_settings(now, &[change], effects)?;
            self.topics.follow_rule(pattern, change.value);
        }
        self.arm_retention(now);
        Ok(match rule {
            Some(_) => TopicReply::Done,
            None => TopicReply::Count(u64::from(is_known)),
        })
    }

    pub(super) fn retention_rules(&self) -> TopicReply {
        let rules = self.topics.rules.iter();
        TopicReply::Rules(rules.map(|(p, rule)| (Arc::from(p), rule)).collect())
    }

    /// There are rules to apply, from now on.
    pub(crate) fn arm_retention(&mut self, now: Now) {
        if !self.topics.rules.is_empty() && !self.topics.retention.is_armed {
            self.topics.retention.is_armed = true;
            self.agenda.add_timer(now.time, Timer::Retention);
        }
    }

    /// The next step of a pass.
    pub(crate) fn on_retention(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.topics.retention.is_armed = false;
        if self.topics.rules.is_empty() {
            return;
        }
        let is_over = self.topics.retain_some(now.wall);
        self.retire_topics(effects);
        self.watch_topic_log(now);
        let pause = if is_over {
            self.topics.retain_bytes();
            limits::RETENTION_EVERY
        } else {
            Duration::ZERO
        };
        self.topics.retention.is_armed = true;
        self.agenda.add_timer(now.time + pause, Timer::Retention);
    }
}

impl Topics {
    /// A rule is set on a pattern, or none any more. What is no rule was written by a newer node, and is left to it.
    pub(super) fn follow_rule(&mut self, pattern: &[u8], value: Option<&[u8]>) {
        match value.map(Rule::parse) {
            Some(Some(rule)) => self.rules.set(pattern, rule),
            Some(None) => {}
            None => {
                self.rules.remove(pattern);
            }
        }
    }

    /// Applies the rules to some channels. Returns whether the pass is over.
    fn retain_some(&mut self, wall: WallTime) -> bool {
        let from = self.retention.next;
        let keys = self.channels.iter_from(from);
        let keys: Vec<ChannelKey> = keys
            .take(limits::RETENTION_STEP)
            .map(|(key, _)| key)
            .collect();
        let (mut floors, mut too_long) = (Vec::new(), Vec::new());
        for &key in &keys {
            let channel = self.channels.get(key);
            let Some((_, rule)) = self.rules.of(channel.name()) else {
                continue;
            };
            if let Some(age) = rule.age {
                let ms = wall.0.saturating_sub(age.as_millis() as u64);
                // Who has read the newest has lost nothing.
                let floor = EntryId::new(ms, 0).before().min(channel.newest());
                floors.push((key, floor));
            }
            if let Some(most) = rule.entries.filter(|&most| channel.entries() > most) {
                too_long.push((key, most));
            }
        }
        let kept = self.oldest_kept(&too_long).into_iter();
        self.raise_all(Floor::Taken, &floors);
        let floors: Vec<_> = kept.map(|(key, oldest)| (key, oldest.before())).collect();
        self.raise_all(Floor::Taken, &floors);
        let is_over = keys.len() < limits::RETENTION_STEP;
        self.retention.next = match keys.last() {
            Some(last) if !is_over => last.number() + 1,
            Some(_) | None => 0,
        };
        is_over
    }

    /// For some channels, the id of the oldest entry that stays if the newest ones do, as many as are named. It is one walk for
    /// all of them.
    fn oldest_kept(&self, bounded: &[(ChannelKey, u64)]) -> Vec<(ChannelKey, EntryId)> {
        // The block that the oldest one lies in.
        let span = |key, most: u64| {
            let channel = self.channels.get(key);
            let last = most.checked_sub(1)?;
            Some(channel.span_of(channel.id_behind(last)))
        };
        let spans = bounded.iter().map(|&(key, most)| (key, span(key, most)));
        let spans: Vec<Stretch> = spans.collect();
        let mut ids = vec![Vec::new(); bounded.len()];
        self.entries.visit_stretches(&spans, |place, entry| {
            if entry.id > self.channels.get(entry.channel).floor() {
                ids[place].push(entry.id);
            }
        });
        let kept = bounded.iter().zip(spans).zip(ids);
        let kept = kept.map(|((&(key, most), (_, span)), mut ids)| {
            let Some((first, end)) = span else {
                return (key, EntryId::MAX);
            };
            // How many entries of that block stay.
            let stays = most - self.channels.get(key).entries_from(end.after());
            ids.sort_unstable_by(|one, other| other.cmp(one));
            (key, ids.get(stays as usize - 1).copied().unwrap_or(first))
        });
        kept.collect()
    }

    /// MAXBYTES: the oldest blocks of all channels of a rule go until the rest fits.
    fn retain_bytes(&mut self) {
        let bounded: Vec<(Arc<[u8]>, u64)> = self
            .rules
            .iter()
            .filter_map(|(pattern, rule)| Some((Arc::from(pattern), rule.bytes?)))
            .collect();
        for (pattern, most) in bounded {
            let mut blocks = Vec::new();
            let mut bytes = 0;
            for (key, channel) in self.channels.iter() {
                let is_match = matches(&pattern, channel.name(), Case::Exact);
                let follows = is_match
                    && self
                        .rules
                        .of(channel.name())
                        .is_some_and(|(p, _)| *p == *pattern);
                if follows {
                    bytes += channel.bytes();
                    blocks.extend(channel.block_ends().map(|(end, bytes)| (end, bytes, key)));
                }
            }
            if bytes <= most {
                continue;
            }
            blocks.sort_unstable();
            for (end, size, key) in blocks {
                if bytes <= most {
                    break;
                }
                self.raise(key, Floor::Taken, end);
                bytes -= size;
            }
        }
    }
}
