//! Copies that a peer got a moment ago: after an unclean stop they may not have been on its disk.
//!
//! When the peer comes back, this node names them to it (HOLDERS), a few each tick, and the peer says which it lacks. It may not
//! have a link to this node yet: what it has not answered is named again when it says how it is, which it does first on a new link.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::effect::Effect;
use crate::job::{JobKey, JobState};
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::node::Node;
use crate::time::Time;

/// The last copies of each peer, and those that are offered again.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_peer: BTreeMap<PeerKey, VecDeque<(Time, JobKey)>>,
    offers: VecDeque<(PeerKey, JobKey)>,
    /// Those that were named to a peer, and that it has not answered.
    unanswered: BTreeMap<PeerKey, BTreeSet<JobKey>>,
}

impl Recent {
    /// A peer has a copy, from now on or for longer.
    pub(crate) fn note(&mut self, now: Time, peer: PeerKey, key: JobKey) {
        self.answered(peer, key);
        let copies = self.by_peer.entry(peer).or_default();
        copies.push_back((now, key));
        let old = |&(at, _): &(Time, JobKey)| now.since(at) > limits::UNSYNCED;
        while copies.len() > limits::RECENT_COPIES || copies.front().is_some_and(old) {
            copies.pop_front();
        }
    }

    /// A peer has said whether it has a copy.
    pub(super) fn answered(&mut self, peer: PeerKey, key: JobKey) {
        if let Some(unanswered) = self.unanswered.get_mut(&peer) {
            unanswered.remove(&key);
            if unanswered.is_empty() {
                self.unanswered.remove(&peer);
            }
        }
    }

    pub(super) fn forget(&mut self, peer: PeerKey) {
        self.by_peer.remove(&peer);
        self.unanswered.remove(&peer);
        self.offers.retain(|&(other, _)| other != peer);
    }

    pub(super) fn is_offering(&self) -> bool {
        !self.offers.is_empty()
    }
}

impl Node {
    /// A peer is back that may have lost what it wrote last.
    pub(crate) fn offer_again(&mut self, now: Time, peer: PeerKey) {
        let recent = &mut self.healing.recent;
        let copies = recent.by_peer.remove(&peer).unwrap_or_default();
        recent
            .offers
            .extend(copies.into_iter().map(|(_, key)| (peer, key)));
        self.plan_healing(now);
        self.offer_unanswered(now, peer);
    }

    /// A peer says how it is: what it has not answered is named to it again.
    pub(crate) fn offer_unanswered(&mut self, now: Time, peer: PeerKey) {
        let recent = &mut self.healing.recent;
        if let Some(copies) = recent.unanswered.remove(&peer) {
            let offers = copies.into_iter().map(|key| (peer, key));
            recent.offers.extend(offers);
            self.plan_healing(now);
        }
    }

    /// Asks for the next copies that may have been lost. A slot may hold another job by now: then that one is asked for.
    pub(super) fn offer_recent(&mut self, effects: &mut Vec<Effect>) {
        for _ in 0..limits::OFFERS_PER_TICK {
            let Some((peer, key)) = self.healing.recent.offers.pop_front() else {
                return;
            };
            let counts = self
                .jobs
                .get(key)
                .is_some_and(|job| job.holders.contains(peer) && job.state() != JobState::Acked);
            if counts {
                self.tell_holders(key, NodeSet::only(peer), 1, effects);
                let unanswered = &mut self.healing.recent.unanswered;
                unanswered.entry(peer).or_default().insert(key);
            }
        }
    }
}
