//! What is promised of topics, held against what happens.
//!
//! Each entry is known by its id from the moment that a node gives it to its disk. From there the ledger says which disks
//! have it, so that at the end it is clear what readers must have got: all that is left anywhere, unless somebody flushed
//! it or a rule took it.

use std::collections::{BTreeMap, BTreeSet};

use shoalmq_core::id::JobId;
use shoalmq_core::log::Position;
use shoalmq_core::record::Record;
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::time::WallTime;
use shoalmq_core::topic::{Case, Entry, EntryId, Origin, TopicRecord, matches};

use super::binding::Bound;
use super::names::Name;
use super::plan::TopicPlan;
use super::{Number, Terms};
use crate::checker::Checker;
use crate::plan::Plan;
use crate::schedule::{HostIndex, MS, Micros};
use crate::summary::Entries;

/// What a publisher knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Waits,
    Published,
    Refused,
    Unknown,
}

/// How many copies there must be of what is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As many as were asked for.
    Promised,
    /// One, which may be on no disk yet: the rest was too slow.
    One,
}

/// What somebody publishes, under one number.
#[derive(Debug)]
pub(super) struct Publication {
    terms: Terms,
    pub(super) asked: Micros,
    /// Copies that must exist when the publisher gets the id.
    pub(super) promised: usize,
    pub(super) answer: Answer,
    /// Entries that came of it.
    pub(super) ids: Vec<EntryId>,
}

/// What the wall clocks of the nodes are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clocks {
    /// All say nearly the same.
    Agree,
    /// Some are wrong, but all go on steadily.
    Differ,
    /// Some jump.
    Jump,
}

impl Clocks {
    fn of(plan: &Plan) -> Self {
        if !plan.clocks_stay() {
            Clocks::Jump
        } else if plan.hosts == 1 || plan.clocks_agree() {
            Clocks::Agree
        } else {
            Clocks::Differ
        }
    }
}

/// An entry that some node recorded.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) origin: Origin,
    pub(super) number: u64,
    pub(super) channel: &'static str,
    pub(super) publication: Number,
    /// When it was first recorded.
    pub(super) recorded: Micros,
    /// Where it is, and how far the disk must be synced to have it.
    pub(super) copies: BTreeMap<HostIndex, Position>,
    /// Where it ever was.
    pub(super) had: BTreeSet<HostIndex>,
}

