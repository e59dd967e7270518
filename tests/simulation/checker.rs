//! What is promised, held against what happens.
//!
//! The checker sees what clients see (questions, answers, deliveries) and, so that it can tell a broken promise from one
//! that could not be kept, also what is given to the disks: which nodes have a copy of each job, and which of them a fault
//! took away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoalmq_core::command::{Delivery, Refusal, Replication};
use shoalmq_core::id::JobId;
use shoalmq_core::log::Position;
use shoalmq_core::register::Register;
use shoalmq_core::telling::Counters;

use crate::client::{Act, Number, Terms};
use crate::failing::{self, Rules, SHORT_DEAD_TTL};
use crate::lives::{Life, Lore};
use crate::outcomes::Ends;
use crate::plan::{Plan, Policy};
use crate::purging::Marks;
use crate::schedule::{HostIndex, MS, Micros, SECOND};
use crate::settings::Ledger;
use crate::summary::Summary;
use crate::topics::checker::Ledger as Topics;

/// How far the ends of ttl and delay may be off after restarts and moves.
pub(crate) const SKEW: Micros = 2 * SECOND;
/// How much later than its retry a job may be delivered after healing.
const DELIVERED_WITHIN: Micros = 15 * SECOND;
/// How long after healing, or after the ack, every node must know of it: time enough to see that links are dead, and to
/// make new ones.
const SETTLED_AFTER: Micros = 12 * SECOND;
/// How much later every node is empty: at-most-once jobs live for 30 s.
pub(crate) const EMPTY_WITHIN: Micros = 75 * SECOND;

/// A promise that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) job: Option<JobId>,
}

/// One job, from the question on.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is known from another source"
)]
pub(crate) struct Job {
    terms: Terms,
    /// Copies that must exist when the producer gets the job's id.
    promised: usize,
    pub(crate) id: Option<JobId>,
    pub(crate) asked: Micros,
    /// Its creation time, and when the first node recorded it.
    pub(crate) created: u64,
    pub(crate) recorded: Micros,
    pub(crate) answer: Answer,
    pub(crate) deliveries: u32,
    /// When a core last handed it out.
    handed_out: Micros,
    /// How often somebody asked for it to be given out again, less what that explains.
    put_back: u32,
    /// Somebody asked for it to be forgotten.
    pub(crate) finished: bool,
    /// When a node said that it is, and which.
    pub(crate) acked: Option<(Micros, HostIndex)>,
    /// When a node said that it is not added, and which.
    pub(crate) withdrawn: Option<(Micros, HostIndex)>,
    /// Where its copies are, and where in the log.
    pub(crate) copies: BTreeMap<HostIndex, Position>,
    /// Where a copy ever was that could be counted.
    pub(crate) had: BTreeSet<HostIndex>,
    /// Faults took all copies, as they may.
    pub(crate) taken: bool,
    /// Where it is and was, and how often it was handed out.
    pub(crate) life: Life,
    /// How it ended, as clients said.
    pub(crate) ends: Ends,
    /// Another producer was told that it was added, or another job ended for it.
    pub(crate) is_vouched: bool,
    /// Its producer got NOREPL.
    was_refused: bool,
}

/// What the producer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Waits,
    Added,
    Refused,
    /// It got a job that has the key of its own.
    Existing,
    Unknown,
}

impl Job {
    /// The promise of its delivery holds.
    pub(crate) fn is_promised(&self) -> bool {
        (self.is_added() || self.is_vouched) && self.terms.retry > 0
    }

    pub(crate) fn is_added(&self) -> bool {
        self.answer == Answer::Added
    }

    /// Its producer was told that it is not added.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.answer == Answer::Refused || self.was_refused
    }

    /// On how many nodes it is to be, if there are as many.
    pub(crate) fn wanted(&self) -> usize {
        usize::from(self.terms.replicate.unwrap_or(3))
    }

    pub(crate) fn queue(&self) -> &str {
        &self.terms.queue
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.terms.rules
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) fn ttl(&self) -> u32 {
        self.terms.ttl
    }

    pub(crate) fn expires(&self) -> Micros {
        self.asked + Micros::from(self.terms.ttl) * SECOND
    }
}

