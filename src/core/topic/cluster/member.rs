//! What this node knows of the other members, as far as topics go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::id::EntryId;
use super::super::origin::{Origin, OriginNode};
use crate::id::NodeId;
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::time::{Now, Time, WallTime};

/// One other member.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told by another source"
)]
pub(super) struct Member {
    pub(super) node: OriginNode,
    /// It greeted, and our link to it is up, and nobody takes it for dead.
    pub(super) is_reachable: bool,
    pub(super) has_greeted: bool,
    /// Its current origin.
    pub(super) own: Option<Origin>,
    /// What its wall clock said, and when on this node's timeline that was.
    wall: Option<(WallTime, Time)>,
    /// Its clock is too far ahead of this node's: it is set aside.
    pub(super) is_ahead: bool,
    /// It takes records of others.
    pub(super) takes: bool,
    /// It counts this origin of ours.
    pub(super) counts: Option<Origin>,
    /// It was told that we count this origin of its.
    pub(super) told_counted: Option<Origin>,
    /// The number of our next record that it gets unasked; none until it has said what it has.
    pub(super) next_push: Option<u64>,
    /// Records that it got unasked and has not confirmed: last number and bytes of each message.
    pub(super) in_flight: VecDeque<(u64, usize)>,
    /// Its records come unasked from this number on.
    pub(super) follows: Option<(Origin, u64)>,
    /// What we asked it to close up to, and when.
    pub(super) asked: Option<(EntryId, Time)>,
    /// When we asked it last.
    pub(super) asked_last: Time,
    /// What it asked us to close up to.
    pub(super) question: Option<EntryId>,
    /// What we asked it for.
    pub(super) pull: Option<Pull>,
    /// It wants to hear what we have of the logs of these nodes.
    pub(super) wants: BTreeSet<OriginNode>,
    /// It spoke of records that are not here, since then.
    pub(super) lacking_since: Option<Time>,
    pub(super) aside: Aside,
}

/// Records that a member was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pull {
    pub(super) origin: Origin,
    pub(super) since: Time,
}

/// Whether a member holds up the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aside {
    /// As far as it is counted.
    No,
    /// Not for long: the others are being asked how far they have its log. These have not answered.
    Asking(Time, BTreeSet<PeerKey>),
    /// No more.
    Yes,
}

/// The other members.
#[derive(Debug, Default)]
pub(in crate::topic) struct Members {
    all: BTreeMap<PeerKey, Member>,
}

impl Member {
    fn new(node: OriginNode) -> Self {
        Member {
            node,
            is_reachable: false,
            has_greeted: false,
            own: None,
            wall: None,
            is_ahead: false,
            takes: true,
            counts: None,
            told_counted: None,
            next_push: None,
            in_flight: VecDeque::new(),
            follows: None,
            asked: None,
            asked_last: Time::ZERO,
            question: None,
            pull: None,
            wants: BTreeSet::new(),
            lacking_since: None,
            aside: Aside::No,
        }
    }

    /// It is there: what it is told may arrive, and it has said how it is.
    pub(super) fn is_present(&self) -> bool {
        self.is_reachable && self.has_greeted
    }

    /// It has left a question, or a record that it announced, unanswered for this long.
    pub(super) fn is_silent(&self, now: Time, patience: Duration) -> bool {
        let asked = self.asked.map(|(_, since)| since);
        let waits = asked.into_iter().chain(self.lacking_since);
        waits.into_iter().any(|since| now.since(since) >= patience)
    }

    /// Nothing has come from it for this long, which is no reason for anything.
    pub(super) fn says_nothing(&self, now: Time, patience: Duration) -> bool {
        self.wall
            .is_some_and(|(_, when)| now.since(when) >= patience)
    }

    /// Copies may go there.
    pub(super) fn takes_copies(&self) -> bool {
        self.is_present() && self.takes && !self.is_ahead
    }

