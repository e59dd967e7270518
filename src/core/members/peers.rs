//! The other nodes of the cluster, and sets of them.
//!
//! A node that was ever named to this one has a slot, so that a set of nodes is 64 bits: every job has one. A slot is one
//! *store* of one node: a node that comes back with an empty store gets another slot, and what its former store held is
//! gone at that moment, whatever the jobs still say (`Peers::gone`); the healing pass takes it out of them, and the slot
//! is free again.

use std::collections::{BTreeMap, VecDeque};

use crate::extras::{Extras, Features};
use crate::id::{NodeId, StoreId};
use crate::limits;
use crate::message::{Holders, PeerState};
use crate::time::Time;

/// Where a peer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerKey(u8);

/// A set of peers; never holds this node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct NodeSet(u64);

impl NodeSet {
    pub(crate) const EMPTY: NodeSet = NodeSet(0);

    pub(crate) fn contains(self, peer: PeerKey) -> bool {
        self.0 >> peer.0 & 1 == 1
    }

    pub(crate) fn insert(&mut self, peer: PeerKey) {
        self.0 |= 1 << peer.0;
    }

    pub(crate) fn remove(&mut self, peer: PeerKey) {
        self.0 &= !(1 << peer.0);
    }

    #[must_use]
    pub(crate) fn with(self, peer: PeerKey) -> NodeSet {
        NodeSet(self.0 | 1 << peer.0)
    }

    #[must_use]
    pub(crate) fn without(self, others: NodeSet) -> NodeSet {
        NodeSet(self.0 & !others.0)
    }

    #[must_use]
    pub(crate) fn and(self, others: NodeSet) -> NodeSet {
        NodeSet(self.0 & others.0)
    }

    #[must_use]
    pub(crate) fn or(self, others: NodeSet) -> NodeSet {
        NodeSet(self.0 | others.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Only this one.
    pub(crate) fn only(peer: PeerKey) -> NodeSet {
        NodeSet(1 << peer.0)
    }

    /// How many; at most [`limits::PEERS`].
    pub(crate) fn len(self) -> u16 {
        self.0.count_ones() as u16
    }

    /// Its members, in order of their slots.
    pub(crate) fn iter(self) -> impl Iterator<Item = PeerKey> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let slot = (left != 0).then(|| left.trailing_zeros() as u8)?;
            left &= left - 1;
            Some(PeerKey(slot))
        })
    }
}

/// One peer.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told by another source"
)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    /// Which store its copies lie in; none while it was only heard of.
    pub(crate) store: Option<StoreId>,
    /// It is a member of the cluster; else only jobs name it.
    pub(super) member: bool,
    /// Our link to it is up.
    pub(super) up: bool,
    /// Membership takes it for dead, or suspects it.
    pub(super) failing: bool,
    /// It is in this node's zone: copies go elsewhere first.
    pub(crate) same_zone: bool,
    /// By which its zone is told from others ([`crate::event::PeerUp::zone`]).
    pub(crate) zone: u64,
    /// What it knows, as it said when our link to it came up last.
    pub(crate) features: Features,
    pub(crate) state: PeerState,
    /// Since when it has been away, if it is.
    pub(super) away_since: Option<Time>,
    /// Since when there is no link to it, if there was one: from then on it may lack jobs with keys of DEDUP.
    pub(crate) keys_since: Option<Time>,
    /// Until when it is expected back although it cannot be reached: it may only be restarting.
    pub(super) expected_until: Option<Time>,
}

impl Peer {
    /// A message to it may arrive, and it is not thought to be dead.
    pub(super) fn is_reachable(&self) -> bool {
        self.up && !self.failing
    }

    /// It can be reached and goes on running, as far as is known.
    fn is_staying(&self) -> bool {
        self.is_reachable() && !self.state.leaving && !self.state.stopping
    }

    /// It may be asked to take a copy.
    fn takes_copies(&self) -> bool {
        self.is_staying() && !self.state.full
    }

    /// A new job may count on it: it stays, or is expected back.
    fn is_expected(&self) -> bool {
        let present = self.is_reachable() || self.expected_until.is_some();
        self.member && present && !self.state.leaving
    }
}

/// Where new copies go does not depend on smaller differences of load than those between classes.
pub(crate) fn load_class(jobs: u64) -> u32 {
    (jobs / limits::LOAD_STEP + 1).ilog2()
}

