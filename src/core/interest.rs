//! What peers want of the queues of this node, and feeding them.
//!
//! A queue that nobody here has a job of need not exist here: interest is kept by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::Effect;
use crate::id::{Guarantee, QueueName};
use crate::jobs::JobKey;
use crate::limits;
use crate::message::Message;
use crate::node::Node;
use crate::peers::{NodeSet, PeerKey};
use crate::queue::QueueKey;
use crate::time::Time;

/// What one peer wants of one queue.
#[derive(Debug, Clone, Copy)]
struct Interest {
    credit: u64,
    waiting: u64,
    expires: Time,
    /// When it was last fed, in numbers of jobs: who was fed longest ago goes first.
    fed: u64,
}

/// What peers want.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    by_name: BTreeMap<QueueName, BTreeMap<PeerKey, Interest>>,
    name_bytes: usize,
    /// Jobs shipped so far.
    shipped: u64,
    /// Queues that have more for their peers than went at once.
    pub(crate) unfinished: BTreeSet<QueueName>,
}

impl Interests {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Queues that peers want jobs of.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn name_bytes(&self) -> usize {
        self.name_bytes
    }

    /// Panics if what it says of itself does not hold.
    pub(crate) fn check(&self) {
        let bytes: usize = self.by_name.keys().map(|name| name.as_bytes().len()).sum();
        assert_eq!(bytes, self.name_bytes, "names of interest are counted");
        let kept = self.by_name.values().all(|peers| !peers.is_empty());
        assert!(kept, "interest is somebody's");
    }

    /// Sets what a peer wants; returns whether that is more than nothing.
    fn set(
        &mut self,
        now: Time,
        peer: PeerKey,
        queue: &QueueName,
        count: u64,
        waiting: u64,
    ) -> bool {
        if count == 0 {
            self.remove(queue, peer);
            return false;
        }
        if !self.by_name.contains_key(queue) {
            let bytes = self.name_bytes + queue.as_bytes().len();
            // Who is refused asks again with the next refresh.
            if self.by_name.len() >= limits::INTERESTS || bytes > limits::INTEREST_NAME_BYTES {
                return false;
            }
            self.name_bytes = bytes;
        }
        let peers = self.by_name.entry(queue.clone()).or_default();
        let fed = peers.get(&peer).map_or(0, |interest| interest.fed);
        let interest = Interest {
            credit: count.min(limits::CREDIT),
            waiting: waiting.min(limits::CREDIT),
            expires: now + limits::INTEREST_EXPIRES,
            fed,
        };
        peers.insert(peer, interest);
        true
    }

    fn remove(&mut self, queue: &QueueName, peer: PeerKey) {
        if let Some(peers) = self.by_name.get_mut(queue) {
            peers.remove(&peer);
            if peers.is_empty() {
                self.by_name.remove(queue);
                self.name_bytes -= queue.as_bytes().len();
                self.unfinished.remove(queue);
            }
        }
    }

    /// Drops what holds no more.
    fn retain(&mut self, mut keep: impl FnMut(PeerKey, &Interest) -> bool) {
        let Interests {
            by_name,
            name_bytes,
            unfinished,
            ..
        } = self;
        by_name.retain(|name, peers| {
            peers.retain(|&peer, interest| keep(peer, interest));
            if peers.is_empty() {
                *name_bytes -= name.as_bytes().len();
                unfinished.remove(name);
            }
            !peers.is_empty()
        });
    }

    pub(crate) fn forget_peer(&mut self, peer: PeerKey) {
        self.retain(|other, _| other != peer);
    }

    pub(crate) fn expire(&mut self, now: Time) {
        self.retain(|_, interest| interest.expires > now);
    }

