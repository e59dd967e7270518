//! The one owner of the node: a lock, held for one batch of commands or one tick.
//!
//! A connection's task takes the lock itself: measured, a short lock per read costs less than handing each read
//! to another task. The task that holds it feeds events in, carries out the effects (records to the journal, replies to
//! the connection or to the mailboxes of others), and never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shoalmq_core::command::{Again, Command, Question, Reply};
use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::{ClientId, JobId, NodeId, Ticket};
use shoalmq_core::log::Gates;
use shoalmq_core::message::Message;
use shoalmq_core::node::{Log, Node, Settings};
use shoalmq_core::record::{Location, Segment, Stream};
use shoalmq_core::time::{Now, Time};
use shoalmq_storage::journal::{Journal, Load, Policy, Position};
use shoalmq_storage::streams::{STREAMS, Streams};
use tokio::sync::{Notify, oneshot, watch};

use super::clients::{Client, Mailbox};
use super::clock::{self, Clock};
use super::identity::Identity;
use super::logging::LogHandle;
use super::persistence::{self, Backups, Health, LogState, Rewrite};
use super::readiness::RefusedAdds;
use super::reading::{Bodies, Wanted};
use super::slowlog::{LatencyMonitor, SlowLog};
use super::stats::Stats;
use super::topics::Topics;
use crate::config::{AppendFsync, Config, MaxmemoryPolicy, MemoryPolicy, Storage};
use effects::Asking;
use shoalmq_resp::Protocol;

mod effects;
mod naming;

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The process ends.
    Exit,
    /// It starts again in place, after a delay: DEBUG RESTART.
    Restart(Duration),
}

/// How a command was answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The reply is written, and may leave when the log is on disk up to here.
    Now(Position),
    /// The reply comes by mail, once this many bytes of bodies are read.
    Unread(usize),
    /// There is no reply: the connection is to end.
    HungUp,
}

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) driver: Mutex<Driver>,
    /// The node wants its next tick earlier than it did.
    pub(crate) tick_sooner: Notify,
    /// A connection is over.
    pub(crate) client_left: Notify,
    /// Replies may leave up to this position of the log.
    pub(crate) released: watch::Sender<Position>,
    /// `appendfsync`, for the journal's daemon.
    pub(crate) policy: Arc<Mutex<Policy>>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: watch::Sender<Option<Stop>>,
}

impl Shared {
    /// What the tasks of a node share when it starts: nothing is loaded yet, and nothing holds replies back.
    pub(super) fn new(config: Config, identity: Identity, logging: LogHandle, port: u16) -> Self {
        let released = watch::Sender::new(Position(u64::MAX));
        let health = Arc::new(Health::default());
        let policy = Arc::new(Mutex::new(persistence::policy(&config)));
        let parts = Parts {
            config,
            identity,
            logging,
            health: Arc::clone(&health),
            released: released.clone(),
            port,
        };
        Shared {
            driver: Mutex::new(Driver::new(parts)),
            tick_sooner: Notify::new(),
            client_left: Notify::new(),
            released,
            policy,
            health,
            stop: watch::Sender::new(None),
        }
    }
}

/// A log that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loading {
    pub(crate) since: Instant,
    pub(crate) unix_seconds: u64,
    pub(crate) total_bytes: u64,
    pub(crate) loaded_bytes: u64,
}

impl Loading {
    /// How much of it is read, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let total = self.total_bytes.max(self.loaded_bytes).max(1);
        self.loaded_bytes as f64 / total as f64
    }

    /// How long the rest takes, if it goes on like that; none before anything was read.
    pub(crate) fn left(&self) -> Option<Duration> {
        let (share, elapsed) = (self.share(), self.since.elapsed());
        (share > 0.0).then(|| elapsed.mul_f64((1.0 - share) / share))
    }
}

