//! How a record gets into the log, and how the bytes of a job's newest record are counted.

use crate::effect::{Effect, News};
use crate::job::{Job, JobKey};
use crate::node::{Log, Node};
use crate::record::{Location, RECORD_BYTES, Record, Segment};

impl Node {
    /// Records a job whole.
    pub(crate) fn persist_job(&mut self, key: JobKey, news: News, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::On {
            // Known once it is given to the log.
            self.jobs[key].offset = Location::FAR;
            let job = &self.jobs[key];
            let holders = self.peers.list(job.holders, None);
            let queue = self.queues[job.queue].name.clone();
            let created = self.created(key);
            let record = job.record((queue, created), holders, self.extras_kept(key));
            self.persist_as(news, Record::Added(Box::new(record)), effects);
        }
    }

    /// Records what is not a new job.
    pub(crate) fn persist(&mut self, record: Record, effects: &mut Vec<Effect>) {
        self.persist_as(News::Nothing, record, effects);
    }

    pub(crate) fn persist_as(&mut self, news: News, record: Record, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::On {
            self.segments.grow(record.size());
            effects.push(Effect::Persist(record, news));
        }
    }

    /// About how many bytes the newest record of a job takes whose extras have this length: as [`Record::size`] has it.
    pub(crate) fn recorded_bytes(&self, job: &Job, extras: usize) -> u64 {
        let queue = if job.is_tombstone() {
            0
        } else {
            self.queues[job.queue].name.as_bytes().len()
        };
        RECORD_BYTES + (queue + job.body.len() + extras) as u64
    }

    /// The newest record of a job lies in this segment from now on.
    pub(crate) fn move_record(&mut self, key: JobKey, segment: Segment) {
        let bytes = self.recorded_bytes(&self.jobs[key], self.jobs.extras_len(key));
        self.segments.remove(self.jobs[key].segment, bytes);
        self.segments.add(segment, bytes);
        self.jobs[key].segment = segment;
    }
}
