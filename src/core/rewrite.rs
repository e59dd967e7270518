//! Recording jobs anew: after the log was switched on, and to free segments that hold few live records.
//!
//! The pass walks over all slots, a few each tick, and records each live job whose newest record lies in an old
//! segment, as it stands at that moment. Changes go on being recorded meanwhile. When the pass ends, no old segment
//! holds a live record, and they retire.

use crate::agenda::Timer;
use crate::effect::Effect;
use crate::id::NodeId;
use crate::job::JobState;
use crate::jobs::JobKey;
use crate::limits;
use crate::node::{Log, Node};
use crate::peers::PeerKey;
use crate::record::{Record, Segment};
use crate::time::{Now, Time};

impl Node {
    /// Records go to `segment` from now on. It begins with a mark and with the stores of the peers, since what earlier
    /// segments say of them may retire before it.
    pub(crate) fn on_segment_started(
        &mut self,
        now: Now,
        segment: Segment,
        effects: &mut Vec<Effect>,
    ) {
        self.segments.start(segment);
        self.mark(now, effects);
        self.record_peers(effects);
    }

    /// The log was switched on: whatever it held is of another time.
    pub(crate) fn on_log_opened(&mut self, now: Now, segment: Segment, effects: &mut Vec<Effect>) {
        self.settings.log = Log::On;
        self.segments.restart(segment);
        self.mark(now, effects);
        effects.push(Effect::Persist(Record::Flushed));
        self.record_peers(effects);
        effects.push(Effect::Retire(segment));
        self.start_rewrite(now.time, segment);
    }

    /// Records which stores the peers' copies lie in, and who is forgotten.
    pub(crate) fn record_peers(&mut self, effects: &mut Vec<Effect>) {
        let forgotten: Vec<NodeId> = self.peers.forgotten().collect();
        for id in forgotten {
            self.persist(Record::PeerForgotten(id), effects);
        }
        let keys: Vec<PeerKey> = self.peers.keys().collect();
        for key in keys {
            let peer = self.peers.get(key);
            if let Some(store) = peer.store.filter(|_| !self.peers.gone().contains(key)) {
                let id = peer.id;
                self.persist(Record::Peer { id, store }, effects);
            }
        }
    }

    /// BGREWRITEAOF; does nothing while a pass is under way.
    pub(crate) fn on_rewrite_asked(&mut self, now: Time) {
        if self.rewrite.is_none() && self.settings.log == Log::On {
            self.start_rewrite(now, self.segments.current());
        }
    }

    fn start_rewrite(&mut self, now: Time, below: Segment) {
        self.stop_rewrite();
        self.rewrite = Some((0, below));
        self.agenda.add_timer(now, Timer::Rewrite);
    }

    /// Drops a pass under way. Its timer finds nothing to do.
    pub(crate) fn stop_rewrite(&mut self) {
        self.rewrite = None;
    }

    /// The next step of the pass.
    pub(crate) fn on_rewrite(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let Some((from, below)) = self.rewrite else {
            return;
        };
        let to = self
            .jobs
            .end()
            .min(from.saturating_add(limits::REWRITE_PER_TICK));
        for slot in from..to {
            if self.spilling.is_fetching_enough() {
                self.rewrite = Some((slot, below));
                self.agenda
                    .add_timer(now + limits::REWRITE_PAUSE, Timer::Rewrite);
                return;
            }
            self.record_anew(JobKey(slot), below, effects);
        }
        if to < self.jobs.end() {
            self.rewrite = Some((to, below));
            self.agenda
                .add_timer(now + limits::REWRITE_PAUSE, Timer::Rewrite);
        } else {
            self.rewrite = None;
        }
    }

    /// The node stops: a pass that began with the log has no time left, and what it has not met yet lies nowhere.
    pub(crate) fn finish_rewrite(&mut self, effects: &mut Vec<Effect>) {
        let Some((from, _)) = self.rewrite.take() else {
            return;
        };
        let oldest = self.segments.oldest();
        for slot in from..self.jobs.end() {
            self.record_anew(JobKey(slot), oldest, effects);
        }
    }

    fn record_anew(&mut self, key: JobKey, below: Segment, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get(key).filter(|job| job.segment < below) else {
            return;
        };
        match job.state {
            JobState::Acked => {
                let current = self.segments.current();
                self.segments.remove(job.segment);
                self.segments.add(current);
                self.jobs[key].segment = current;
                self.persist_ack(key, effects);
            }
            // Its body must be read first, and may be acked until then. One that is lost is nowhere to be copied from.
            JobState::WaitReplicas | JobState::Active | JobState::Queued => {
                if job.body.is_here() {
                    self.record_again(key, effects);
                } else if !job.body.is_lost() {
                    self.fetch(key, effects);
                }
            }
        }
    }
}