/// The node, and what the server keeps beside it.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) cluster: super::cluster::Cluster,
    pub(crate) log: LogState,
    pub(crate) rewrite: Rewrite,
    pub(crate) backups: Backups,
    pub(crate) loading: Option<Loading>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    pub(crate) monitors: BTreeSet<ClientId>,
    /// No command runs any more: a task that still gets the lock is promised nothing.
    pub(crate) is_closed: bool,
    /// CLIENT PAUSE: no command runs before this.
    pub(crate) paused_until: Option<Instant>,
    pub(crate) stats: Stats,
    pub(crate) slowlog: SlowLog,
    pub(crate) latency: LatencyMonitor,
    pub(crate) logging: LogHandle,
    pub(crate) health: Arc<Health>,
    pub(crate) refused_adds: RefusedAdds,
    pub(crate) started: Instant,
    pub(crate) run_id: String,
    /// The port that clients connect to, also where the system chose it.
    pub(crate) port: u16,
    pub(super) gates: Gates,
    /// Replies may leave up to this position of the log.
    released: watch::Sender<Position>,
    /// The way to bodies in the log, while there is one.
    pub(super) bodies: Option<Bodies>,
    /// Bodies that the core wants to be read, and what tells of them.
    pub(super) wanted: Vec<Wanted>,
    pub(super) wants: Arc<Notify>,
    /// Jobs that were recorded, and where, since the core was last told.
    recorded: Vec<(JobId, Location)>,
    /// Segments below the first are to retire, those below the second do.
    retire: Streams<(Segment, Segment)>,
    pub(super) topics: Topics,
    /// The way to entries of topics in the log, while there is one.
    pub(super) entries: Option<Bodies>,
    effects: Vec<Effect>,
    /// Connections that got mail since the last [`Driver::settle`].
    pub(super) mailed: Vec<Arc<Mailbox>>,
    /// The tick that is waited for.
    armed: Time,
    next_client: u64,
    /// Who asked for the whole cluster over HTTP, and waits for the answer.
    questions: BTreeMap<ClientId, oneshot::Sender<Reply>>,
}

/// What a driver is made of.
struct Parts {
    config: Config,
    identity: Identity,
    logging: LogHandle,
    health: Arc<Health>,
    released: watch::Sender<Position>,
    port: u16,
}

impl Driver {
    /// A driver of an empty node.
    fn new(parts: Parts) -> Self {
        let clock = Clock::starting_at(Time::from_millis(clock::wall().0));
        let settings = settings(&parts.config, Log::Off);
        let mut node = Node::new(
            parts.identity.id,
            settings,
            clock.now().time,
            clock::entropy(),
        );
        node.begin_generation(parts.identity.generation);
        Driver {
            node,
            clock,
            config: parts.config,
            identity: parts.identity,
            cluster: super::cluster::Cluster::default(),
            log: LogState::Off,
            rewrite: Rewrite::default(),
            backups: Backups::default(),
            loading: None,
            clients: BTreeMap::new(),
            monitors: BTreeSet::new(),
            is_closed: false,
            paused_until: None,
            stats: Stats::new(),
            slowlog: SlowLog::default(),
            latency: LatencyMonitor::default(),
            logging: parts.logging,
            health: parts.health,
            refused_adds: RefusedAdds::default(),
            started: Instant::now(),
            run_id: NodeId::from_bytes(clock::entropy()).to_string(),
            port: parts.port,
            gates: Gates::new(u64::from_le_bytes(clock::entropy())),
            released: parts.released,
            bodies: None,
            wanted: Vec::new(),
            wants: Arc::default(),
            recorded: Vec::new(),
            retire: Streams::default(),
            topics: Topics::default(),
            entries: None,
            effects: Vec::new(),
            mailed: Vec::new(),
            armed: Time::NEVER,
            next_client: 1,
            questions: BTreeMap::new(),
        }
    }

    /// Feeds one event that no connection waits for.
    pub(crate) fn feed(&mut self, event: Event<'_>) {
        let now = self.clock.now();
        self.node.handle(now, event, &mut self.effects);
        self.carry_out(None);
    }

