//! A small shell: what a server does around a core, without sockets, clocks and files. The core's own tests and the
//! simulator drive their nodes with it.
//!
//! A [`Shell`] is one run of a process. It starts from a [`Disk`], which outlives it. Every event goes to the node, and what
//! the node decides is carried out in the server's order: records go to the disk, then bodies that are in the log alone are
//! read. Messages and replies have [`Left`] the node; each says how far the log must be synced before it may go on. Last,
//! the node has to hear what it is [`Owed`]: where its records lie, what was read for it, and which records of topics are on
//! disk; and then [`Event::Deliver`], while it [owes its readers](Node::owes_readers).
//!
//! The caller owns clocks, links and clients. It decides when an event happens, how long a sync takes, what a crash
//! loses, and when a connection has taken what it was given. [`Shell::settle`] serves a caller whose disk takes no time.
//!
//! A new effect gets an arm in `carry_out`; the event that answers it goes to `owed`. A new kind of record needs nothing
//! here.

mod disk;
mod owed;
mod reading;

pub use disk::Disk;
pub use owed::Owed;

use crate::command::{Command, Reply};
use crate::effect::{Effect, News};
use crate::event::Event;
use crate::id::{ClientId, JobId, NodeId, Ticket};
use crate::invariants;
use crate::log::{Gates, Policy, Position, Reload, Restore, Start};
use crate::message::Message;
use crate::node::{Node, Settings};
use crate::planted::Bug;
use crate::record::{Location, Record, Stream};
use crate::time::{Now, Time, WallTime};
use crate::topic::{Origin, Push, TopicRecord};

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The id of the node.
    pub id: NodeId,
    /// Its settings.
    pub settings: Settings,
    /// What its generator is seeded with.
    pub seed: [u8; 32],
    /// Rises at every start.
    pub generation: u64,
    /// What the wall clock says.
    pub wall: WallTime,
    /// The timeline begins no earlier, wherever the log ends.
    pub not_before: Time,
    /// What becomes of at-least-once jobs after an unclean stop.
    pub reload: Reload,
    /// What waits for the disk.
    pub policy: Policy,
    /// The invariants are checked after every event while the node holds fewer jobs than this, and now and then
    /// with more.
    pub few: usize,
    /// A bug to have, which takes the feature `planted-bugs`.
    pub bug: Option<Bug>,
}

/// What has left a node, and up to where the log must be synced before it may go on.
#[derive(Debug)]
pub enum Left {
    /// A message to a peer, over the link that is up to it.
    Send(NodeId, Message, Position),
    /// A reply to a client.
    Reply(Ticket, Reply, Position),
    /// What a connection subscribed to.
    Push(ClientId, Box<Push>),
    /// The node wants to hear, by [`Event::ReaderReady`], when this connection has taken what it was given.
    AwaitReader(ClientId),
}

/// A process that runs: the node, and what is known of its log.
#[derive(Debug)]
pub struct Shell {
    node: Node,
    gates: Gates,
    policy: Policy,
    base: Time,
    few: usize,
    events: u64,
    /// Empty between events.
    effects: Vec<Effect>,
    /// Where records of jobs lie that the node has not heard of.
    recorded: Vec<(JobId, Location)>,
    /// Where entries of topics lie that the node has not heard of.
    entries: Vec<(Origin, u64, Location)>,
    /// This is to be on disk soon, whatever the policy.
    urgent: Position,
    /// What else it has to hear.
    owed: Vec<Event<'static>>,
    sync_began: bool,
}

impl Shell {
    /// Starts a node from what is on its disk. `seen` is shown every effect before it is carried out.
    pub fn start(
        boot: &Boot,
        disk: &mut Disk,
        left: &mut Vec<Left>,
        seen: impl FnMut(&Effect),
    ) -> Self {
        let mut restore = Restore::new(boot.id, boot.settings, boot.seed);
        plant(&mut restore, boot.bug);
        for (at, record) in disk.records() {
            restore.apply(at, record.clone());
        }
        let base = restore.timeline(boot.wall).max(boot.not_before);
        let start = Start {
            now: Now {
                time: base,
                wall: boot.wall,
            },
            generation: boot.generation,
            segment: disk.roll(Stream::Jobs),
            topic_segment: disk.roll(Stream::Topics),
            reload: boot.reload,
        };
        let mut effects = Vec::new();
        let mut shell = Shell {
            node: restore.finish(start, &mut effects),
            gates: Gates::new(0),
            policy: boot.policy,
            base,
            few: boot.few,
            events: 0,
            effects,
            recorded: Vec::new(),
            entries: Vec::new(),
            urgent: Position::START,
            owed: Vec::new(),
            sync_began: false,
        };
        shell.check();
        shell.carry_out(disk, left, seen);
        shell
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where its timeline began.
    pub fn base(&self) -> Time {
        self.base
    }

    /// Feeds one event to the node, and carries out what it decides. What leaves is appended to `left`; `seen` is shown
    /// every effect before it is carried out. Tell the node next what it is [`Owed`].
    pub fn feed(
        &mut self,
        disk: &mut Disk,
        now: Now,
        event: Event<'_>,
        left: &mut Vec<Left>,
        seen: impl FnMut(&Effect),
    ) {
        self.node.handle(now, event, &mut self.effects);
        self.events += 1;
        self.check();
        self.carry_out(disk, left, seen);
    }

    /// Feeds one event, and all that follows from it, to a node whose disk takes no time.
    pub fn settle(&mut self, disk: &mut Disk, now: Now, event: Event<'_>, left: &mut Vec<Left>) {
        self.feed(disk, now, event, left, |_| {});
        disk.sync_now();
        let owed = self.take_owed(disk);
        owed.tell(|event| self.settle(disk, now, event, left));
        if self.node.owes_readers() {
            self.settle(disk, now, Event::Deliver, left);
        }
    }

    /// The reply to a command that only looks.
    pub fn ask(&mut self, now: Now, command: Command<'_>) -> Option<Reply> {
        let ticket = Ticket {
            client: ClientId(0),
            number: 0,
        };
        let mut effects = Vec::new();
        self.node
            .handle(now, Event::Command(ticket, command), &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(_, reply, _) => Some(reply),
            Effect::Persist(..)
            | Effect::Send(..)
            | Effect::Fetch(..)
            | Effect::Retire(..)
            | Effect::Push(..)
            | Effect::FetchEntries(_)
            | Effect::AwaitReader(_) => None,
        })
    }

