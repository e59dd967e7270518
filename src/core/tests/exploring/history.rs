//! Histories: how the nodes come to where an exploration begins, and what may happen then.

use super::looks::{Look, fingerprint, looks, told};
use super::world::{SEATS, World};
use crate::command::{AddJob, Command, GetJob, Nack, Question, Redrive, Told, Wait};
use crate::event::Event;
use crate::id::{JobId, QueueName};
use crate::job::JobState;
use crate::planted::Bug;
use crate::register::DeathReason;

/// No timer is let fire that is further away than this.
const HORIZON_MS: u64 = 60_000;
/// How long nothing goes wrong in [`Step::Pass`].
const PASS_MS: u64 = 2500;

/// What a client does, at a node, with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Get,
    Nack,
    /// NACK … DELAY, in seconds.
    Wait(u32),
    Ack,
    /// REDRIVE of the queue that the job is in; that of other nodes, too.
    Redrive,
}

/// The node, the job, the act. Done once at most.
pub(super) type ClientStep = (usize, usize, Act);

/// Where an exploration begins, and what may happen.
pub(super) struct Situation {
    pub(super) name: &'static str,
    /// Brings the nodes there.
    pub(super) begin: fn(&mut World),
    pub(super) clients: &'static [ClientStep],
    /// MAXDELIVER of each job.
    pub(super) most: u16,
    /// The nodes that may crash: one of them, once.
    pub(super) crashes: &'static [usize],
    /// How many messages may be lost.
    pub(super) losses: usize,
    /// How often time may pass in which nothing goes wrong.
    pub(super) passes: usize,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The nth message on the wire arrives.
    Deliver(usize),
    /// It is lost.
    Lose(usize),
    /// The next timer of a node at which something happens.
    Fire(usize),
    /// The nth step of the clients.
    Client(usize),
    /// A node crashes, and keeps all that it recorded.
    Crash(usize),
    /// It starts again.
    Start(usize),
    /// The node that was away is back.
    Mend,
    /// All messages arrive, and some time passes.
    Pass,
}

/// A step, and whether the node that took it crashes before it is on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) step: Step,
    pub(super) is_lost: bool,
}

/// A history: the choices made so far.
pub(super) struct History<'a> {
    pub(super) situation: &'a Situation,
    pub(super) world: World,
    begun: u64,
    done: Vec<usize>,
    has_crashed: bool,
    losses: usize,
    passes: usize,
    /// What was wrong on the way, if anything.
    pub(super) wrong: Option<String>,
    /// What happened, in words, if somebody reads it.
    pub(super) story: Option<Vec<String>>,
}

impl<'a> History<'a> {
    pub(super) fn new(situation: &'a Situation, bug: Option<Bug>) -> Self {
        let mut world = World::new(bug);
        (situation.begin)(&mut world);
        History {
            situation,
            begun: world.time,
            world,
            done: Vec::new(),
            has_crashed: false,
            losses: 0,
            passes: 0,
            wrong: None,
            story: None,
        }
    }

    pub(super) fn fingerprint(&self) -> u64 {
        let mut done = self.done.clone();
        done.sort_unstable();
        let beside = (done, self.has_crashed, self.losses, self.passes);
        fingerprint(&self.world, &beside)
    }