    /// Feeds a command. Returns the gate of its reply, if it was answered at once: else the answer comes by mail.
    pub(crate) fn feed_command(
        &mut self,
        now: Now,
        ticket: Ticket,
        command: Command<'_>,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Option<Answered> {
        self.node
            .handle(now, Event::Command(ticket, command), &mut self.effects);
        let asking = Asking {
            ticket,
            protocol,
            out,
        };
        let answered = self.carry_out(Some(asking));
        if answered.is_none() {
            self.expect_answer(ticket);
        }
        answered
    }

    /// The answer to this ticket comes by mail.
    pub(crate) fn expect_answer(&mut self, ticket: Ticket) {
        if let Some(client) = self.clients.get_mut(&ticket.client) {
            client.unanswered += 1;
        }
    }

    /// Mails the answer to a command that the core does not know.
    pub(crate) fn answer(&mut self, ticket: Ticket, reply: &[u8]) {
        let Some(client) = self.clients.get_mut(&ticket.client) else {
            return;
        };
        client.unanswered -= 1;
        let posted = client.mailbox.answer_bytes(ticket.number, reply);
        self.stats.output_bytes.total += posted.bytes as u64;
        if posted.is_first {
            self.mailed.push(Arc::clone(&client.mailbox));
        }
    }

    /// Asks the whole cluster a question that is not a client's. The answer comes within moments, even if nodes are silent.
    pub(crate) fn ask(&mut self, question: Question) -> oneshot::Receiver<Reply> {
        let (sender, answer) = oneshot::channel();
        let client = self.next_client();
        self.questions.insert(client, sender);
        let ticket = Ticket { client, number: 0 };
        self.feed(Event::Command(ticket, Command::Global(question)));
        answer
    }

    /// Feeds what a peer said, in order.
    pub(crate) fn feed_messages(&mut self, from: NodeId, messages: impl Iterator<Item = Message>) {
        let now = self.clock.now();
        for message in messages {
            self.node
                .handle(now, Event::Message(from, message), &mut self.effects);
        }
        self.carry_out(None);
    }

    /// A GETJOB goes on, for what it was to be answered with cannot be read; its reply comes by mail.
    pub(crate) fn feed_again(&mut self, ticket: Ticket, again: Again) {
        if let Some(client) = self.clients.get_mut(&ticket.client) {
            client.unanswered += 1;
            self.feed(Event::GetAgain(ticket, again));
        }
    }

    /// Takes effects that came another way than from an event: those of a start.
    pub(crate) fn take_effects(&mut self, effects: Vec<Effect>) {
        self.effects.extend(effects);
        self.carry_out(None);
    }

    /// Ends a batch or a tick: rolls a full segment, wakes clients that have mail and links that have something to write,
    /// and gives up links that cannot take it. Returns whether the next tick is wanted earlier than it was.
    pub(crate) fn settle(&mut self) -> bool {
        if let Some(journal) = self.log.journal().cloned() {
            let load = journal.load();
            for stream in STREAMS {
                if load.segment_is_full[stream] {
                    let segment = journal.roll(stream);
                    self.feed(Event::SegmentStarted(stream, segment));
                }
            }
            self.settle_bodies(&journal, load);
        }
        self.settle_topics();
        self.watch_growth();
        self.gates.prune(*self.released.borrow());
        while let Some(id) = self.cluster.take_broken() {
            self.link_down(&id);
        }
        self.cluster.wake();
        for mailbox in self.mailed.drain(..) {
            mailbox.arrived.notify_one();
        }
        let deadline = self.node.deadline();
        let sooner = deadline < self.armed;
        self.armed = self.armed.min(deadline);
        sooner
    }

    /// Tells the core where its records lie, and how far they are written; retires what was pinned until now.
    fn settle_bodies(&mut self, journal: &Journal, load: Load) {
        if !self.recorded.is_empty() {
            let mut recorded = std::mem::take(&mut self.recorded);
            self.feed(Event::Recorded(&recorded));
            recorded.clear();
            if self.recorded.is_empty() {
                self.recorded = recorded;
            }
        }
        if self.node.is_spilling() {
            self.feed(Event::Written(load.readable.jobs));
        }
        if self.is_behind(load.pending_bytes) != self.health.is_behind() {
            self.watch_disk(&self.released);
        }
        self.retire(journal);
        if !self.wanted.is_empty() {
            self.wants.notify_one();
        }
    }