    /// What the node has to hear after an event or a sync, and before the next.
    pub fn take_owed(&mut self, disk: &Disk) -> Owed {
        let open = self.open_to(disk);
        let readable = !self.recorded.is_empty() && self.node.is_spilling();
        Owed {
            recorded: std::mem::take(&mut self.recorded),
            entries: std::mem::take(&mut self.entries),
            events: std::mem::take(&mut self.owed),
            readable: readable.then(|| disk.end(Stream::Jobs)),
            safe: self.gates.take_topics(open),
        }
    }

    /// Whether something is to be on disk soon, whatever the policy, and is not.
    pub fn wants_sync(&self, disk: &Disk) -> bool {
        self.urgent > disk.synced()
    }

    /// Whether a sync of the disk has begun since this was last asked. Where gates wait for the disk, or if a record is
    /// urgent, one begins with a record as soon as none is under way; the caller decides when it ends.
    pub fn take_sync_began(&mut self) -> bool {
        std::mem::take(&mut self.sync_began)
    }

    /// How far the log is synced, as far as what has left waits for it.
    pub fn open_to(&self, disk: &Disk) -> Position {
        match self.policy {
            Policy::Always | Policy::AlwaysButFailing => disk.synced(),
            // The disk never stalls for that long.
            Policy::Stalls => Position(u64::MAX),
        }
    }

    /// More of the log is synced. Returns how far, as [`Shell::open_to`].
    pub fn synced(&mut self, disk: &Disk) -> Position {
        let open = self.open_to(disk);
        self.gates.prune(open);
        open
    }

    /// The check walks over all that a node holds: with much, now and then must do.
    fn check(&self) {
        let held = self.node.job_count();
        if held < self.few || self.events.is_multiple_of((held as u64 / 10).max(1)) {
            invariants::check(&self.node);
        }
    }

    fn carry_out(&mut self, disk: &mut Disk, left: &mut Vec<Left>, mut seen: impl FnMut(&Effect)) {
        let mut effects = std::mem::take(&mut self.effects);
        effects.iter().for_each(&mut seen);
        let persist = |effect: &mut Effect| matches!(effect, Effect::Persist(..));
        for effect in effects.extract_if(.., persist) {
            if let Effect::Persist(record, news) = effect {
                self.persist(disk, record, news);
            }
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Persist(..) => unreachable!("all records are on disk"),
                Effect::Send(to, mut message, wait) => {
                    reading::complete_message(disk, &mut message);
                    let gate = self.gates.of_message(self.policy, wait, &message);
                    left.push(Left::Send(to, message, gate));
                }
                Effect::Reply(ticket, reply, wait) => {
                    if let Some(mut reply) = self.complete(disk, ticket, reply) {
                        reading::complete_page(disk, &mut reply);
                        let gate = self.gates.of_reply(self.policy, wait, &reply);
                        left.push(Left::Reply(ticket, reply, gate));
                    }
                }
                Effect::Fetch(id, place) => self.fetch(disk, id, place),
                Effect::Retire(stream, below) => disk.retire(stream, below),
                Effect::Push(client, mut push) => {
                    reading::complete_told(disk, &mut push.told);
                    left.push(Left::Push(client, push));
                }
                Effect::FetchEntries(mut told) => {
                    for one in &mut told {
                        reading::complete_told(disk, one);
                    }
                    self.owed.push(Event::EntriesFetched(told));
                }
                Effect::AwaitReader(client) => left.push(Left::AwaitReader(client)),
            }
        }
        self.effects = effects;
    }

    fn persist(&mut self, disk: &mut Disk, record: Record, news: News) {
        let position = Position(disk.given().0 + 1);
        self.gates.record(self.policy, &record, news, position);
        let at = disk.end(record.stream());
        if let Record::Added(job) = &record {
            self.recorded.push((job.id, at));
        }
        if let Record::Topic(TopicRecord::Entry(entry)) = &record {
            self.entries.push((entry.origin, entry.number, at));
        }
        let is_urgent = record.is_urgent();
        disk.append(record);
        if is_urgent {
            self.urgent = position;
        }
        if self.policy != Policy::Stalls || is_urgent {
            self.sync_began |= disk.begin_sync();
        }
    }
}

#[cfg(feature = "planted-bugs")]
fn plant(restore: &mut Restore, bug: Option<Bug>) {
    if let Some(bug) = bug {
        restore.plant(bug);
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(_: &mut Restore, bug: Option<Bug>) {
    assert_eq!(bug, None, "no bugs without the feature");
}
