//! What each job of a queue counts for: ready, handed out, delayed …, and the sums.

use crate::job::{Job, JobState, Place};

/// Which of a queue's gauges a job counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// None: not accepted yet, or acknowledged.
    None,
    Ready,
    /// Ready, and a dead letter.
    Dead,
    /// Handed out by this node.
    Active,
    Delayed,
    /// Read from the log at the start of this node, and waiting for its retry.
    Restored,
    /// Another node queues it.
    Copy,
}

/// How many jobs of a queue this node has, by what it does with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depths {
    /// In the queue.
    pub ready: u64,
    /// Handed out, and not acknowledged.
    pub active: u64,
    /// Never queued yet.
    pub delayed: u64,
    /// Read from the log at the start of this node, which cannot know who has them: they wait for their retry.
    pub restored: u64,
    /// Held for another node that queues them.
    pub copies: u64,
    /// Of the ready ones, the dead letters.
    pub dead: u64,
    /// Bytes of the bodies of ready, active and delayed jobs.
    pub bytes: u64,
}

impl Depths {
    fn of(&mut self, share: Share) -> Option<&mut u64> {
        match share {
            Share::None => None,
            Share::Ready | Share::Dead => Some(&mut self.ready),
            Share::Active => Some(&mut self.active),
            Share::Delayed => Some(&mut self.delayed),
            Share::Restored => Some(&mut self.restored),
            Share::Copy => Some(&mut self.copies),
        }
    }

    /// Takes away those of a part.
    pub fn subtract(&mut self, part: &Depths) {
        self.ready -= part.ready;
        self.active -= part.active;
        self.delayed -= part.delayed;
        self.restored -= part.restored;
        self.copies -= part.copies;
        self.dead -= part.dead;
        self.bytes -= part.bytes;
    }

    /// Whether jobs are out, delayed or waiting for their retry here: their queue may be empty, but it is not done.
    pub(crate) fn wait_here(&self) -> bool {
        self.active + self.delayed + self.restored > 0
    }

    /// A job that counted for one counts for the other now.
    pub(super) fn shift(&mut self, from: Share, to: Share, bytes: u64) {
        if let Some(jobs) = self.of(from) {
            *jobs -= 1;
        }
        if let Some(jobs) = self.of(to) {
            *jobs += 1;
        }
        self.dead -= u64::from(from == Share::Dead);
        self.dead += u64::from(to == Share::Dead);
        match (from.is_ours(), to.is_ours()) {
            (true, false) => self.bytes -= bytes,
            (false, true) => self.bytes += bytes,
            (true, true) | (false, false) => {}
        }
    }

    /// Adds those of another queue, or of another node.
    pub fn merge(&mut self, other: &Depths) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.ready, other.ready);
        add(&mut self.active, other.active);
        add(&mut self.delayed, other.delayed);
        add(&mut self.restored, other.restored);
        add(&mut self.copies, other.copies);
        add(&mut self.dead, other.dead);
        add(&mut self.bytes, other.bytes);
    }
}

impl Share {
    pub(super) fn is_ours(self) -> bool {
        matches!(
            self,
            Share::Ready | Share::Dead | Share::Active | Share::Delayed
        )
    }
}

impl Job {
    /// What it counts for now.
    pub(super) fn share(&self) -> Share {
        match self.state() {
            JobState::WaitReplicas | JobState::Acked => Share::None,
            JobState::Queued if self.is_dead() => Share::Dead,
            JobState::Queued => Share::Ready,
            JobState::Active if self.place() == Place::Restored => Share::Restored,
            JobState::Active if !self.is_ours() => Share::Copy,
            JobState::Active if self.place().is_before() || self.place() == Place::Waiting => {
                Share::Delayed
            }
            JobState::Active => Share::Active,
        }
    }
}
