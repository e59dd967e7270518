//! A clean stop: recording where every job stands, so that the next start goes on from there.

use crate::effect::{Effect, News};
use crate::id::Guarantee;
use crate::job::{JobKey, JobState, Place};
use crate::limits;
use crate::node::{Log, Node};
use crate::record::{Record, Standing};
use crate::time::{Now, Time};

impl Node {
    /// A clean stop, or its next step: where every job stands goes into the log, and then that it is closed.
    pub(crate) fn on_stop(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::Off {
            self.stopping = None;
            return;
        }
        let from = self.stopping.unwrap_or_else(|| {
            self.end_hand_over(now.time);
            self.finish_rewrite(effects);
            self.keep_bindings(now, effects);
            0
        });
        let to = self
            .jobs
            .end()
            .min(from.saturating_add(limits::STANDINGS_PER_STOP));
        for key in (from..to).map(JobKey) {
            let Some(job) = self.jobs.get(key) else {
                continue;
            };
            // An ack has its own record; and what waits for copies was promised to nobody.
            if matches!(job.state(), JobState::WaitReplicas | JobState::Acked) {
                continue;
            }
            // A job that was never queued needs none: its delay says when it will be.
            if !job.queued_before() && job.guarantee() == Guarantee::AtLeastOnce {
                continue;
            }
            let queued = job.state() == JobState::Queued || job.place() == Place::Unsettled;
            let standing = Standing {
                id: job.id,
                queued,
                turn: queued || job.is_ours() || job.place() == Place::Restored,
                requeue: (job.due != Time::NEVER).then_some(job.due),
                nacks: job.nacks,
                additional_deliveries: job.additional_deliveries,
                extras: self.counts(key),
            };
            effects.push(Effect::Persist(Record::Standing(standing), News::Nothing));
        }
        self.stopping = (to < self.jobs.end()).then_some(to);
        if self.stopping.is_none() {
            let Now { time, wall } = now;
            let closed = Record::Closed { time, wall };
            effects.push(Effect::Persist(closed, News::Nothing));
        }
    }
}
