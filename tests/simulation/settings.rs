//! What the settings of the cluster promise: no node replaces an entry by an older write of it;
//! and once faults heal, all nodes have the last write of each entry, and do as it says.
//!
//! Clients pause and unpause queues that no job is in, at any node, while nodes are down or cut off. (QPURGE, whose mark is
//! a setting, belongs beside them: [`Cluster::set_something`].) What a node knows is what its disk was given.

use std::collections::{BTreeMap, BTreeSet};

use shoalmq_core::command::{Command, Pause, PauseState, Reply};
use shoalmq_core::id::NodeId;
use shoalmq_core::record::Record;
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::time::WallTime;
use shoalmq_core::topic::EntryId;

use crate::checker::Checker;
use crate::client::{Ask, Step};
use crate::cluster::Cluster;
use crate::purging::stamps_of;
use crate::schedule::{Happening, HostIndex, MS, Micros};
use crate::workload::Purpose;

/// Queues that are paused and never used.
const QUEUES: u64 = 3;
/// How long an entry that was removed is kept, by the clock of the node that keeps it.
const REMOVED_FOR_MS: u64 = 30 * 24 * 3600 * 1000;

/// The name of an entry, with its kind.
type Key = (SettingKind, Vec<u8>);

/// What each node knows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<HostIndex, BTreeMap<Key, Setting>>,
}

impl Ledger {
    fn of(&self, host: HostIndex, kind: SettingKind, name: &[u8]) -> Option<&Setting> {
        self.known.get(&host)?.get(&(kind, name.to_vec()))
    }

    /// A node starts over from these records.
    pub(crate) fn reread<'a>(
        &mut self,
        host: HostIndex,
        records: impl Iterator<Item = &'a Record>,
    ) {
        let mut known = BTreeMap::new();
        for record in records {
            if let Record::Setting(setting) = record {
                let key = (setting.kind, setting.name.to_vec());
                let older = known.insert(key.clone(), (**setting).clone());
                // What a segment repeats is not newer.
                if let Some(older) = older.filter(|older| goes_back(older, setting)) {
                    known.insert(key, older);
                }
            }
        }
        self.known.insert(host, known);
    }
}

/// Whether a node forgets something, if it replaces the first by the second: marks of purges are merged.
fn goes_back(before: &Setting, setting: &Setting) -> bool {
    match (stamps_of(before), stamps_of(setting)) {
        (Some(before), Some(after)) => {
            let mut both = before;
            both.merge(&after);
            both != after
        }
        // Two values of one version are merged.
        _ if is_merged(setting.kind) => before.version > setting.version,
        _ => version(before) > version(setting),
    }
}

/// Whether two values of one version are merged.
fn is_merged(kind: SettingKind) -> bool {
    matches!(kind, SettingKind::TOPIC_BINDING | SettingKind::TOPIC_CURSOR)
}

/// The order of two writes of one entry: the marks of flushes go by the mark, all else by version.
fn version(setting: &Setting) -> (EntryId, u64, NodeId, Option<&[u8]>) {
    let value = setting.value.as_deref();
    let flushed = value.filter(|_| setting.kind == SettingKind::TOPIC_FLUSHED);
    let flushed = flushed.and_then(EntryId::parse).unwrap_or_default();
    (flushed, setting.version, setting.node, value)
}

impl Checker {
    /// A node records an entry, when its clock says `wall`.
    pub(crate) fn set(&mut self, now: Micros, host: HostIndex, wall: WallTime, setting: &Setting) {
        let key = (setting.kind, setting.name.to_vec());
        let known = self.settings.known.entry(host).or_default();
        let before = known.insert(key, setting.clone());
        let Some(before) = before else { return };
        let forgotten = before.value.is_none() && wall.0 > before.version + REMOVED_FOR_MS;
        if goes_back(&before, setting) && !forgotten {
            let what = format!(
                "at {} ms n{host} goes back from {before:?} to an older write, {setting:?}",
                now / MS
            );
            self.violate(None, what);
        }
    }
}

impl Cluster {
    pub(crate) fn begin_settings(&mut self) {
        self.after(crate::workload::WARM_UP, Happening::Client(Step::Set));
    }

    /// Somebody pauses or unpauses a queue for the whole cluster.
    pub(crate) fn set_something(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.setting_dice.wait(400 * MS);
        self.after(wait, Happening::Client(Step::Set));
        let serving: Vec<HostIndex> = (0..self.hosts.len())
            .filter(|&index| self.hosts[index].serves())
            .collect();
        if serving.is_empty() {
            return;
        }
        let dice = &mut self.setting_dice;
        let host = dice.pick(&serving);
        let queue = format!("unused{}", dice.below(QUEUES));
        let state = PauseState {
            input: dice.percent(50),
            output: dice.percent(50),
        };
        self.ask(host, Purpose::Nothing, Ask::Pause(queue, state));
    }

    /// Nodes that know each other know the last write of each entry that any of them knows, and do as it says.
    pub(crate) fn check_settings(&mut self) {
        let queues: BTreeSet<Vec<u8>> = self
            .checker
            .settings
            .known
            .values()
            .flat_map(|known| known.keys().map(|(_, name)| name.clone()))
            .collect();
        for host in 0..self.hosts.len() {
            for queue in &queues {
                self.check_pause(host, queue);
            }
        }
    }

    fn check_pause(&mut self, host: HostIndex, queue: &[u8]) {
        let others = (0..self.hosts.len()).filter(|&other| self.knows(host, other));
        let hosts: Vec<HostIndex> = others.chain([host]).collect();
        let ledger = &self.checker.settings;
        let last = |kind| {
            let known = hosts
                .iter()
                .filter_map(|&host| ledger.of(host, kind, queue));
            known
                .max_by(|one, other| version(one).cmp(&version(other)))
                .cloned()
        };
        let (input, output) = (last(SettingKind::PAUSE_IN), last(SettingKind::PAUSE_OUT));
        let holds = |last: &Option<Setting>| last.as_ref().is_some_and(|it| it.value.is_some());
        let due = PauseState {
            input: holds(&input),
            output: holds(&output),
        };
        let Some(is) = self.pause_of(host, queue) else {
            return;
        };
        if is != due {
            let queue = String::from_utf8_lossy(queue);
            let what = format!(
                "n{host} has {is:?} for {queue}, but the last writes were {input:?} and {output:?}"
            );
            self.checker.violate(None, what);
        }
    }

    /// What a node answers to PAUSE state.
    fn pause_of(&mut self, host: HostIndex, queue: &[u8]) -> Option<PauseState> {
        let now = self.hosts[host].now(self.now);
        let process = self.hosts[host].process.as_mut()?;
        let pause = Command::Pause(Pause {
            queue,
            set: None,
            broadcast: false,
        });
        match process.shell.ask(now, pause) {
            Some(Reply::PauseState(state)) => Some(state),
            _ => None,
        }
    }
}
