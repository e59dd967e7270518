//! Doubts: whether a job here is the duplicate of an older one that another node has.
//!
//! That node may not have heard that the older job is over. So all members are asked by its id, and only if each
//! of them has answered, none knows it to be over, and one has it, the younger job ends.

use crate::dedup::KeyName;
use crate::deduplicating::adds::{Look, Said};
use crate::deduplicating::looking::Found;
use crate::effect::Effect;
use crate::id::JobId;
use crate::job::JobKey;
use crate::limits;
use crate::members::PeerKey;
use crate::node::Node;
use crate::planted::Bug;
use crate::time::Time;

/// A job here, of which another node knows an older one.
#[derive(Debug)]
pub(super) struct Doubt {
    name: KeyName,
    /// The job here.
    id: JobId,
    older: JobId,
    /// The question whether the older one is over; none while a member is away.
    look: Option<Look>,
}

impl Node {
    /// Another node says that there is an older job with the key of this one.
    pub(super) fn doubt(
        &mut self,
        now: Time,
        key: JobKey,
        (name, older): (KeyName, JobId),
        effects: &mut Vec<Effect>,
    ) {
        if self.has(Bug::DuplicateUnseen) {
            return self.end_duplicate(now, key, older, effects);
        }
        let id = self.jobs[key].id;
        let is_full = self.dedups.doubts.len() >= limits::DOUBTS;
        if is_full || !self.dedups.doubted.insert((id, older)) {
            return;
        }
        let number = self.dedups.next_number();
        let doubt = Doubt {
            name,
            id,
            older,
            look: None,
        };
        self.dedups.doubts.insert(number, doubt);
        self.look_into(now, number, effects);
    }

    /// Asks all members whether older jobs are over. While one is away, the younger ones stay.
    pub(super) fn look_into_doubts(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let numbers: Vec<u64> = self.dedups.doubts.keys().copied().collect();
        for number in numbers {
            self.look_into(now, number, effects);
        }
    }

    fn look_into(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let members = self.key_members();
        let all = self.peers.members().without(members).is_empty();
        let Some(doubt) = self.dedups.doubts.get(&number) else {
            return;
        };
        if all && doubt.look.is_none() {
            let (name, older) = (doubt.name.clone(), doubt.older);
            let mut found = Found::default();
            found.add(
                &self.keyed_here(now, &name),
                &self.without_key(now, &[older]),
            );
            let look = Look {
                waits_for: members,
                found,
                named: Some(vec![older]),
            };
            self.ask_key_members(number, &name, &look, effects);
            if let Some(doubt) = self.dedups.doubts.get_mut(&number) {
                doubt.look = Some(look);
            }
        } else if let Some(look) = &doubt.look {
            self.ask_key_members(number, &doubt.name, look, effects);
        }
        self.settle_doubt(now, number, effects);
    }

    fn end_doubt(&mut self, number: u64) {
        if let Some(doubt) = self.dedups.doubts.remove(&number) {
            self.dedups.doubted.remove(&(doubt.id, doubt.older));
        }
    }

    /// If all members have answered, the younger job ends as a duplicate, or stays.
    fn settle_doubt(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let Some(doubt) = self.dedups.doubts.get(&number) else {
            return;
        };
        let ours = self.jobs.find(&doubt.id);
        let ours = ours.filter(|&key| self.live_keyed(now, key).is_some());
        let answered = doubt.look.as_ref().filter(|look| look.waits_for.is_empty());
        let (Some(key), Some(look)) = (ours, answered) else {
            if ours.is_none() {
                self.end_doubt(number);
            }
            return;
        };
        let (older, is_live) = (doubt.older, look.found.is_live(&doubt.older));
        self.end_doubt(number);
        if is_live {
            self.end_duplicate(now, key, older, effects);
        }
    }

    /// A member says whether an older job is over.
    pub(super) fn hear_of_doubt(
        &mut self,
        now: Time,
        from: PeerKey,
        said: Said<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let number = said.0 >> 1;
        if let Some(doubt) = self.dedups.doubts.get_mut(&number)
            && let Some(look) = &mut doubt.look
            && look.hear(number, from, said)
        {
            self.settle_doubt(now, number, effects);
        }
    }
}

impl Doubt {
    /// A member went away: all are asked again when they are there.
    pub(super) fn drop_look(&mut self) {
        self.look = None;
    }
}
