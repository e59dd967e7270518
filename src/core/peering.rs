//! Nodes come, go, come back empty, are forgotten: what each flow makes of it.
//!
//! Membership is advice: a node that is away is no reason to forget anything. Only two things end what a node may
//! hold: the operator's FORGET, and the node itself, back with another store.

use crate::agenda::Timer;
use crate::effect::Effect;
use crate::event::PeerUp;
use crate::id::NodeId;
use crate::message::{Message, PeerState};
use crate::node::{MemoryLevel, Node};
use crate::peers::PeerKey;
use crate::record::Record;
use crate::time::Time;

impl Node {
    pub(crate) fn on_peer_known(&mut self, now: Time, id: &NodeId) {
        if *id == self.id {
            return;
        }
        self.peers.welcome(id);
        if let Some(key) = self.peers.find_or_add(id) {
            self.peers.update(key, |peer| {
                peer.member = true;
                peer.away_since = peer.away_since.or((!peer.up).then_some(now));
            });
            self.watch_absence(now, key);
        }
    }

    pub(crate) fn on_peer_forgotten(&mut self, now: Time, id: &NodeId, effects: &mut Vec<Effect>) {
        self.peers.forget(id);
        self.persist(Record::PeerForgotten(*id), effects);
        if let Some(key) = self.peers.find(id) {
            self.give_up_peer(now, key, effects);
        }
    }

    pub(crate) fn on_peer_up(&mut self, now: Time, up: &PeerUp, effects: &mut Vec<Effect>) {
        self.peers.welcome(&up.id);
        let Some(mut key) = self.peers.find_or_add(&up.id) else {
            return;
        };
        let former = self.peers.get(key).store;
        if former.is_some_and(|store| store != up.store) {
            self.give_up_peer(now, key, effects);
            match self.peers.find_or_add(&up.id) {
                Some(fresh) => key = fresh,
                None => return,
            }
        }
        if former != Some(up.store) {
            let (id, store) = (up.id, up.store);
            self.persist(Record::Peer { id, store }, effects);
        }
        self.peers.update(key, |peer| {
            peer.store = Some(up.store);
            (peer.member, peer.up, peer.away_since) = (true, true, None);
            peer.same_zone = up.same_zone;
        });
        self.peers.set_lost(key, false);
        self.send(key, Message::State(self.peer_state()), effects);
        self.replicate_with(now, key, effects);
        self.heal_with(now);
        if up.restarted {
            self.offer_again(now, key);
        }
        self.collect_with(now, key, effects);
        self.agree_with(now, key);
        self.settle_with(now, key, effects);
        self.federate_with(now, key, effects);
    }

    pub(crate) fn on_peer_down(&mut self, now: Time, id: &NodeId, effects: &mut Vec<Effect>) {
        let Some(key) = self.peers.find(id) else {
            return;
        };
        self.peers.update(key, |peer| {
            peer.up = false;
            peer.away_since = Some(now);
        });
        self.watch_absence(now, key);
        self.lose_peer(now, key, effects);
    }

    pub(crate) fn on_peer_failing(
        &mut self,
        now: Time,
        id: &NodeId,
        failing: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.peers.find(id) else {
            return;
        };
        self.peers.update(key, |peer| peer.failing = failing);
        if failing {
            self.replicate_without(now, key, effects);
        }
    }

    pub(crate) fn on_peer_state(
        &mut self,
        now: Time,
        from: PeerKey,
        state: PeerState,
        effects: &mut Vec<Effect>,
    ) {
        let before = self.peers.get(from).state;
        self.peers.update(from, |peer| peer.state = state);
        if state.leaving && !before.leaving {
            self.replicate_without(now, from, effects);
        }
    }

    /// What this node is ready for.
    pub(crate) fn peer_state(&self) -> PeerState {
        PeerState {
            leaving: self.leaving || self.hand_over.is_stopping(),
            full: self.memory_level() >= MemoryLevel::External,
            load: self.jobs.len() as u64,
        }
    }

    /// Tells all peers what this node is ready for, when that changed.
    pub(crate) fn tell_state(&self, effects: &mut Vec<Effect>) {
        for key in self.peers.up().iter() {
            self.send(key, Message::State(self.peer_state()), effects);
        }
    }

    /// What the peer's store held is gone: no ack waits for it, and its copies are made anew at once.
    fn give_up_peer(&mut self, now: Time, key: PeerKey, effects: &mut Vec<Effect>) {
        self.lose_peer(now, key, effects);
        self.peers.give_up(key);
        self.collect_without(now, key, effects);
        self.heal_without(now, key);
    }

    /// What was sent last to the peer may not have arrived, and no answer may come.
    fn lose_peer(&mut self, now: Time, key: PeerKey, effects: &mut Vec<Effect>) {
        self.replicate_without(now, key, effects);
        self.unsettle_with(now, key);
        self.federate_without(now, key, effects);
        self.gather_without(key, effects);
    }

    /// Looks again when the peer has been away for so long that its copies count no more.
    pub(crate) fn watch_absence(&mut self, now: Time, key: PeerKey) {
        if !self.peers.get(key).up {
            self.agenda
                .add_timer(now + self.settings.heal_delay, Timer::Absence);
        }
    }

    /// Peers may have been away for too long.
    pub(crate) fn on_absence(&mut self, now: Time) {
        let keys: Vec<PeerKey> = self.peers.keys().collect();
        for key in keys {
            let away = self.peers.get(key).away_since;
            let lost = away.is_some_and(|since| now.since(since) >= self.settings.heal_delay);
            if lost && !self.peers.lost().contains(key) && !self.peers.gone().contains(key) {
                self.peers.set_lost(key, true);
                self.heal_without(now, key);
            }
        }
    }
}