/// All that is checked.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) jobs: Vec<Job>,
    pub(crate) by_id: BTreeMap<JobId, Number>,
    pub(crate) policy: Policy,
    pub(crate) marks: Marks,
    quiet: bool,
    /// How long two nodes may take to hear of each other, in a quiet run.
    slack: Micros,
    /// Deliveries beyond the first of each job.
    duplicates: u64,
    pub(crate) counted: Counters,
    /// Since when all nodes can have told each other of all acks.
    pub(crate) settled: Option<Micros>,
    violation: Option<Violation>,
    /// Jobs whose last copies were dropped in this event, which is wrong unless they ended as duplicates.
    pub(crate) doubtful: Vec<(Number, String)>,
    /// All nodes had links with each other when clients began. A CLUSTER MEET may be lost half way, and datagrams.
    pub(crate) all_met: bool,
    pub(crate) settings: Ledger,
    pub(crate) topics: Topics,
    /// What concerns all jobs that fail.
    pub(crate) lore: Lore,
    /// How much longer than its retry a job may wait.
    longest_wait: Micros,
}

impl Checker {
    /// Clients begin, and all nodes have links with each other, or not.
    pub(crate) fn met(&mut self, all: bool) {
        self.all_met = all;
        self.topics.is_quiet &= all;
    }

    pub(crate) fn new(plan: &Plan) -> Self {
        Checker {
            jobs: Vec::new(),
            by_id: BTreeMap::new(),
            policy: plan.policy,
            marks: Marks::default(),
            quiet: plan.is_quiet(),
            slack: 4 * (plan.latency + plan.jitter + plan.sync) + 400 * MS,
            duplicates: 0,
            counted: Counters::default(),
            settled: None,
            violation: None,
            doubtful: Vec::new(),
            all_met: false,
            settings: Ledger::default(),
            topics: Topics::new(plan),
            lore: Lore::new(plan),
            longest_wait: failing::longest_wait(plan.failing.as_ref()),
        }
    }

    /// Notes a broken promise. The first one counts.
    pub(crate) fn violate(&mut self, number: Option<Number>, what: String) {
        let job = number.and_then(|number| self.jobs[number].id);
        let what = match number {
            Some(number) => format!("job {number}: {what}\n{:#?}", self.jobs[number]),
            None => what,
        };
        self.violation.get_or_insert(Violation { what, job });
    }

    pub(crate) fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    fn violated(&mut self) -> Result<(), Violation> {
        self.take_violation().map_or(Ok(()), Err)
    }

    pub(crate) fn next_number(&self) -> Number {
        self.jobs.len()
    }

