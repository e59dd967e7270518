//! Copies that a peer got a moment ago: after an unclean stop they may not have been on its disk.
//!
//! When the peer comes back, this node names them to it (HOLDERS), a few each tick, and the peer says which it lacks.

use std::collections::{BTreeMap, VecDeque};

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
}

impl Recent {
    /// A peer has a copy, from now on or for longer.
    pub(crate) fn note(&mut self, now: Time, peer: PeerKey, key: JobKey) {
        let copies = self.by_peer.entry(peer).or_default();
        copies.push_back((now, key));
        let old = |&(at, _): &(Time, JobKey)| now.since(at) > limits::UNSYNCED;
        while copies.len() > limits::RECENT_COPIES || copies.front().is_some_and(old) {
            copies.pop_front();
        }
    }

    pub(super) fn forget(&mut self, peer: PeerKey) {
        self.by_peer.remove(&peer);
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
            }
        }
    }
}
