//! Who makes the jobs of a binding: the member of its lease, for as long as that is there.
//!
//! When it is not, the lowest of the members that stay takes the lease over, under a higher term. A maker that leaves or stops
//! gives its lease away. Nothing has to agree: two members that both make jobs make the same ones.

use std::sync::Arc;

use super::super::origin::OriginNode;
use super::super::planted::Bug;
use super::super::topics::Topics;
use super::value::{Binding, parts_of};
use super::{Bindings, Bound, Seen};
use crate::effect::Effect;
use crate::node::Node;
use crate::time::Now;

impl Node {
    /// Begins to make jobs, ends it or takes over, as members have come and gone.
    pub(super) fn lead_bindings(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (present, staying) = self.binding_makers();
        let may = self.check_topics().is_ok()
            && self.topics.cluster.loading.is_none()
            && !self.is_going();
        let seen = Seen {
            present,
            staying,
            may,
        };
        if self.topics.bindings.seen.as_ref() == Some(&seen) {
            return;
        }
        let own = OriginNode::of(&self.id);
        let is_lowest = seen.staying.iter().all(|other| own < *other);
        let names: Vec<Arc<[u8]>> = self.topics.bindings.all.keys().cloned().collect();
        for name in names {
            let bound = &self.topics.bindings.all[&name];
            let maker = bound.binding.lease.maker;
            let is_making = bound.making.is_some();
            if maker == own {
                if may && !is_making {
                    self.begin_making(now, &name);
                }
            } else {
                if is_making {
                    self.topics.end_making(&name);
                }
                let is_there =
                    seen.present.contains(&maker) && !self.topics.origins.has(Bug::BoundTwice);
                if may && is_lowest && !is_there {
                    self.lease_binding(now, &name, own, effects);
                }
            }
        }
        self.topics.bindings.seen = Some(seen);
    }

    /// The other members that are there, and those of them that stay.
    fn binding_makers(&self) -> (Vec<OriginNode>, Vec<OriginNode>) {
        let members = &self.topics.cluster.members;
        let staying = members.present_among(self.peers.staying());
        (members.present_nodes(), staying)
    }

    /// Another member makes the jobs of a binding from now on.
    fn lease_binding(
        &mut self,
        now: Now,
        name: &Arc<[u8]>,
        maker: OriginNode,
        effects: &mut Vec<Effect>,
    ) {
        let bound = &self.topics.bindings.all[name];
        let (epoch, mut binding) = (bound.epoch, bound.binding.clone());
        let lease = &mut binding.lease;
        lease.term = lease.term.saturating_add(1);
        (lease.maker, lease.stamp, lease.waits_for) = (maker, 0, None);
        // Nothing is larger than it was, so nothing refuses it.
        let written = self.write_binding(now, (name, epoch), &binding, effects);
        if written.is_ok() && maker == OriginNode::of(&self.id) {
            self.begin_making(now, name);
        }
    }

    /// This node goes: as soon as all that was begun of a binding is added, another member makes the rest.
    pub(super) fn hand_bindings_over(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.is_going() {
            return;
        }
        let (_, staying) = self.binding_makers();
        let Some(next) = staying.into_iter().min() else {
            return;
        };
        for name in self.topics.bindings.made_here() {
            if self.topics.bindings.all[&name].has_begun() {
                continue;
            }
            self.keep_progress(now, &name, effects);
            self.topics.end_making(&name);
            self.lease_binding(now, &name, next, effects);
        }
    }

    /// How many bindings another member has to take over before this node may stop.
    pub(in crate::topic) fn bindings_left(&self) -> usize {
        let (_, staying) = self.binding_makers();
        if staying.is_empty() {
            return 0;
        }
        let all = self.topics.bindings.all.values();
        all.filter(|bound| bound.making.is_some()).count()
    }
}

impl Bindings {
    /// The names of those whose jobs are made here.
    pub(super) fn made_here(&self) -> Vec<Arc<[u8]>> {
        let makes = |(_, bound): &(&Arc<[u8]>, &Bound)| bound.making.is_some();
        let names = self.all.iter().filter(makes);
        names.map(|(name, _)| Arc::clone(name)).collect()
    }
}

impl Topics {
    /// What the cluster keeps of a binding has changed; no value if it is gone. What is no binding was written by a newer
    /// node, and is left to it.
    pub(in crate::topic) fn follow_binding(
        &mut self,
        name: &[u8],
        epoch: u64,
        value: Option<&[u8]>,
    ) {
        self.bindings.seen = None;
        self.has_news = true;
        let binding = value.and_then(Binding::decode);
        let Some((binding, (pattern, queue))) = binding.zip(parts_of(name)) else {
            self.end_making(name);
            self.bindings.all.remove(name);
            return;
        };
        let Some(bound) = self.bindings.all.get(name) else {
            let bound = Bound {
                epoch,
                pattern: Arc::from(pattern),
                queue: Arc::from(queue),
                binding,
                making: None,
            };
            self.bindings.all.insert(Arc::from(name), bound);
            return;
        };
        // Another maker has come further, or it is another binding: this one begins again from there.
        if !bound.binding.is_where(&binding) {
            self.end_making(name);
        }
        if let Some(bound) = self.bindings.all.get_mut(name) {
            (bound.epoch, bound.binding) = (epoch, binding);
        }
    }

    /// This node makes no more jobs of a binding.
    pub(super) fn end_making(&mut self, name: &[u8]) {
        let bound = self.bindings.all.get_mut(name);
        if let Some(making) = bound.and_then(|bound| bound.making.take()) {
            self.readers.remove(making.reader);
            self.bindings.forget_pending(name);
        }
    }
}
