//! TFLUSH, and the commands that only look: TLEN, TSTAT, TSCAN. And which flow answers which command.

use super::channels::{ChannelKey, Floor};
use super::command::{Before, Publish, TopicCommand, TopicReply};
use super::figures::Scan;
use super::glob::{Case, is_literal, matches};
use super::id::EntryId;
use super::planted::Bug;
use crate::command::Reply;
use crate::effect::Effect;
use crate::id::Ticket;
use crate::log::answer;
use crate::node::Node;
use crate::time::Now;

impl Node {
    pub(crate) fn on_topic_command(
        &mut self,
        now: Now,
        ticket: Ticket,
        command: &TopicCommand<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let reply = match command {
            // These answer by themselves, some of them later.
            TopicCommand::Publish(publish) => return self.publish(now, ticket, publish, effects),
            TopicCommand::Announce { channel, body } => {
                let publish = Publish::announcement(channel, body);
                return self.publish_unwatched(now, ticket, &publish, effects);
            }
            TopicCommand::Read(read) => return self.read_topics(now, ticket, read, effects),
            TopicCommand::Follow(follow) => return self.follow(now, ticket, follow, effects),
            TopicCommand::Unfollow(number) => return self.unfollow(ticket, *number, effects),
            TopicCommand::Subscribe(listen, names) => {
                return self.subscribe(now, ticket, *listen, names, effects);
            }
            TopicCommand::Unsubscribe(listen, names) => {
                return self.unsubscribe(ticket, *listen, names, effects);
            }
            TopicCommand::ActiveChannels(pattern) => Ok(self.active_channels(*pattern)),
            TopicCommand::Subscribers(names) => Ok(self.subscribers(names)),
            TopicCommand::PatternCount => Ok(self.pattern_count()),
            TopicCommand::Flush { pattern, before } => {
                self.flush_topics(now, pattern, *before, effects)
            }
            TopicCommand::Rules => Ok(self.retention_rules()),
            TopicCommand::SetRule { pattern, rule } => {
                self.set_rule(now, pattern, Some(*rule), effects)
            }
            TopicCommand::RemoveRule(pattern) => self.set_rule(now, pattern, None, effects),
            TopicCommand::Commit { name, cursor } => {
                match self.commit_cursor(now, name, cursor, effects) {
                    Ok(_) if self.topics.origins.has(Bug::CommitEarly) => Ok(TopicReply::Done),
                    Ok(is_new) => {
                        return self.wait_for_keepers(now, ticket, (name, is_new), effects);
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            TopicCommand::Cursors => Ok(self.cursor_names()),
            TopicCommand::NamedCursor(name) => Ok(self.cursor_view(now, name)),
            TopicCommand::SetCursor { name, start } => self.set_cursor(now, name, start, effects),
            TopicCommand::DeleteCursor(name) => self.delete_cursor(now, name, effects),
            TopicCommand::Bind {
                pattern,
                start,
                add,
            } => self.bind(now, (pattern, start), add, effects),
            TopicCommand::Unbind { pattern, queue } => self.unbind(now, (pattern, queue), effects),
            TopicCommand::Bindings => Ok(self.binding_views(now)),
            TopicCommand::Length(pattern) => Ok(self.topic_length(pattern)),
            TopicCommand::Stat(channel) => Ok(self.topic_stat(channel)),
            TopicCommand::Scan {
                cursor,
                count,
                pattern,
            } => Ok(self.topic_scan(*cursor, *count, *pattern)),
        };
        let reply = match self.check_topics().and(reply) {
            Ok(reply) => Reply::Topic(Box::new(reply)),
            Err(refusal) => Reply::Refused(refusal),
        };
        answer(ticket, reply, effects);
    }

    fn topic_length(&self, pattern: &[u8]) -> TopicReply {
        let keys = self.topics.matching(pattern).into_iter();
        let entries = keys.map(|key| self.topics.channels.get(key).entries());
        TopicReply::Count(entries.sum())
    }

    fn topic_stat(&mut self, channel: &[u8]) -> TopicReply {
        TopicReply::Stat(self.topic_view(channel).map(Box::new))
    }

    fn topic_scan(&self, cursor: u64, count: u64, pattern: Option<&[u8]>) -> TopicReply {
        let (next, found) = self.scan_topics(Scan {
            cursor,
            looks: usize::try_from(count).unwrap_or(usize::MAX),
            finds: usize::MAX,
            pattern,
        });
        TopicReply::Channels(next, found)
    }
}

impl super::Topics {
    /// The channels that a pattern matches.
    pub(super) fn matching(&self, pattern: &[u8]) -> Vec<ChannelKey> {
        if is_literal(pattern) {
            return self.channels.find(pattern).into_iter().collect();
        }
        let all = self.channels.iter();
        let those = all.filter(|(_, channel)| matches(pattern, channel.name(), Case::Exact));
        those.map(|(key, _)| key).collect()
    }

    /// Takes away what a pattern matches, up to an id. Returns how many entries went.
    pub(super) fn flush(&mut self, pattern: &[u8], to: EntryId) -> u64 {
        let keys = self.matching(pattern).into_iter();
        let floors: Vec<_> = keys.map(|key| (key, to)).collect();
        self.raise_all(Floor::Flushed, &floors)
    }
}

impl Before {
    /// The highest id that is flushed.
    pub(super) fn last(self) -> EntryId {
        match self {
            Before::Now => EntryId::MAX,
            Before::Id(id) => id.before(),
        }
    }
}
