//! A binding: somebody binds channels to a queue of its own, and a worker takes the jobs.
//!
//! Every entry that is there for good must become a job, and each of its jobs must be handed out, or be lost with all the
//! disks that had it. In a run without faults each entry becomes one job, which is handed out once.

use std::collections::{BTreeMap, BTreeSet};

use shoalmq_core::command::{AddJob, Delivery, Wait};
use shoalmq_core::extras::Tag;
use shoalmq_core::id::JobId;
use shoalmq_core::meta::Meta;
use shoalmq_core::record::{JobRecord, Record};
use shoalmq_core::setting::SettingKind;
use shoalmq_core::topic::{Case, EntryId, matches};

use super::{TopicAsk, TopicPurpose, TopicStep};
use crate::checker::Checker;
use crate::client::{Ask, Step};
use crate::cluster::Cluster;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};

/// The queue.
pub(crate) const QUEUE: &str = "bound";
/// What is bound to it.
pub(super) const PATTERN: &str = "t.*";
/// RETRY of its jobs, in seconds: what was lost with a node comes again while the run lasts.
const RETRY: u32 = 4;
/// How often somebody binds until it is answered, and how often the worker comes.
const BIND_AGAIN: Micros = 2 * SECOND;
const WORK_EVERY: Micros = 150 * MS;

/// What is known of the jobs of bindings.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// TBIND was answered.
    is_answered: bool,
    /// Whose disks have it.
    holders: BTreeSet<HostIndex>,
    jobs: BTreeMap<JobId, BoundJob>,
}

#[derive(Debug)]
struct BoundJob {
    entry: EntryId,
    /// Where it is.
    copies: BTreeSet<HostIndex>,
    /// Crashes took all copies that there were.
    is_taken: bool,
    /// How often it was handed out.
    delivered: u32,
}

/// TBIND, as somebody sends it.
pub(super) fn add() -> AddJob<'static> {
    AddJob {
        retry: Some(RETRY),
        max_len: Some(50),
        ..AddJob::new(QUEUE.as_bytes(), b"")
    }
}

impl Cluster {
    pub(super) fn begin_binding(&mut self) {
        let Some(at) = self.plan.topics.as_ref().and_then(|plan| plan.bind_at) else {
            return;
        };
        self.at(at, Happening::Client(Step::Topic(TopicStep::Bind)));
        self.at(at, Happening::Client(Step::Topic(TopicStep::Work)));
    }

    pub(super) fn bind_something(&mut self) {
        if self.checker.topics.bound.is_answered {
            return;
        }
        let again = Step::Topic(TopicStep::Bind);
        self.after(BIND_AGAIN, Happening::Client(again));
        if let Some(host) = self.any_topic_host() {
            self.ask_topic(host, TopicPurpose::Bind, TopicAsk::Bind);
        }
    }

    /// The worker looks at every node: the jobs may lie at any.
    pub(super) fn work(&mut self) {
        let again = Step::Topic(TopicStep::Work);
        self.after(WORK_EVERY, Happening::Client(again));
        for host in 0..self.hosts.len() {
            if self.hosts[host].serves() {
                let get = Ask::Get(vec![QUEUE.to_owned()], 20, Wait::No);
                let purpose = crate::workload::Purpose::Topic(TopicPurpose::Work);
                self.ask(host, purpose, get);
            }
        }
    }

    pub(super) fn worked(&mut self, host: HostIndex, taken: &[Delivery]) {
        for delivery in taken {
            self.checker.bound_delivered(self.now, host, &delivery.id);
        }
        let ids = taken.iter().map(|delivery| delivery.id).collect();
        let purpose = crate::workload::Purpose::Nothing;
        self.ask(host, purpose, Ask::Ack(ids, None));
    }
}

impl Bound {
    pub(super) fn bind(&mut self) {
        self.is_answered = true;
    }

    /// A node records the binding.
    pub(super) fn recorded(&mut self, host: HostIndex) {
        self.holders.insert(host);
    }

    /// A node starts over from these records.
    pub(crate) fn reread(&mut self, host: HostIndex, records: &[&Record]) {
        let is_binding = |record: &&Record| match record {
            Record::Setting(setting) => setting.kind == SettingKind::TOPIC_BINDING,
            _ => false,
        };
        if !records.iter().any(is_binding) {
            self.holders.remove(&host);
        }
    }