/// All that is known of topics.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) published: Vec<Publication>,
    pub(super) entries: BTreeMap<EntryId, Kept>,
    numbers: BTreeMap<(Origin, u64), EntryId>,
    pub(crate) bound: Bound,
    /// Named cursors.
    pub(super) names: Vec<Name>,
    /// What each node has given in order since it started.
    pub(super) shown: BTreeMap<HostIndex, BTreeSet<EntryId>>,
    /// Flushes, by their patterns.
    marks: BTreeMap<Vec<u8>, EntryId>,
    /// The same, as each node knows them, and since when.
    known_marks: BTreeMap<HostIndex, BTreeMap<Vec<u8>, (EntryId, Micros)>>,
    /// Patterns that ever had a rule.
    ruled: BTreeSet<Vec<u8>>,
    /// Room is short: any entry may be taken.
    pub(super) is_short: bool,
    dedup_ms: u64,
    /// Crashes that took entries of topics.
    pub(super) cut_short: usize,
    pub(super) nodes: usize,
    /// No fault is on, from the first to the last moment.
    pub(crate) is_quiet: bool,
    pub(super) clocks: Clocks,
    pub(super) read: u64,
    pub(super) late: u64,
    pub(super) lost: u64,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan) -> Self {
        let topics = plan.topics.as_ref();
        let is_short = |plan: &TopicPlan| plan.disk < 1 << 30;
        Ledger {
            published: Vec::new(),
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            bound: Bound::default(),
            names: Vec::new(),
            shown: BTreeMap::new(),
            marks: BTreeMap::new(),
            known_marks: BTreeMap::new(),
            ruled: BTreeSet::new(),
            is_short: topics.is_some_and(is_short),
            dedup_ms: topics.map_or(0, |plan| plan.dedup_ms),
            cut_short: 0,
            nodes: plan.hosts,
            is_quiet: plan.stops_at_most() && plan.clocks_agree(),
            clocks: Clocks::of(plan),
            read: 0,
            late: 0,
            lost: 0,
        }
    }

    /// A node stops. If it alone has an entry, as all others had stopped before, that is late when it is back.
    pub(crate) fn stops(&mut self, host: HostIndex, running: &[HostIndex]) {
        let is_alone = |kept: &Kept| {
            let copies = &kept.copies;
            let is_elsewhere = running
                .iter()
                .any(|other| *other != host && copies.contains_key(other));
            copies.contains_key(&host) && copies.len() < self.nodes && !is_elsewhere
        };
        self.is_quiet = self.is_quiet && !self.entries.values().any(is_alone);
    }

    pub(super) fn next_number(&self) -> Number {
        self.published.len()
    }

    pub(super) fn terms(&self, number: Number) -> &Terms {
        &self.published[number].terms
    }

    /// Somebody is about to publish.
    pub(super) fn asked(&mut self, now: Micros, terms: &Terms) {
        self.published.push(Publication {
            terms: terms.clone(),
            asked: now,
            promised: 1,
            answer: Answer::Waits,
            ids: Vec::new(),
        });
    }

    /// It is asked of a node, or asked again.
    pub(super) fn tried(&mut self, number: Number, promised: usize) {
        let publication = &mut self.published[number];
        publication.promised = promised;
        if publication.answer == Answer::Refused {
            publication.answer = Answer::Waits;
        }
    }

    pub(super) fn is_unknown(&mut self, number: Number) {
        let answer = &mut self.published[number].answer;
        if *answer != Answer::Published {
            *answer = Answer::Unknown;
        }
    }

    /// The id of some entry, chosen by a number.
    pub(super) fn some_id(&self, number: u64) -> Option<EntryId> {
        let nth = (number as usize).checked_rem(self.entries.len())?;
        self.entries.keys().nth(nth).copied()
    }

    /// How many records nodes made.
    pub(super) fn record_count(&self) -> u64 {
        self.numbers.len() as u64
    }

    pub(super) fn may_lose(&self) -> bool {
        self.is_short || !self.ruled.is_empty()
    }

    /// Whether somebody flushed an entry.
    pub(super) fn is_flushed(&self, id: EntryId, channel: &str) -> bool {
        let is_match = |(pattern, mark): (&Vec<u8>, &EntryId)| {
            id <= *mark && matches(pattern, channel.as_bytes(), Case::Exact)
        };
        self.marks.iter().any(is_match)
    }

    /// Whether a rule may have taken an entry of this channel.
    pub(super) fn is_ruled(&self, channel: &str) -> bool {
        let is_match = |pattern: &Vec<u8>| matches(pattern, channel.as_bytes(), Case::Exact);
        self.is_short || self.ruled.iter().any(is_match)
    }

    /// Whether a node has known before this moment that an entry is flushed.
    pub(super) fn knows_flushed(
        &self,
        host: HostIndex,
        given: Micros,
        id: EntryId,
        channel: &str,
    ) -> bool {
        let marks = self.known_marks.get(&host);
        let is_match = |(pattern, (mark, since)): (&Vec<u8>, &(EntryId, Micros))| {
            id <= *mark && *since < given && matches(pattern, channel.as_bytes(), Case::Exact)
        };
        marks.is_some_and(|marks| marks.iter().any(is_match))
    }

    /// A node has given an entry in order.
    pub(super) fn shown(&mut self, host: HostIndex, id: EntryId) {
        self.shown.entry(host).or_default().insert(id);
    }

    /// A process is over.
    pub(crate) fn ended(&mut self, host: HostIndex) {
        self.shown.remove(&host);
    }

    /// What happened, in numbers.
    pub(crate) fn summary(&self) -> Entries {
        let is_taken = |kept: &&Kept| {
            let publication = &self.published[kept.publication];
            publication.answer == Answer::Published && kept.copies.is_empty()
        };
        Entries {
            published: self.entries.len() as u64,
            read: self.read,
            late: self.late,
            lost: self.lost,
            taken: self.entries.values().filter(is_taken).count() as u64,
        }
    }

    /// A node crashed: of what it gave to its disk for topics, this much is left.
    pub(crate) fn crashed(&mut self, host: HostIndex, kept: Position, survived: &BTreeSet<JobId>) {
        self.known_marks.remove(&host);
        self.bound.crashed(host, survived);
        let mut is_cut = false;
        for entry in self.entries.values_mut() {
            if entry.copies.get(&host).is_some_and(|&at| at > kept) {
                entry.copies.remove(&host);
                is_cut = true;
            }
        }
        self.cut_short += usize::from(is_cut);
    }

    /// A node's disk is gone.
    pub(crate) fn destroyed(&mut self, host: HostIndex) {
        self.known_marks.remove(&host);
        self.bound.crashed(host, &BTreeSet::new());
        for name in &mut self.names {
            name.destroyed(host);
        }
        for entry in self.entries.values_mut() {
            entry.copies.remove(&host);
        }
        self.cut_short += 1;
    }
}

impl Checker {
    /// A node gave a record to its disk.
    pub(crate) fn topic_recorded(
        &mut self,
        now: Micros,
        host: HostIndex,
        wall: WallTime,
        record: &TopicRecord,
        position: Position,
    ) {
        match record {
            TopicRecord::Entry(entry) => self.entry_recorded(now, host, wall, entry, position),
            TopicRecord::End {
                origin,
                number,
                record,
            } => self.number_recorded(host, *origin, *number, record.id()),
            TopicRecord::Life(_) | TopicRecord::Freed { .. } => {}
        }
    }

