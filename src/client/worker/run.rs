//! A worker while it runs: one task that takes jobs, begins their handlers, and hears when they end.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use super::context::JobCx;
use super::counts::Counts;
use super::pace::Pace;
use super::queue::{Ask, Queue, asks};
use super::settling::Settling;
use super::{Report, Worker};
use crate::error::Error;
use crate::guard::{Hand, Hold};
use crate::id::JobId;
use crate::link::Link;
use crate::shoal::Shoal;

/// How long one GETJOB waits.
const WAIT: Duration = Duration::from_secs(2);
/// The same while a queue is left out because it has as many jobs as it may: it may have room at any moment.
const WAIT_OUT: Duration = Duration::from_millis(100);
/// How long the worker waits after a refusal that may pass.
const PAUSE: Duration = Duration::from_secs(1);
/// The part of the time to stop that is kept for giving back, at most: what handlers do not get.
const GIVING_BACK: Duration = Duration::from_secs(1);

type Taking = Pin<Box<dyn Future<Output = Result<Vec<Hold>, Error>> + Send>>;

pub(super) struct Run {
    shoal: Shoal,
    queues: Vec<Queue>,
    concurrency: usize,
    in_order: bool,
    counts: Counts,
    hand: Arc<Hand>,
    link: Link,
    link_ends: JoinHandle<()>,
    settling: Settling,
    settled: JoinHandle<()>,
    jobs: JoinSet<()>,
    /// The jobs that are worked on: the place of the queue, and the job.
    running: HashMap<task::Id, (usize, JobId)>,
    pace: Pace,
    taking: Option<Taking>,
    turn: usize,
    stops: watch::Sender<bool>,
}

impl Run {
    pub(super) fn new<S>(worker: Worker<S>) -> Self {
        let (link, link_ends) = worker.shoal.taking_link();
        let (settling, settled) = Settling::begin(&worker.shoal, &worker.counts);
        Run {
            hand: Hand::new(&worker.shoal, worker.counts.of_given_back()),
            shoal: worker.shoal,
            queues: worker.queues,
            concurrency: worker.concurrency,
            in_order: worker.in_order,
            counts: worker.counts,
            link,
            link_ends,
            settling,
            settled,
            jobs: JoinSet::new(),
            running: HashMap::new(),
            pace: Pace::new(Instant::now()),
            taking: None,
            turn: 0,
            stops: watch::Sender::new(false),
        }
    }

    /// Works until the signal, or until an error that waiting does not mend.
    pub(super) async fn work(&mut self, signal: impl Future<Output = ()>) -> Result<(), Error> {
        let mut signal = std::pin::pin!(signal);
        loop {
            self.begin_ready();
            self.take_more();
            tokio::select! {
                biased;
                () = &mut signal => return Ok(()),
                Some(ended) = self.jobs.join_next_with_id() => {
                    self.note_ended(&ended);
                    let mut jobs = 1;
                    while let Some(ended) = self.jobs.try_join_next_with_id() {
                        self.note_ended(&ended);
                        jobs += 1;
                    }
                    self.pace.note(Instant::now(), jobs);
                }
                taken = async { self.taking.as_mut().expect("it is checked").await },
                    if self.taking.is_some() =>
                {
                    self.taking = None;
                    self.receive(taken?);
                }
            }
        }
    }

    /// Begins as many of the jobs that are here as may run at a time, the queues in turn.
    fn begin_ready(&mut self) {
        let queues = self.queues.len();
        let mut idle = 0;
        let mut at = self.turn;
        while self.running.len() < self.concurrency && idle < queues {
            let place = if self.in_order { idle } else { at % queues };
            at += 1;
            if self.queues[place].can_begin() {
                idle = 0;
                self.begin(place);
            } else {
                idle += 1;
            }
        }
    }

    fn begin(&mut self, place: usize) {
        let queue = &mut self.queues[place];
        let hold = queue.ready.pop_front().expect("there is one");
        queue.running += 1;
        let job = JobCx::new(
            hold.held.clone(),
            self.shoal.clone(),
            self.stops.subscribe(),
        );
        let id = job.id();
        let name = String::from_utf8_lossy(&queue.name);
        let span = tracing::info_span!("job", %id, queue = %name, deliveries = job.deliveries());
        #[cfg(feature = "opentelemetry")]
        crate::tracing_context::adopt(&span, job.meta());
        let (handle, settling) = (queue.handle.clone(), self.settling.clone());
        let work = async move {
            let done = handle(hold.held.delivery.body.clone(), job.clone()).await;
            settling.settle(hold, &job, done).await;
        };
        let task = self.jobs.spawn(work.instrument(span));
        self.running.insert(task.id(), (place, id));
    }

