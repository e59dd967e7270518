//! What is missing here is asked for: from the node whose log it is, or from any member that has it.
//!
//! Each member is asked for one range at a time. What a member has freed it names as freed; what it cannot read it leaves
//! out, and another one is asked. A number that an end record counts on and that no member has is lost.

use std::ops::RangeInclusive;

use super::super::command::Told;
use super::super::entries::Slot;
use super::super::origin::Origin;
use super::super::planted::Bug;
use super::super::record::TopicRecord;
use super::super::topics::Topics;
use super::member::Pull;
use super::message::TopicNews;
use super::{Fetch, entries_of};
use crate::effect::Effect;
use crate::limits;
use crate::members::PeerKey;
use crate::node::Node;
use crate::time::Now;

impl Node {
    /// Asks for what is missing, wherever nothing is asked for already.
    pub(super) fn pull_records(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.topics.cluster.lacking.is_empty() || !self.takes_records() {
            return;
        }
        let lacking: Vec<Origin> = self.topics.cluster.lacking.iter().copied().collect();
        for origin in lacking {
            match self.topics.next_pull(origin) {
                Missing::Nothing => {
                    self.topics.cluster.lacking.remove(&origin);
                }
                Missing::AskedFor => {}
                Missing::Range { from, first, last } => {
                    let since = now.time;
                    if let Some(member) = self.topics.cluster.members.get_mut(from) {
                        member.pull = Some(Pull { origin, since });
                    }
                    self.tell_member(now, from, TopicNews::Pull(origin, first, last), effects);
                    self.watch_topics(now);
                }
            }
        }
    }

    /// A member asks for records.
    pub(super) fn on_topic_pull(
        &mut self,
        now: Now,
        from: PeerKey,
        origin: Origin,
        (first, last): (u64, u64),
        effects: &mut Vec<Effect>,
    ) {
        if first == 0 || first > last {
            return;
        }
        let found = self.topics.copies(origin, first, last);
        if found.unread.is_empty() {
            let news = TopicNews::Pulled {
                origin,
                first,
                last: found.last,
                records: found.records,
            };
            return self.tell_member(now, from, news, effects);
        }
        let fetch = Fetch::Copies {
            to: from,
            origin,
            first,
            last: found.last,
            parts: found.records,
        };
        self.fetch_entries(fetch, found.unread, effects);
    }

    /// What a member asked for was read.
    pub(in crate::topic) fn on_copies_fetched(
        &mut self,
        now: Now,
        fetch: Fetch,
        told: Vec<Told>,
        effects: &mut Vec<Effect>,
    ) {
        let Fetch::Copies {
            to,
            origin,
            first,
            last,
            parts: mut records,
        } = fetch
        else {
            panic!("{fetch:?} is for nobody");
        };
        let entries = entries_of(told).into_iter();
        records.extend(entries.map(TopicRecord::Entry));
        records.sort_by_key(number_of);
        let news = TopicNews::Pulled {
            origin,
            first,
            last,
            records,
        };
        self.tell_member(now, to, news, effects);
    }

    /// A member answers what it was asked for.
    pub(super) fn on_topic_pulled(
        &mut self,
        now: Now,
        from: PeerKey,
        (origin, first, last): (Origin, u64, u64),
        records: Vec<TopicRecord>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.topics.cluster.members.get_mut(from) else {
            return;
        };
        if member.pull.is_some_and(|pull| pull.origin == origin) {
            member.pull = None;
        }
        let node = member.node;
        self.on_topic_records(now, records, effects);
        if self.takes_records() {
            // What did not come is not there.
            let missing: Vec<_> = self.topics.missing_of(origin, first, last).collect();
            let haves = &mut self.topics.cluster.haves;
            for range in missing {
                haves.lacks(node, origin, range);
            }
        }
        self.topics.has_news = true;
    }

    /// Has entries read. Reads follow each other.
    pub(in crate::topic) fn fetch_entries(
        &mut self,
        fetch: Fetch,
        told: Vec<Told>,
        effects: &mut Vec<Effect>,
    ) {
        self.topics.cluster.fetches.push_back(fetch);
        effects.push(Effect::FetchEntries(told));
    }

