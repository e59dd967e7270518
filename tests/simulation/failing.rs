//! Jobs that fail: what producers, workers and operators do with them, in a share of the runs.
//!
//! Jobs carry MAXDELIVER, DEAD and BACKOFF in any mix, and policies of these names come and go while nodes are away. Workers
//! give jobs back with all options of NACK, or say nothing; they take dead letters, too. Somebody redrives dead letters. Some jobs
//! live so short that they expire into the dead letters. What is decided here has dice of its own. What must hold is in
//! `lives`, `waits` and `places`.

use shoalmq_core::command::{Nack, Redrive};
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::{JobId, QueueName};
use shoalmq_core::policy::{Backoff, Policy};

use crate::client::{Act, Ask, Number, Step, Terms};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::workload::{Purpose, WARM_UP};

/// Queues that jobs are sent to when they fail, beside those that are named after the queue where they failed.
const GRAVES: [&str; 2] = ["grave0", "grave1"];
const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];
/// The longest wait that NACK is given, in seconds.
pub(crate) const LONGEST_WAIT: u64 = 12;
/// How long dead letters live where that is short, in seconds.
pub(crate) const SHORT_DEAD_TTL: u64 = 20;

/// What clients do with policies of jobs that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policies {
    /// Nothing.
    Untouched,
    /// They change them.
    Changing,
    /// They change them, and dead letters live for [`SHORT_DEAD_TTL`].
    ShortDeadTtl,
}

/// How jobs fail in a run.
#[derive(Debug, Clone)]
pub(crate) struct FailingPlan {
    /// The share of jobs that carry rules.
    share: u64,
    /// The share of hand-outs that fail.
    fails: u64,
    /// Some jobs expire.
    is_short: bool,
    policies: Policies,
    /// Nothing is acked for a while after the faults: see `places`.
    pub(crate) settles: bool,
}

impl FailingPlan {
    /// What this seed means.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let mut dice = Dice::new(seed.wrapping_add(4 << 32));
        let has = dice.percent(50);
        let has_policies = dice.percent(50);
        let plan = FailingPlan {
            share: dice.pick(&[30, 60, 90]),
            fails: dice.pick(&[20, 40, 60]),
            is_short: dice.percent(40),
            policies: if !has_policies {
                Policies::Untouched
            } else if dice.percent(20) {
                Policies::ShortDeadTtl
            } else {
                Policies::Changing
            },
            settles: dice.percent(40),
        };
        has.then_some(plan)
    }

    /// Dead letters live for [`SHORT_DEAD_TTL`].
    pub(crate) fn is_dead_short(&self) -> bool {
        self.policies == Policies::ShortDeadTtl
    }
}

/// What applies to a job that fails, by its own options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    pub(crate) max_deliver: Option<u16>,
    pub(crate) dead_queue: Option<&'static str>,
    pub(crate) backoff: Option<(u32, u32)>,
}

impl Rules {
    /// As ADDJOB carries them.
    pub(crate) fn extras(&self) -> Extras {
        let most = self.max_deliver.map(u16::to_le_bytes);
        let backoff = self.backoff.and_then(|(base, max)| {
            let backoff = Backoff::new(base.into(), max.into());
            backoff.map(Backoff::encode)
        });
        let most = most.as_ref().map(|bytes| (Tag::MAX_DELIVER, &bytes[..]));
        let queue = self
            .dead_queue
            .map(|name| (Tag::DEAD_QUEUE, name.as_bytes()));
        let backoff = backoff.as_ref().map(|bytes| (Tag::BACKOFF, &bytes[..]));
        Extras::new([most, queue, backoff].into_iter().flatten())
    }

    /// The job becomes a dead letter, whatever policies say.
    pub(crate) fn is_guarded(&self) -> bool {
        self.max_deliver.is_some() || self.dead_queue.is_some()
    }
}

/// How a worker gives a job up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GiveUp {
    pub(crate) delay: Option<u32>,
    pub(crate) to: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) is_dead: bool,
}