    fn note_ended(&mut self, ended: &Result<(task::Id, ()), JoinError>) {
        let task = match ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        if let Some((place, _)) = self.running.remove(&task) {
            self.queues[place].running -= 1;
        }
    }

    /// Asks for as many jobs as there is room for, unless it has just been asked, or what is here lasts for a while.
    fn take_more(&mut self) {
        let here = self.running.len()
            + self
                .queues
                .iter()
                .map(|queue| queue.ready.len())
                .sum::<usize>();
        let ahead = self.pace.ahead();
        let room = (self.concurrency + ahead).saturating_sub(here);
        if self.taking.is_some() || room == 0 || here >= self.concurrency && room < ahead / 2 {
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        let asks = asks(&self.queues, room, self.turn, self.in_order);
        let left_out = self.queues.iter().any(|queue| queue.room() == 0);
        let wait = if left_out { WAIT_OUT } else { WAIT };
        if !asks.is_empty() {
            self.taking = Some(Box::pin(taking(
                self.link.clone(),
                self.hand.clone(),
                asks,
                room,
                wait,
            )));
        }
    }

    fn receive(&mut self, taken: Vec<Hold>) {
        for hold in taken {
            if hold.held.delivery.deliveries > 1 {
                self.counts.note_redelivered();
            }
            let mut queues = self.queues.iter_mut();
            // What no queue asked for is dropped, and so given back.
            if let Some(queue) = queues.find(|queue| queue.name == hold.held.delivery.queue) {
                queue.ready.push_back(hold);
            }
        }
    }

    /// Ends within that time: takes no more, gives back what was not begun, lets handlers end as long as there is time, and gives back
    /// what they still had. Returns what was still running.
    pub(super) async fn end(mut self, within: Duration) -> Report {
        let deadline = Instant::now() + within;
        let handlers_end = deadline - (within / 10).min(GIVING_BACK);
        self.stops.send_replace(true);
        self.taking = None;
        drop(self.link);
        for queue in &mut self.queues {
            queue.ready.clear();
        }
        let all_end = async {
            while self.jobs.join_next_with_id().await.is_some_and(|ended| {
                let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                self.running.remove(&task);
                true
            }) {}
        };
        let _ = tokio::time::timeout_at(handlers_end, all_end).await;
        let still_running: Vec<JobId> = self.running.into_values().map(|(_, id)| id).collect();
        // What they hold is dropped, and so given back.
        self.jobs.shutdown().await;
        drop(self.settling);
        let all_settled = async {
            let _ = self.settled.await;
            let _ = self.link_ends.await;
            self.hand.all_are_back().await;
        };
        if tokio::time::timeout_at(deadline, all_settled)
            .await
            .is_err()
        {
            tracing::warn!("the worker ended, and no node heard of all that it did");
        }
        Report {
            counts: self.counts,
            still_running,
        }
    }
}

/// Takes jobs, or waits for a while.
async fn taking(
    link: Link,
    hand: Arc<Hand>,
    asks: Vec<Ask>,
    room: usize,
    wait: Duration,
) -> Result<Vec<Hold>, Error> {
    let mut taken = Vec::new();
    let answered = async {
        if let [ask] = &asks[..] {
            taken = hand.take(&link, &ask.queues, ask.jobs, Some(wait)).await?;
            return Ok(());
        }
        for ask in &asks {
            let jobs = ask.jobs.min(room - taken.len());
            if jobs > 0 {
                taken.extend(hand.take(&link, &ask.queues, jobs, None).await?);
            }
        }
        if taken.is_empty() {
            let queues = asks.iter().flat_map(|ask| &ask.queues);
            taken = hand.take(&link, queues, 1, Some(wait)).await?;
        }
        Ok(())
    };
    match answered.await {
        // Of what is unknown, the jobs on their way come again after their retry.
        Ok(()) | Err(Error::Unknown) => Ok(taken),
        Err(error) if may_pass(&error) => {
            tracing::warn!(%error, "no jobs for now");
            tokio::time::sleep(PAUSE).await;
            Ok(taken)
        }
        Err(error) => Err(error),
    }
}

/// Whether a server refused for a reason that may be gone soon: all but what is wrong with the command, or with the rights.
fn may_pass(error: &Error) -> bool {
    let code = error.code();
    code.is_some_and(|code| !["ERR", "NOPERM", "NOAUTH", "WRONGPASS"].contains(&code))
}
