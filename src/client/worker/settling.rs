//! What becomes of a job once its handler has ended: acknowledged with others, or given back.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::context::JobCx;
use super::counts::Counts;
use super::fail::{HandlerError, Verdict};
use super::quick::Failures;
use crate::error::Error;
use crate::guard::Hold;
use crate::shoal::Shoal;

/// Acknowledgements that may wait for an answer before handlers wait for them.
const WAITING_MAX: usize = 4096;
/// Jobs that one ACKJOB names.
const BATCH: usize = 512;

/// The door of the task that acknowledges.
#[derive(Debug, Clone)]
pub(super) struct Settling {
    done: mpsc::Sender<Hold>,
    shoal: Shoal,
    counts: Counts,
    failures: Arc<Mutex<Failures>>,
}

impl Settling {
    /// Begins the task, which ends once all doors are closed and all is acknowledged.
    pub(super) fn begin(shoal: &Shoal, counts: &Counts) -> (Self, JoinHandle<()>) {
        let (done, waiting) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(acknowledge(waiting, shoal.clone(), counts.clone()));
        let settling = Settling {
            done,
            shoal: shoal.clone(),
            counts: counts.clone(),
            failures: Arc::default(),
        };
        (settling, task)
    }

    /// Settles a job whose handler has ended.
    pub(super) async fn settle(&self, mut hold: Hold, job: &JobCx, done: Result<(), HandlerError>) {
        match (done, job.take_result()) {
            (Err(error), _) => self.give_back(hold, error).await,
            (Ok(()), None) => {
                hold.settle();
                let _ = self.done.send(hold).await;
            }
            (Ok(()), Some(result)) => {
                hold.settle();
                let id = hold.held.delivery.id;
                let args: [&[u8]; 4] = [b"ACKJOB", id.as_ref(), b"RESULT", &result];
                match self.shoal.raw(&args, true).await {
                    Ok(_) => self.counts.note_done(1),
                    Err(error) => {
                        tracing::warn!(%id, %error, "a job is done, and no node heard of it");
                        self.counts.note_unsettled(1);
                    }
                }
            }
        }
    }

    async fn give_back(&self, hold: Hold, error: HandlerError) {
        let Verdict {
            reason,
            is_dead,
            delay,
        } = Verdict::of(&error);
        let id = hold.held.delivery.id;
        let queue = String::from_utf8_lossy(&hold.held.delivery.queue).into_owned();
        let deliveries = hold.held.delivery.deliveries;
        tracing::warn!(%id, queue, deliveries, is_dead, reason, "a job failed");
        self.counts.note_failed(is_dead);
        let delay = delay.or_else(|| {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.note(self.shoal.now(), id, deliveries)
        });
        let given_back = hold.nack(|nack| {
            let nack = nack.reason(&reason);
            match delay {
                _ if is_dead => nack.dead(),
                Some(delay) => nack.delay(delay),
                None => nack,
            }
        });
        if let Err(error) = given_back.await {
            tracing::warn!(%id, %error, "a job failed, and no node may have heard of it");
            self.counts.note_unsettled(1);
        }
    }
}

/// Acknowledges what is done, with one command at a time: while it is on its way, the next one gathers.
async fn acknowledge(mut waiting: mpsc::Receiver<Hold>, shoal: Shoal, counts: Counts) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let jobs = batch.len() as u64;
        loop {
            match shoal
                .ack(batch.iter().map(|hold| hold.held.delivery.id))
                .await
            {
                Ok(_) => counts.note_done(jobs),
                // Until a node is back, or the worker's deadline.
                Err(Error::Unreachable(_)) => continue,
                Err(error) => {
                    tracing::warn!(jobs, %error, "jobs are done, and no node heard of it");
                    counts.note_unsettled(jobs);
                }
            }
            break;
        }
        batch.clear();
    }
}
