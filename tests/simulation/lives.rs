//! What must hold of jobs that fail: where each is and may be, by its registers, and how often it is handed out.
//!
//! The disks tell which register each node knows. A node hands a job out only where its own register says that the job is; no
//! node hands out by a register which another node, that it could hear for long enough, knew to be too low. Whether a new
//! register follows from the one before is in `moves`. The cores' own hand-outs are counted by *life*: from the add, or from a
//! redrive, to a burial.

use std::collections::{BTreeMap, BTreeSet};

use shoalmq_core::command::Delivery;
use shoalmq_core::extras::Extras;
use shoalmq_core::id::{JobId, NodeId};
use shoalmq_core::record::{MoveRecord, Record};
use shoalmq_core::register::{DeadLetter, Rank, Register};
use shoalmq_core::shell::Disk;

use crate::checker::Checker;
use crate::client::{Ask, Number};
use crate::failing::FailingPlan;
use crate::links::Links;
use crate::plan::{Plan, Policy};
use crate::schedule::{HostIndex, MS, Micros, SECOND};
use crate::waits::Wait;

/// How long a node that waits to be told about a register may take to hear of it over a link that is up: it asks before it
/// queues a job.
const HEARD_WITHIN: Micros = 4 * SECOND;

/// What concerns all jobs that fail.
#[derive(Debug, Default)]
pub(crate) struct Lore {
    /// Where clients have sent jobs.
    pub(crate) targets: BTreeSet<String>,
    /// What policies said.
    pub(crate) least: Option<u64>,
    pub(crate) graves: BTreeSet<String>,
    pub(crate) is_dead_short: bool,
    /// Hand-outs may be taken back for lack of memory.
    pub(crate) is_tight: bool,
    pub(crate) nodes: Vec<NodeId>,
    /// Where the timelines of the processes began, by both clocks.
    pub(crate) bases: BTreeMap<HostIndex, (u64, Micros)>,
    /// When a crash last took what a disk was given.
    pub(crate) lossy: BTreeMap<HostIndex, Micros>,
    pub(crate) links: Links,
}

/// What is known of one job.
#[derive(Debug, Default)]
pub(crate) struct Life {
    known: BTreeMap<HostIndex, Known>,
    pub(crate) made: BTreeMap<Rank, Made>,
    /// Hand-outs since the add, and since each redrive.
    pub(crate) given: BTreeMap<Option<Rank>, u32>,
    /// What the counter said that came with the last hand-out of this register by a node, and in which boot.
    told: BTreeMap<(HostIndex, Option<Rank>), (u32, u32)>,
    /// Who handed it out last.
    last: Option<HostIndex>,
    /// Somebody did not give it back where it was got, or did not get it.
    pub(crate) is_meddled: bool,
    pub(crate) is_given_up: bool,
    /// What was done with it.
    pub(crate) acts: u32,
    /// Who was last asked to put it back, and when.
    asked: Option<(HostIndex, Micros)>,
    /// And who before.
    pub(crate) before: Option<(HostIndex, Micros)>,
    pub(crate) wait: Option<Wait>,
}

impl Life {
    /// This node has an empty disk now: what it counted is gone.
    pub(crate) fn lose_counts_of(&mut self, host: HostIndex) {
        self.told.retain(|&(other, _), _| other != host);
    }
}

/// What a node knows.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// None is version 0.
    rank: Option<Rank>,
    /// When it got its copy.
    since: Micros,
}

/// A register.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) dead: Option<DeadLetter>,
    queue: String,
    /// That of the add, or of a redrive.
    pub(crate) life: Option<Rank>,
    /// When it became a dead letter. A move of a dead letter does not change that.
    buried: Option<Micros>,
    pub(crate) at: Micros,
    pub(crate) ttl: u32,
    /// Who knew it, from when to when.
    known: BTreeMap<HostIndex, (Micros, Micros)>,
}

impl Lore {
    pub(crate) fn new(plan: &Plan) -> Self {
        let failing = plan.failing.as_ref();
        Lore {
            is_dead_short: failing.is_some_and(FailingPlan::is_dead_short),
            is_tight: plan.memory > 0,
            ..Lore::default()
        }
    }
}

impl Life {
    pub(crate) fn queue_of<'a>(&'a self, rank: Option<Rank>, first: &'a str) -> &'a str {
        let made = rank.and_then(|rank| self.made.get(&rank));
        made.map_or(first, |made| &made.queue)
    }

    pub(crate) fn dead(&self, rank: Option<Rank>) -> Option<&DeadLetter> {
        self.made.get(&rank?)?.dead.as_ref()
    }

    pub(crate) fn life_of(&self, rank: Option<Rank>) -> Option<Rank> {
        self.made.get(&rank?)?.life
    }

    /// The highest register that any node knows now.
    pub(crate) fn highest(&self) -> Option<Rank> {
        self.known.values().map(|known| known.rank).max().flatten()
    }