    /// What its wall clock says now, as far as is known.
    pub(super) fn wall_at(&self, now: Time) -> Option<WallTime> {
        let (wall, when) = self.wall?;
        let passed = now.since(when).as_millis() as u64;
        Some(WallTime(wall.0.saturating_add(passed)))
    }

    pub(super) fn hear_wall(&mut self, now: Now, wall: WallTime) {
        self.wall = Some((wall, now.time));
    }

    /// Our link to it is new: what we said last may be lost.
    pub(super) fn forget_told(&mut self) {
        (self.asked, self.told_counted, self.pull) = (None, None, None);
        self.end_push();
    }

    /// Its link to us is new: what it said last may be lost.
    pub(super) fn forget_heard(&mut self) {
        (self.asked, self.pull, self.question) = (None, None, None);
        (self.follows, self.counts) = (None, None);
        self.wants.clear();
        // What it has and where we go on is to be said once more.
        self.end_push();
    }

    /// It gets nothing unasked until a push begins.
    fn end_push(&mut self) {
        self.next_push = None;
        self.in_flight.clear();
    }

    /// How many more bytes it may get unasked.
    pub(super) fn window(&self) -> usize {
        let bytes: usize = self.in_flight.iter().map(|(_, bytes)| bytes).sum();
        limits::TOPIC_WINDOW_BYTES.saturating_sub(bytes)
    }

    /// It has our records up to this number.
    pub(super) fn confirm(&mut self, number: u64) {
        while self
            .in_flight
            .front()
            .is_some_and(|(last, _)| *last <= number)
        {
            self.in_flight.pop_front();
        }
    }
}

impl Members {
    /// Whether there are none: this node is alone.
    pub(in crate::topic) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Member> {
        self.all.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Member> {
        self.all.get_mut(&key)
    }

    /// The member of this key, made known if need be; none if its id begins as that of another one, or as `own`.
    pub(super) fn open(
        &mut self,
        key: PeerKey,
        id: &NodeId,
        own: OriginNode,
    ) -> Option<&mut Member> {
        let node = OriginNode::of(id);
        let is_taken = |(other, member): (&PeerKey, &Member)| *other != key && member.node == node;
        if node == own || self.all.iter().any(is_taken) {
            return None;
        }
        Some(self.all.entry(key).or_insert_with(|| Member::new(node)))
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Member> {
        self.all.remove(&key)
    }

    /// A member has another key.
    pub(super) fn rename(&mut self, from: PeerKey, to: PeerKey) {
        if let Some(member) = self.all.remove(&from) {
            self.all.insert(to, member);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Member)> {
        self.all.iter().map(|(key, member)| (*key, member))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerKey, &mut Member)> {
        self.all.iter_mut().map(|(key, member)| (*key, member))
    }

    pub(super) fn keys(&self) -> Vec<PeerKey> {
        self.all.keys().copied().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that are there.
    pub(super) fn present(&self) -> impl Iterator<Item = (PeerKey, &Member)> {
        self.iter().filter(|(_, member)| member.is_present())
    }

    /// The names of those that are there.
    pub(in crate::topic) fn present_nodes(&self) -> Vec<OriginNode> {
        self.present().map(|(_, member)| member.node).collect()
    }

    /// The names of those of these peers that are there.
    pub(in crate::topic) fn present_among(&self, peers: NodeSet) -> Vec<OriginNode> {
        let present = self.present().filter(|(key, _)| peers.contains(*key));
        present.map(|(_, member)| member.node).collect()
    }

    /// The key of the member with this name.
    pub(super) fn find(&self, node: OriginNode) -> Option<PeerKey> {
        let mut all = self.iter();
        all.find(|(_, member)| member.node == node)
            .map(|(key, _)| key)
    }

    /// Whether a node is there whose life this is: it says itself how far its log is settled. Of its earlier lives it says
    /// nothing before its first record is settled.
    pub(super) fn speaks_for(&self, origin: Origin) -> bool {
        self.present().any(|(_, member)| member.own == Some(origin))
    }
}
