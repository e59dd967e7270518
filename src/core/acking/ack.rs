//! ACKJOB, FASTACK, DELJOB, ttl: forgetting a job, everywhere.
//!
//! An acknowledged job goes once every node that may hold a copy knows of the ack; one that is held here alone goes at
//! once. Till then it stays, acked and without its body, for a holder that has not heard would queue it again.
//!
//! The node that gets the ack *collects*: it sends SETACK with the holders that it knows to each of them, again and again
//! to those that do not answer. A holder marks its copy acked and answers GOTACK. If the sender lacks a holder, GOTACK
//! names the holders, and the sender asks that one too. When all have answered, the collector sends DELJOB to them
//! and forgets the job. A holder that hears no DELJOB for a while collects itself, so any of them may fail. Where an ack
//! comes to a node without a copy, a tombstone finds those who have one (`tombstones`).
//!
//! An add that was withdrawn (`replication`) ends in the same way: the job is marked acked and withdrawn, which goes
//! with SETACK and into the log, and nobody counts it as acked.
//!
//! Who has answered is not recorded: after a restart, the collector asks all holders again.

use crate::acking::{End, Known};
use crate::command::{Refusal, Reply};
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{JobId, NodeId};
use crate::job::{Ending, JobKey, JobState};
use crate::members::{NodeSet, PeerKey};
use crate::message::{Holders, Message};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::planted::Bug;
use crate::record::Record;
use crate::time::Time;