    pub(crate) fn rank_at(&self, host: HostIndex) -> Option<Rank> {
        self.known.get(&host).and_then(|known| known.rank)
    }

    /// Whether the job was moved, and this node has not heard of it.
    pub(crate) fn was_moved_since(&self, host: HostIndex) -> bool {
        let last = self.made.last_key_value().map(|(rank, _)| *rank);
        self.rank_at(host) < last
    }

    /// When the job last became a dead letter.
    pub(crate) fn buried(&self) -> Option<Micros> {
        self.made.values().filter_map(|made| made.buried).max()
    }

    /// The queues that the job was ever in, beside the first, and since when.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, Micros)> {
        self.made.values().map(|made| (&made.queue[..], made.at))
    }

    /// The copy of a node is gone.
    pub(crate) fn leave(&mut self, now: Micros, host: HostIndex) {
        self.known.remove(&host);
        for made in self.made.values_mut() {
            if let Some((_, until)) = made.known.get_mut(&host) {
                *until = now.min(*until);
            }
        }
    }

    /// A node starts over with what is on its disk.
    pub(crate) fn reread(&mut self, now: Micros, host: HostIndex, register: Option<&Register>) {
        self.leave(now, host);
        let rank = register.map(Register::rank);
        self.learn(now, host, rank);
    }

    fn learn(&mut self, now: Micros, host: HostIndex, rank: Option<Rank>) {
        let known = self.known.entry(host).or_insert(Known { rank, since: now });
        known.rank = rank;
        let made = rank.and_then(|rank| self.made.get_mut(&rank));
        if let Some(made) = made {
            let known = made.known.entry(host).or_insert((now, Micros::MAX));
            known.1 = Micros::MAX;
        }
    }
}

/// The registers that a start would find.
pub(crate) fn registers_on(disk: &Disk) -> BTreeMap<JobId, Register> {
    let mut registers = BTreeMap::new();
    for (_, record) in disk.records() {
        let (id, extras) = match record {
            Record::Added(job) => (job.id, &job.extras),
            Record::Moved(moved) => (moved.id, &moved.extras),
            _ => continue,
        };
        match Register::of(extras) {
            Some(register) => {
                registers.insert(id, register);
            }
            None => {
                registers.remove(&id);
            }
        }
    }
    registers
}

impl Checker {
    /// Whether workers give this job up.
    pub(crate) fn may_fail(&self, number: Number) -> bool {
        self.jobs[number].queue().starts_with('q')
    }

    /// A node records a copy, with these extras.
    pub(crate) fn copied(&mut self, now: Micros, host: HostIndex, number: Number, extras: &Extras) {
        let rank = Register::of(extras).map(|register| register.rank());
        let life = &mut self.jobs[number].life;
        let known = life.known.get(&host).map(|known| known.rank);
        let is_known = rank.is_none_or(|rank| life.made.contains_key(&rank));
        life.learn(now, host, rank);
        life.wait = life.wait.take().filter(|wait| !wait.is_new_to(host));
        if known.is_some_and(|known| known > rank) {
            let what = format!(
                "at {} ms n{host} goes back from {known:?} to {rank:?}",
                now / MS
            );
            self.violate(Some(number), what);
        } else if !is_known {
            let what = format!(
                "at {} ms n{host} has {rank:?}, which nobody recorded",
                now / MS
            );
            self.violate(Some(number), what);
        }
    }

    /// A node records where a job is.
    pub(crate) fn moved(&mut self, now: Micros, host: HostIndex, record: &MoveRecord) {
        let Some(&number) = self.by_id.get(&record.id) else {
            return;
        };
        let Some(register) = Register::of(&record.extras) else {
            let what = format!("at {} ms n{host} records no register", now / MS);
            return self.violate(Some(number), what);
        };
        let rank = register.rank();
        let life = &self.jobs[number].life;
        let before = life.rank_at(host);
        let is_new = !life.made.contains_key(&rank);
        let wrong = if before > Some(rank) {
            Some(format!("goes back from {before:?} to {rank:?}"))
        } else if is_new {
            self.check_move(now, host, number, (before, &register, record))
        } else {
            None
        };
        let life = &mut self.jobs[number].life;
        let is_redrive = life.dead(before).is_some() && register.dead.is_none();
        if is_new {
            let former = before.and_then(|rank| life.made.get(&rank));
            let buried = former.and_then(|made| made.buried);
            let made = Made {
                life: if is_redrive {
                    Some(rank)
                } else {
                    life.life_of(before)
                },
                buried: register.dead.as_ref().map(|_| buried.unwrap_or(now)),
                dead: register.dead,
                queue: String::from_utf8_lossy(record.queue.as_bytes()).into_owned(),
                at: now,
                ttl: record.ttl,
                known: BTreeMap::new(),
            };
            life.made.insert(rank, made);
        }
        life.learn(now, host, Some(rank));
        if let Some(what) = wrong {
            self.violate(Some(number), format!("at {} ms n{host} {what}", now / MS));
        }
    }

