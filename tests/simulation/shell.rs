//! What the server does around a core: it starts it from the log, wakes it, and carries out its effects in the order
//! persist, send, reply. The latter two wait for the disk as the core's own gates say, and messages over one link keep
//! their order: so what does not have to wait leaves at once, unless something before it waits.

use std::time::Duration;

use shoalmq_core::command::Reply;
use shoalmq_core::effect::{Effect, News};
use shoalmq_core::event::Event;
use shoalmq_core::id::{StoreId, Ticket};
use shoalmq_core::log::{self, Gates, Reload, Restore, Start};
use shoalmq_core::node::{Eviction, Log, MemoryPolicy, Settings};
use shoalmq_core::planted::Bug;
use shoalmq_core::record::{Record, Stream};
use shoalmq_core::time::Time;

use crate::cluster::Cluster;
use crate::host::{Held, Inbound, Peer, Process};
use crate::membership::new_membership;
use crate::plan::Policy;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};

/// A node that wants to be woken this many times at one moment is in a loop.
const TICKS_AT_ONCE: u32 = 200;
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
        (host.recorded, host.fetched) = (Vec::new(), Vec::new());
        host.generation += 1;
        if host.disk.given() == 0 {
            host.store = StoreId(self.dice.next());
        }
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
            ..Settings::default()
        };
        self.checker
            .settings
            .reread(index, host.disk.records().map(|(_, record)| record));
        let mut restore = Restore::new(host.id, settings, self.dice.bytes());
        plant(&mut restore, plan.bug);
        for (at, record) in host.disk.records() {
            restore.apply(at, record.clone());
        }
        let base = restore.timeline(host.clock.at(now));
        let (id, boot) = (host.id, host.boots);
        let segment = host.disk.roll();
        let start = Start {
            now: shoalmq_core::time::Now {
                time: base,
                wall: host.clock.at(now),
            },
            generation: host.generation,
            segment,
            topic_segment: 1,
            reload: Reload::Active,
        };
        let mut effects = Vec::new();
        let core = restore.finish(start, &mut effects);
        host.timeline = base;
        let timeout = Duration::from_micros(plan.node_timeout);
        let gossip = new_membership(host, self.dice.next() as u32, timeout, self.dice.bytes());
        host.process = Some(Process {
            boot,
            core,
            gossip,
            started: now,
            base,
            held: Vec::new(),
            gates: Gates::new(0),
            armed: Micros::MAX,
            gossip_armed: Micros::MAX,
            peers: vec![Peer::default(); plan.hosts],
            stops: None,
            ticks: (Time::ZERO, 0),
        });
        self.trace
            .note(now, index, || format!("starts: {id}, generation {boot}"));
        self.carry_out(index, effects);
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
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let mut effects = std::mem::take(&mut self.effects);
        process.core.handle(now, event, &mut effects);
        self.events += 1;
        // The check walks over all that a node holds: with much, now and then must do.
        let held = process.core.job_count() as u64;
        if held < 20 || self.events.is_multiple_of(held / 10) {
            shoalmq_core::invariants::check(&process.core);
        }
        self.effects = self.carry_out(index, effects);
        self.roll_segment(index);
        self.spill(index);
        self.arm(index);
    }

    /// Carries out effects. Returns the empty vector.
    fn carry_out(&mut self, index: HostIndex, mut effects: Vec<Effect>) -> Vec<Effect> {
        for effect in &effects {
            self.trace.effect(self.now, index, effect);
            if let Effect::Persist(record, news) = effect {
                self.persist(index, record.clone(), *news);
            }
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Persist(..) => {}
                Effect::Send(to, mut message, wait) => {
                    for (id, body) in message.unread_bodies() {
                        let read = self.hosts[index].disk.read(&id, body);
                        *body = read.expect("what is sent can be read");
                    }
                    let to = self.host_of(&to);
                    if let Some(incarnation) = self.network.link(index, to) {
                        let gate = self.gate(index, |gates, policy| {
                            gates.of_message(policy, wait, &message)
                        });
                        let held = Held::Send(to, incarnation, Box::new(message));
                        self.hold(index, gate, held);
                    }
                }
                Effect::Fetch(id, place) => {
                    let read = self.hosts[index].disk.read(&id, &place);
                    let read = read.expect("what lives stays readable");
                    let host = &mut self.hosts[index];
                    host.fetched.push((id, place, read));
                }
                Effect::Reply(ticket, mut reply, wait) => {
                    let hands_out = matches!(reply, Reply::Unread(_));
                    for (id, body) in reply.unread_bodies() {
                        let read = self.hosts[index].disk.read(&id, body);
                        assert!(read.is_some() || !hands_out, "{id} can be read");
                        *body = read.unwrap_or(body.clone());
                    }
                    let reply = reply.into_read().expect("every body was read");
                    let gate =
                        self.gate(index, |gates, policy| gates.of_reply(policy, wait, &reply));
                    let held = Held::Reply(ticket, Box::new(reply), self.now);
                    self.hold(index, gate, held);
                }
                Effect::Retire(Stream::Topics, _) => {}
                Effect::Push(..) | Effect::AwaitReader(_) | Effect::FetchEntries(_) => {
                    panic!("{effect:?}: no topics here")
                }
                Effect::Retire(Stream::Jobs, below) => self.hosts[index].disk.retire(below),
            }
        }
        effects
    }

    fn persist(&mut self, index: HostIndex, record: Record, news: News) {
        let position = self.hosts[index].disk.given() + 1;
        let wall = self.hosts[index].clock.at(self.now);
        self.checker
            .recorded(self.now, index, wall, &record, position);
        let id = if let Record::Added(job) = &record {
            Some(job.id)
        } else {
            None
        };
        let policy = self.gate_policy();
        if let Some(process) = &mut self.hosts[index].process {
            let position = log::Position(position);
            process.gates.record(policy, &record, news, position);
        }
        let at = self.hosts[index].disk.append(record);
        self.hosts[index].recorded.extend(id.map(|id| (id, at)));
        if self.plan.policy == Policy::Always {
            self.begin_sync(index);
        }
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

    /// Tells a core where its records lie, that they can be read, and what it wanted to be read.
    fn spill(&mut self, index: HostIndex) {
        let host = &mut self.hosts[index];
        let readable = host.disk.end();
        let recorded = std::mem::take(&mut host.recorded);
        let fetched = std::mem::take(&mut host.fetched);
        let Some(process) = &host.process else {
            return;
        };
        let spills = process.core.is_spilling();
        if !recorded.is_empty() {
            self.feed(index, Event::Recorded(&recorded));
        }
        for (id, place, read) in fetched {
            let read = Some(read);
            self.feed(index, Event::Fetched { id, place, read });
        }
        if spills && !recorded.is_empty() {
            self.feed(index, Event::Written(readable));
        }
    }

    fn begin_sync(&mut self, index: HostIndex) {
        let host = &mut self.hosts[index];
        let Some(boot) = host.boot() else { return };
        if host.disk.begin_sync() {
            let slow = if self.slow_disks.contains(&index) {
                20
            } else {
                1
            };
            let takes = self.disk_dice.between(100, self.plan.sync * slow);
            self.after(takes.min(700 * MS), Happening::Synced(index, boot));
        }
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
        if self.plan.policy == Policy::Always {
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
        if disk.in_segment() < self.plan.segment {
            return;
        }
        let segment = disk.roll();
        let (rewrite, compact) = (self.disk_dice.percent(15), self.disk_dice.percent(30));
        self.feed(index, Event::SegmentStarted(Stream::Jobs, segment));
        if rewrite {
            self.feed(index, Event::Rewrite);
        } else if compact {
            let (bytes, below, room) = (u64::MAX, segment, COMPACTION_ROOM);
            self.feed(index, Event::Compact { bytes, below, room });
        }
    }

    /// Schedules the next tick, if it is wanted sooner than the one that is.
    pub(crate) fn arm(&mut self, index: HostIndex) {
        let now = self.now;
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let at = process.when(process.core.deadline()).max(now + 1);
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
        if process.core.deadline() > time {
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

#[cfg(feature = "planted-bugs")]
fn plant(restore: &mut Restore, bug: Option<Bug>) {
    if let Some(bug) = bug {
        restore.plant(bug);
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(_: &mut Restore, bug: Option<Bug>) {
    assert_eq!(
        bug, None,
        "the command line refuses bugs without the feature"
    );
}
