//! The phase that takes the jobs which are there, and acknowledges them.

use super::job::{Delivered, Jobs};
use super::phase::{Progress, Session, until_stopped};
use super::tally::Tally;
use shoalmq_client::{Connection, ConnectionError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long to wait before asking again when there was no job.
const IDLE_PAUSE: Duration = Duration::from_millis(1);
/// A queue that gives no job for this long holds none.
const IDLE_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 5_000 });

/// One consumer, and where it takes jobs from.
#[derive(Debug)]
struct Consumer<'a> {
    client: &'a mut Connection,
    jobs: &'a Jobs,
    from: Vec<&'a str>,
    pipeline: usize,
    count: usize,
}

/// Starts a worker per connection.
pub(super) fn spawn(
    workers: &mut JoinSet<Tally>,
    session: &Session,
    clients: Vec<Connection>,
    progress: &Arc<Progress>,
    stopped: &watch::Receiver<bool>,
) {
    let consumers = clients.len();
    let (pipeline, count) = (session.args.pipeline.get(), session.args.count.get());
    for (index, mut client) in clients.into_iter().enumerate() {
        let (jobs, progress, stopped) = (session.jobs(), Arc::clone(progress), stopped.clone());
        workers.spawn(async move {
            let from = jobs.queues_of(index, consumers);
            let consumer = Consumer {
                client: &mut client,
                jobs: &jobs,
                from,
                pipeline,
                count,
            };
            let mut tally = Tally::new();
            let result = until_stopped(stopped, consumer.run(&progress, &mut tally)).await;
            tally.ended(result)
        });
    }
}

impl Consumer<'_> {
    /// Takes jobs until all are done, each worker no more than nobody else has taken on.
    async fn run(mut self, progress: &Progress, tally: &mut Tally) -> Result<(), ConnectionError> {
        let mut held: Vec<Delivered> = Vec::new();
        let mut seen = (progress.done(), Instant::now());
        while !progress.is_complete() {
            let claim = progress.claim((self.pipeline * self.count) as u64);
            let wanted = (claim.end - claim.start) as usize;
            let had = std::mem::take(&mut held);
            self.send(&had, wanted);
            let sent = Instant::now();
            self.client.flush().await?;
            for jobs in had.chunks(self.count) {
                self.receive_ack(jobs.len(), progress, tally).await?;
            }
            for _ in 0..wanted.div_ceil(self.count) {
                let reply = self.client.receive().await?;
                tally.took(sent.elapsed());
                held.extend(self.jobs.delivered(reply, &self.from, tally));
            }
            progress.release(wanted.saturating_sub(held.len()) as u64);
            if seen.0 != progress.done() {
                seen = (progress.done(), Instant::now());
            }
            if seen.1.elapsed() > IDLE_TIMEOUT && held.is_empty() {
                tally.fail(format!("jobs are missing: none came for {IDLE_TIMEOUT:?}"));
                return Ok(());
            }
            if had.is_empty() && held.is_empty() {
                tokio::time::sleep(IDLE_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Acknowledges what was delivered before, and asks for `wanted` jobs more.
    fn send(&mut self, had: &[Delivered], wanted: usize) {
        for jobs in had.chunks(self.count) {
            let ids = jobs.iter().map(|job| &job.id[..]);
            let words: Vec<&[u8]> = [&b"ACKJOB"[..]].into_iter().chain(ids).collect();
            self.client.send(&words);
        }
        for asked in (0..wanted).step_by(self.count) {
            let count = self.count.min(wanted - asked).to_string();
            let mut words = vec!["GETJOB", "NOHANG", "COUNT", &count, "FROM"];
            words.extend(&self.from);
            self.client.send(&words);
        }
    }

    async fn receive_ack(
        &mut self,
        count: usize,
        progress: &Progress,
        tally: &mut Tally,
    ) -> Result<(), ConnectionError> {
        let reply = self.client.receive().await?;
        match Jobs::acked(&reply, count) {
            Ok(()) => tally.done += count as u64,
            Err(error) => tally.fail(error),
        }
        progress.add_done(count as u64);
        Ok(())
    }
}
