//! What is promised of named cursors, held against what happens.
//!
//! The ledger does not read the values that nodes keep of a name. It knows what the reader of each committed cursor had
//! read, and learns from each answer to TCOMMIT that the value which the node has by then holds this commit. So it can say
//! of every value, and of every node, which commits are in it at least. A reader that begins under the name at a node gets
//! nothing of these again, and all that no reader of the name had read before a commit.

use std::collections::{BTreeMap, BTreeSet};

use shoalmq_core::command::Refusal;
use shoalmq_core::record::Record;
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::topic::{EntryId, TopicRefusal};

use super::line::{Begin, Line};
use super::{CommitIndex, NameIndex};
use crate::checker::Checker;
use crate::plan::Policy;
use crate::schedule::{HostIndex, MS, Micros};

/// The epoch of the first use of a name.
const FIRST: u64 = 1;

/// What a value holds at least.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    commits: BTreeSet<CommitIndex>,
    /// What the readers had read that committed.
    got: BTreeSet<EntryId>,
    /// The last of it that was not late.
    last: EntryId,
}

impl Held {
    fn add(&mut self, other: &Held) {
        self.commits.extend(&other.commits);
        self.got.extend(&other.got);
        self.last = self.last.max(other.last);
    }
}

/// How many nodes have a commit that is answered with OK: `topic-replicate`.
const NAME_COPIES: usize = 3;

/// A TCOMMIT.
#[derive(Debug)]
struct Commit {
    held: Held,
    /// When it was asked for, and where.
    at: Micros,
    host: HostIndex,
    /// Its node recorded it.
    is_new: bool,
    /// That of the cursor, if it has one.
    epoch: Option<u64>,
    /// That of the name at the node, when it was asked.
    asked: Option<u64>,
    /// It was answered when it was on the disk of this node, in this epoch.
    kept: Option<(HostIndex, u64)>,
}

/// A named cursor.
#[derive(Debug)]
pub(crate) struct Name {
    pub(super) patterns: &'static [&'static str],
    /// Where each epoch began.
    epochs: BTreeMap<u64, Line>,
    /// Where the TCURSOR SET that is under way sets it.
    pub(super) rewind: Option<Line>,
    /// It has an epoch.
    pub(super) is_rewound: bool,
    commits: Vec<Commit>,
    /// What readers had read that wanted to commit, in each epoch, and with cursors of none.
    tried: BTreeMap<Option<u64>, BTreeSet<EntryId>>,
    /// How much they were told to have lost.
    lost: u64,
    /// What each value holds that nodes recorded, by epoch and bytes.
    values: BTreeMap<(u64, Vec<u8>), Held>,
    /// The value that each node has.
    known: BTreeMap<HostIndex, (u64, Vec<u8>)>,
    /// When each node recorded its value.
    recorded_at: BTreeMap<HostIndex, Micros>,
}