    /// Retires segments, as far as nobody is about to read from them.
    fn retire(&mut self, journal: &Journal) {
        for stream in STREAMS {
            let (wanted, retired) = self.retire[stream];
            if wanted > retired {
                let unpinned = match stream {
                    Stream::Jobs => self.bodies.as_ref(),
                    Stream::Topics => self.entries.as_ref(),
                };
                let below = unpinned.map_or(wanted, |bodies| bodies.unpinned(wanted));
                if below > retired {
                    self.retire[stream].1 = below;
                    journal.retire(stream, below);
                }
            }
        }
    }

    /// Replaces the log.
    pub(super) fn set_log(&mut self, log: LogState) {
        let reader = |stream| log.journal().and_then(|journal| journal.reader(stream));
        self.bodies = reader(Stream::Jobs).map(Bodies::new);
        self.entries = reader(Stream::Topics).map(Bodies::new);
        self.retire = Streams::default();
        self.recorded.clear();
        self.topics.forget_recorded();
        self.log = log;
    }

    /// A connection has mail: it hears of it at the end of the batch.
    pub(crate) fn note_mail(&mut self, mailbox: &Arc<Mailbox>) {
        self.mailed.push(Arc::clone(mailbox));
    }

    /// Up to where replies may leave.
    pub(super) fn released(&self) -> Position {
        *self.released.borrow()
    }

    /// Runs the tick if it is due. Returns when the next one is.
    pub(crate) fn tick(&mut self) -> Option<Instant> {
        if self.node.deadline() <= self.clock.now().time {
            self.feed(Event::Tick);
            self.settle();
        }
        self.armed = self.node.deadline();
        self.clock.instant(self.armed)
    }

    /// A number for a connection, never given twice.
    pub(crate) fn next_client(&mut self) -> ClientId {
        self.next_client += 1;
        ClientId(self.next_client - 1)
    }
}

/// What the core must know of the configuration.
pub(crate) fn settings(config: &Config, log: Log) -> Settings {
    Settings {
        max_memory: config.maxmemory.map_or(0, std::num::NonZeroU64::get),
        eviction: match config.maxmemory_policy {
            MaxmemoryPolicy::Acks => shoalmq_core::node::Eviction::Acks,
            MaxmemoryPolicy::Noeviction => shoalmq_core::node::Eviction::Never,
        },
        memory: match (config.memory_policy, config.storage) {
            (MemoryPolicy::Spill, Storage::Sled | Storage::Log) => {
                shoalmq_core::node::MemoryPolicy::Spill
            }
            (MemoryPolicy::Refuse, _) | (_, Storage::Memory) => {
                shoalmq_core::node::MemoryPolicy::Refuse
            }
        },
        log,
        default_replicate: config.default_replicate.get(),
        result_max: config.result_max_size,
        min_replicate: config.min_replicate.min(config.default_replicate).get(),
        heal_delay: config.heal_delay,
        leaving_grace: config.leaving_grace,
        sync: match config.appendfsync {
            AppendFsync::Always => shoalmq_core::node::Sync::First,
            AppendFsync::Everysec | AppendFsync::No => shoalmq_core::node::Sync::Later,
        },
        topic_series: config.metrics_max_topics,
        topic_memory: config.topic_max_memory,
        topic_disk: persistence::topic_disk(config),
        topics: if config.topics {
            shoalmq_core::node::TopicMember::Yes
        } else {
            shoalmq_core::node::TopicMember::No
        },
        topic_replicate: config.topic_replicate.into(),
        topic_min_replicate: config.min_replicate.get(),
        topic_stall: config.topic_stall,
        topic_dedup_ms: config.topic_dedup_window.as_millis() as u64,
        tallied_queues: config.metrics_max_queues,
    }
}