    /// Once every member is there and has said what it has: numbers that end records count on and that none has are lost, and
    /// what is over has no end records but those that are known. A reader may have passed more than is left of a life.
    pub(super) fn give_up_lost(&mut self, now: Now) {
        let cluster = &self.topics.cluster;
        if cluster.may_have_lost
            && !cluster.is_anybody_away()
            && cluster.lacking.is_empty()
            && cluster.loading_since(now) >= self.settings.topic_stall
        {
            self.topics.give_up_lost();
        }
    }
}

impl super::Cluster {
    /// Whether a member is not there.
    pub(super) fn is_anybody_away(&self) -> bool {
        self.members.iter().any(|(_, member)| !member.is_present())
    }
}

/// What is missing of a log.
enum Missing {
    Nothing,
    /// Somebody was asked, or it comes unasked.
    AskedFor,
    /// To be asked for, there.
    Range {
        from: PeerKey,
        first: u64,
        last: u64,
    },
}

/// What a member gets of a range.
struct Copies {
    records: Vec<TopicRecord>,
    unread: Vec<Told>,
    last: u64,
}

impl Topics {
    /// Nobody is away.
    pub(super) fn give_up_lost(&mut self) {
        self.cluster.may_have_lost = false;
        for (origin, missing) in self.counted_on() {
            if self.holder_of(origin, *missing.start()).is_none() {
                self.origins.lose(origin, missing);
                self.cluster.may_have_lost = true;
                self.cluster.may_owe_ends = true;
            }
        }
        let logs = self.origins.logs().map(|(origin, _)| origin);
        let over: Vec<Origin> = logs
            .filter(|&origin| self.origins.is_over(origin))
            .collect();
        for origin in over {
            if self
                .cluster
                .haves
                .all_within(origin, self.origins.whole(origin))
            {
                self.origins.hold_whole(origin, u64::MAX);
            }
        }
        self.has_news = true;
    }

    /// What to ask for next of a log.
    fn next_pull(&self, origin: Origin) -> Missing {
        let members = &self.cluster.members;
        let is_asked = |pull: &Pull| pull.origin == origin;
        if members
            .iter()
            .any(|(_, member)| member.pull.as_ref().is_some_and(is_asked))
        {
            return Missing::AskedFor;
        }
        let Some(bound) = self.pull_bound(origin) else {
            return Missing::AskedFor;
        };
        let log = self.origins.log(origin);
        if log.is_some_and(super::super::OriginLog::is_refused)
            || self.origins.ends().is_sealed(origin)
        {
            return Missing::Nothing;
        }
        let mut number = 1;
        loop {
            // The first number that is missing and that somebody has.
            number = log.map_or(number, |log| log.held().first_outside(number));
            if number > bound {
                return Missing::Nothing;
            }
            if let Some((from, end)) = self.free_holder_of(origin, number) {
                let held = log.and_then(|log| log.held().next(number));
                let last = end
                    .min(bound)
                    .min(held.map_or(u64::MAX, |held| held - 1))
                    .min(number + limits::TOPIC_PULL_RECORDS - 1);
                return Missing::Range {
                    from,
                    first: number,
                    last,
                };
            }
            if self.holder_of(origin, number).is_some() {
                return Missing::AskedFor;
            }
            let others = members.present().filter_map(|(_, member)| {
                let held = self.cluster.haves.of(member.node, origin)?;
                held.next(number)
            });
            match others.min() {
                Some(next) => number = next,
                None => return Missing::Nothing,
            }
        }
    }

    /// Up to which number a log is asked for: what lies above comes unasked. None if that is not known yet.
    fn pull_bound(&self, origin: Origin) -> Option<u64> {
        let members = &self.cluster.members;
        let present = members.find(origin.node()).and_then(|key| members.get(key));
        match present.filter(|member| member.is_present() && member.own == Some(origin)) {
            Some(member) => {
                let follows = member.follows.filter(|(own, _)| *own == origin);
                follows.map(|(_, from)| from - 1)
            }
            None => Some(u64::MAX),
        }
    }

    /// A member that has this number of a log, and the last number that it has behind it.
    pub(super) fn holder_of(&self, origin: Origin, number: u64) -> Option<(PeerKey, u64)> {
        self.holder(origin, number, |_| true)
    }

    /// The same of those that are not asked for anything at the moment. The node whose log it is comes first.
    fn free_holder_of(&self, origin: Origin, number: u64) -> Option<(PeerKey, u64)> {
        self.holder(origin, number, |pull| pull.is_none())
    }

