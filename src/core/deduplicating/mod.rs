//! Deduplicating: DEDUP of ADDJOB, one job a key.
//!
//! The jobs are the truth: a key is one of the extras of its job, and [`crate::job::Jobs`] finds jobs by key. What is added to
//! that is that no two adds of a key overlook each other (`asking`): the node that adds claims the key at one member, which
//! all nodes choose alike, and which lets one add at a time go on (`adds`, `claims`). Then it asks all members that can be reached
//! for jobs with the key, and whether any of those is over (`looking`). The oldest that counts is the answer; if there is
//! none, the job is added as usual.
//!
//! A copy counts once the node that added its job says that it answered its producer (ADDED): it says so to all members. Until then the
//! add may be withdrawn, and then a producer that got its id would wait for a job that does not exist. That a copy is
//! queued is no sign: its holder queues it also when the node that withdrew it cannot be reached.
//!
//! Where nodes could not hear each other, a key may have several jobs. When a link comes up, both sides tell each other
//! the jobs with keys that were added since it was down (`evidence`). A node that hears of an older job than its own asks all
//! members whether the older one is over (`doubts`): a holder that was away may not know. If all members say that it is not, and it counts, the
//! younger job ends as its duplicate. So a key never costs a job.
//!
//! Invariants: a claim belongs to an add under way, here or at a peer; an add that waits for copies has a pending job.

mod adds;
mod asking;
mod claims;
mod doubts;
mod evidence;
mod invariants;
mod looking;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::adds::KeyedAdd;
use self::claims::Claims;
use self::doubts::Doubt;
use self::evidence::Telling;
use crate::dedup::{KeyName, KeyNews, KeyedJob};
use crate::effect::Effect;
use crate::id::JobId;
use crate::limits;
use crate::members::PeerKey;
use crate::node::Node;
use crate::time::Time;

pub(crate) use invariants::check;

/// Keys of DEDUP: who adds, who may, and who has to be told.
#[derive(Debug, Default)]
pub(crate) struct Dedups {
    /// Adds of this node that are under way, by number.
    adds: BTreeMap<u64, KeyedAdd>,
    /// What they take.
    bytes: usize,
    /// The last number of an add, or of a doubt.
    last_number: u64,
    /// The keys that nodes claim here.
    claims: Claims,
    /// Jobs of this node that other nodes keep alone, for the time that it takes until these know that they count.
    given: VecDeque<(Time, KeyName, KeyedJob)>,
    /// Peers whose links came up, and which jobs with keys they have heard about.
    tellings: BTreeMap<PeerKey, Telling>,
    /// Jobs here of which another node knows an older one, by number.
    doubts: BTreeMap<u64, Doubt>,
    /// The same: each job here with the older one.
    doubted: BTreeSet<(JobId, JobId)>,
    /// Adds of this node that may go on, which they do at the end of this event.
    granted: Vec<u64>,
    /// The last jobs that ended as duplicates, and the older ones.
    duplicates: BTreeMap<JobId, JobId>,
    duplicates_in_order: VecDeque<JobId>,
    /// When what was not answered is asked again.
    ask_next: Time,
    /// The next look at adds, claims and tellings is on the agenda.
    is_planned: bool,
}

impl Dedups {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A job ended as the duplicate of another.
    pub(crate) fn note_duplicate(&mut self, id: JobId, older: JobId) {
        if self.duplicates.insert(id, older).is_none() {
            self.duplicates_in_order.push_back(id);
        }
        if self.duplicates_in_order.len() > limits::DUPLICATES {
            let first = self.duplicates_in_order.pop_front();
            first.map(|id| self.duplicates.remove(&id));
        }
    }

    /// The older job of one that ended as a duplicate, as far as that is remembered.
    pub(crate) fn older_than(&self, id: &JobId) -> Option<JobId> {
        self.duplicates.get(id).copied()
    }

    /// Bytes of memory that the adds under way take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Clients that wait for an add of a key to begin.
    pub(crate) fn waiting(&self) -> usize {
        self.adds.values().filter(|add| !add.is_adding()).count()
    }
}

impl Node {
    /// The older job of one that ended as a duplicate, as far as that is remembered.
    pub fn older_with_key(&self, id: &JobId) -> Option<JobId> {
        self.dedups.older_than(id)
    }

    /// A peer tells something about keys.
    pub(crate) fn on_key_news(
        &mut self,
        now: Time,
        from: PeerKey,
        news: KeyNews,
        effects: &mut Vec<Effect>,
    ) {
        match news {
            KeyNews::Claim(number, name) => self.claim(now, name, (Some(from), number), effects),
            KeyNews::Granted(number) => self.hear_granted(now, from, number, effects),
            KeyNews::Release(number, name) => {
                self.release_key(&name, (Some(from), number), effects);
            }
            KeyNews::Look(asked, name, ids) => {
                let (found, over) = (self.keyed_here(now, &name), self.without_key(now, &ids));
                self.send_key(from, KeyNews::Found(asked, found, over), effects);
            }
            KeyNews::Found(asked, jobs, over) => {
                let said = (asked, &jobs[..], &over[..]);
                self.hear_of_doubt(now, from, said, effects);
                self.hear_found(now, from, said, effects);
            }
            KeyNews::Added(told) => self.on_keys_added(now, from, told, effects),
        }
    }
}