/// All peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    slots: Vec<Option<Peer>>,
    members: NodeSet,
    up: NodeSet,
    reachable: NodeSet,
    /// Those of them that are neither leaving nor stopping.
    staying: NodeSet,
    /// Those of them that take copies.
    takers: NodeSet,
    /// Members that can be reached or are expected back, and have not left for good.
    expected: NodeSet,
    /// Those of them that take copies as far as is known.
    expected_takers: NodeSet,
    /// Slots whose copies are gone for good: forgotten nodes, and stores that were replaced. Jobs that still name
    /// them are cleaned by the healing pass.
    gone: NodeSet,
    /// Peers that have been away for longer than `heal-delay`.
    lost: NodeSet,
    /// The lists that were last made of sets: jobs of one kind share their holders.
    lists: BTreeMap<(NodeSet, bool), Holders>,
    /// Nodes that were forgotten and did not come back, the last one last: who still names them speaks of the past.
    forgotten: VecDeque<NodeId>,
    /// Nodes that there was no slot for.
    unplaced: u64,
}

impl Peers {
    pub(crate) fn get(&self, key: PeerKey) -> &Peer {
        self.slots[usize::from(key.0)]
            .as_ref()
            .expect("a key names a peer")
    }

    /// Changes a peer, and what is derived from all of them.
    pub(crate) fn update(&mut self, key: PeerKey, change: impl FnOnce(&mut Peer)) {
        let peer = self.slots[usize::from(key.0)]
            .as_mut()
            .expect("a key names a peer");
        change(peer);
        let (member, up, reachable) = (peer.member, peer.up, peer.is_reachable());
        let (staying, expected) = (peer.is_staying(), peer.is_expected());
        let (takes_copies, full) = (peer.takes_copies(), peer.state.full);
        let set = |set: &mut NodeSet, holds| {
            if holds {
                set.insert(key);
            } else {
                set.remove(key);
            }
        };
        set(&mut self.members, member);
        set(&mut self.up, up);
        set(&mut self.reachable, reachable);
        set(&mut self.staying, staying);
        set(&mut self.takers, takes_copies);
        set(&mut self.expected, expected);
        set(&mut self.expected_takers, expected && !full);
    }

    /// The peer with this id, in the store that it has now.
    pub(crate) fn find(&self, id: &NodeId) -> Option<PeerKey> {
        self.keys()
            .find(|&key| !self.gone.contains(key) && self.get(key).id == *id)
    }

    /// The peer with this id, made known if need be; none when all slots are taken.
    pub(crate) fn find_or_add(&mut self, id: &NodeId) -> Option<PeerKey> {
        if let Some(key) = self.find(id) {
            return Some(key);
        }
        let free = self.slots.iter().position(Option::is_none);
        let slot = match free {
            Some(slot) => slot,
            None if self.slots.len() < limits::PEERS => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => {
                self.unplaced += 1;
                return None;
            }
        };
        self.slots[slot] = Some(Peer {
            id: *id,
            store: None,
            member: false,
            up: false,
            failing: false,
            same_zone: false,
            zone: 0,
            features: Features::NONE,
            state: PeerState::default(),
            away_since: None,
            keys_since: None,
            expected_until: None,
        });
        // A list made of the slot's former owner must not come back.
        self.lists.clear();
        Some(PeerKey(slot as u8))
    }

    /// The present slots of the nodes in `slots`. A node whose store was replaced may have got a new copy from another
    /// node, before this node heard of the change.
    pub(crate) fn present(&self, slots: NodeSet) -> NodeSet {
        let replaced = slots.and(self.gone).iter();
        let heirs = replaced.filter_map(|key| self.find(&self.get(key).id));
        heirs.fold(slots.without(self.gone), NodeSet::with)
    }

