//! What nodes tell each other of their settings, and what they record.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::Refusal;
use crate::effect::Effect;
use crate::limits;
use crate::members::PeerKey;
use crate::message::Message;
use crate::node::Node;
use crate::planted::Bug;
use crate::record::Record;
use crate::setting::{Setting, SettingKind};
use crate::settings::shared::Change;
use crate::time::{Now, Time, WallTime};

impl Node {
    /// Carries out a client's write: recorded here, and sent to all nodes that this one has links to.
    pub(crate) fn write_settings(
        &mut self,
        now: Now,
        changes: &[Change<'_>],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let written = self.shared.write(now.wall, self.id, changes)?;
        self.spread_settings(None, written, effects);
        Ok(())
    }

    /// The same with an entry of a kind whose values of one version are merged.
    pub(crate) fn write_setting_at(
        &mut self,
        now: Now,
        version: u64,
        change: Change<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let written = self.shared.write_at((now.wall, version), self.id, change)?;
        self.spread_settings(None, written.into_iter().collect(), effects);
        Ok(())
    }

    /// Another node has these entries. Those that win are recorded, passed on to the other nodes, and take effect.
    pub(crate) fn on_settings(
        &mut self,
        now: Now,
        from: PeerKey,
        settings: &[Setting],
        effects: &mut Vec<Effect>,
    ) {
        let (mut taken, mut merged) = (Vec::new(), Vec::new());
        for setting in settings {
            match self.shared.merge(now.wall, setting) {
                Some(new) if new == *setting => taken.push(new),
                // The sender does not have all of it.
                Some(new) => merged.push(new),
                None => {}
            }
        }
        if taken.is_empty() && merged.is_empty() {
            return;
        }
        let names = |is_meant: fn(SettingKind) -> bool| -> BTreeSet<Arc<[u8]>> {
            let all = taken.iter().chain(&merged);
            let those = all.filter(|setting| is_meant(setting.kind));
            those.map(|setting| setting.name.clone()).collect()
        };
        let (paused, purged) = (names(is_pause), names(|kind| kind == SettingKind::PURGED));
        for setting in taken.iter().chain(&merged) {
            self.follow_topic_setting(Some(now.wall), setting);
        }
        self.arm_retention(now);
        self.arm_lagging(now);
        self.spread_settings(Some(from), taken, effects);
        self.spread_settings(None, merged, effects);
        for name in purged {
            self.follow_mark(now.time, &name);
        }
        for name in paused {
            self.follow_pause(now.time, &name, effects);
        }
    }

    /// The link to a peer came up: each of the two may have missed what the other knows.
    pub(crate) fn compare_settings_with(&self, peer: PeerKey, effects: &mut Vec<Effect>) {
        let digest = self.shared.digest();
        let answer = false;
        self.send(peer, Message::SettingsDigest { digest, answer }, effects);
    }

    /// Tells a peer all entries of a kind.
    pub(crate) fn tell_settings(&self, to: PeerKey, kind: SettingKind, effects: &mut Vec<Effect>) {
        for batch in batches(self.shared.of_kind(kind).cloned().collect()) {
            self.send(to, Message::Settings(batch), effects);
        }
    }

    /// A peer compares its settings with those here.
    pub(crate) fn on_settings_digest(
        &self,
        from: PeerKey,
        theirs: u64,
        is_answer: bool,
        effects: &mut Vec<Effect>,
    ) {
        let digest = self.shared.digest();
        if digest == theirs {
            return;
        }
        for batch in batches(self.shared.all().cloned().collect()) {
            self.send(from, Message::Settings(batch), effects);
        }
        if !is_answer {
            let answer = true;
            self.send(from, Message::SettingsDigest { digest, answer }, effects);
        }
    }

    /// A segment of the log begins: what earlier segments say of settings may retire before it.
    pub(crate) fn record_settings(&mut self, effects: &mut Vec<Effect>) {
        let all: Vec<Setting> = self.shared.all().cloned().collect();
        for setting in all {
            self.persist(Record::Setting(Box::new(setting)), effects);
        }
    }

    /// Removed entries and marks of purges that are old enough go.
    pub(crate) fn forget_old_settings(&mut self, now: Now) {
        let marks = self.shared.forget_old(now.wall);
        self.forget_marks(&marks);
    }

    /// All jobs, queues and settings of this node are gone. Its peers give it back what the cluster has set.
    pub(crate) fn flush_settings(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.end_purges(now, effects);
        let shared = std::mem::take(&mut self.shared);
        // Topics stay, and what is set about them.
        for setting in shared.all().filter(|setting| setting.kind.is_of_topics()) {
            self.shared.merge(WallTime(0), setting);
            self.persist(Record::Setting(Box::new(setting.clone())), effects);
        }
        for peer in self.peers.up().iter() {
            self.compare_settings_with(peer, effects);
        }
    }

    /// An entry of the log, while the node is being read from it.
    pub(crate) fn restore_setting(&mut self, setting: &Setting) {
        // No clock yet: what is too old goes at the first mark.
        self.shared.merge(WallTime(0), setting);
        if setting.kind == SettingKind::PURGED {
            self.restore_mark(setting);
        }
        self.follow_topic_setting(None, setting);
    }

    fn spread_settings(
        &mut self,
        from: Option<PeerKey>,
        settings: Vec<Setting>,
        effects: &mut Vec<Effect>,
    ) {
        for setting in &settings {
            self.persist(Record::Setting(Box::new(setting.clone())), effects);
        }
        if self.has(Bug::ForgottenRemoval) {
            let marks = self.shared.forget_old(WallTime(u64::MAX));
            self.forget_marks(&marks);
        }
        for batch in batches(settings) {
            for peer in self.peers.up().iter().filter(|&peer| Some(peer) != from) {
                self.send(peer, Message::Settings(batch.clone()), effects);
            }
        }
    }
}

fn is_pause(kind: SettingKind) -> bool {
    matches!(kind, SettingKind::PAUSE_IN | SettingKind::PAUSE_OUT)
}

/// Parts entries into messages of bounded size; one that is larger goes alone.
fn batches(settings: Vec<Setting>) -> Vec<Arc<[Setting]>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for setting in settings {
        let size = super::shared::bytes_of(&setting);
        if bytes + size > limits::SETTINGS_BATCH_BYTES && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch).into());
            bytes = 0;
        }
        bytes += size;
        batch.push(setting);
    }
    if !batch.is_empty() {
        batches.push(batch.into());
    }
    batches
}