    /// A number of a log names one record for ever.
    fn number_recorded(&mut self, host: HostIndex, origin: Origin, number: u64, id: EntryId) {
        let first = *self.topics.numbers.entry((origin, number)).or_insert(id);
        if first != id {
            let what = format!("n{host} has {id} as record {number} of {origin}, which is {first}");
            self.violate(None, what);
        }
    }

    fn entry_recorded(
        &mut self,
        now: Micros,
        host: HostIndex,
        wall: WallTime,
        entry: &Entry,
        position: Position,
    ) {
        self.number_recorded(host, entry.origin, entry.number, entry.id);
        let number = number_of(entry).filter(|&number| number < self.topics.published.len());
        let terms = number.map(|number| self.topics.terms(number));
        let Some((number, terms)) = number.zip(terms) else {
            return self.violate(None, format!("n{host} records {entry:?}"));
        };
        if terms.channel.as_bytes() != &*entry.channel
            || terms.body.as_bytes() != entry.body.as_bytes()
        {
            return self.violate(None, format!("n{host} records {entry:?} for {terms:?}"));
        }
        let channel = terms.channel;
        if !self.topics.entries.contains_key(&entry.id) {
            self.check_new(now, host, wall, number, entry);
            self.topics.published[number].ids.push(entry.id);
        }
        let topics = &mut self.topics;
        let kept = topics.entries.entry(entry.id).or_insert_with(|| Kept {
            origin: entry.origin,
            number: entry.number,
            channel,
            publication: number,
            recorded: now,
            copies: BTreeMap::new(),
            had: BTreeSet::new(),
        });
        kept.copies.entry(host).or_insert(position);
        kept.had.insert(host);
        if (kept.origin, kept.number) != (entry.origin, entry.number) {
            let what = format!("n{host} has {entry:?}, whose id {kept:?} has, too");
            self.violate(None, what);
        }
    }

    /// A node publishes an entry.
    fn check_new(
        &mut self,
        now: Micros,
        host: HostIndex,
        wall: WallTime,
        number: Number,
        entry: &Entry,
    ) {
        let topics = &self.topics;
        let publication = &topics.published[number];
        let channel = publication.terms.channel;
        let since = wall.0.saturating_sub(topics.dedup_ms);
        // While the clock was ahead, the key was over.
        let is_same = |id: &&EntryId| {
            topics.clocks != Clocks::Jump
                && topics.entries[id].copies.contains_key(&host)
                && id.ms() >= since
                && !topics.is_flushed(**id, channel)
                && !topics.is_ruled(channel)
        };
        let same = publication.ids.iter().find(is_same);
        let what = if publication.answer == Answer::Refused {
            Some("though it was refused".to_owned())
        } else if let Some(same) = same {
            Some(format!("though it has it as {same}, of the same key"))
        } else if topics.clocks == Clocks::Agree
            && topics.knows_flushed(host, Micros::MAX, entry.id, channel)
        {
            Some("and has flushed it before".to_owned())
        } else {
            None
        };
        if let Some(what) = what {
            let what = format!("at {} ms n{host} publishes {entry:?}, {what}", now / MS);
            self.violate(None, what);
        }
    }

    /// A node records a setting.
    pub(crate) fn topic_setting(&mut self, now: Micros, host: HostIndex, setting: &Setting) {
        let name = setting.name.to_vec();
        if setting.kind == SettingKind::TOPIC_RULE {
            self.topics.ruled.insert(name);
        } else if setting.kind == SettingKind::TOPIC_CURSOR {
            self.name_recorded(now, host, setting);
        } else if setting.kind == SettingKind::TOPIC_BINDING {
            self.topics.bound.recorded(host);
        } else if setting.kind == SettingKind::TOPIC_FLUSHED {
            let mark = setting.value.as_deref().and_then(EntryId::parse);
            let Some(mark) = mark else {
                return self.violate(None, format!("n{host} records {setting:?}"));
            };
            let highest = self.topics.marks.entry(name.clone()).or_insert(mark);
            *highest = mark.max(*highest);
            let known = self.topics.known_marks.entry(host).or_default();
            let known = known.entry(name).or_insert((mark, now));
            if mark > known.0 {
                *known = (mark, now);
            }
        }
    }

    /// What a record says of topics.
    pub(crate) fn watch_topics(
        &mut self,
        now: Micros,
        host: HostIndex,
        wall: WallTime,
        record: &Record,
        position: Position,
    ) {
        if let Record::Topic(record) = record {
            self.topic_recorded(now, host, wall, record, position);
        } else if let Record::Setting(setting) = record {
            self.topic_setting(now, host, setting);
        }
    }
}

/// The number that is in a body.
pub(super) fn number_of(entry: &Entry) -> Option<Number> {
    let text = std::str::from_utf8(entry.body.as_bytes()).ok()?;
    text.strip_prefix("entry ")?.trim_start().parse().ok()
}
