//! Counting: how often a job was handed out, and what of it is recorded.
//!
//! Hand-outs are counted and recorded while a MAXDELIVER applies, and only then. The first one by the node that added the job is
//! not recorded, if that node has not been started again since: so a job that does not fail costs no record more.

use crate::effect::{Effect, News};
use crate::extras::{Extras, Tag};
use crate::job::JobKey;
use crate::moving::taken_wait;
use crate::node::Node;
use crate::planted::Bug;
use crate::record::{CountRecord, Record};
use crate::stamp::made_by;

impl Node {
    /// A job is about to be handed out.
    pub(crate) fn count_delivery(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        self.remember_rules(self.jobs[key].queue);
        if !self.is_counted(key) {
            return;
        }
        self.set_handed_out(key, self.handed_out(key).saturating_add(1));
        if !self.is_first_here(key) && !self.has(Bug::UnrecordedDelivery) {
            self.persist_counts(key, News::Job, effects);
        }
    }

    /// A delivery did not reach its client.
    pub(crate) fn uncount_delivery(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        let before = self.handed_out(key);
        if before == 0 || !self.is_counted(key) {
            return;
        }
        let was_recorded = !self.is_first_here(key);
        self.set_handed_out(key, before - 1);
        if was_recorded {
            self.persist_counts(key, News::Nothing, effects);
        }
    }

    /// The node starts. It knows of no hand-out that is not recorded.
    pub(crate) fn count_at_start(&mut self, key: JobKey) {
        if self.has(Bug::WaitingCounted) && self.is_counted(key) {
            self.set_handed_out(key, self.handed_out(key).saturating_add(1));
        }
    }

    fn is_counted(&self, key: JobKey) -> bool {
        let may_be = self.jobs[key].has_extras() || self.shared.has_rules();
        may_be && self.max_deliver(key).is_some()
    }

    /// The one hand-out so far is that of the node that added the job, in the same run.
    fn is_first_here(&self, key: JobKey) -> bool {
        let job = &self.jobs[key];
        let (maker, start) = made_by(&job.id, &self.jobs.extras(key));
        let added_here = maker == self.id.maker() && start == self.start && job.id.is_of(&self.id);
        self.handed_out(key) == 1 && added_here && !job.is_moved()
    }

    /// How often a job was handed out, this time included if it is `now`: as it is counted, or at least as its counters tell.
    pub(crate) fn deliveries(&self, key: JobKey, now: bool) -> u32 {
        let job = &self.jobs[key];
        let counted = u32::from(self.handed_out(key));
        if self.is_counted(key) {
            return counted;
        }
        let before = job.nacks.saturating_add(job.additional_deliveries);
        before.saturating_add(u32::from(now)).max(counted)
    }

    /// Records what is counted of a job.
    pub(crate) fn persist_counts(&mut self, key: JobKey, news: News, effects: &mut Vec<Effect>) {
        if !self.must_record(key) {
            return;
        }
        let job = &self.jobs[key];
        let record = CountRecord {
            id: job.id,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            turn: job.is_ours(),
            extras: self.counts(key),
        };
        self.persist_as(news, Record::Counted(Box::new(record)), effects);
    }

    /// How often a job was handed out, as far as that was counted.
    pub(super) fn handed_out(&self, key: JobKey) -> u16 {
        if self.jobs[key].has_extras() {
            deliveries_of(&self.jobs.extras(key))
        } else {
            0
        }
    }

    /// Whether more hand-outs were counted here than a message says.
    pub(crate) fn counted_more(&self, key: JobKey, extras: &Extras) -> bool {
        deliveries_of(extras) < self.handed_out(key)
    }

    pub(super) fn set_handed_out(&mut self, key: JobKey, deliveries: u16) {
        let bytes = deliveries.to_le_bytes();
        let value = (deliveries > 0).then_some(&bytes[..]);
        let extras = self.jobs.extras(key);
        if extras.get(Tag::DELIVERIES) != value {
            self.change_extras(key, extras.with(Tag::DELIVERIES, value));
        }
    }

    /// Another holder has counted this many hand-outs.
    pub(super) fn hear_handed_out(&mut self, key: JobKey, deliveries: u16) {
        self.set_handed_out(key, self.handed_out(key).max(deliveries));
    }

    /// What is counted of a job, and until when it waits.
    pub(crate) fn counts(&self, key: JobKey) -> Extras {
        let extras = self.jobs.extras(key);
        let counted = [Tag::DELIVERIES, Tag::REASON, Tag::DEDUP_KEY].into_iter();
        let counted = counted.filter_map(|tag| Some((tag, extras.get(tag)?)));
        self.with_wait_until(key, &Extras::new(counted))
    }

    /// The log says what was counted of a job.
    pub(crate) fn load_counts(&mut self, key: JobKey, counts: &Extras) {
        let (counts, until) = taken_wait(counts.clone());
        let mut extras = self.jobs.extras(key);
        for (tag, value) in counts.iter() {
            extras = extras.with(tag, Some(value));
        }
        if counts.get(Tag::DELIVERIES).is_none() {
            extras = extras.with(Tag::DELIVERIES, None);
        }
        self.change_extras(key, extras);
        self.load_wait(key, until);
    }

    /// The extras of a job as its record has them.
    pub(crate) fn extras_kept(&self, key: JobKey) -> Extras {
        self.with_wait_until(key, &self.jobs.extras(key))
    }
}

/// How often a job was handed out, as its extras, a copy, a message or a record says it.
pub(super) fn deliveries_of(extras: &Extras) -> u16 {
    let bytes = extras.get(Tag::DELIVERIES);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u16::from_le_bytes)
}
