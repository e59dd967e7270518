//! Recording jobs again: after the log was switched on, and to free segments that hold few live records.
//!
//! A pass walks over all slots, some each tick, to find the live jobs whose newest record lies in an old segment; then it
//! records each of them, as it stands at that moment, segment by segment: what was written together stays together, and
//! bodies that are read back in order of age are read from few segments. Changes are recorded as usual meanwhile. When the
//! pass ends, no old segment holds a live record, and the old segments retire. Looking at a slot costs a few nanoseconds,
//! and a pass frees a share of the log that grows with the log: so the pass finds out which job lies in which segment, and
//! nothing keeps that afterwards.

use crate::agenda::Timer;
use crate::effect::{Effect, News};
use crate::event::Pace;
use crate::id::NodeId;
use crate::job::{JobKey, JobState};
use crate::limits;
use crate::members::PeerKey;
use crate::node::{Log, Node};
use crate::record::{Record, Segment, Stream};
use crate::time::{Now, Time};

/// A pass under way.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The next slot to look at.
    next: u32,
    /// The pass records a job again if its newest record lies below this segment.
    below: Segment,
    /// These are all jobs that were there when the pass began: it records each as it meets it.
    pub(crate) whole: bool,
    /// What a pass that is not whole has found in the segments from the first on, and not recorded yet; 4 bytes a job.
    found: Vec<Vec<JobKey>>,
    first: Segment,
    /// The first of these segments that may have something left.
    at: usize,
    /// What had been written to the log when its last step ended.
    written: u64,
}

impl Pass {
    /// Notes a job of a segment, to record it again.
    fn keep(&mut self, key: JobKey, segment: Segment) {
        let index = segment.checked_sub(self.first);
        if let Some(found) = index.and_then(|index| self.found.get_mut(index as usize)) {
            found.push(key);
        }
    }

    /// The next job to record.
    fn take(&mut self) -> Option<JobKey> {
        while let Some(found) = self.found.get_mut(self.at) {
            if let Some(key) = found.pop() {
                return Some(key);
            }
            *found = Vec::new();
            self.at += 1;
        }
        None
    }
}

impl Node {
    /// Records go to `segment` from now on. It begins with a mark, the stores of the peers and the settings, since what
    /// earlier segments say of them may retire before it.
    pub(crate) fn on_segment_started(
        &mut self,
        now: Now,
        segment: Segment,
        effects: &mut Vec<Effect>,
    ) {
        self.segments.start(segment);
        self.mark(now, effects);
        self.record_peers(effects);
        self.record_settings(effects);
    }

    /// The log was switched on: whatever it held is of another time.
    pub(crate) fn on_log_opened(
        &mut self,
        now: Now,
        segment: Segment,
        topic_segment: Segment,
        effects: &mut Vec<Effect>,
    ) {
        self.settings.log = Log::On;
        self.segments.restart(segment);
        self.mark(now, effects);
        effects.push(Effect::Persist(Record::Flushed, News::Nothing));
        self.record_peers(effects);
        self.record_settings(effects);
        effects.push(Effect::Retire(Stream::Jobs, segment));
        self.start_rewrite(now.time, segment);
        self.on_topic_log_opened(topic_segment, effects);
    }

