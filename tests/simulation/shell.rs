//! What drives the shell around a core: it is started from its disk, fed what arrives, and woken. A sync takes time, and
//! what has left a core goes on once the disk is synced as far as the gates say (see `gates`).

use std::time::Duration;

use shoalmq_core::command::{Delivery, Reply};
use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::{StoreId, Ticket};
use shoalmq_core::log::{Position, Reload};
use shoalmq_core::node::{Eviction, Log, MemoryPolicy, Settings, Sync};
use shoalmq_core::record::{Record, Stream};
use shoalmq_core::shell::{Boot, Left, Shell};
use shoalmq_core::time::{Time, WallTime};

use crate::checker::Checker;
use crate::cluster::Cluster;
use crate::host::{Held, Inbound, Peer, Process};
use crate::membership::new_membership;
use crate::plan::Policy;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::trace::Trace;

/// A node that wants to be woken this many times at one moment is in a loop.
const TICKS_AT_ONCE: u32 = 200;
/// With fewer jobs, the invariants of a node are checked after every event.
const FEW_JOBS: usize = 20;
/// The most bytes that a pass over the log records again: some dozens of jobs.
const COMPACTION_ROOM: u64 = 4096;

impl Cluster {
    /// Starts the process of a machine from what is on its disk.
    pub(crate) fn start(&mut self, index: HostIndex) {
        let plan = self.plan.clone();
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.process.is_some() || host.removed {
            return;
        }
        host.boots += 1;
        host.generation += 1;
        if host.disk.given() == Position::START {
            host.store = StoreId(self.dice.next());
        }
        let topics = plan.topics.as_ref();
        let settings = Settings {
            // Few, so that queues share a tally, too.
            tallied_queues: 2,
            max_memory: plan.memory,
            eviction: Eviction::Acks,
            memory: MemoryPolicy::Spill,
            log: Log::On,
            default_replicate: 3,
            min_replicate: 2,
            heal_delay: plan.heal_delay,
            leaving_grace: plan.leaving_grace,
            sync: match plan.policy {
                Policy::Always => Sync::First,
                Policy::EverySecond | Policy::Sometimes => Sync::Later,
            },
            topic_memory: topics.map_or(1 << 30, |topics| topics.memory),
            topic_disk: topics.map_or(1 << 40, |topics| topics.disk),
            topic_dedup_ms: topics.map_or(120_000, |topics| topics.dedup_ms),
            ..Settings::default()
        };
        self.checker
            .settings
            .reread(index, host.disk.records().map(|(_, record)| record));
        let records: Vec<&Record> = host.disk.records().map(|(_, record)| record).collect();
        self.checker.reread_names(now, index, &records);
        self.checker.lore.bases.remove(&index);
        self.checker.topics.bound.reread(index, &records);
        let (id, boot) = (host.id, host.boots);
        let start = Boot {
            id,
            settings,
            seed: self.dice.bytes(),
            generation: host.generation,
            wall: host.clock.at(now),
            not_before: Time::ZERO,
            reload: Reload::Active,
            policy: plan.policy.gates(),
            few: FEW_JOBS,
            bug: plan.bug,
        };
        self.trace
            .note(now, index, || format!("starts: {id}, generation {boot}"));
        let (trace, checker) = (&mut self.trace, &mut self.checker);
        let host = &mut self.hosts[index];
        let seen = watch(
            now,
            index,
            host.clock.at(now),
            host.disk.given(),
            trace,
            checker,
        );
        let mut left = Vec::new();
        let shell = Shell::start(&start, &mut host.disk, &mut left, seen);
        let base = shell.base();
        host.timeline = base;
        let began = (base.as_millis(), now);
        self.checker.lore.bases.insert(index, began);
        let timeout = Duration::from_micros(plan.node_timeout);
        let gossip = new_membership(host, self.dice.next() as u32, timeout, self.dice.bytes());
        host.process = Some(Process {
            boot,
            shell,
            gossip,
            started: now,
            base,
            held: Vec::new(),
            repeated: 0,
            armed: Micros::MAX,
            gossip_armed: Micros::MAX,
            peers: vec![Peer::default(); plan.hosts],
            stops: None,
            ticks: (Time::ZERO, 0),
        });
        self.let_go(index, left);
        // Whatever the policy: a second crash must not deliver at-most-once jobs twice.
        self.hosts[index].disk.sync_now();
        if plan.policy != Policy::Always {
            self.after(sync_every(plan.policy), Happening::SyncDue(index, boot));
        }
        self.join(index);
        self.arm(index);
    }

