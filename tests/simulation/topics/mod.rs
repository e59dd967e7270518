//! Topics in the simulation: publishers, readers that carry their cursors between nodes, and what must hold of it.
//!
//! Publishers try any node, hang up, and send again with DEDUP. A reader goes on from its cursor at any node, now by TREAD,
//! now by TSUB, and sometimes from an older cursor of its own. In some runs others read under a name and commit, begin with
//! LAST, read with TO, or SUBSCRIBE. Somebody flushes, and in some runs there are rules of retention. The `checker` sees
//! what clients see, and which entries are recorded where; after each answer it says whether that may be, and long after all
//! faults are over, whether each reader has all there is.

use std::collections::BTreeMap;

use shoalmq_core::command::{Command, Refusal, Reply, Wait};
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::ClientId;
use shoalmq_core::topic::{
    Before, Cursor, EntryId, Follow, Listen, Publish, Read, Rule, Start, TopicCommand, TopicReply,
};

use crate::client::Ask;
use crate::cluster::Cluster;
use crate::schedule::{HostIndex, Micros};

mod answers;
pub(crate) mod binding;
pub(crate) mod checker;
mod connections;
mod ending;
pub(crate) mod line;
mod listening;
pub(crate) mod names;
mod naming;
pub(crate) mod plan;
mod publishers;
mod readers;
mod starting;

pub(crate) use publishers::Terms;
pub(crate) use readers::Reader;

/// A publication, by the number in its body.
pub(crate) type Number = usize;
/// A reader, by its number.
pub(crate) type ReaderIndex = usize;
/// A named cursor, by its number.
pub(crate) type NameIndex = usize;
/// A commit of a name, by its number.
pub(crate) type CommitIndex = usize;

/// All clients of topics.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) readers: Vec<Reader>,
    /// Whose each connection is that follows by TSUB.
    pub(crate) followers: BTreeMap<ClientId, ReaderIndex>,
    /// Connections that took less than came, of which their nodes have not heard.
    pub(crate) slow: Vec<(HostIndex, ClientId)>,
    /// Readers that read all there is were sent out.
    pub(crate) ends: bool,
}

/// A command on topics, with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicAsk {
    /// TPUB.
    Publish(Box<Terms>),
    /// PUBLISH.
    Announce(Box<Terms>),
    /// TREAD.
    Read {
        start: Start,
        patterns: Vec<String>,
        to: Option<EntryId>,
        count: u64,
        bytes: u64,
        wait: Wait,
    },
    /// TSUB.
    Follow { start: Start, patterns: Vec<String> },
    /// TUNSUB.
    Unfollow,
    /// SUBSCRIBE, PSUBSCRIBE.
    Subscribe(Listen, String),
    /// UNSUBSCRIBE, PUNSUBSCRIBE.
    Unsubscribe(Listen),
    /// TCOMMIT.
    Commit(String, Box<Cursor>),
    /// TCURSOR name.
    Look(String),
    /// TCURSOR name SET.
    Rewind(String, Start),
    /// TFLUSH.
    Flush(String, Before),
    /// TRETAIN.
    Retain(String, Option<Rule>),
    /// TBIND.
    Bind,
}

/// Why something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicPurpose {
    Publish(Number),
    Announce(Number),
    Read(ReaderIndex),
    Follow(ReaderIndex),
    Unfollow(ReaderIndex),
    Commit(NameIndex, CommitIndex),
    Look(ReaderIndex),
    Rewind(NameIndex),
    /// TBIND.
    Bind,
    /// GETJOB of the worker.
    Work,
    Nothing,
}

/// What a client of topics does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicStep {
    /// Some publisher publishes.
    Publish,
    /// A publisher that was not answered sends again.
    Again(Number),
    /// A reader goes on, if nothing of it is under way.
    Go(ReaderIndex),
    /// A subscriber takes what its connection was given.
    Take(ReaderIndex, ClientId),
    /// A subscriber has enough: it unsubscribes, or hangs up.
    Leave(ReaderIndex, ClientId),
    /// Somebody sets a named cursor elsewhere.
    Rewind(NameIndex),
    /// Somebody flushes.
    Flush,
    /// Somebody changes a rule of retention.
    Retain,
    /// Somebody binds channels to a queue.
    Bind,
    /// The worker takes jobs.
    Work,
    /// A batch is over at a node.
    Settle(HostIndex, u32),
}

