//! QPURGE and QCONFIG: clients that empty queues and set policies, while nodes may be away; and what is held against it.
//!
//! A purge may take a job that some node had recorded when its mark was written, whatever the clocks say, and no other. While
//! no fault is on it must take all jobs that there were when it was asked for. A node that knows a mark hands out no job
//! that it takes. All jobs name the options that policies are set for, so no policy may change
//! anything; but all nodes must agree on them in the end.

use std::collections::BTreeMap;

use shoalmq_core::command::Delivery;
use shoalmq_core::id::JobId;
use shoalmq_core::policy::Policy;
use shoalmq_core::register::Register;
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::stamp::Stamps;

use crate::checker::{Checker, Job};
use crate::client::{Ask, Number, Step};
use crate::cluster::Cluster;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::workload::Purpose;

/// The marks of all purges.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// All that was ever marked in a queue, and when the last of it was new.
    all: BTreeMap<String, (Stamps, Micros)>,
    /// What each node knows, and since when.
    known: BTreeMap<(HostIndex, String), Vec<(Stamps, Micros)>>,
    /// When clients asked for a purge that has no mark yet.
    asked: BTreeMap<String, Vec<Micros>>,
}

/// The mark of a purge.
pub(crate) fn stamps_of(setting: &Setting) -> Option<Stamps> {
    let value = setting.value.as_deref();
    let mark = value.filter(|_| setting.kind == SettingKind::PURGED);
    mark.and_then(Stamps::parse)
}

impl Marks {
    /// A crash may have taken from a node what it knew.
    pub(crate) fn forget(&mut self, host: HostIndex) {
        self.known.retain(|&(of, _), _| of != host);
    }
}

impl Cluster {
    /// Somebody empties a queue, or changes policies.
    pub(crate) fn purge(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.client_dice.wait(4 * SECOND) + 100 * MS;
        self.after(wait, Happening::Client(Step::Purge));
        let Some(host) = self.any_host() else { return };
        let dice = &mut self.client_dice;
        let queue = format!("q{}", dice.below(self.plan.queues));
        let ask = if dice.percent(50) {
            let asked = self.checker.marks.asked.entry(queue.clone());
            asked.or_default().push(self.now);
            Ask::Purge(queue)
        } else {
            let pattern = dice.pick(&["*", "q*", "q0"]).to_owned();
            let policy = dice.pick(&[Policy::Retry, Policy::Ttl, Policy::Delay]);
            let value = dice.percent(70).then(|| dice.between(1, 1000).to_string());
            Ask::Configure(pattern, policy, value)
        };
        self.ask(host, Purpose::Nothing, ask);
    }
}

impl Checker {
    /// A node records a setting: it knows it from now on.
    pub(crate) fn knows(&mut self, now: Micros, host: HostIndex, setting: &Setting) {
        if setting.kind != SettingKind::PURGED {
            return;
        }
        let Some(mark) = stamps_of(setting) else {
            return self.violate(None, format!("n{host} records {setting:?}"));
        };
        let queue = String::from_utf8_lossy(&setting.name).into_owned();
        let known = self.marks.known.entry((host, queue.clone())).or_default();
        if known.last().is_none_or(|(last, _)| *last != mark) {
            known.push((mark.clone(), now));
        }
        let all = self.marks.all.entry(queue.clone()).or_default();
        let before = all.0.clone();
        all.0.merge(&mark);
        if all.0 != before {
            // Somebody has written it this moment; others only merge what they hear.
            all.1 = now;
            self.check_new_mark(now, host, &queue, &mark);
        }
    }

    /// While no fault is on, a purge takes all that there was when it was asked for.
    fn check_new_mark(&mut self, now: Micros, host: HostIndex, queue: &str, mark: &Stamps) {
        let asked = self.marks.asked.get_mut(queue);
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
            let what = format!("at {} ms n{host} purges {queue}, unasked", now / MS);
            return self.violate(None, what);
        };
        let asked = asked.remove(0);
        if !self.topics.is_quiet || !self.is_quiet() {
            return;
        }
        let left = self.jobs.iter().position(|job| {
            let here = job.queue() == queue && !job.copies.is_empty() && job.recorded < asked;
            here && job
                .id
                .is_some_and(|id| !mark.cover((id.maker(), id.start()), job.created))
        });
        if let Some(number) = left {
            let what = format!("at {} ms n{host} purges {queue} and leaves it", now / MS);
            self.violate(Some(number), what);
        }
    }

    /// Whether a purge may have taken the job.
    pub(crate) fn may_be_purged(&self, job: &Job) -> bool {
        let takes = |queue: &str, entered: Micros| {
            let last = self.marks.all.get(queue);
            last.is_some_and(|&(_, last)| entered <= last)
        };
        let mut later = job.life.queues();
        // It is made when it is asked for, and may be recorded much later: a node that keeps no copy itself records nothing
        // of a job that waits for copies elsewhere.
        takes(job.queue(), job.asked) || later.any(|(queue, at)| takes(queue, at))
    }

    /// A node handed out a job at `given`.
    pub(crate) fn check_purged(
        &mut self,
        host: HostIndex,
        number: Number,
        (given, delivery): (Micros, &Delivery),
    ) {
        let job = &self.jobs[number];
        let known = self.marks.known.get(&(
            host,
            String::from_utf8_lossy(delivery.queue.as_bytes()).into_owned(),
        ));
        // Where it is now counts, and when it came there.
        let moved = Register::of(&delivery.extras);
        let takes = |(mark, since): &&(Stamps, Micros)| {
            let covers = |id: JobId| match &moved {
                Some(moved) => mark.cover(moved.entered_by, moved.entered),
                None => mark.cover((id.maker(), id.start()), job.created),
            };
            given > *since && job.id.is_some_and(covers)
        };
        if let Some((mark, since)) = known.into_iter().flatten().find(takes) {
            let (since, mark) = (since / MS, mark.text());
            let what =
                format!("n{host} delivers it, though it knows since {since} ms that {mark} went");
            self.violate(Some(number), what);
        }
    }
}
