//! Moves of jobs that must follow from what their makers knew: a burial needs its reason, and its dead queue; a redrive
//! starts the counters again; any other move was asked for.

use shoalmq_core::extras::Tag;
use shoalmq_core::record::MoveRecord;
use shoalmq_core::register::{DeadLetter, DeathReason, Rank, Register};

use crate::checker::{Checker, SKEW};
use crate::client::Number;
use crate::lives::Made;
use crate::schedule::{HostIndex, Micros, SECOND};

impl Checker {
    /// Whether a register follows from the one before, at the node that made it.
    pub(crate) fn check_move(
        &self,
        now: Micros,
        host: HostIndex,
        number: Number,
        (before, register, record): (Option<Rank>, &Register, &MoveRecord),
    ) -> Option<String> {
        let job = &self.jobs[number];
        if register.node != self.lore.nodes[host] {
            return Some(format!("hears of {register:?} before its maker records it"));
        }
        let version = before.map_or(0, |(version, ..)| version);
        if register.version != version + 1 {
            return Some(format!("makes {register:?} after version {version}"));
        }
        let from = job.life.queue_of(before, job.queue());
        let to = String::from_utf8_lossy(record.queue.as_bytes());
        let is_target = self.lore.targets.contains(&*to);
        let wrong = match (job.life.dead(before), &register.dead) {
            (None, Some(dead)) => return self.check_burial(now, number, before, dead, &to),
            (Some(former), None) => {
                let counted = record.extras.get(Tag::DELIVERIES).is_some();
                let counters = (record.nacks, record.additional_deliveries);
                let is_fresh = counters == (0, 0) && !counted && record.ttl == former.ttl;
                let is_back = former.from == to.as_bytes() || is_target;
                !is_fresh || !is_back
            }
            (Some(former), Some(dead)) => {
                let is_same = (&former.from, former.reason) == (&dead.from, dead.reason);
                !is_same || to != from && !is_target
            }
            (None, None) => !is_target,
        };
        wrong.then(|| format!("moves it from {from} ({before:?}) by {record:?}"))
    }

    fn check_burial(
        &self,
        now: Micros,
        number: Number,
        before: Option<Rank>,
        dead: &DeadLetter,
        to: &str,
    ) -> Option<String> {
        let job = &self.jobs[number];
        let rules = job.rules();
        let from = job.life.queue_of(before, job.queue());
        let after = format!("{from}.dead");
        let is_there = match rules.dead_queue {
            Some(grave) if grave != from => to == grave,
            Some(_) => to == after,
            None => to == after || to != from && self.lore.graves.contains(to),
        };
        if !is_there || dead.from != from.as_bytes() {
            return Some(format!("buries it in {to}: {dead:?}, not of {from}"));
        }
        let life = job.life.life_of(before);
        let given = job.life.given.get(&life).copied().unwrap_or(0);
        let most = rules.max_deliver.map(u64::from).or(self.lore.least);
        let (began, ttl) = match life.and_then(|life| job.life.made.get(&life)) {
            Some(made) => (made.at, made.ttl),
            None => (job.asked, job.ttl()),
        };
        let expires = began + Micros::from(ttl) * SECOND;
        let may_be_guarded =
            rules.is_guarded() || self.lore.least.is_some() || !self.lore.graves.is_empty();
        let version = before.map_or(1, |(version, ..)| version + 1);
        let same = |(rank, made): (&Rank, &Made)| {
            let reason = made.dead.as_ref().map(|dead| dead.reason);
            rank.0 == version && made.life == life && reason == Some(DeathReason::Expired)
        };
        let wrong = match dead.reason {
            DeathReason::Deliveries => {
                let is_exact = self.is_exact(number) && rules.max_deliver.is_some();
                let given = u64::from(given);
                most.is_none_or(|most| given < most || is_exact && given > most)
            }
            DeathReason::Nack => !job.life.is_given_up,
            DeathReason::Expired => {
                let twice = self.is_quiet() && !job.life.is_meddled;
                let twice = twice && job.life.made.iter().any(same);
                twice || !may_be_guarded || now + SKEW < expires
            }
        };
        wrong.then(|| format!("buries it for {dead:?} after {given} hand-outs of {most:?}"))
    }

    /// Hand-outs of this job are counted exactly.
    pub(crate) fn is_exact(&self, number: Number) -> bool {
        self.is_quiet() && !self.lore.is_tight && !self.jobs[number].life.is_meddled
    }
}
