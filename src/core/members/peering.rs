//! Nodes come, go, come back empty, are forgotten: what each flow makes of it.
//!
//! Membership is advice: a node that is away is no reason to forget anything. Only two things end what a node may
//! hold: the operator's FORGET, and the node itself, back with another store.

use crate::agenda::Timer;
use crate::effect::Effect;
use crate::event::PeerUp;
use crate::id::NodeId;
use crate::limits;
use crate::members::peers::{Peer, PeerKey, load_class};
use crate::message::{Message, PeerState};
use crate::node::{Log, MemoryLevel, Node, Sync};
use crate::record::Record;
use crate::time::{Now, Time};

impl Node {
    pub(crate) fn on_peer_known(&mut self, at: Now, id: &NodeId) {
        let now = at.time;
        if *id == self.id {
            return;
        }
        self.peers.welcome(id);
        if let Some(key) = self.peers.find_or_add(id) {
            // After a start, nobody has been met yet.
            let until = Some(self.started + limits::EXPECTED_BACK).filter(|&until| now < until);
            self.peers.update(key, |peer| {
                peer.member = true;
                peer.away_since = peer.away_since.or((!peer.up).then_some(now));
                if !peer.is_reachable() {
                    peer.expected_until = peer.expected_until.max(until);
                }
            });
            self.watch_absence(now, key);
            self.watch_expected(key);
            self.on_member_known(at, key);
        }
    }

    pub(crate) fn on_peer_forgotten(&mut self, at: Now, id: &NodeId, effects: &mut Vec<Effect>) {
        let now = at.time;
        self.peers.forget(id);
        self.persist(Record::PeerForgotten(*id), effects);
        if let Some(key) = self.peers.find(id) {
            self.on_member_forgotten(at, key, effects);
            self.lose_peer(now, key, effects);
            self.peers.give_up(key);
            self.do_without(now, key, effects);
            self.refuse_hopeless(now, effects);
        }
    }

    pub(crate) fn on_peer_up(&mut self, at: Now, up: &PeerUp, effects: &mut Vec<Effect>) {
        let now = at.time;
        self.peers.welcome(&up.id);
        let Some(mut key) = self.peers.find_or_add(&up.id) else {
            return;
        };
        let former = self.peers.get(key).store;
        if former.is_some_and(|store| store != up.store) {
            self.lose_peer(now, key, effects);
            self.peers.give_up(key);
            let fresh = self.peers.find_or_add(&up.id);
            self.do_without(now, key, effects);
            match fresh {
                Some(fresh) => key = fresh,
                None => return,
            }
        }
        if former != Some(up.store) {
            let (id, store) = (up.id, up.store);
            self.persist(Record::Peer { id, store }, effects);
        }
        self.update_peer(now, key, |peer| {
            peer.store = Some(up.store);
            (peer.member, peer.up, peer.away_since) = (true, true, None);
            (peer.same_zone, peer.zone) = (up.same_zone, up.zone);
            peer.features = up.features;
        });
        self.peers.set_lost(key, false);
        self.send(key, Message::State(self.peer_state()), effects);
        self.watch_state(now);
        self.compare_settings_with(key, effects);
        if up.restarted {
            // What it confirmed may be lost: it is asked again.
            self.replications.forget_peer(key);
        }
        self.replicate_with(now, key, effects);
        self.heal_with(now);
        if up.restarted {
            self.offer_again(now, key);
        }
        self.collect_with(now, key, effects);
        self.agree_with(now, key);
        self.settle_with(now, key, effects);
        self.federate_with(now, key, effects);
        self.watch_with(key, effects);
        self.dedup_with(now, key, effects);
        self.on_member_up(at, key, effects);
    }

    pub(crate) fn on_peer_down(&mut self, at: Now, id: &NodeId, effects: &mut Vec<Effect>) {
        let now = at.time;
        let Some(key) = self.peers.find(id) else {
            return;
        };
        self.update_peer(now, key, |peer| {
            peer.up = false;
            peer.away_since = Some(now);
        });
        self.watch_absence(now, key);
        self.lose_peer(now, key, effects);
        self.on_member_down(at, key);
    }

    pub(crate) fn on_peer_failing(
        &mut self,
        at: Now,
        id: &NodeId,
        failing: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.peers.find(id) else {
            return;
        };
        self.update_taker(at.time, key, |peer| peer.failing = failing, effects);
        if failing {
            self.dedup_without(at.time, (key, false), effects);
        }
        let is_reachable = self.peers.reachable().contains(key);
        self.on_member_reachable(at, key, is_reachable, effects);
    }

    pub(crate) fn on_peer_state(
        &mut self,
        now: Time,
        from: PeerKey,
        state: PeerState,
        effects: &mut Vec<Effect>,
    ) {
        self.made.note(self.peers.get(from).id.maker(), state.made);
        self.update_taker(now, from, |peer| peer.state = state, effects);
        self.offer_unanswered(now, from);
    }