impl Name {
    pub(super) fn new(patterns: &'static [&'static str]) -> Self {
        Name {
            patterns,
            epochs: BTreeMap::new(),
            rewind: None,
            is_rewound: false,
            commits: Vec::new(),
            tried: BTreeMap::new(),
            lost: 0,
            values: BTreeMap::new(),
            known: BTreeMap::new(),
            recorded_at: BTreeMap::new(),
        }
    }

    /// What a node has of it: the epoch, and what the value holds.
    pub(super) fn at(&self, host: HostIndex) -> Option<(u64, Held)> {
        let known = self.known.get(&host)?;
        Some((known.0, self.values.get(known).cloned().unwrap_or_default()))
    }

    /// Somebody is about to commit where this line is.
    pub(super) fn commits(&mut self, now: Micros, host: HostIndex, line: &Line) -> CommitIndex {
        let epoch = line.parsed().and_then(|cursor| cursor.epoch());
        let number = self.commits.len();
        self.commits.push(Commit {
            held: Held {
                commits: [number].into(),
                got: line.got.clone(),
                last: line.last,
            },
            epoch,
            at: now,
            host,
            is_new: false,
            asked: self.known.get(&host).map(|(epoch, _)| *epoch),
            kept: None,
        });
        let tried = self.tried.entry(epoch).or_default();
        tried.extend(line.got.iter().chain(&line.may));
        self.lost += line.lost;
        number
    }

    /// How many nodes have recorded something of the name since a commit was asked for, or knew that it was set since; none if
    /// the commit said nothing new.
    fn keepers(&self, commit: CommitIndex) -> Option<usize> {
        let commit = &self.commits[commit];
        let has = |(host, at): &(&HostIndex, &Micros)| {
            let epoch = self.known.get(host).map(|(epoch, _)| *epoch);
            **at >= commit.at || epoch > commit.asked
        };
        let all = self.recorded_at.iter();
        commit.is_new.then(|| all.filter(has).count())
    }

    /// A node records a value.
    fn recorded(
        &mut self,
        (now, host): (Micros, HostIndex),
        epoch: u64,
        value: Vec<u8>,
        all: impl Iterator<Item = EntryId>,
    ) -> bool {
        let before = self.known.get(&host).filter(|(former, _)| *former == epoch);
        let before = before.and_then(|known| self.values.get(known)).cloned();
        let key = (epoch, value);
        let held = self.values.entry(key.clone()).or_default();
        if let Some(before) = before {
            held.add(&before);
        }
        self.known.insert(host, key);
        self.recorded_at.insert(host, now);
        let asked = self.commits.iter_mut().rev();
        let asked = asked.take_while(|commit| commit.at == now);
        asked
            .filter(|commit| commit.host == host)
            .for_each(|commit| commit.is_new = true);
        if self.epochs.contains_key(&epoch) {
            return true;
        }
        let base = if epoch == FIRST {
            Some(Line::new(Begin::Oldest, self.patterns))
        } else {
            self.rewind.clone()
        };
        let Some(mut base) = base else {
            return false;
        };
        if base.begin == Begin::Now && base.cursor.is_none() {
            // What the node has counts as read, and that is some of it.
            base.begin = Begin::Oldest;
            base.may = all.collect();
        }
        self.epochs.insert(epoch, base);
        if epoch > FIRST {
            self.is_rewound = true;
        }
        true
    }

    /// What a reader has read that begins under the name in an epoch, where the node knew this.
    fn line(&self, epoch: u64, known: Option<(u64, Held)>) -> Option<Line> {
        let mut line = self.epochs.get(&epoch)?.clone();
        line.cursor = None;
        if let Some((_, held)) = known.filter(|(of, _)| *of == epoch) {
            line.got.extend(&held.got);
            line.last = line.last.max(held.last);
        }
        for epoch in [None, Some(epoch)] {
            line.may
                .extend(self.tried.get(&epoch).into_iter().flatten());
        }
        line.lost += self.lost;
        Some(line)
    }

    /// A node starts over from these records. Returns the first commit that is missing.
    fn reread<'a>(
        &mut self,
        host: HostIndex,
        settings: impl Iterator<Item = &'a Setting>,
    ) -> Option<CommitIndex> {
        let mut found: Option<((u64, Vec<u8>), Held)> = None;
        for setting in settings {
            let key = (setting.version, bytes_of(setting));
            let held = self.values.get(&key).cloned().unwrap_or_default();
            match &mut found {
                Some((known, all)) if known.0 == key.0 => {
                    all.add(&held);
                    *known = key;
                }
                Some((known, _)) if known.0 > key.0 => {}
                Some(_) | None => found = Some((key, held)),
            }
        }
        let is_missing = |commit: &Commit| {
            let kept = commit.kept.filter(|(at, _)| *at == host);
            kept.is_some_and(|(_, epoch)| {
                found.as_ref().is_none_or(|((of, _), all)| {
                    *of < epoch || *of == epoch && !commit.held.commits.is_subset(&all.commits)
                })
            })
        };
        let missing = self.commits.iter().position(is_missing);
        self.known.remove(&host);
        if let Some((known, _)) = found {
            self.known.insert(host, known);
        }
        missing
    }

    /// A node's disk is gone.
    pub(super) fn destroyed(&mut self, host: HostIndex) {
        self.known.remove(&host);
        for commit in &mut self.commits {
            commit.kept.take_if(|(at, _)| *at == host);
        }
    }
}

impl Checker {
    /// A node records what it keeps of a name.
    pub(super) fn name_recorded(&mut self, now: Micros, host: HostIndex, setting: &Setting) {
        let (epoch, value) = (setting.version, bytes_of(setting));
        let number = number_of(setting);
        let topics = &mut self.topics;
        let name = number.and_then(|number| topics.names.get_mut(number));
        let all = topics.entries.keys().copied();
        let is_known = name.is_some_and(|name| name.recorded((now, host), epoch, value, all));
        if !is_known {
            let what = format!("at {} ms n{host} records {setting:?} for nobody", now / MS);
            self.violate(None, what);
        }
    }