    /// Records which stores the peers' copies lie in, and who is forgotten.
    pub(super) fn record_peers(&mut self, effects: &mut Vec<Effect>) {
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

    /// BGREWRITEAOF; does nothing while such a pass is under way.
    pub(crate) fn on_rewrite_asked(&mut self, now: Time) {
        if !self.is_rewriting_all() && self.settings.log == Log::On {
            self.start_rewrite(now, self.segments.current());
        }
    }

    /// Frees as many of the oldest segments as it takes and room allows; does nothing while a pass is under way.
    pub(crate) fn on_compact(&mut self, now: Time, bytes: u64, below: Segment, room: u64) {
        if !self.is_rewriting()
            && self.settings.log == Log::On
            && let Some(stays) = self.segments.shrunk_by(bytes, room)
        {
            self.begin_rewrite(now, stays.min(below), false);
        }
    }

    fn start_rewrite(&mut self, now: Time, below: Segment) {
        self.begin_rewrite(now, below, true);
    }

    fn begin_rewrite(&mut self, now: Time, below: Segment, whole: bool) {
        // The timer of a pass that this one replaces takes its first step.
        if self.rewrite.is_none() {
            self.agenda.add_timer(now, Timer::Rewrite);
        }
        let first = self.segments.oldest();
        let segments = if whole {
            0
        } else {
            below.saturating_sub(first)
        };
        self.rewrite = Some(Pass {
            next: 0,
            below,
            whole,
            found: vec![Vec::new(); segments as usize],
            first,
            at: 0,
            written: self.segments.written(),
        });
    }

    /// Drops a pass under way. Its timer finds nothing to do.
    pub(crate) fn stop_rewrite(&mut self) {
        self.rewrite = None;
    }

    /// The next step of the pass.
    pub(crate) fn on_rewrite(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.pace != Pace::Stopped {
            self.step_rewrite(effects);
        }
        if self.rewrite.is_some() {
            let pause = match self.pace {
                Pace::Full | Pace::Urgent => limits::REWRITE_PAUSE,
                Pace::Slow | Pace::Stopped => limits::REWRITE_PAUSE_SLOW,
            };
            self.agenda.add_timer(now + pause, Timer::Rewrite);
        }
    }

    pub(crate) fn step_rewrite(&mut self, effects: &mut Vec<Effect>) {
        let Some(mut pass) = self.rewrite.take() else {
            return;
        };
        let before = self.segments.written();
        let (slots, most, most_bytes) = self.rewrite_budget(before - pass.written);
        let end = self.jobs.end();
        let last = end.min(pass.next.saturating_add(slots));
        if !pass.whole {
            for slot in pass.next..last {
                let job = self.jobs.get(JobKey(slot));
                if let Some(job) = job.filter(|job| job.segment < pass.below) {
                    pass.keep(JobKey(slot), job.segment);
                }
            }
            pass.next = last;
        }
        let looked = last >= end;
        let (mut records, mut over) = (0, false);
        while !over
            && records < most
            && self.segments.written() < before + most_bytes
            && !self.spilling.is_fetching_enough()
        {
            let key = if pass.whole && pass.next < last {
                pass.next += 1;
                Some(JobKey(pass.next - 1))
            } else if looked {
                pass.take()
            } else {
                None
            };
            match key {
                Some(key) => records += u32::from(self.record_below(key, pass.below, effects)),
                None => over = true,
            }
        }
        pass.written = self.segments.written();
        self.rewrite = (!looked || !over).then_some(pass);
    }

    /// How many slots a step looks at, and how many jobs and bytes it records, when other events recorded `others` bytes
    /// since the last step.
    fn rewrite_budget(&self, others: u64) -> (u32, u32, u64) {
        match self.pace {
            Pace::Urgent => {
                let bytes = (others * limits::REWRITE_FACTOR)
                    .clamp(limits::REWRITE_BYTES, limits::REWRITE_BYTES_URGENT);
                (
                    limits::REWRITE_SLOTS_URGENT,
                    limits::REWRITE_RECORDS_URGENT,
                    bytes,
                )
            }
            Pace::Full | Pace::Slow | Pace::Stopped => (
                limits::REWRITE_SLOTS,
                limits::REWRITE_RECORDS,
                limits::REWRITE_BYTES,
            ),
        }
    }

    /// The node stops: a pass that began with the log has no time left, and what it has not met yet lies nowhere.
    pub(super) fn finish_rewrite(&mut self, effects: &mut Vec<Effect>) {
        let Some(Pass { next: from, .. }) = self.rewrite.take() else {
            return;
        };
        let oldest = self.segments.oldest();
        for slot in from..self.jobs.end() {
            self.record_below(JobKey(slot), oldest, effects);
        }
    }

    /// Records a job again if its newest record lies below a segment. Returns whether it did, or is about to.
    fn record_below(&mut self, key: JobKey, below: Segment, effects: &mut Vec<Effect>) -> bool {
        let Some(job) = self.jobs.get(key).filter(|job| job.segment < below) else {
            return false;
        };
        if !self.must_record(key) {
            return false;
        }
        match job.state() {
            JobState::Acked => {
                self.move_record(key, self.segments.current());
                self.persist_ack(key, effects);
            }
            // Its body must be read first, and may be acked until then. One that is lost is nowhere to be copied from.
            JobState::WaitReplicas | JobState::Active | JobState::Queued => {
                if job.body.is_here() {
                    self.record_again(key, News::Nothing, effects);
                } else if !job.body.is_lost() {
                    self.fetch(key, effects);
                }
            }
        }
        true
    }
}