    /// Feeds one event to a core that runs, and carries out what it asks for.
    pub(crate) fn feed(&mut self, index: HostIndex, event: Event<'_>) {
        let now = self.hosts[index].now(self.now);
        self.trace.event(self.now, index, &event);
        if let Event::Undelivered(ids) | Event::Postponed(ids) = &event {
            self.checker.unseen(ids);
        }
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else {
            return;
        };
        self.events += 1;
        let (trace, checker) = (&mut self.trace, &mut self.checker);
        let wall = host.clock.at(self.now);
        let seen = watch(self.now, index, wall, host.disk.given(), trace, checker);
        let mut left = std::mem::take(&mut self.left);
        process
            .shell
            .feed(&mut host.disk, now, event, &mut left, seen);
        self.settle_drops(index);
        self.left = self.let_go(index, left);
        self.roll_segment(index);
        self.tell_owed(index);
        self.end_batch(index);
        self.arm(index);
    }

    /// What has left a core waits for the disk, or goes on. Returns the empty vector.
    fn let_go(&mut self, index: HostIndex, mut left: Vec<Left>) -> Vec<Left> {
        let process = self.hosts[index].process.as_mut();
        if process.is_some_and(|process| process.shell.take_sync_began()) {
            self.sync_begins(index);
        }
        for left in left.drain(..) {
            match left {
                Left::Send(to, message, gate) => {
                    let to = self.host_of(&to);
                    if let Some(incarnation) = self.network.link(index, to) {
                        let held = Held::Send(to, incarnation, Box::new(message));
                        self.hold(index, gate, held);
                    }
                }
                Left::Push(client, push) => self.pushed(index, client, *push),
                Left::AwaitReader(client) => self.reader_awaited(client),
                Left::Reply(ticket, reply, gate) => {
                    let held = Held::Reply(ticket, Box::new(reply), self.now);
                    self.hold(index, gate, held);
                }
            }
        }
        left
    }

    /// The client is gone: replies that have not left never will. What they would have delivered, nobody has seen.
    pub(crate) fn drop_replies(&mut self, index: HostIndex, client: shoalmq_core::id::ClientId) {
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let mut unseen = Vec::new();
        process.held.retain(|(_, held)| match held {
            Held::Reply(ticket, reply, _) if ticket.client == client => {
                if let Reply::Delivered(jobs, _) = reply.as_ref() {
                    unseen.extend(jobs.iter().map(|job| job.id));
                }
                false
            }
            Held::Reply(..) | Held::Send(..) => true,
        });
        if !unseen.is_empty() {
            self.feed(index, Event::Undelivered(unseen));
        }
    }

    /// Tells a core where its records lie, that they can be read, what it wanted to be read, and what is on disk.
    fn tell_owed(&mut self, index: HostIndex) {
        let host = &mut self.hosts[index];
        if let Some(process) = &mut host.process {
            let owed = process.shell.take_owed(&host.disk);
            owed.tell(|event| self.feed(index, event));
        }
    }

    fn begin_sync(&mut self, index: HostIndex) {
        let host = &mut self.hosts[index];
        if host.process.is_some() && host.disk.begin_sync() {
            self.sync_begins(index);
        }
    }

    fn sync_begins(&mut self, index: HostIndex) {
        let Some(boot) = self.hosts[index].boot() else {
            return;
        };
        let slow = if self.slow_disks.contains(&index) {
            20
        } else {
            1
        };
        let takes = self.disk_dice.between(100, self.plan.sync * slow);
        self.after(takes.min(700 * MS), Happening::Synced(index, boot));
    }

    /// The disk is through.
    pub(crate) fn synced(&mut self, index: HostIndex, boot: u32) {
        let host = &mut self.hosts[index];
        if host.boot() != Some(boot) {
            return;
        }
        if host.is_paused() {
            return self.after(100 * MS, Happening::Synced(index, boot));
        }
        host.disk.end_sync();
        self.release_held(index);
        self.tell_owed(index);
        let host = &self.hosts[index];
        let process = host.process.as_ref();
        let is_urgent = process.is_some_and(|process| process.shell.wants_sync(&host.disk));
        if self.plan.policy == Policy::Always || is_urgent {
            self.begin_sync(index);
        }
    }

    pub(crate) fn sync_due(&mut self, index: HostIndex, boot: u32) {
        if self.hosts[index].boot() == Some(boot) {
            self.begin_sync(index);
            let every = sync_every(self.plan.policy);
            self.after(every, Happening::SyncDue(index, boot));
        }
    }

    fn roll_segment(&mut self, index: HostIndex) {
        let disk = &mut self.hosts[index].disk;
        if u64::from(disk.end(Stream::Jobs).offset) >= self.plan.segment {
            let segment = disk.roll(Stream::Jobs);
            let (rewrite, compact) = (self.disk_dice.percent(15), self.disk_dice.percent(30));
            self.feed(index, Event::SegmentStarted(Stream::Jobs, segment));
            if rewrite {
                self.feed(index, Event::Rewrite);
            } else if compact {
                let (bytes, below, room) = (u64::MAX, segment, COMPACTION_ROOM);
                self.feed(index, Event::Compact { bytes, below, room });
            }
        }
        self.roll_topics(index);
    }

