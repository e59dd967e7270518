//! The map: entries, which of two wins, the bounds, and the digest.
//!
//! The digest is the XOR of a hash of each entry. So it depends on the entries alone, not on the order in which they came,
//! and a change costs two hashes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::command::Refusal;
use crate::id::NodeId;
use crate::limits;
use crate::setting::{Setting, SettingKind};
use crate::settings::policies::Index;
use crate::stamp::Stamps;
use crate::time::WallTime;
use crate::topic::{EntryId, merge_bindings, merge_named_cursors};

/// What a client wants set on a name; no value removes the entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) kind: SettingKind,
    pub(crate) name: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

/// All settings that this node knows.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    kinds: BTreeMap<SettingKind, BTreeMap<Arc<[u8]>, Setting>>,
    digest: u64,
    bytes: usize,
    /// Entries without a value.
    removed: usize,
    pub(super) policies: Index,
}

impl Shared {
    /// The entry of a name, also one that was removed.
    pub(crate) fn get(&self, kind: SettingKind, name: &[u8]) -> Option<&Setting> {
        self.find(kind, name)
    }

    /// How many entries there are of a kind, those included that were removed.
    pub(crate) fn count_of(&self, kind: SettingKind) -> usize {
        self.kinds.get(&kind).map_or(0, BTreeMap::len)
    }

    /// What is set on a name.
    pub(crate) fn value(&self, kind: SettingKind, name: &[u8]) -> Option<&[u8]> {
        self.find(kind, name)?.value.as_deref()
    }

