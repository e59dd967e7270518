//! Which nodes were linked, and when: what a checker needs to say that a node could have heard of something.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::schedule::{HostIndex, Micros, SECOND};

/// The links of all pairs of nodes, as they are looked at now and then.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// The smaller number first.
    pairs: BTreeMap<(HostIndex, HostIndex), Vec<Linked>>,
}

/// While two nodes had the same links with each other.
#[derive(Debug)]
struct Linked {
    since: Micros,
    until: Micros,
    incarnations: (u64, u64),
}

impl Links {
    /// Two nodes have these links with each other at this moment, if they have.
    pub(crate) fn note(
        &mut self,
        now: Micros,
        pair: (HostIndex, HostIndex),
        links: Option<(u64, u64)>,
    ) {
        let Some(incarnations) = links else { return };
        let all = self.pairs.entry(pair).or_default();
        match all.last_mut() {
            Some(last) if last.incarnations == incarnations && last.until + SECOND > now => {
                last.until = now;
            }
            _ => all.push(Linked {
                since: now,
                until: now,
                incarnations,
            }),
        }
    }

    /// Whether two nodes were linked all this time.
    pub(crate) fn are_up(
        &self,
        one: HostIndex,
        other: HostIndex,
        from: Micros,
        to: Micros,
    ) -> bool {
        let all = self.pairs.get(&(one.min(other), one.max(other)));
        let mut all = all.into_iter().flatten();
        all.any(|linked| linked.since <= from && linked.until >= to)
    }

    /// Whether two nodes were linked for as long as `lasting` within this time.
    pub(crate) fn were_up(
        &self,
        pair: (HostIndex, HostIndex),
        (from, to): (Micros, Micros),
        lasting: Micros,
    ) -> bool {
        let (one, other) = pair;
        let all = self.pairs.get(&(one.min(other), one.max(other)));
        let mut all = all.into_iter().flatten();
        all.any(|linked| linked.since.max(from) + lasting <= linked.until.min(to))
    }
}

impl Cluster {
    /// Looks which links there are.
    pub(crate) fn note_links(&mut self) {
        for one in 0..self.hosts.len() {
            for other in one + 1..self.hosts.len() {
                let links = (self.network.link(one, other), self.network.link(other, one));
                let links = links.0.zip(links.1).filter(|_| self.are_linked(one, other));
                self.checker.lore.links.note(self.now, (one, other), links);
            }
        }
    }
}