impl TopicAsk {
    /// The command as a core takes it.
    pub(crate) fn command(&self) -> Command<'_> {
        Command::Topic(Box::new(match self {
            TopicAsk::Publish(terms) => TopicCommand::Publish(Publish {
                channel: terms.channel.as_bytes(),
                body: terms.body.as_bytes(),
                replicate: terms.replicate,
                timeout: Some(terms.timeout),
                is_async: terms.is_async,
                dedup: terms.dedup.as_deref().map(str::as_bytes),
                extras: Extras::new(
                    terms
                        .dedup
                        .as_deref()
                        .map(|key| (Tag::DEDUP, key.as_bytes())),
                ),
            }),
            TopicAsk::Announce(terms) => TopicCommand::Announce {
                channel: terms.channel.as_bytes(),
                body: terms.body.as_bytes(),
            },
            TopicAsk::Read {
                start,
                patterns,
                to,
                count,
                bytes,
                wait,
            } => TopicCommand::Read(Read {
                start: start.clone(),
                patterns: patterns.iter().map(String::as_bytes).collect(),
                to: *to,
                count: *count,
                bytes: *bytes,
                wait: *wait,
                meta: false,
            }),
            TopicAsk::Follow { start, patterns } => TopicCommand::Follow(Follow {
                start: start.clone(),
                patterns: patterns.iter().map(String::as_bytes).collect(),
                meta: false,
            }),
            TopicAsk::Unfollow => TopicCommand::Unfollow(None),
            TopicAsk::Subscribe(listen, name) => {
                TopicCommand::Subscribe(*listen, vec![name.as_bytes()])
            }
            TopicAsk::Unsubscribe(listen) => TopicCommand::Unsubscribe(*listen, Vec::new()),
            TopicAsk::Commit(name, cursor) => TopicCommand::Commit {
                name: name.as_bytes(),
                cursor: (**cursor).clone(),
            },
            TopicAsk::Look(name) => TopicCommand::NamedCursor(name.as_bytes()),
            TopicAsk::Rewind(name, start) => TopicCommand::SetCursor {
                name: name.as_bytes(),
                start: start.clone(),
            },
            TopicAsk::Flush(pattern, before) => TopicCommand::Flush {
                pattern: pattern.as_bytes(),
                before: *before,
            },
            TopicAsk::Retain(pattern, Some(rule)) => TopicCommand::SetRule {
                pattern: pattern.as_bytes(),
                rule: *rule,
            },
            TopicAsk::Bind => TopicCommand::Bind {
                pattern: binding::PATTERN.as_bytes(),
                start: Start::Cursor(Box::default()),
                add: binding::add(),
            },
            TopicAsk::Retain(pattern, None) => TopicCommand::RemoveRule(pattern.as_bytes()),
        }))
    }
}

impl Cluster {
    pub(crate) fn topic_step(&mut self, step: TopicStep) {
        match step {
            TopicStep::Publish => self.publish_something(),
            TopicStep::Again(number) => self.publish_again(number),
            TopicStep::Go(reader) => self.reader_goes(reader),
            TopicStep::Take(reader, client) => self.take_pushes(reader, client),
            TopicStep::Leave(reader, client) => self.follower_leaves(reader, client),
            TopicStep::Rewind(name) => self.rewind(name),
            TopicStep::Flush => self.flush_something(),
            TopicStep::Retain => self.retain_something(),
            TopicStep::Bind => self.bind_something(),
            TopicStep::Work => self.work(),
            TopicStep::Settle(host, boot) => self.settle_batch(host, boot),
        }
    }

    /// A node that takes connections.
    fn any_topic_host(&mut self) -> Option<HostIndex> {
        let serving = self.topic_hosts();
        (!serving.is_empty()).then(|| self.topic_dice.pick(&serving))
    }

    /// The same, for a reader.
    fn any_host_for(&mut self, reader: ReaderIndex) -> Option<HostIndex> {
        let serving = self.topic_hosts();
        (!serving.is_empty()).then(|| self.dice_of(reader).pick(&serving))
    }

    fn topic_hosts(&self) -> Vec<HostIndex> {
        let all = 0..self.hosts.len();
        all.filter(|&index| self.hosts[index].serves()).collect()
    }