    /// All entries, in order of their keys.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Setting> {
        self.kinds.values().flat_map(BTreeMap::values)
    }

    /// The entries of one kind, in order of their names.
    pub(crate) fn of_kind(&self, kind: SettingKind) -> impl Iterator<Item = &Setting> {
        self.kinds.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    /// Those behind a name, or all.
    pub(crate) fn of_kind_after(
        &self,
        kind: SettingKind,
        name: Option<&[u8]>,
    ) -> impl Iterator<Item = &Setting> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.kinds.get(&kind);
        let behind = entries.map(|entries| entries.range::<[u8], _>((from, Bound::Unbounded)));
        behind.into_iter().flatten().map(|(_, setting)| setting)
    }

    /// The same for all maps with the same entries.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// What the entries take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes entries at the wish of a client: all of them, or none if there would be too many. Returns the new entries.
    pub(super) fn write(
        &mut self,
        wall: WallTime,
        node: NodeId,
        changes: &[Change<'_>],
    ) -> Result<Vec<Setting>, Refusal> {
        if !self.has_room_for(changes) {
            return Err(Refusal::TooManySettings);
        }
        let written = changes.iter().map(|change| {
            let replaced = self.find(change.kind, change.name);
            let next = replaced.map_or(0, |former| former.version.saturating_add(1));
            let setting = Setting {
                kind: change.kind,
                name: change.name.into(),
                value: change.value.map(Arc::from),
                version: wall.0.max(next),
                node,
            };
            self.put(setting.clone());
            setting
        });
        Ok(written.collect())
    }

    /// Changes an entry of a kind whose values of one version are merged. Returns the entry, if it is another than before.
    pub(super) fn write_at(
        &mut self,
        (wall, version): (WallTime, u64),
        node: NodeId,
        change: Change<'_>,
    ) -> Result<Option<Setting>, Refusal> {
        if !self.has_room_for(&[change]) {
            return Err(Refusal::TooManySettings);
        }
        let setting = Setting {
            kind: change.kind,
            name: change.name.into(),
            value: change.value.map(Arc::from),
            version,
            node,
        };
        Ok(self.merge(wall, &setting))
    }

    /// Takes over what another node wrote, if it wins, or merges it with what is here. Returns the entry, if it is another than
    /// before. An entry that was removed too long ago replaces one that is here,
    /// but is not added again: nodes whose clocks differ would give it back to each other for ever.
    pub(super) fn merge(&mut self, wall: WallTime, setting: &Setting) -> Option<Setting> {
        let taken = match self.find(setting.kind, &setting.name) {
            Some(former) => merged(former, setting)?,
            None if may_go(setting) && is_forgotten(wall, setting) => return None,
            None => setting.clone(),
        };
        self.put(taken.clone());
        Some(taken)
    }

    /// Removed entries and marks of purges go after 30 days. Returns the names of those marks.
    pub(super) fn forget_old(&mut self, wall: WallTime) -> Vec<Arc<[u8]>> {
        if self.removed == 0 && self.of_kind(SettingKind::PURGED).next().is_none() {
            return Vec::new();
        }
        let is_old = |setting: &&Setting| may_go(setting) && is_forgotten(wall, setting);
        let old: Vec<Setting> = self.all().filter(is_old).cloned().collect();
        for setting in &old {
            self.take(setting.kind, &setting.name);
        }
        let marks = old.into_iter();
        let marks = marks.filter(|setting| setting.kind == SettingKind::PURGED);
        marks.map(|setting| setting.name).collect()
    }

    /// Whether a client may make these changes. One that makes the map no larger is never refused.
    fn has_room_for(&self, changes: &[Change<'_>]) -> bool {
        let (mut before, mut after) = (0, 0);
        for change in changes {
            let entries = self.count_of(change.kind);
            let former = self.find(change.kind, change.name);
            if former.is_none() && entries >= limits::SETTINGS_OF_A_KIND {
                return false;
            }
            before += former.map_or(0, bytes_of);
            after += size(change.name, change.value);
        }
        after <= before || self.bytes - before + after <= limits::SETTINGS_BYTES
    }

    fn find(&self, kind: SettingKind, name: &[u8]) -> Option<&Setting> {
        self.kinds.get(&kind)?.get(name)
    }

    fn put(&mut self, setting: Setting) {
        self.take(setting.kind, &setting.name);
        self.digest ^= hash(&setting);
        self.bytes += bytes_of(&setting);
        self.removed += usize::from(setting.value.is_none());
        self.policies.add(&setting);
        let entries = self.kinds.entry(setting.kind).or_default();
        entries.insert(setting.name.clone(), setting);
    }

    fn take(&mut self, kind: SettingKind, name: &[u8]) {
        let Some(former) = self
            .kinds
            .get_mut(&kind)
            .and_then(|entries| entries.remove(name))
        else {
            return;
        };
        self.digest ^= hash(&former);
        self.bytes -= bytes_of(&former);
        self.removed -= usize::from(former.value.is_none());
        self.policies.remove(&former);
    }

    pub(super) fn check(&self) {
        let digest = self.all().fold(0, |all, setting| all ^ hash(setting));
        assert_eq!(self.digest, digest, "the digest of all settings");
        let bytes: usize = self.all().map(bytes_of).sum();
        assert_eq!(self.bytes, bytes, "the size of all settings");
        let removed = self.all().filter(|setting| setting.value.is_none()).count();
        assert_eq!(self.removed, removed, "settings without a value");
        let mut policies = Index::default();
        self.all().for_each(|setting| policies.add(setting));
        assert!(self.policies.is_same(&policies), "the index of policies");
    }
}

/// What two entries of one key make: one of them, but for named cursors and bindings of one version, and for marks of purges.
/// Of these, both values are merged, and the greater node stands for both, for marks also the greater version; a cursor or a
/// binding that was removed stays removed. So all nodes come to the same entry.
///
/// None if that is the former one.
fn merged(former: &Setting, setting: &Setting) -> Option<Setting> {
    let is_same = setting.version == former.version;
    let values = || former.value.as_ref().zip(setting.value.as_ref());
    let value = match setting.kind {
        SettingKind::PURGED => Some(merge_marks(former, setting)),
        SettingKind::TOPIC_CURSOR if is_same => {
            values().map(|(one, other)| merge_named_cursors(one, other))
        }
        SettingKind::TOPIC_BINDING if is_same => {
            values().map(|(one, other)| merge_bindings(one, other))
        }
        _ => return (rank(setting) > rank(former)).then(|| setting.clone()),
    };
    let both = Setting {
        value,
        version: former.version.max(setting.version),
        node: former.node.max(setting.node),
        ..former.clone()
    };
    (both != *former).then_some(both)
}

fn merge_marks(one: &Setting, other: &Setting) -> Arc<[u8]> {
    let mark = |of: &Setting| of.value.as_deref().and_then(mark_of).unwrap_or_default();
    let mut both = mark(one);
    both.merge(&mark(other));
    both.text().as_bytes().into()
}

/// The rule of each kind: which of two entries wins. Flushes merge by maximum, all else by version.
///
/// A node that lost its last records may give a version to a second value: the value decides then, so that all nodes
/// agree.
fn rank(setting: &Setting) -> ((u64, u64), u64, NodeId, Option<&[u8]>) {
    let value = setting.value.as_deref();
    let mark = match setting.kind {
        SettingKind::TOPIC_FLUSHED => {
            let id = value.and_then(EntryId::parse).unwrap_or_default();
            (id.ms(), id.seq())
        }
        _ => (0, 0),
    };
    (mark, setting.version, setting.node, value)
}

/// The mark of a purge, if it is one: another node may have written anything.
pub(super) fn mark_of(value: &[u8]) -> Option<Stamps> {
    Stamps::parse(value)
}

/// Whether an entry goes in the end.
fn may_go(setting: &Setting) -> bool {
    setting.value.is_none() || setting.kind == SettingKind::PURGED
}

/// Whether no older write than this is about any more.
fn is_forgotten(wall: WallTime, setting: &Setting) -> bool {
    wall.0 > setting.version.saturating_add(limits::SETTING_REMOVED_MS)
}

pub(super) fn bytes_of(setting: &Setting) -> usize {
    size(&setting.name, setting.value.as_deref())
}

fn size(name: &[u8], value: Option<&[u8]>) -> usize {
    limits::SETTING_BYTES + name.len() + value.map_or(0, <[u8]>::len)
}

/// A hash that is the same on every node and in every build: FNV-1a over all fields, then mixed, because FNV-1a alone
/// changes few bits for a change at the end, and XOR would let such changes cancel out.
fn hash(setting: &Setting) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(&[setting.kind.0, u8::from(setting.value.is_some())]);
    add(&(setting.name.len() as u64).to_le_bytes());
    add(&setting.name);
    add(setting.value.as_deref().unwrap_or_default());
    add(&setting.version.to_le_bytes());
    add(setting.node.as_bytes());
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests;
