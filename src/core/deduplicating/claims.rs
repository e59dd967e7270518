//! Claims: one add of a key at a time.
//!
//! Of this node and the members that it can reach, the one that ranks highest for a key (rendezvous hashing: Thaler and
//! Ravishankar, "Using name-based mappings to increase hit rates", 1998) lets one add of the key after the other go on. All nodes that
//! see the same members choose the same. A claim that its node does not repeat for a while runs out: the word that the add is over may
//! have been lost with a link.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest, Sha256};

use crate::dedup::{KeyName, KeyNews};
use crate::effect::Effect;
use crate::extras::Tag;
use crate::id::NodeId;
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::node::Node;
use crate::time::Time;

/// The keys that are claimed here, each with the adds that want it, in order.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<KeyName, VecDeque<Claim>>);

/// An add that wants a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    holder: Holder,
    /// When it was heard of last.
    heard: Time,
}

/// Whose add it is: of a peer, or of this node; and its number there.
pub(super) type Holder = (Option<PeerKey>, u64);

impl Claims {
    /// An add wants this key. Returns whether it may go on.
    fn claim(&mut self, name: KeyName, holder: Holder, now: Time) -> bool {
        let queue = self.0.entry(name).or_default();
        match queue.iter_mut().find(|claim| claim.holder == holder) {
            Some(claim) => claim.heard = now,
            None => queue.push_back(Claim { holder, heard: now }),
        }
        queue.front().is_some_and(|claim| claim.holder == holder)
    }

    /// An add is over. Returns which one may go on now.
    fn release(&mut self, name: &KeyName, holder: Holder) -> Option<Holder> {
        let first = self.0.get(name)?.front()?.holder;
        self.retain(name, |claim| claim.holder != holder)
            .filter(|&next| next != first)
    }

    /// Drops claims of all keys. Returns the keys that others may have now.
    fn drop_where(&mut self, is_over: impl Fn(&Claim) -> bool) -> Vec<(KeyName, Holder)> {
        let mut next = Vec::new();
        let names: Vec<KeyName> = self.0.keys().cloned().collect();
        for name in names {
            let first = self.0[&name].front().map(|claim| claim.holder);
            if let Some(heir) = self.retain(&name, |claim| !is_over(claim))
                && Some(heir) != first
            {
                next.push((name, heir));
            }
        }
        next
    }

    /// Returns the first that stays.
    fn retain(&mut self, name: &KeyName, keep: impl Fn(&Claim) -> bool) -> Option<Holder> {
        let queue = self.0.get_mut(name)?;
        queue.retain(keep);
        if queue.is_empty() {
            self.0.remove(name);
            return None;
        }
        queue.front().map(|claim| claim.holder)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims of this node's own adds, for the checks.
    pub(super) fn own(&self) -> impl Iterator<Item = u64> + '_ {
        let all = self.0.values().flatten();
        all.filter_map(|claim| match claim.holder {
            (None, number) => Some(number),
            (Some(_), _) => None,
        })
    }
}

/// How this node ranks for this key.
fn rank(name: &KeyName, node: &NodeId) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((name.queue.len() as u64).to_le_bytes());
    digest.update(&name.queue);
    digest.update((name.key.len() as u64).to_le_bytes());
    digest.update(&name.key);
    digest.update(node.as_bytes());
    digest.finalize().into()
}

impl Node {
    /// Members that can be reached, and that know of keys.
    pub(crate) fn key_members(&self) -> NodeSet {
        let knows = |&key: &PeerKey| {
            let features = self.peers.get(key).features;
            features.allow(Tag::DEDUP_KEY)
        };
        let some = self.peers.members().and(self.peers.reachable());
        some.iter()
            .filter(knows)
            .fold(NodeSet::EMPTY, NodeSet::with)
    }