impl Node {
    pub(crate) fn ack_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        result: Option<&[u8]>,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let most = self.settings.result_max;
        if result.is_some_and(|result| result.len() > most as usize) {
            return Reply::Refused(Refusal::ResultTooLarge(most));
        }
        let mut count = 0;
        for &id in ids {
            match self.jobs.find(&id) {
                Some(key) if self.jobs[key].state() == JobState::Acked => {
                    self.merge_end(key, &End::acked(result), effects);
                }
                Some(key) => {
                    self.ack(now, key, End::acked(result), effects);
                    count += 1;
                }
                None => self.ack_unknown(now, id, End::acked(result), effects),
            }
        }
        Reply::Count(count)
    }

    /// A client ends a job that is held here.
    pub(super) fn ack(&mut self, now: Time, key: JobKey, end: End, effects: &mut Vec<Effect>) {
        self.happened(self.jobs[key].id, What::Ended(end.known()));
        if self.jobs[key].state() == JobState::Queued && self.has(Bug::LostAck) {
            return;
        }
        if self.other_holders(key).is_empty() && self.to_keep(now, key, &end).is_none() {
            self.let_go(now, key, &end, effects);
        } else {
            self.mark_acked(now, key, end, NodeSet::EMPTY, effects);
            self.tell_ack(now, key, effects);
        }
    }

    /// DELJOB GLOBAL of a job that is held here. Returns whether that ended it.
    pub(crate) fn end_job(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) -> bool {
        let is_over = self.jobs[key].state() == JobState::Acked;
        if !is_over {
            self.ack(now, key, End::other(Outcome::Deleted), effects);
        }
        !is_over
    }

    /// A job ends because an older one has its key.
    pub(crate) fn end_duplicate(
        &mut self,
        now: Time,
        key: JobKey,
        older: JobId,
        effects: &mut Vec<Effect>,
    ) {
        self.ack(now, key, End::duplicate(older), effects);
    }

    /// DELJOB: only this node forgets the jobs, and it takes them again from any node or client that brings them.
    pub(crate) fn delete_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        self.each_job(ids, |node, key| {
            if node.jobs[key].state() == JobState::Acked {
                node.forget(now, key, effects);
            } else {
                node.end_here(now, key, Outcome::Deleted, effects);
            }
            true
        })
    }

    /// FASTACK: forgets the jobs here, and tells the holders to, or everybody where they are not known; once.
    pub(crate) fn fast_ack_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let mut count = 0;
        for &id in ids {
            let end = End::default();
            let Some(key) = self.jobs.find(&id) else {
                self.send_delete(self.peers.up(), id, &end, effects);
                self.remember(now, id, end.known());
                continue;
            };
            let job = &self.jobs[key];
            let holders = if job.is_tombstone() {
                self.peers.up()
            } else {
                job.holders
            };
            self.send_delete(holders, id, &end, effects);
            if self.jobs[key].state() != JobState::Acked {
                self.happened(id, What::Ended(end.known()));
            }
            self.end_at_once(now, key, &end, effects);
            count += 1;
        }
        Reply::Count(count)
    }

    /// Tells these nodes that a job is over, and that nobody has to be told any more.
    pub(crate) fn send_delete(&self, to: NodeSet, id: JobId, end: &End, effects: &mut Vec<Effect>) {
        let extras = end.to_tell_last(self.clock.time);
        for peer in to.without(self.peers.gone()).iter() {
            let extras = extras.clone();
            self.send(peer, Message::DelJob { id, extras }, effects);
        }
    }

    pub(crate) fn on_delete_message(
        &mut self,
        now: Time,
        id: JobId,
        end: &End,
        effects: &mut Vec<Effect>,
    ) {
        match self.jobs.find(&id) {
            Some(key) => {
                if self.jobs[key].state() != JobState::Acked {
                    self.happened(id, What::HeardEnd(end.known()));
                }
                self.end_at_once(now, key, end, effects);
            }
            None => self.remember_end(now, id, end),
        }
    }

    /// A job ends here, and other nodes that may have it hear that from somebody else, or not at all.
    fn end_at_once(&mut self, now: Time, key: JobKey, end: &End, effects: &mut Vec<Effect>) {
        if self.jobs[key].state() == JobState::Acked {
            self.merge_end(key, end, effects);
        } else if self.to_keep(now, key, end).is_some() {
            self.mark_acked(now, key, end.clone(), NodeSet::EMPTY, effects);
        } else {
            return self.let_go(now, key, end, effects);
        }
        self.rest_or_go(now, key, effects);
    }

    pub(crate) fn on_set_ack(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        holders: &[NodeId],
        mut end: End,
        effects: &mut Vec<Effect>,
    ) {
        let to_keep_in = end.take_queue();
        let of_tombstone = holders.is_empty();
        let known = self.jobs.find(&id);
        let with_copy = known.filter(|&key| !self.jobs[key].is_tombstone());
        let Some(key) = with_copy else {
            if let Some(queue) = to_keep_in.filter(|_| known.is_none()) {
                self.inherit(from, id, end, &queue, effects);
                return self.answer_ack(from, id, true, Holders::default(), effects);
            }
            self.answer_ack(from, id, false, Holders::default(), effects);
            self.hear_end(now, from, (id, &end), of_tombstone, effects);
            return;
        };
        if self.beats_ack(key) {
            return self.answer_ack(from, id, true, Holders::default(), effects);
        }
        let mut theirs = self.peers.set_of(holders, self.id);
        if !of_tombstone {
            theirs.insert(from);
        }
        let lacks = !of_tombstone && !self.other_holders(key).without(theirs).is_empty();
        let fresh = self.jobs[key].state() != JobState::Acked;
        if fresh {
            self.happened(id, What::HeardEnd(end.known()));
            self.mark_acked(now, key, end, theirs, effects);
        } else {
            self.merge_end(key, &end, effects);
            self.learn_holders(key, theirs, effects);
        }
        let told = if lacks {
            self.peers.list(self.jobs[key].holders, Some(self.id))
        } else {
            Holders::default()
        };
        self.answer_ack(from, id, true, told, effects);
        if fresh && of_tombstone {
            self.collections.hear(key, from);
            self.tell_ack(now, key, effects);
        } else {
            self.hear_ack(now, key, from, effects);
        }
    }

    /// A node without a copy hears of the end of a job.
    fn hear_end(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, end): (JobId, &End),
        of_tombstone: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.jobs.find(&id) else {
            return self.remember_end(now, id, end);
        };
        let ours = self.end_of(key).known();
        self.merge_end(key, end, effects);
        if ours > end.known() {
            // What this node knows holds, and the sender may not have heard it.
            self.send_ack(key, NodeSet::only(from), effects);
        }
        // Two nodes without a copy got the ack: both go on asking.
        if of_tombstone {
            self.hear_ack(now, key, from, effects);
        } else {
            self.finish(now, key, effects);
        }
    }

    fn answer_ack(
        &self,
        to: PeerKey,
        id: JobId,
        known: bool,
        holders: Holders,
        effects: &mut Vec<Effect>,
    ) {
        self.send(to, Message::GotAck { id, known, holders }, effects);
    }

    pub(crate) fn on_got_ack(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        known: bool,
        holders: &[NodeId],
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.jobs.find(&id) else {
            return;
        };
        let job = &self.jobs[key];
        if job.is_tombstone() && known {
            return self.finish(now, key, effects);
        }
        if job.state() != JobState::Acked {
            return;
        }
        if known {
            self.hand_over.confirm_end(&id);
            let theirs = self.peers.set_of(holders, self.id).with(from);
            self.learn_holders(key, theirs, effects);
        }
        self.hear_ack(now, key, from, effects);
    }

    /// Whether this job is known to be over. Then `from`, which has a copy or speaks of one, is told so.
    pub(crate) fn answer_forgotten(
        &mut self,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let key = self.jobs.find(&id);
        let Some(key) = key.filter(|&key| self.jobs[key].state() == JobState::Acked) else {
            let known = if key.is_none() && !self.has(Bug::LateCopy) {
                self.forgotten.get(&id)
            } else {
                None
            };
            let Some(end) = known.and_then(Known::everywhere) else {
                return false;
            };
            self.send(from, end.message(id), effects);
            return true;
        };
        self.collections.unhear(key, from);
        if !self.jobs[key].is_tombstone() {
            self.learn_holders(key, NodeSet::only(from), effects);
        }
        self.send_ack(key, NodeSet::only(from), effects);
        true
    }

    /// The job's ttl is over.
    pub(crate) fn expire(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if self.jobs[key].state() != JobState::Acked {
            let outcome = if self.has(Bug::AckedExpiry) {
                Outcome::Acked
            } else {
                Outcome::Expired
            };
            if self.window(now, key).is_none() {
                return self.end_here(now, key, outcome, effects);
            }
            self.happened(self.jobs[key].id, What::Ended(Known::Here(outcome)));
            self.mark_acked(now, key, End::other(outcome), NodeSet::EMPTY, effects);
            self.rest_or_go(now, key, effects);
        } else if self.jobs[key].ending == Ending::Kept {
            self.let_go(now, key, &self.end_of(key), effects);
        } else {
            self.forget(now, key, effects);
        }
    }

    /// This node alone forgets a job.
    pub(crate) fn forget(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.persist(Record::Deleted(self.jobs[key].id), effects);
        self.remove(now, key);
    }
}