    /// The same for topics. What a segment repeats does not make it full.
    fn roll_topics(&mut self, index: HostIndex) {
        let records = self.plan.topics.as_ref().map_or(1000, |plan| plan.segment);
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else {
            return;
        };
        let full = process.repeated.saturating_add(records);
        if u64::from(host.disk.end(Stream::Topics).offset) < full {
            return;
        }
        process.repeated = u64::MAX;
        let segment = host.disk.roll(Stream::Topics);
        self.feed(index, Event::SegmentStarted(Stream::Topics, segment));
        let host = &mut self.hosts[index];
        if let Some(process) = &mut host.process {
            process.repeated = host.disk.end(Stream::Topics).offset.into();
        }
    }

    /// Schedules the next tick, if it is wanted sooner than the one that is.
    pub(crate) fn arm(&mut self, index: HostIndex) {
        let now = self.now;
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let at = process.when(process.shell.node().deadline()).max(now + 1);
        if at < process.armed {
            process.armed = at;
            let boot = process.boot;
            self.at(at, Happening::Tick(index, boot));
        }
    }

    /// Wakes a core.
    pub(crate) fn tick(&mut self, index: HostIndex, boot: u32) {
        let host = &mut self.hosts[index];
        if host.boot() != Some(boot) || host.is_paused() {
            return;
        }
        let time = host.now(self.now).time;
        let Some(process) = &mut host.process else {
            return;
        };
        // One that was armed before a sooner one.
        if process.armed != self.now {
            return;
        }
        process.armed = Micros::MAX;
        if process.shell.node().deadline() > time {
            return self.arm(index);
        }
        let (last, ticks) = process.ticks;
        process.ticks = if last == time {
            (time, ticks + 1)
        } else {
            (time, 0)
        };
        if ticks > TICKS_AT_ONCE {
            let what = format!("n{index} wants to be woken again and again at one moment");
            return self.checker.violate(None, what);
        }
        self.end_batch_now(index);
        self.feed(index, Event::Tick);
    }

    /// Something reaches a process: at once, or when it goes on.
    pub(crate) fn arrive(&mut self, index: HostIndex, inbound: Inbound) {
        let host = &mut self.hosts[index];
        if host.process.is_none() {
            return;
        }
        if let Some(inbox) = &mut host.inbox {
            return inbox.push(inbound);
        }
        match inbound {
            Inbound::Message(from, message) => self.feed(index, Event::Message(from, *message)),
            Inbound::Ask(ticket, ask) => self.ask_core(index, ticket, &ask),
            Inbound::Disconnected(client) => {
                self.drop_replies(index, client);
                self.feed(index, Event::Disconnected(client));
            }
            Inbound::Datagram(bytes) => self.gossip(index, shoalmq_gossip::Event::Packet(bytes)),
        }
    }

    fn ask_core(&mut self, index: HostIndex, ticket: Ticket, ask: &crate::client::Ask) {
        if self.hosts[index].serves() {
            self.checker.asked_of(self.now, index, ask);
            self.feed(index, Event::Command(ticket, ask.command()));
        }
    }

    /// The process goes on after SIGSTOP.
    pub(crate) fn resume(&mut self, index: HostIndex) {
        let Some(inbox) = self.hosts[index].inbox.take() else {
            return;
        };
        self.trace.note(self.now, index, || "goes on".to_owned());
        for inbound in inbox {
            self.arrive(index, inbound);
        }
        if let Some(process) = &mut self.hosts[index].process {
            (process.armed, process.gossip_armed) = (Micros::MAX, Micros::MAX);
        }
        self.arm(index);
        self.arm_gossip(index);
    }
}

fn sync_every(policy: Policy) -> Micros {
    match policy {
        Policy::Always | Policy::EverySecond => SECOND,
        Policy::Sometimes => 1500 * MS,
    }
}

/// Shows all that a core decides to the trace, and what it records to the checker.
fn watch<'a>(
    now: Micros,
    index: HostIndex,
    wall: WallTime,
    given: Position,
    trace: &'a mut Trace,
    checker: &'a mut Checker,
) -> impl FnMut(&Effect) + 'a {
    let Position(mut position) = given;
    move |effect| {
        trace.effect(now, index, effect);
        if let Effect::Persist(record, _) = effect {
            position += 1;
            checker.recorded(now, index, wall, record, Position(position));
        }
        if let Effect::Send(to, message, _) = effect {
            checker.wait_told(index, to, message);
        }
        for delivery in deliveries_of(effect) {
            checker.handed_out(now, index, delivery);
        }
    }
}

/// What a core hands out.
fn deliveries_of(effect: &Effect) -> &[Delivery] {
    match effect {
        Effect::Reply(_, Reply::Delivered(jobs, _), _) => jobs,
        Effect::Reply(_, Reply::Unread(unread), _) => &unread.jobs,
        _ => &[],
    }
}