impl GiveUp {
    /// NACK without options.
    pub(crate) const PLAIN: GiveUp = GiveUp {
        delay: None,
        to: None,
        reason: None,
        is_dead: false,
    };

    pub(crate) fn nack(&self, id: JobId) -> Nack<'static> {
        Nack {
            ids: vec![id],
            delay: self.delay,
            to: self.to.map(str::as_bytes),
            reason: self.reason.map(str::as_bytes),
            is_dead: self.is_dead,
        }
    }

    fn draw(dice: &mut Dice, queues: usize) -> GiveUp {
        let plain = GiveUp {
            reason: dice.percent(30).then_some("no luck"),
            ..GiveUp::PLAIN
        };
        let longest = dice.pick(&[2, 5, LONGEST_WAIT]);
        match dice.below(100) {
            0..55 => plain,
            55..75 => GiveUp {
                delay: Some(dice.between(1, longest) as u32),
                ..plain
            },
            75..85 => GiveUp {
                to: Some(any_target(dice, queues)),
                delay: dice.percent(30).then(|| dice.between(1, longest) as u32),
                ..plain
            },
            _ => GiveUp {
                is_dead: true,
                ..plain
            },
        }
    }
}

/// A queue that jobs are sent to.
fn any_target(dice: &mut Dice, queues: usize) -> &'static str {
    if dice.percent(70) {
        dice.pick(&QUEUES[..queues])
    } else {
        dice.pick(&GRAVES)
    }
}

impl Cluster {
    pub(crate) fn begin_failing(&mut self) {
        if let Some(plan) = &self.plan.failing {
            if plan.is_dead_short() {
                let wait = WARM_UP - 200 * MS;
                self.after(wait, Happening::Client(Step::Rule));
            } else if plan.policies == Policies::Changing {
                self.after(WARM_UP, Happening::Client(Step::Rule));
            }
            self.after(WARM_UP, Happening::Client(Step::Redrive));
        }
    }

    /// Where jobs may be when they have failed.
    fn dead_queues(&self) -> Vec<String> {
        let queues = &QUEUES[..self.plan.queues as usize];
        let named = queues.iter().chain(&GRAVES);
        let after = named.map(|name| format!("{name}.dead"));
        let graves = GRAVES.iter().map(|&name| name.to_owned());
        graves.chain(after).collect()
    }

    /// Consumers ask for dead letters, too: in the end for all.
    pub(crate) fn add_dead_queues(&mut self, queues: &mut Vec<String>, is_all: bool) {
        if self.plan.failing.is_none() {
            return;
        }
        let mut dead = self.dead_queues();
        if !is_all {
            self.fail_dice.shuffle(&mut dead);
            let some = self.fail_dice.weighted(&[(40, 0), (40, 2), (20, 5)]);
            dead.truncate(some);
        }
        queues.append(&mut dead);
    }

    /// A producer says what applies to its job.
    pub(crate) fn with_rules(&mut self, terms: Terms) -> Terms {
        let Some(plan) = self.plan.failing.clone().filter(|_| terms.retry > 0) else {
            return terms;
        };
        let dice = &mut self.fail_dice;
        if !dice.percent(plan.share) {
            return terms;
        }
        let most = dice.between(1, 4) as u16;
        let base = dice.between(1, 2) as u32;
        let rules = Rules {
            max_deliver: dice.percent(60).then_some(most),
            dead_queue: dice.percent(40).then(|| dice.pick(&GRAVES)),
            backoff: dice.percent(30).then(|| (base, base * dice.pick(&[1, 3]))),
        };
        let ttl = if plan.is_short && dice.percent(40) {
            dice.between(4, 15) as u32
        } else {
            terms.ttl
        };
        Terms {
            ttl,
            rules,
            ..terms
        }
    }