    pub(crate) fn retry(&self, number: Number) -> u32 {
        self.jobs[number].terms.retry
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A producer asks for a job at a node that knows `cluster` nodes, itself included.
    pub(crate) fn asked(&mut self, now: Micros, terms: &Terms, cluster: usize) {
        let promised = match (terms.replication, terms.replicate) {
            (Replication::Asynchronous, _) => 1,
            (Replication::Synchronous, Some(copies)) => usize::from(copies),
            (Replication::Synchronous, None) => cluster.min(2),
        };
        self.jobs.push(Job {
            terms: terms.clone(),
            promised,
            id: None,
            asked: now,
            created: 0,
            recorded: 0,
            answer: Answer::Waits,
            deliveries: 0,
            handed_out: 0,
            put_back: 0,
            finished: false,
            acked: None,
            withdrawn: None,
            copies: BTreeMap::new(),
            had: BTreeSet::new(),
            taken: false,
            life: Life::default(),
            ends: Ends::default(),
            is_vouched: false,
            was_refused: false,
        });
    }

    /// The producer got the id of its job, when the logs were on disk up to `synced`.
    pub(crate) fn added(&mut self, _now: Micros, number: Number, id: JobId, synced: &[Position]) {
        let always = self.policy == Policy::Always;
        let job = &mut self.jobs[number];
        job.answer = Answer::Added;
        let counts = |host: &&HostIndex| {
            let position = job.copies.get(host).copied().unwrap_or(Position::START);
            !always || position <= synced[**host]
        };
        let copies = job.had.iter().filter(counts).count();
        // A node that keeps no copy itself may hear of copies that a crash took meanwhile, as it may.
        job.taken |= !always && job.copies.is_empty();
        if job.id != Some(id) {
            let what = format!("its producer got {id}, which nobody recorded");
            return self.violate(Some(number), what);
        }
        if copies < job.promised {
            let what = format!("promised with {copies} copies, not {}", job.promised);
            self.violate(Some(number), what);
        }
    }

    /// A node with this many links refused a job at `given`.
    pub(crate) fn refused(
        &mut self,
        given: Micros,
        host: HostIndex,
        number: Number,
        refusal: Refusal,
        links: usize,
    ) {
        let job = &mut self.jobs[number];
        let withdrawn = match refusal {
            Refusal::ReplicationTimeout => true,
            Refusal::TooFewNodes => job.terms.timeout.is_none() && job.id.is_some(),
            _ => false,
        };
        if withdrawn {
            job.withdrawn = Some((given, host));
            job.was_refused = true;
        }
        let maybe = withdrawn || refusal == Refusal::RemovedWhileReplicating;
        job.answer = if maybe {
            Answer::Unknown
        } else {
            Answer::Refused
        };
        let is_long = |timeout: Duration| timeout.as_secs() > 0;
        let job = &self.jobs[number];
        if job.is_vouched && withdrawn {
            let what = "it is withdrawn, and another producer was told that it was added";
            return self.violate(Some(number), what.to_owned());
        }
        // Who waits for a key may wait for long.
        let has_key = job.terms.key.is_some();
        let purged = self.may_be_purged(job) || job.ends.is_cancelled || has_key;
        // Without links, its CLUSTER MEET was lost half way, and no copy can be had; where memory is short, nodes take none.
        let can_be_had = links > 0 && !self.lore.is_tight;
        if maybe && self.quiet && !purged && can_be_had && job.terms.timeout.is_none_or(is_long) {
            self.violate(Some(number), format!("{refusal:?} in a quiet run"));
        } else if !maybe && job.id.is_some() {
            self.violate(Some(number), format!("{refusal:?}, but it was recorded"));
        }
    }

    /// A client that asked for its new job where it had added it found nothing there, and nobody waits elsewhere.
    pub(crate) fn is_gone(&mut self, now: Micros, host: HostIndex, number: Number) {
        let job = &self.jobs[number];
        if self.quiet && job.answer != Answer::Refused && !job.ends.is_cancelled {
            let what = format!("at {} ms it has left n{host} for nobody", now / MS);
            self.violate(Some(number), what);
        }
    }

    pub(crate) fn add_is_unknown(&mut self, number: Number) {
        self.jobs[number].answer = Answer::Unknown;
    }

    /// A consumer received a job that a core handed out at `given`.
    pub(crate) fn delivered(
        &mut self,
        now: Micros,
        host: HostIndex,
        delivery: &Delivery,
        given: Micros,
    ) -> Option<Number> {
        let text = std::str::from_utf8(delivery.body.as_bytes()).ok();
        let number = text.and_then(|text| text.strip_prefix("job ")?.trim_start().parse().ok());
        let Some(number) = number.filter(|&number: &Number| number < self.jobs.len()) else {
            self.violate(
                None,
                format!("n{host} delivers a body that nobody gave: {delivery:?}"),
            );
            return None;
        };
        let (quiet, slack) = (self.quiet, self.slack);
        let job = &mut self.jobs[number];
        let retry = Micros::from(job.terms.retry) * SECOND;
        let early = if quiet { MS } else { SKEW };
        let due = job.asked + Micros::from(job.terms.delay) * SECOND;
        let early_again = job.deliveries > 0 && given + MS < job.handed_out + retry;
        let is_moved = Register::of(&delivery.extras).is_some();
        let wrong = if job.id != Some(delivery.id) {
            Some(format!("delivered by n{host} as {delivery:?}"))
        } else if job.terms.retry == 0 && job.deliveries > 0 {
            Some(format!(
                "an at-most-once job is delivered again, by n{host}"
            ))
        } else if job.answer == Answer::Refused {
            Some(format!("was refused, but n{host} delivers it"))
        } else if given + early < due {
            Some(format!("n{host} delivers it before its delay is over"))
        } else if quiet && !is_moved && given > job.expires() + SECOND {
            Some(format!("n{host} delivers it after the end of its ttl"))
        } else if job
            .acked
            .is_some_and(|(acked, by)| by == host && given > acked)
        {
            Some(format!(
                "n{host} delivers it, though it took the ack itself"
            ))
        } else if quiet && job.acked.is_some_and(|(acked, _)| given > acked + slack) {
            Some(format!("n{host} delivers it, though it was acknowledged"))
        } else if self.settled.is_some_and(|settled| {
            given > settled
                && job
                    .acked
                    .is_some_and(|(acked, _)| given > acked + SETTLED_AFTER)
        }) {
            Some(format!(
                "n{host} delivers it, though it was acknowledged long ago"
            ))
        } else if quiet && early_again && job.put_back == 0 {
            Some(format!(
                "n{host} delivers it again before its retry is over"
            ))
        } else {
            None
        };
        self.duplicates += u64::from(job.deliveries > 0);
        job.deliveries += 1;
        job.handed_out = given;
        job.put_back = job.put_back.saturating_sub(u32::from(early_again));
        if let Some(what) = wrong {
            self.violate(Some(number), format!("at {} ms: {what}", now / MS));
        }
        Some(number)
    }

    /// A client is about to do something with a job.
    pub(crate) fn acts(&mut self, now: Micros, number: Number, act: Act) {
        match act {
            Act::Ack | Act::FastAck => self.jobs[number].finished = true,
            Act::Nack(_) => self.put_back(now, number),
            Act::Working => {}
        }
    }

    pub(crate) fn put_back(&mut self, _now: Micros, number: Number) {
        // At another node its retry may be over at the same moment: then both hand it out.
        self.jobs[number].put_back += 2;
    }

    /// A node answered.
    pub(crate) fn acted(
        &mut self,
        now: Micros,
        host: HostIndex,
        number: Number,
        act: Act,
        count: u64,
    ) {
        if act == Act::Ack && count > 0 {
            self.jobs[number].acked.get_or_insert((now, host));
        }
    }

    /// All is well from now on.
    pub(crate) fn healed(&mut self, now: Micros) {
        self.settled = Some(now + SETTLED_AFTER);
    }

    /// A process ended, or is about to be looked at for the last time.
    pub(crate) fn count(&mut self, counters: &Counters) {
        let all = &mut self.counted;
        all.redelivered_timeout += counters.redelivered_timeout;
        all.redelivered_nack += counters.redelivered_nack;
        all.redelivered_asked += counters.redelivered_asked;
        all.redelivered_restart += counters.redelivered_restart;
        all.redelivered_heal += counters.redelivered_heal;
        all.redelivered_drain += counters.redelivered_drain;
        all.evicted += counters.evicted;
    }

    /// Until then a job that nobody acks lives at least. One that is guarded becomes a dead letter when its ttl is over.
    pub(crate) fn ends(&self, job: &Job) -> Micros {
        let is_guarded = job.terms.rules.is_guarded() && job.terms.retry > 0;
        let buried = job.life.buried().filter(|_| self.lore.is_dead_short);
        match buried {
            Some(buried) => buried + SHORT_DEAD_TTL * SECOND,
            None if is_guarded => Micros::MAX - EMPTY_WITHIN,
            None => job.expires(),
        }
    }

    /// All is well again since `healed`: nothing waits for longer than its retry and a while.
    pub(crate) fn check_drain(&mut self, now: Micros, healed: Micros) -> Result<(), Violation> {
        let late = self.jobs.iter().position(|job| {
            let due = (job.asked + Micros::from(job.terms.delay) * SECOND).max(healed);
            let wait = Micros::from(job.terms.retry) * SECOND + self.longest_wait;
            let by = due + wait + DELIVERED_WITHIN;
            let open = job.is_promised() && !job.finished && !job.taken;
            open && now > by && self.ends(job) > by && !self.may_be_purged(job)
        });
        if let Some(number) = late {
            let what = format!("at {} ms it is not delivered, long after healing", now / MS);
            self.violate(Some(number), what);
        }
        self.violated()
    }

    /// The end: every promise is kept, and every duplicate has a reason.
    pub(crate) fn check_end(&mut self, now: Micros) -> Result<(), Violation> {
        let lost = self.jobs.iter().position(|job| {
            let open = job.is_promised() && !job.finished && !job.taken && self.ends(job) > now;
            open && !self.may_be_purged(job)
        });
        if let Some(number) = lost {
            self.violate(Some(number), "is lost".to_owned());
        }
        if self.quiet {
            let idle = self.jobs.iter().position(|job| {
                job.answer == Answer::Added
                    && job.deliveries == 0
                    && !job.finished
                    && !self.may_be_purged(job)
                    && job.terms.ttl > 20
            });
            if let Some(number) = idle {
                self.violate(
                    Some(number),
                    "was never delivered in a quiet run".to_owned(),
                );
            }
        }
        let all = &self.counted;
        let reasons = all.redelivered_timeout
            + all.redelivered_nack
            + all.redelivered_asked
            + all.redelivered_restart
            + all.redelivered_heal
            + all.redelivered_drain;
        if self.duplicates > reasons {
            let duplicates = self.duplicates;
            let what = format!(
                "{duplicates} deliveries were not the first, with reasons for {reasons}: {all:?}"
            );
            self.violate(None, what);
        }
        self.violated()
    }

    /// What happened, in a line.
    pub(crate) fn summary(&self) -> Summary {
        let count =
            |what: fn(&Job) -> bool| self.jobs.iter().filter(|job| what(job)).count() as u64;
        Summary {
            asked: self.jobs.len() as u64,
            added: count(|job| job.answer == Answer::Added),
            refused: count(|job| job.answer == Answer::Refused),
            unknown: count(|job| job.answer == Answer::Unknown),
            withdrawn: count(|job| job.withdrawn.is_some()),
            deliveries: self.jobs.iter().map(|job| u64::from(job.deliveries)).sum(),
            duplicates: self.duplicates,
            taken: count(|job| job.taken && job.is_promised() && !job.finished),
            read: 0,
            entries: self.topics.summary(),
            fingerprint: 0,
        }
    }
}