    /// All slots in use.
    pub(crate) fn keys(&self) -> impl Iterator<Item = PeerKey> + '_ {
        (0..self.slots.len())
            .filter(|&slot| self.slots[slot].is_some())
            .map(|slot| PeerKey(slot as u8))
    }

    /// What this slot's store held is gone for good. Nothing finds the slot by its node's id any more.
    pub(crate) fn give_up(&mut self, key: PeerKey) {
        self.update(key, |peer| {
            (peer.member, peer.up, peer.failing) = (false, false, true);
        });
        self.gone.insert(key);
        self.lost.remove(key);
    }

    /// The node is no member any more, until it is welcome again.
    pub(crate) fn forget(&mut self, id: &NodeId) {
        self.welcome(id);
        if self.forgotten.len() == limits::FORGOTTEN_PEERS {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(*id);
    }

    /// The node is a member, forgotten once or not.
    pub(crate) fn welcome(&mut self, id: &NodeId) {
        self.forgotten.retain(|forgotten| forgotten != id);
    }

    pub(crate) fn is_forgotten(&self, id: &NodeId) -> bool {
        self.forgotten.contains(id)
    }

    /// All forgotten nodes.
    pub(crate) fn forgotten(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.forgotten.iter().copied()
    }

    /// No job names these slots any more.
    pub(crate) fn free(&mut self, slots: NodeSet) {
        for key in slots.and(self.gone).iter() {
            self.slots[usize::from(key.0)] = None;
        }
        self.gone = self.gone.without(slots);
        self.lists.clear();
    }

    pub(super) fn set_lost(&mut self, key: PeerKey, lost: bool) {
        if lost {
            self.lost.insert(key);
        } else {
            self.lost.remove(key);
        }
    }

    pub(crate) fn members(&self) -> NodeSet {
        self.members
    }

    /// Peers that a message may be sent to.
    pub(crate) fn up(&self) -> NodeSet {
        self.up
    }

    /// Peers that a message may be sent to, and that nobody takes for dead.
    pub(crate) fn reachable(&self) -> NodeSet {
        self.reachable
    }

    pub(crate) fn gone(&self) -> NodeSet {
        self.gone
    }

    pub(crate) fn lost(&self) -> NodeSet {
        self.lost
    }

    /// Reachable peers that are neither leaving nor stopping.
    pub(crate) fn staying(&self) -> NodeSet {
        self.staying
    }

    /// Peers that may be asked to take copies.
    pub(crate) fn takers(&self) -> NodeSet {
        self.takers
    }

    /// Members that a new job may count on: reachable now, or expected back, and not leaving for good.
    pub(crate) fn expected(&self) -> NodeSet {
        self.expected
    }

    /// Of these, those that take copies as far as is known.
    pub(crate) fn expected_takers(&self) -> NodeSet {
        self.expected_takers
    }

    /// Peers that know every field which a job with these extras asks its holders to understand.
    pub(crate) fn knowing(&self, extras: &Extras) -> NodeSet {
        if extras.is_empty() {
            return NodeSet(u64::MAX);
        }
        let knows = |&key: &PeerKey| extras.unknown_to(self.get(key).features).is_none();
        self.keys()
            .filter(knows)
            .fold(NodeSet::EMPTY, NodeSet::with)
    }

    /// Nodes of the cluster, this one included.
    pub(crate) fn cluster_size(&self) -> u16 {
        self.members.len() + 1
    }

    /// The names of a set, with `own` if it is given, in order of the ids.
    pub(crate) fn list(&mut self, set: NodeSet, own: Option<NodeId>) -> Holders {
        let set = set.without(self.gone);
        if let Some(list) = self.lists.get(&(set, own.is_some())) {
            return list.clone();
        }
        if self.lists.len() >= limits::HOLDER_LISTS {
            self.lists.clear();
        }
        let list = Holders::from(self.names(set, own));
        self.lists.insert((set, own.is_some()), list.clone());
        list
    }

    /// This node has another id: drops the lists, so that those that name the node are built again.
    pub(crate) fn clear_lists(&mut self) {
        self.lists.clear();
    }

    /// As [`Peers::list`], for those who only look.
    pub(crate) fn names(&self, set: NodeSet, own: Option<NodeId>) -> Vec<NodeId> {
        let names = set.without(self.gone).iter().map(|key| self.get(key).id);
        let mut names: Vec<NodeId> = names.chain(own).collect();
        names.sort_unstable();
        names
    }

    /// The set of these nodes, but for `own` and the forgotten. Nodes that were never heard of get a slot.
    pub(crate) fn set_of(&mut self, nodes: &[NodeId], own: NodeId) -> NodeSet {
        let mut set = NodeSet::EMPTY;
        for id in nodes.iter().filter(|&&id| id != own) {
            if self.is_forgotten(id) {
                continue;
            }
            if let Some(key) = self.find_or_add(id) {
                set.insert(key);
            }
        }
        set
    }
}