    /// Everything that may happen next.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let world = &self.world;
        let mut steps = Vec::new();
        for index in 0..world.wire.len() {
            steps.push(Step::Deliver(index));
            if self.losses < self.situation.losses {
                steps.push(Step::Lose(index));
            }
        }
        let may_fire =
            |&seat: &usize| world.node(seat).deadline().as_millis() < self.begun + HORIZON_MS;
        steps.extend(world.running().filter(may_fire).map(Step::Fire));
        let open = (0..self.situation.clients.len()).filter(|&nth| self.may_do(nth));
        steps.extend(open.map(Step::Client));
        if world.away.is_some() {
            steps.push(Step::Mend);
        }
        if self.passes < self.situation.passes {
            steps.push(Step::Pass);
        }
        steps.extend(
            (0..SEATS)
                .filter(|&it| !world.is_running(it))
                .map(Step::Start),
        );
        let mut choices: Vec<Choice> = Vec::new();
        for step in steps {
            choices.push(Choice {
                step,
                is_lost: false,
            });
            let actor = self.actor(step);
            let may_crash = |seat: usize| self.situation.crashes.contains(&seat);
            if !self.has_crashed && actor.is_some_and(may_crash) {
                choices.push(Choice {
                    step,
                    is_lost: true,
                });
            }
        }
        if !self.has_crashed {
            let crashes = self.situation.crashes.iter();
            choices.extend(crashes.map(|&seat| Choice {
                step: Step::Crash(seat),
                is_lost: false,
            }));
        }
        choices
    }

    /// Whose disk has what a step changes.
    fn actor(&self, step: Step) -> Option<usize> {
        match step {
            Step::Deliver(index) => Some(self.world.wire[index].to),
            Step::Fire(seat) => Some(seat),
            Step::Client(nth) => Some(self.situation.clients[nth].0),
            Step::Lose(_) | Step::Crash(_) | Step::Start(_) | Step::Mend | Step::Pass => None,
        }
    }

    fn may_do(&self, nth: usize) -> bool {
        let (seat, job, act) = self.situation.clients[nth];
        if self.done.contains(&nth) || !self.world.is_running(seat) {
            return false;
        }
        let key = self.world.find(seat, job);
        let state = key.map(|key| self.world.node(seat).jobs[key].state());
        match act {
            Act::Ack => true,
            Act::Get => state == Some(JobState::Queued),
            Act::Nack | Act::Wait(_) => state == Some(JobState::Active),
            Act::Redrive => matches!(state, Some(JobState::Active | JobState::Queued)),
        }
    }

    /// It happens.
    pub(super) fn take(&mut self, choice: Choice) {
        if let Some(story) = &mut self.story {
            let parcel = match choice.step {
                Step::Deliver(index) | Step::Lose(index) => told(&self.world.wire[index]),
                Step::Client(nth) => format!("{:?}", self.situation.clients[nth]),
                Step::Fire(_) | Step::Crash(_) | Step::Start(_) | Step::Mend | Step::Pass => {
                    String::new()
                }
            };
            let lost = if choice.is_lost { ", and is lost" } else { "" };
            story.push(format!("{:?} {parcel}{lost}", choice.step));
        }
        let actor = self.actor(choice.step);
        self.do_step(choice.step);
        if let Some(seat) = actor {
            if choice.is_lost {
                self.has_crashed = true;
                self.world.crash(seat);
            } else {
                self.world.sync(seat);
            }
        }
        self.world.settle();
        if self.wrong.is_none() {
            self.wrong = self.early_burial();
        }
    }

    fn do_step(&mut self, step: Step) {
        match step {
            Step::Deliver(index) => {
                self.world.deliver(index);
            }
            Step::Lose(index) => {
                self.losses += 1;
                self.world.wire.remove(index);
            }
            Step::Fire(seat) => self.fire(seat),
            Step::Client(nth) => self.act(nth),
            Step::Crash(seat) => {
                self.has_crashed = true;
                self.world.crash(seat);
            }
            Step::Start(seat) => self.world.start(seat),
            Step::Mend => self.world.mend(),
            Step::Pass => {
                self.passes += 1;
                self.world.run_ms(PASS_MS);
            }
        }
    }

    /// Ticks a node until something is to be seen there, or heard from it.
    fn fire(&mut self, seat: usize) {
        let before = (looks(&self.world, seat), self.world.wire.len());
        loop {
            let deadline = self.world.node(seat).deadline().as_millis();
            if deadline >= self.begun + HORIZON_MS {
                return;
            }
            self.world.time = self.world.time.max(deadline);
            // The others hear of what came before this tick.
            self.world.sync(seat);
            let former = looks(&self.world, seat);
            self.world.feed(seat, Event::Tick);
            let latter = looks(&self.world, seat);
            self.check_turn(seat, &former, &latter);
            if before.0 != latter || self.world.has_held(seat) || before.1 != self.world.wire.len()
            {
                return;
            }
        }
    }

    /// A job is put back or buried by the node with the turn, or by one that asked the others. By nobody else.
    fn check_turn(&mut self, seat: usize, before: &[Option<Look>], after: &[Option<Look>]) {
        for (job, (before, after)) in before.iter().zip(after).enumerate() {
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            let acts = after.is_queued() || after.rank != before.rank;
            if before.is_bystander() && acts {
                let wrong = format!("node {seat} acts on job {job}, which is not its turn");
                self.wrong.get_or_insert(wrong);
            }
        }
    }

    fn act(&mut self, nth: usize) {
        let (seat, job, act) = self.situation.clients[nth];
        self.done.push(nth);
        let id = self.world.jobs[job].0;
        let queue = self.world.node(seat).queue_of(&id);
        let queue = queue.map_or_else(|| b"q".to_vec(), |queue| queue.as_bytes().to_vec());
        let ids = vec![id];
        match act {
            Act::Get => {
                self.world.send(seat, get(&queue));
            }
            Act::Nack => {
                self.world.send(seat, Command::nack(ids));
            }
            Act::Wait(secs) => {
                let delay = Some(secs);
                let nack = Nack {
                    ids,
                    delay,
                    ..Nack::default()
                };
                self.world.send(seat, Command::Nack(nack));
            }
            Act::Ack => {
                self.world.send(seat, Command::ack(ids));
            }
            Act::Redrive => {
                let redrive = Redrive {
                    queue: QueueName::new(&queue),
                    to: None,
                    count: None,
                    ids: Vec::new(),
                };
                let redrive = Command::Global(Question::Redrive(redrive));
                self.world.send(seat, redrive);
                self.world.feed(seat, Event::Tick);
            }
        }
    }

    /// MAXDELIVER buries a job that clients got less often, as it was before.
    fn early_burial(&self) -> Option<String> {
        for seat in self.world.running() {
            for job in 0..self.world.jobs.len() {
                let Some(key) = self.world.find(seat, job) else {
                    continue;
                };
                let register = self.world.node(seat).register_of(key);
                let Some(register) = register.filter(|register| {
                    let dead = register.dead.as_ref();
                    dead.is_some_and(|dead| dead.reason == DeathReason::Deliveries)
                }) else {
                    continue;
                };
                let known = &self.world.jobs[job].1;
                let handed_out = known.handed_out.get(&(register.version - 1));
                let handed_out = handed_out.copied().unwrap_or(0);
                if handed_out < self.situation.most {
                    let version = register.version;
                    return Some(format!(
                        "job {job}, version {version}, is buried after {handed_out} hand-outs"
                    ));
                }
            }
        }
        None
    }
}

/// GETJOB NOHANG of one job.
pub(super) fn get(queue: &[u8]) -> Command<'_> {
    Command::GetJob(GetJob {
        queues: vec![queue],
        count: 1,
        wait: Wait::No,
        told: Told {
            counters: true,
            meta: true,
        },
    })
}

impl World {
    /// Adds a job of which all nodes get a copy, each a while after the one before: so its life ends at different times.
    pub(super) fn add(&mut self, seat: usize, add: AddJob<'_>) -> JobId {
        let ticket = self.send(seat, Command::AddJob(add));
        self.sync(seat);
        for _ in 1..SEATS {
            self.time += 300;
            let to = self.deliver(0);
            self.sync(to);
        }
        self.settle();
        match self.answer(ticket) {
            Some(&crate::command::Reply::Added(id)) => {
                self.jobs.push((id, super::world::Known::default()));
                id
            }
            other => panic!("{other:?}"),
        }
    }
}