    /// A node starts over from these records.
    pub(crate) fn reread_names(&mut self, now: Micros, host: HostIndex, records: &[&Record]) {
        for number in 0..self.topics.names.len() {
            let settings = records.iter().filter_map(|record| match record {
                Record::Setting(setting) if number_of(setting) == Some(number) => Some(&**setting),
                _ => None,
            });
            if let Some(commit) = self.topics.names[number].reread(host, settings) {
                let commit = &self.topics.names[number].commits[commit];
                let what = format!(
                    "at {} ms n{host} starts without a commit of name {number} that it answered: {commit:?}",
                    now / MS
                );
                self.violate(None, what);
            }
        }
    }

    /// A reader begins under a name at a node that knew this: what it has read.
    pub(super) fn begins_at_name(
        &mut self,
        now: Micros,
        host: HostIndex,
        number: NameIndex,
        known: Option<(u64, Held)>,
        epoch: Option<u64>,
    ) -> Line {
        let name = &self.topics.names[number];
        let patterns = name.patterns;
        let before = known.as_ref().map(|(epoch, _)| *epoch);
        let wrong = if epoch < before {
            Some("was set elsewhere before")
        } else {
            None
        };
        let line = epoch.and_then(|epoch| name.line(epoch, known));
        let wrong = wrong.or(line.is_none().then_some("was never set there"));
        if let Some(wrong) = wrong {
            let now = now / MS;
            let what = format!(
                "at {now} ms n{host} gives a cursor of name {number} in epoch {epoch:?}, though it {wrong}: {before:?}"
            );
            self.violate(None, what);
        }
        line.unwrap_or_else(|| Line::new(Begin::Oldest, patterns))
    }

    /// TCOMMIT was answered with OK.
    pub(super) fn committed(
        &mut self,
        now: Micros,
        host: HostIndex,
        number: NameIndex,
        commit: CommitIndex,
    ) {
        let is_synced = self.policy == Policy::Always;
        let is_calm = self.is_quiet() && self.all_met;
        let least = NAME_COPIES.min(self.topics.nodes);
        let name = &mut self.topics.names[number];
        let keepers = name.keepers(commit).filter(|_| is_calm);
        let asked = &mut name.commits[commit];
        let known = name.known.get(&host);
        let wrong = match (known, asked.epoch) {
            (None, _) => Some("does not know the name"),
            (Some(_), Some(own)) if asked.asked.is_some_and(|epoch| own < epoch) => {
                Some("knew that the name was set elsewhere since")
            }
            (Some((epoch, _)), Some(own)) if own > *epoch => Some("does not know that epoch"),
            (Some((epoch, value)), own) => {
                if own.or(asked.asked) == Some(*epoch) {
                    let held = name.values.entry((*epoch, value.clone())).or_default();
                    held.add(&asked.held);
                    asked.kept = is_synced.then_some((host, *epoch));
                }
                None
            }
        };
        let wrong = wrong.or_else(|| {
            let alone = keepers.is_some_and(|keepers| keepers < least);
            alone.then_some("has not been told to enough nodes")
        });
        if let Some(wrong) = wrong {
            let (now, asked) = (now / MS, (asked.epoch, asked.asked));
            let what = format!(
                "at {now} ms n{host} commits to name {number}, though it {wrong}: {asked:?}"
            );
            self.violate(None, what);
        }
    }

    /// TCOMMIT was refused.
    pub(super) fn not_committed(
        &mut self,
        now: Micros,
        host: HostIndex,
        number: NameIndex,
        commit: CommitIndex,
        refusal: Refusal,
    ) {
        let name = &self.topics.names[number];
        let own = name.commits[commit].epoch;
        let is_stale = own.is_some_and(|own| name.epochs.range(own + 1..).next().is_some());
        if refusal == Refusal::Topic(TopicRefusal::StaleCursor) && !is_stale {
            let now = now / MS;
            let what = format!(
                "at {now} ms n{host} refuses a commit to name {number} of epoch {own:?}, though it was not set since"
            );
            self.violate(None, what);
        }
    }
}

/// How it is called.
pub(super) fn text_of(name: NameIndex) -> String {
    format!("name{name}")
}

fn number_of(setting: &Setting) -> Option<NameIndex> {
    let text = std::str::from_utf8(&setting.name).ok()?;
    let number = text.strip_prefix("name")?;
    let number = (setting.kind == SettingKind::TOPIC_CURSOR).then_some(number)?;
    number.parse().ok()
}

fn bytes_of(setting: &Setting) -> Vec<u8> {
    setting.value.as_deref().unwrap_or_default().to_vec()
}