    /// Changes what makes a peer take copies, or refuse them.
    fn update_taker(
        &mut self,
        now: Time,
        key: PeerKey,
        change: impl FnOnce(&mut Peer),
        effects: &mut Vec<Effect>,
    ) {
        let before = self.peers.takers().contains(key);
        let expected = self.peers.expected();
        self.update_peer(now, key, change);
        if self.peers.expected() != expected {
            self.refuse_hopeless(now, effects);
        }
        match (before, self.peers.takers().contains(key)) {
            (true, false) => self.replicate_without(now, key, effects),
            (false, true) => {
                self.replicate_with(now, key, effects);
                if self.healing.short() > 0 {
                    self.heal_with(now);
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Changes a peer. One that was reachable until now is expected back for a while.
    fn update_peer(&mut self, now: Time, key: PeerKey, change: impl FnOnce(&mut Peer)) {
        self.peers.update(key, |peer| {
            let before = peer.is_reachable();
            change(peer);
            if peer.is_reachable() {
                peer.expected_until = None;
            } else if before {
                peer.expected_until = Some(now + limits::EXPECTED_BACK);
            }
        });
        self.watch_expected(key);
    }

    /// What this node is ready for.
    fn peer_state(&self) -> PeerState {
        PeerState {
            leaving: self.leaving,
            stopping: self.hand_over.is_stopping(),
            full: self.log_failing || self.memory_level() >= MemoryLevel::External,
            syncs: self.syncs(),
            load: self.jobs.len() as u64,
            made: self.own_stamp(),
        }
    }

    /// Whether what this node confirms is on its disk.
    pub(crate) fn syncs(&self) -> bool {
        self.settings.log == Log::On && self.settings.sync == Sync::First && !self.log_failing
    }

    pub(crate) fn on_log_failing(&mut self, now: Time, failing: bool, effects: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.log_failing, failing) != failing {
            self.tell_state(effects);
            self.want_all_again(now, effects);
        }
    }

    /// Tells all peers what this node is ready for, when that changed.
    pub(crate) fn tell_state(&mut self, effects: &mut Vec<Effect>) {
        let state = self.peer_state();
        self.told = self.told.map(|_| state);
        for key in self.peers.up().iter() {
            self.send(key, Message::State(state), effects);
        }
    }

    /// From now on the peers hear when this node fills up.
    pub(crate) fn watch_state(&mut self, now: Time) {
        if self.told.is_none() {
            self.told = Some(self.peer_state());
            self.agenda
                .add_timer(now + limits::STATE_EVERY, Timer::State);
        }
    }

    pub(crate) fn on_state_timer(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let told = self.told.take();
        if self.peers.up().is_empty() {
            return;
        }
        self.watch_state(now);
        let state = self.peer_state();
        let same = |told: PeerState| {
            let load = load_class(told.load) == load_class(state.load);
            told.full == state.full && told.made == state.made && load
        };
        if told.is_some_and(same) {
            self.told = told;
        } else {
            self.tell_state(effects);
        }
    }

    /// What the peer's store held is gone: healing replaces its copies at once, and acks wait only for the peer with its
    /// present store, if it is a member.
    fn do_without(&mut self, now: Time, key: PeerKey, effects: &mut Vec<Effect>) {
        self.collect_without(now, key, effects);
        self.heal_without(now, key);
    }

    /// What was sent last to the peer may not have arrived, and no answer may come.
    fn lose_peer(&mut self, now: Time, key: PeerKey, effects: &mut Vec<Effect>) {
        self.replicate_without(now, key, effects);
        self.unsettle_with(now, key);
        self.federate_without(now, key, effects);
        self.gather_without(now, key, effects);
        self.watch_without(key, effects);
        self.dedup_without(now, (key, true), effects);
    }

    /// Looks again when the peer has been away for so long that its copies count no more.
    pub(crate) fn watch_absence(&mut self, now: Time, key: PeerKey) {
        if !self.peers.get(key).up {
            self.agenda
                .add_timer(now + self.settings.heal_delay, Timer::Absence);
        }
    }

    /// Looks again when the peer is expected back no more.
    pub(crate) fn watch_expected(&mut self, key: PeerKey) {
        if let Some(until) = self.peers.get(key).expected_until {
            self.agenda.add_timer(until, Timer::Expected);
        }
    }

    /// Peers may not have come back in time: no new job counts on them.
    pub(crate) fn on_expected(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let keys: Vec<PeerKey> = self.peers.keys().collect();
        for key in keys {
            self.peers.update(key, |peer| {
                peer.expected_until = peer.expected_until.filter(|&until| until > now);
            });
        }
        self.refuse_hopeless(now, effects);
    }

    /// Peers may have been away for too long.
    pub(crate) fn on_absence(&mut self, now: Time) {
        let keys: Vec<PeerKey> = self.peers.keys().collect();
        for key in keys {
            let counted = !self.peers.lost().contains(key) && !self.peers.gone().contains(key);
            let Some(since) = self.peers.get(key).away_since.filter(|_| counted) else {
                continue;
            };
            let until = since + self.settings.heal_delay;
            if until <= now {
                self.peers.set_lost(key, true);
                self.heal_without(now, key);
            } else {
                self.agenda.add_timer(until, Timer::Absence);
            }
        }
    }
}