    /// The member at which this key is claimed; none: this node.
    pub(super) fn arbiter(&self, name: &KeyName) -> Option<PeerKey> {
        let others = self.key_members();
        if others.is_empty() {
            return None;
        }
        let ranked = others
            .iter()
            .map(|peer| (rank(name, &self.peers.get(peer).id), Some(peer)));
        let all = ranked.chain([(rank(name, &self.id), None)]);
        all.max().and_then(|(_, peer)| peer)
    }

    /// An add wants a key of which this node is the arbiter.
    pub(super) fn claim(
        &mut self,
        now: Time,
        name: KeyName,
        holder: Holder,
        effects: &mut Vec<Effect>,
    ) {
        if self.dedups.claims.claim(name, holder, now) {
            self.grant(holder, effects);
        }
        self.plan_dedups(now);
    }

    fn grant(&mut self, (peer, number): Holder, effects: &mut Vec<Effect>) {
        match peer {
            Some(peer) => self.send_key(peer, KeyNews::Granted(number), effects),
            None => self.dedups.granted.push(number),
        }
    }

    /// An add is over, or goes on elsewhere.
    pub(super) fn release_key(
        &mut self,
        name: &KeyName,
        holder: Holder,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(next) = self.dedups.claims.release(name, holder) {
            self.grant(next, effects);
        }
    }

    /// What a peer claims is free: it went away.
    pub(super) fn drop_claims_of(&mut self, peer: PeerKey, effects: &mut Vec<Effect>) {
        let next = self
            .dedups
            .claims
            .drop_where(|claim| claim.holder.0 == Some(peer));
        for (_, holder) in next {
            self.grant(holder, effects);
        }
    }

    /// Claims that were not repeated for a while are over.
    pub(super) fn drop_old_claims(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let is_old =
            |claim: &Claim| claim.holder.0.is_some() && claim.heard + limits::CLAIM_FOR <= now;
        for (_, holder) in self.dedups.claims.drop_where(is_old) {
            self.grant(holder, effects);
        }
    }

    /// Tells a peer something about keys.
    pub(super) fn send_key(&self, to: PeerKey, news: KeyNews, effects: &mut Vec<Effect>) {
        self.send(to, Message::Key(Box::new(news)), effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    fn name(key: &str) -> KeyName {
        KeyName::new(b"q", key.as_bytes())
    }

    #[test]
    fn one_add_of_a_key_goes_on_at_a_time_and_the_others_follow_in_order() {
        let mut claims = Claims::default();
        assert!(claims.claim(name("k"), (None, 1), NOW));
        assert!(!claims.claim(name("k"), (None, 2), NOW));
        assert!(!claims.claim(name("k"), (None, 3), NOW));
        assert!(claims.claim(name("other"), (None, 4), NOW));
        assert!(claims.claim(name("k"), (None, 1), NOW), "said again");
        assert_eq!(
            claims.release(&name("k"), (None, 2)),
            None,
            "it only waited"
        );
        assert_eq!(claims.release(&name("k"), (None, 1)), Some((None, 3)));
        assert_eq!(claims.release(&name("k"), (None, 3)), None);
        assert_eq!(claims.release(&name("k"), (None, 3)), None, "it is over");
        assert_eq!(claims.own().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn what_was_not_said_again_for_a_while_is_over() {
        let mut claims = Claims::default();
        claims.claim(name("k"), (None, 1), NOW);
        claims.claim(name("k"), (None, 2), NOW.after_secs(1));
        let next = claims.drop_where(|claim| claim.heard == NOW);
        assert_eq!(next, [(name("k"), (None, 2))]);
        assert!(claims.drop_where(|claim| claim.heard == NOW).is_empty());
    }

    #[test]
    fn nodes_rank_differently_for_different_keys() {
        let nodes: Vec<NodeId> = (0..5).map(|node| NodeId::from_bytes([node; 20])).collect();
        let best = |key: u32| {
            let name = name(&key.to_string());
            nodes.iter().max_by_key(|node| rank(&name, node))
        };
        for node in &nodes {
            let won = (0..100).filter(|&key| best(key) == Some(node)).count();
            assert!((5..40).contains(&won), "{won}");
        }
    }
}