    /// What a worker does that cannot do what a job asks for, if it cannot.
    pub(crate) fn failure(
        &mut self,
        host: HostIndex,
        number: Number,
    ) -> Option<(Micros, Option<Act>, Option<HostIndex>)> {
        let plan = self.plan.failing.as_ref()?;
        let is_it = self.checker.retry(number) > 0 && self.checker.may_fail(number);
        let dice = &mut self.fail_dice;
        if !is_it || !dice.percent(plan.fails) {
            return None;
        }
        let wait = dice.between(1, 200) * MS;
        if dice.percent(25) {
            return Some((wait, None, None));
        }
        let give_up = GiveUp::draw(dice, self.plan.queues as usize);
        let here = dice.percent(85).then_some(host);
        Some((wait, Some(Act::Nack(give_up)), here))
    }

    /// Somebody sends jobs back.
    pub(crate) fn redrive_something(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.fail_dice.wait(1500 * MS);
        self.after(wait, Happening::Client(Step::Redrive));
        let dead = self.dead_queues();
        let seen = self.workload.seen.len();
        let Some(host) = self.any_host_of_failing() else {
            return;
        };
        let dice = &mut self.fail_dice;
        let nth = dice.below(dead.len() as u64) as usize;
        let queue = if dice.percent(85) {
            dead[nth].clone()
        } else {
            dice.pick(&QUEUES[..self.plan.queues as usize]).to_owned()
        };
        let to = dice.percent(25);
        let to = to.then(|| any_target(dice, self.plan.queues as usize));
        let count = dice.percent(30).then(|| dice.between(1, 3));
        let ids = if dice.percent(20) && seen > 0 {
            let nth = |_| dice.below(seen as u64) as usize;
            let chosen: Vec<usize> = (0..10).map(nth).collect();
            let chosen = chosen.into_iter();
            chosen.map(|nth| self.workload.seen[nth].0).collect()
        } else {
            Vec::new()
        };
        if let Some(to) = to {
            self.checker.lore.targets.insert(to.to_owned());
        }
        let redrive = Redrive {
            queue: QueueName::new(queue.as_bytes()),
            to: to.map(|to| QueueName::new(to.as_bytes())),
            count,
            ids,
        };
        self.ask(host, Purpose::Nothing, Ask::Redrive(redrive));
    }

    /// Somebody changes a policy of jobs that fail.
    pub(crate) fn rule(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.fail_dice.wait(2500 * MS);
        self.after(wait, Happening::Client(Step::Rule));
        let Some(host) = self.any_host_of_failing() else {
            return;
        };
        let is_first = self.now < WARM_UP;
        let dice = &mut self.fail_dice;
        if is_first {
            let ask = Ask::Configure(
                "*".to_owned(),
                Policy::DeadTtl,
                Some(SHORT_DEAD_TTL.to_string()),
            );
            self.ask(host, Purpose::Nothing, ask);
            return;
        }
        let pattern = dice.pick(&["q*", "q0", "q1", "grave*"]).to_owned();
        let most = dice.between(1, 4);
        let (policy, value) = match dice.below(3) {
            0 => (Policy::MaxDeliver, most.to_string()),
            1 => (Policy::DeadQueue, dice.pick(&GRAVES).to_owned()),
            _ => (
                Policy::Backoff,
                dice.pick(&["1:1", "1:4", "2:6"]).to_owned(),
            ),
        };
        let value = dice.percent(70).then_some(value);
        if let Some(value) = &value {
            let lore = &mut self.checker.lore;
            match policy {
                Policy::MaxDeliver => lore.least = Some(lore.least.map_or(most, |it| it.min(most))),
                Policy::DeadQueue => {
                    lore.graves.insert(value.clone());
                }
                _ => {}
            }
        }
        self.ask(
            host,
            Purpose::Nothing,
            Ask::Configure(pattern, policy, value),
        );
    }

    fn any_host_of_failing(&mut self) -> Option<HostIndex> {
        let hosts = (0..self.hosts.len()).filter(|&index| self.hosts[index].serves());
        let serving: Vec<HostIndex> = hosts.collect();
        (!serving.is_empty()).then(|| self.fail_dice.pick(&serving))
    }
}

/// How much later than its retry a job may be queued, since its workers may have asked for a wait.
pub(crate) fn longest_wait(plan: Option<&FailingPlan>) -> Micros {
    plan.map_or(0, |_| LONGEST_WAIT * SECOND)
}
