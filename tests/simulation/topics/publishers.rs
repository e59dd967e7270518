//! Those who publish, flush, and set rules of retention.

use std::time::Duration;

use shoalmq_core::command::Refusal;
use shoalmq_core::topic::{Before, EntryId, Rule, TopicRefusal};

use super::checker::Wanted;
use super::plan::{CHANNELS, PATTERNS};
use super::{Number, TopicAsk, TopicPurpose, TopicStep};
use crate::client::Step;
use crate::cluster::Cluster;
use crate::schedule::{Happening, HostIndex, MS};

/// What is published, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) channel: &'static str,
    pub(crate) body: String,
    pub(crate) replicate: Option<u16>,
    pub(crate) timeout: Duration,
    pub(crate) is_async: bool,
    pub(crate) dedup: Option<String>,
}

impl Terms {
    /// How many nodes have it when its publisher gets the id from a node that knows `cluster` nodes, itself included.
    pub(crate) fn promised(&self, cluster: usize) -> usize {
        match self.replicate {
            _ if self.is_async => 1,
            Some(copies) => usize::from(copies),
            None => cluster.min(2),
        }
    }
}

impl Cluster {
    fn after_topic(&mut self, wait: u64, step: TopicStep) {
        self.after(wait, Happening::Client(Step::Topic(step)));
    }

    pub(super) fn publish_something(&mut self) {
        let Some(plan) = self.plan.topics.clone() else {
            return;
        };
        if self.workload.peace {
            return;
        }
        let wait = self.topic_dice.wait(plan.publish_every);
        self.after_topic(wait, TopicStep::Publish);
        let number = self.checker.topics.next_number();
        let dice = &mut self.topic_dice;
        let width = plan.width;
        let terms = Terms {
            channel: dice.pick(&CHANNELS[..plan.channels]),
            body: format!("entry {number:width$}"),
            replicate: dice.weighted(&[(45, None), (25, Some(1)), (15, Some(2)), (15, Some(3))]),
            timeout: Duration::from_millis(dice.pick(&[100, 1000, 5000])),
            is_async: dice.percent(15),
            dedup: dice.percent(30).then(|| format!("key {number}")),
        };
        let announces = dice.percent(10);
        self.checker.topics.asked(self.now, &terms);
        if announces {
            let Some(host) = self.any_topic_host() else {
                return;
            };
            let purpose = TopicPurpose::Announce(number);
            let ticket = self.ask_topic(host, purpose, TopicAsk::Announce(Box::new(terms)));
            return self.after(5000 * MS, Happening::Client(Step::HangUp(ticket)));
        }
        self.publish(number, terms);
    }

    fn publish(&mut self, number: Number, terms: Terms) {
        let Some(host) = self.any_topic_host() else {
            return self.publish_unanswered(number);
        };
        let process = self.hosts[host].process.as_ref();
        let members = process.map_or(0, |process| process.gossip.members().count());
        self.checker
            .topics
            .tried(number, terms.promised(members + 1));
        let patience = self.topic_dice.weighted(&[(80, 6000), (20, 150)]) * MS;
        let purpose = TopicPurpose::Publish(number);
        let ticket = self.ask_topic(host, purpose, TopicAsk::Publish(Box::new(terms)));
        self.after(patience, Happening::Client(Step::HangUp(ticket)));
    }

    pub(super) fn publish_again(&mut self, number: Number) {
        let terms = self.checker.topics.terms(number).clone();
        self.publish(number, terms);
    }

    /// A publisher was not answered. With DEDUP it may send again.
    pub(super) fn publish_unanswered(&mut self, number: Number) {
        self.checker.topics.is_unknown(number);
        let has_key = self.checker.topics.terms(number).dedup.is_some();
        if has_key && !self.workload.peace && self.topic_dice.percent(80) {
            let wait = self.topic_dice.between(1, 500) * MS;
            self.after_topic(wait, TopicStep::Again(number));
        }
    }

    pub(super) fn publish_refused(&mut self, host: HostIndex, number: Number, refusal: Refusal) {
        // It is published, but too few nodes were known to have it in time.
        if let Refusal::Topic(TopicRefusal::Pending(id)) = refusal {
            return self.answered_by(host, number, id, Wanted::One);
        }
        self.checker.topic_refused(self.now, number, refusal);
    }

    /// A publisher got the id of its entry.
    pub(super) fn published(&mut self, host: HostIndex, number: Number, id: EntryId) {
        self.answered_by(host, number, id, Wanted::Promised);
    }

    fn answered_by(&mut self, host: HostIndex, number: Number, id: EntryId, wanted: Wanted) {
        let synced: Vec<_> = self.hosts.iter().map(|host| host.disk.synced()).collect();
        self.checker
            .topic_published(self.now, host, number, id, wanted, &synced);
        let has_key = self.checker.topics.terms(number).dedup.is_some();
        if has_key && !self.workload.peace && self.topic_dice.percent(20) {
            let wait = self.topic_dice.between(1, 3000) * MS;
            self.after_topic(wait, TopicStep::Again(number));
        }
    }

    /// PUBLISH was answered.
    pub(super) fn announced(&mut self, number: Number) {
        self.checker.topic_announced(self.now, number);
    }

    fn some_pattern(&mut self) -> String {
        let patterns = self.topic_dice.pick(&PATTERNS);
        let dice = &mut self.topic_dice;
        let pattern = dice.pick(patterns);
        pattern.to_owned()
    }

    pub(super) fn flush_something(&mut self) {
        let Some(every) = self.plan.topics.as_ref().and_then(|plan| plan.flush_every) else {
            return;
        };
        if self.workload.peace {
            return;
        }
        let wait = self.topic_dice.wait(every);
        self.after_topic(wait, TopicStep::Flush);
        let Some(host) = self.any_topic_host() else {
            return;
        };
        let pattern = self.some_pattern();
        let number = self.topic_dice.next();
        let before = match self.checker.topics.some_id(number) {
            Some(id) if self.topic_dice.percent(60) => Before::Id(id),
            Some(_) | None => Before::Now,
        };
        self.ask_topic(
            host,
            TopicPurpose::Nothing,
            TopicAsk::Flush(pattern, before),
        );
    }

    pub(super) fn retain_something(&mut self) {
        let Some(every) = self.plan.topics.as_ref().and_then(|plan| plan.retain_every) else {
            return;
        };
        if self.workload.peace {
            return;
        }
        let wait = self.topic_dice.wait(every);
        self.after_topic(wait, TopicStep::Retain);
        let Some(host) = self.any_topic_host() else {
            return;
        };
        let pattern = self.some_pattern();
        let entries = self.topic_dice.between(3, 40);
        let rule = Rule {
            entries: Some(entries),
            ..Rule::default()
        };
        let rule = self.topic_dice.percent(80).then_some(rule);
        self.ask_topic(host, TopicPurpose::Nothing, TopicAsk::Retain(pattern, rule));
    }
}