    /// A core hands a job out.
    pub(crate) fn handed_out(&mut self, now: Micros, host: HostIndex, delivery: &Delivery) {
        let Some(&number) = self.by_id.get(&delivery.id) else {
            return;
        };
        self.check_wait(now, host, number);
        let job = &mut self.jobs[number];
        let rank = job.life.rank_at(host);
        let is_dead = job.life.dead(rank).is_some();
        let queue = job.life.queue_of(rank, job.queue()).to_owned();
        job.life.last = Some(host);
        job.life.acts += 1;
        if !is_dead {
            let life = job.life.life_of(rank);
            *job.life.given.entry(life).or_default() += 1;
        }
        if queue.as_bytes() != delivery.queue.as_bytes() {
            let what = format!(
                "at {} ms n{host} hands it out of {:?}, but knows that it is in {queue}",
                now / MS,
                delivery.queue
            );
            return self.violate(Some(number), what);
        }
        let (life, most) = (
            &self.jobs[number].life,
            self.jobs[number].rules().max_deliver,
        );
        let given = life.given.get(&life.life_of(rank)).copied().unwrap_or(0);
        if most.is_some_and(|most| !is_dead && given > most.into()) && self.is_exact(number) {
            let what = format!("at {} ms n{host} hands it out once too often", now / MS);
            return self.violate(Some(number), what);
        }
        if let Some(other) = self.knew_better(now, host, number, rank) {
            let what = format!(
                "at {} ms n{host} hands it out by {rank:?}, but n{other} knew better for long",
                now / MS
            );
            self.violate(Some(number), what);
        }
    }

    /// A node that this one could hear for long enough knew a higher register.
    fn knew_better(
        &self,
        now: Micros,
        host: HostIndex,
        number: Number,
        rank: Option<Rank>,
    ) -> Option<HostIndex> {
        let job = &self.jobs[number];
        let mine = job.life.known.get(&host)?.since;
        let lossy = self.lore.lossy.get(&host).copied().unwrap_or(0);
        let lasting = HEARD_WITHIN + u64::from(self.retry(number)) * SECOND;
        let higher = job.life.made.iter().filter(|(made, _)| Some(**made) > rank);
        let mut knowing = higher.flat_map(|(_, made)| &made.known);
        let told = |(other, (since, until)): (&HostIndex, &(Micros, Micros))| {
            let from = mine.max(lossy).max(*since);
            let to = now.min(*until);
            let linked = self.lore.links.were_up((host, *other), (from, to), lasting);
            (*other != host && linked).then_some(*other)
        };
        knowing.find_map(told)
    }

    /// A client got a job from a node in this boot. The counter that came with it must rise.
    pub(crate) fn check_counter(&mut self, host: HostIndex, boot: u32, delivery: &Delivery) {
        let Some(&number) = self.by_id.get(&delivery.id) else {
            return;
        };
        let register = Register::of(&delivery.extras);
        let is_dead = register.as_ref().is_some_and(|it| it.dead.is_some());
        let rank = register.map(|register| register.rank());
        let job = &mut self.jobs[number];
        // A holder that missed a FASTACK brings the job back with what it counted itself.
        if is_dead || job.finished || job.rules().max_deliver.is_none() {
            return;
        }
        let count = delivery.deliveries;
        let before = job.life.told.insert((host, rank), (boot, count));
        let Some((former, told)) = before else { return };
        let rises = if former == boot {
            count > told
        } else {
            // A crash may hide the first one.
            self.policy != Policy::Always || count > told || (told, count) == (1, 1)
        };
        if !rises {
            let what = format!("n{host} counts {count} hand-outs after {told}");
            self.violate(Some(number), what);
        }
    }

    /// A client's command reaches a core.
    pub(crate) fn asked_of(&mut self, now: Micros, host: HostIndex, ask: &Ask) {
        let (id, is_orderly) = match ask {
            Ask::Nack(id, give_up) => {
                if let Some(to) = give_up.to {
                    self.lore.targets.insert(to.to_owned());
                }
                let number = self.by_id.get(id).copied();
                let life = number.map(|number| &mut self.jobs[number].life);
                let last = life.and_then(|life| {
                    life.is_given_up |= give_up.is_dead;
                    life.last
                });
                (id, last == Some(host))
            }
            Ask::Enqueue(id) | Ask::Dequeue(id) | Ask::Working(id) => (id, false),
            _ => return,
        };
        if let Some(&number) = self.by_id.get(id) {
            let life = &mut self.jobs[number].life;
            life.wait = None;
            life.before = life.asked.replace((host, now));
            life.acts += 1;
            life.is_meddled |= !is_orderly;
        }
    }

    /// Nobody may have got these.
    pub(crate) fn unseen(&mut self, ids: &[JobId]) {
        for id in ids {
            if let Some(&number) = self.by_id.get(id) {
                self.jobs[number].life.is_meddled = true;
            }
        }
    }
}