    fn ask_topic(
        &mut self,
        host: HostIndex,
        purpose: TopicPurpose,
        ask: TopicAsk,
    ) -> shoalmq_core::id::Ticket {
        let purpose = crate::workload::Purpose::Topic(purpose);
        self.ask(host, purpose, Ask::Topic(ask))
    }

    /// A reply to a command on topics has left the node.
    pub(crate) fn topic_answered(
        &mut self,
        host: HostIndex,
        purpose: TopicPurpose,
        reply: Reply,
        given: Micros,
    ) {
        let reply = match reply {
            Reply::Topic(reply) => *reply,
            Reply::Refused(refusal) => return self.topic_refused(host, purpose, refusal),
            Reply::Delivered(taken, _) if purpose == TopicPurpose::Work => {
                return self.worked(host, &taken);
            }
            Reply::NothingToDeliver if purpose == TopicPurpose::Work => return,
            reply => {
                let what = format!("n{host} answers {purpose:?} by {reply:?}");
                return self.checker.violate(None, what);
            }
        };
        match (purpose, reply) {
            (TopicPurpose::Publish(number), TopicReply::Published(id)) => {
                self.published(host, number, id);
            }
            (TopicPurpose::Announce(number), TopicReply::Announced(_)) => {
                self.announced(number);
            }
            (TopicPurpose::Read(reader), TopicReply::Page(page)) => {
                self.page_read(host, reader, &page, given);
            }
            (TopicPurpose::Follow(reader), TopicReply::Followed(_, cursor, _)) => {
                self.followed(host, reader, &cursor);
            }
            (TopicPurpose::Follow(reader), TopicReply::Subscribed(listen, told)) => {
                self.listens(host, reader, listen, &told);
            }
            (TopicPurpose::Unfollow(reader), TopicReply::Unfollowed(ended, _)) => {
                self.unfollowed(host, reader, &ended);
            }
            (TopicPurpose::Unfollow(reader), TopicReply::Unsubscribed(..)) => {
                self.listens_no_more(host, reader);
            }
            (TopicPurpose::Commit(name, number), TopicReply::Done) => {
                self.checker.committed(self.now, host, name, number);
            }
            (TopicPurpose::Look(reader), TopicReply::Named(view)) => {
                self.looked(host, reader, view.as_deref());
            }
            (TopicPurpose::Rewind(name), TopicReply::Done) => self.set_elsewhere(host, name),
            (TopicPurpose::Bind, TopicReply::Done) => self.checker.topics.bound.bind(),
            (TopicPurpose::Nothing, _) => {}
            (purpose, reply) => {
                let what = format!("n{host} answers {purpose:?} by {reply:?}");
                self.checker.violate(None, what);
            }
        }
    }

    /// A command on topics was refused.
    fn topic_refused(&mut self, host: HostIndex, purpose: TopicPurpose, refusal: Refusal) {
        match purpose {
            TopicPurpose::Publish(number) | TopicPurpose::Announce(number) => {
                self.publish_refused(host, number, refusal);
            }
            TopicPurpose::Read(reader)
            | TopicPurpose::Follow(reader)
            | TopicPurpose::Unfollow(reader)
            | TopicPurpose::Look(reader) => self.reader_stops(reader),
            TopicPurpose::Commit(name, number) => {
                self.commit_refused(host, name, number, refusal);
            }
            TopicPurpose::Rewind(name) => self.rewound(name),
            TopicPurpose::Bind | TopicPurpose::Work | TopicPurpose::Nothing => {}
        }
    }

    /// A command on topics will not be answered.
    pub(crate) fn topic_unanswered(&mut self, purpose: TopicPurpose) {
        match purpose {
            TopicPurpose::Publish(number) => self.publish_unanswered(number),
            TopicPurpose::Read(reader)
            | TopicPurpose::Follow(reader)
            | TopicPurpose::Unfollow(reader)
            | TopicPurpose::Look(reader) => self.reader_stops(reader),
            TopicPurpose::Rewind(name) => self.rewound(name),
            TopicPurpose::Announce(_)
            | TopicPurpose::Commit(..)
            | TopicPurpose::Bind
            | TopicPurpose::Work
            | TopicPurpose::Nothing => {}
        }
    }
}