    fn holder(
        &self,
        origin: Origin,
        number: u64,
        may: impl Fn(Option<Pull>) -> bool,
    ) -> Option<(PeerKey, u64)> {
        let haves = &self.cluster.haves;
        let holders = self.cluster.members.present().filter_map(|(key, member)| {
            let end = haves.of(member.node, origin)?.end_of_run(number)?;
            may(member.pull).then_some((member.node != origin.node(), key, end))
        });
        holders.min().map(|(_, key, end)| (key, end))
    }

    /// The ranges within these numbers that are not here.
    fn missing_of(
        &self,
        origin: Origin,
        first: u64,
        last: u64,
    ) -> impl Iterator<Item = RangeInclusive<u64>> {
        let next = move |gap: &RangeInclusive<u64>| {
            self.first_gap(origin, gap.end().checked_add(1)?, last)
        };
        std::iter::successors(self.first_gap(origin, first, last), next)
    }

    /// What a member gets that asks for a range: as much as fits a message.
    fn copies(&self, origin: Origin, first: u64, last: u64) -> Copies {
        let mut found = Copies {
            records: Vec::new(),
            unread: Vec::new(),
            last,
        };
        let (mut bytes, mut looks) = (0, 0);
        let mut number = first;
        while number <= last {
            if bytes >= limits::TOPIC_MESSAGE_BYTES as u64 || looks >= limits::TOPIC_PULL_RECORDS {
                found.last = number - 1;
                break;
            }
            looks += 1;
            if let Some(record) = self.end_at(origin, number) {
                bytes += record.size();
                found.records.push(record);
            } else if let Slot::Entry(entry) = self.entries.slot(origin, number)
                && self.is_visible(origin, number)
            {
                bytes += super::super::record::ENTRY_BYTES + u64::from(entry.bytes);
                match self.entries.told(origin, number, entry) {
                    Told::Entry(entry, _) => found.records.push(TopicRecord::Entry(entry)),
                    unread @ (Told::Unread(_) | Told::Lost(..)) => found.unread.push(unread),
                }
            } else if !self.origins.has(Bug::FreedNotNamed)
                && let Some(end) = self.unread_run(origin, number, last)
            {
                self.push_freed(&mut found.records, origin, number..=end);
                number = end;
            }
            number += 1;
        }
        found
    }

    /// The end of a range that counts as held here and has nothing for readers; none if the number is not held.
    fn unread_run(&self, origin: Origin, number: u64, last: u64) -> Option<u64> {
        let log = self.origins.log(origin)?;
        if log.lost().contains(number) || !log.held().contains(number) {
            return None;
        }
        // What was freed goes in one step, up to the next end record.
        let end = log.freed().end_of_run(number).unwrap_or(number).min(last);
        let mut rows = self.origins.ends().rows(origin, number);
        let row = rows.next().map_or(u64::MAX, |(row, _)| row);
        Some(end.min(row - 1))
    }

    /// Adds a range that was freed, or lengthens the one before it.
    fn push_freed(
        &self,
        records: &mut Vec<TopicRecord>,
        origin: Origin,
        range: RangeInclusive<u64>,
    ) {
        match records.last_mut() {
            Some(TopicRecord::Freed { last, .. }) if *last + 1 == *range.start() => {
                *last = *range.end();
            }
            Some(_) | None => records.push(self.freed(origin, range)),
        }
    }

    /// Numbers that end records count on and that are not here: the first range of each log.
    fn counted_on(&self) -> Vec<(Origin, RangeInclusive<u64>)> {
        let ended = self.origins.ends().reaches();
        let missing = ended
            .filter_map(|(origin, records)| Some((origin, self.first_gap(origin, 1, records)?)));
        missing.collect()
    }

    /// The first range within these numbers that is not here.
    fn first_gap(&self, origin: Origin, first: u64, last: u64) -> Option<RangeInclusive<u64>> {
        match self.origins.log(origin) {
            Some(log) => log.held().gap(first, last),
            None => (first <= last).then_some(first..=last),
        }
    }
}

/// The number of a record in its log.
fn number_of(record: &TopicRecord) -> u64 {
    match record {
        TopicRecord::Entry(entry) => entry.number,
        TopicRecord::End { number, .. } => *number,
        TopicRecord::Freed { first, .. } => *first,
        TopicRecord::Life(_) => 0,
    }
}