    /// Queues that this peer wants jobs of.
    pub(crate) fn of_peer(&self, peer: PeerKey) -> Vec<QueueName> {
        let wanted = self.by_name.iter();
        wanted
            .filter(|(_, peers)| peers.contains_key(&peer))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// Jobs on their way out, for one peer.
#[derive(Debug, Default)]
struct Load {
    jobs: Vec<JobKey>,
    bytes: usize,
}

impl Load {
    fn is_full(&self) -> bool {
        self.jobs.len() >= limits::SHIP_JOBS || self.bytes >= limits::SHIP_BYTES
    }
}

impl Node {
    pub(crate) fn on_need_jobs(
        &mut self,
        now: Time,
        from: PeerKey,
        queue: &QueueName,
        count: u32,
        waiting: u32,
        effects: &mut Vec<Effect>,
    ) {
        let (count, waiting) = (u64::from(count), u64::from(waiting));
        let interests = &mut self.federation.interests;
        if interests.set(now, from, queue, count, waiting) {
            self.sweep_federation(now);
            self.feed_by_name(now, queue, effects);
        }
    }

    /// As [`Node::feed_peers`], if the queue is known.
    pub(crate) fn feed_by_name(&mut self, now: Time, name: &QueueName, effects: &mut Vec<Effect>) {
        if let Some(queue) = self.queues.find(name.as_bytes()) {
            self.feed_peers(now, queue, effects);
        }
    }

    /// Whether anybody, here or elsewhere, may take what comes into the queue.
    pub(crate) fn is_wanted(&self, queue: QueueKey) -> bool {
        !self.queues[queue].waiters.is_empty() || !self.federation.interests.is_empty()
    }

    /// Ships ready jobs that no client here waits for to the peers that want them.
    pub(crate) fn feed_peers(&mut self, now: Time, queue: QueueKey, effects: &mut Vec<Effect>) {
        let ready = &self.queues[queue];
        if self.federation.interests.is_empty() || ready.len == 0 || ready.pause.output {
            return;
        }
        let name = ready.name.clone();
        let loads = self.load(now, queue, &name);
        let mut unfinished = false;
        for (peer, load) in loads {
            unfinished |= load.is_full();
            let jobs: Vec<_> = load
                .jobs
                .into_iter()
                .map(|key| self.ship(now, key, peer, effects))
                .collect();
            self.send(peer, Message::YourJobs(jobs), effects);
        }
        if unfinished {
            self.federation.interests.unfinished.insert(name);
            self.feed_on(now);
        }
    }

    /// Chooses what goes where: oldest jobs first, each to the peer that was fed longest ago.
    fn load(&mut self, now: Time, queue: QueueKey, name: &QueueName) -> BTreeMap<PeerKey, Load> {
        let mut loads: BTreeMap<PeerKey, Load> = BTreeMap::new();
        let mut keep = self.federation.reserve(now, name);
        let asked_here = self.federation.wants(name);
        let takers = self.peers.up().and(self.peers.staying());
        let interests = &mut self.federation.interests;
        let Some(peers) = interests.by_name.get_mut(name) else {
            return loads;
        };
        let mut open = NodeSet::EMPTY;
        let mut looks = limits::SHIP_LOOKS;
        for (&peer, interest) in peers.iter() {
            if interest.credit > 0 && interest.expires > now && takers.contains(peer) {
                open.insert(peer);
                looks += interest.credit as usize;
            }
        }
        for key in self.queues[queue].oldest(&self.jobs).take(looks) {
            if open.is_empty() {
                break;
            }
            let job = &self.jobs[key];
            if job.moves > 0 && keep > 0 {
                keep -= 1;
                continue;
            }
            // What went around in vain stays where clients ask now and then: else two that poll by turns never see it.
            let tired = job.moves >= limits::MOVES;
            if tired && asked_here {
                continue;
            }
            // A job that nothing queues again, or that is tired, goes only to a client that waits.
            let now_only = tired || job.guarantee() == Guarantee::AtMostOnce;
            let fits = |peer: &PeerKey| !now_only || peers[peer].waiting > 0;
            let Some(peer) = open.iter().filter(fits).min_by_key(|peer| peers[peer].fed) else {
                continue;
            };
            let interest = peers.get_mut(&peer).expect("it was just found");
            interests.shipped += 1;
            interest.fed = interests.shipped;
            interest.credit -= 1;
            interest.waiting = interest.waiting.saturating_sub(1);
            let load = loads.entry(peer).or_default();
            load.jobs.push(key);
            load.bytes += job.body.len();
            if load.is_full() || interest.credit == 0 {
                open.remove(peer);
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_is_bounded_in_names_and_bytes() {
        let mut interests = Interests::default();
        let mut peers = crate::peers::Peers::default();
        let peer = peers.find_or_add(&crate::id::NodeId::from_bytes([1; 20]));
        let peer = peer.expect("there is a slot");
        let mut want = |name: &[u8], count| {
            let name = QueueName::new(name);
            let wanted = interests.set(Time::ZERO, peer, &name, count, count);
            interests.check();
            (wanted, interests.len(), interests.name_bytes())
        };
        let most = limits::INTEREST_NAME_BYTES;
        assert_eq!(want(&vec![1; most], u64::MAX), (true, 1, most));
        assert_eq!(want(b"more", 1), (false, 1, most));
        assert_eq!(want(&vec![1; most], 0), (false, 0, 0));
        let names = u32::try_from(limits::INTERESTS).expect("not that many");
        for number in 0..=names {
            let name = QueueName::new(&number.to_le_bytes());
            let wanted = interests.set(Time::ZERO, peer, &name, 1, 1);
            assert_eq!(wanted, number < names);
        }
        interests.expire(Time::ZERO + limits::INTEREST_EXPIRES);
        interests.check();
        assert!(interests.is_empty());
    }
}