    /// A node crashed: these jobs are left on its disk.
    pub(super) fn crashed(&mut self, host: HostIndex, survived: &BTreeSet<JobId>) {
        for (id, job) in &mut self.jobs {
            if !survived.contains(id) && job.copies.remove(&host) {
                job.is_taken |= job.copies.is_empty();
            }
        }
    }
}

impl Checker {
    /// A node records a job of a binding.
    pub(crate) fn bound_recorded(&mut self, now: Micros, host: HostIndex, added: &JobRecord) {
        let meta = added.extras.get(Tag::META).map(Meta::decode);
        let meta = meta.unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = meta.pairs().iter();
            let pair = pairs.find(|(other, _)| *other == name.as_bytes());
            pair.map(|(_, value)| *value)
        };
        let id = value("shoal.id").and_then(EntryId::parse);
        let kept = id.and_then(|id| Some((id, self.topics.entries.get(&id)?)));
        let is_right = |(id, kept): (EntryId, &super::checker::Kept)| {
            let terms = self.topics.terms(kept.publication);
            let is_same = terms.body.as_bytes() == added.body.as_bytes()
                && value("shoal.channel") == Some(kept.channel.as_bytes());
            (is_same && wants(kept.channel)).then_some(id)
        };
        let Some(entry) = kept.and_then(is_right) else {
            let what = format!("at {} ms n{host} records {added:?} of no entry", now / MS);
            return self.violate(None, what);
        };
        let job = self.topics.bound.jobs.entry(added.id);
        let job = job.or_insert(BoundJob {
            entry,
            copies: BTreeSet::new(),
            is_taken: false,
            delivered: 0,
        });
        job.copies.insert(host);
    }

    fn bound_delivered(&mut self, now: Micros, host: HostIndex, id: &JobId) {
        let is_quiet = self.topics.is_quiet && self.is_quiet();
        let Some(job) = self.topics.bound.jobs.get_mut(id) else {
            let what = format!(
                "at {} ms n{host} hands {id} out, which is bound to nothing",
                now / MS
            );
            return self.violate(None, what);
        };
        job.delivered += 1;
        if is_quiet && job.delivered > 1 {
            let what = format!(
                "at {} ms n{host} hands {id} out once more: {job:?}",
                now / MS
            );
            self.violate(None, what);
        }
    }

    /// Long after all faults are over: all entries have become jobs.
    pub(super) fn check_bound(&mut self, now: Micros) {
        // Crashes may have taken the binding from all disks: then nobody makes jobs any more.
        if !self.topics.bound.is_answered || self.topics.bound.holders.is_empty() {
            return;
        }
        let mut jobs: BTreeMap<EntryId, Vec<(&JobId, &BoundJob)>> = BTreeMap::new();
        for (id, job) in &self.topics.bound.jobs {
            jobs.entry(job.entry).or_default().push((id, job));
        }
        // Nodes stop cleanly at most.
        let is_quiet = self.topics.is_quiet;
        let topics = &self.topics;
        let is_wrong = |(id, kept): &(&EntryId, &super::checker::Kept)| {
            let made = jobs.get(id).map(Vec::as_slice).unwrap_or_default();
            let is_handled = |(_, job): &(&JobId, &BoundJob)| job.delivered > 0 || job.is_taken;
            // Who has it may never have met one that knows the binding.
            let is_gone = kept
                .copies
                .keys()
                .all(|host| !topics.bound.holders.contains(host))
                || topics.is_flushed(**id, kept.channel)
                || topics.is_ruled(kept.channel);
            wants(kept.channel)
                && !is_gone
                && (!made.iter().any(is_handled) || is_quiet && made.len() > 1)
        };
        let mut wrong = topics.entries.iter().filter(is_wrong);
        if let Some((id, kept)) = wrong.next() {
            let (more, made) = (wrong.count(), jobs.get(id));
            let what = format!(
                "at {} ms the jobs of {id} are {made:?}, and {more} others are wrong: {kept:?}",
                now / MS
            );
            self.violate(None, what);
        }
    }
}

fn wants(channel: &str) -> bool {
    matches(PATTERN.as_bytes(), channel.as_bytes(), Case::Exact)
}
