//! The phase that adds jobs on half of the connections while the others wait for them.

use super::job::{Delivered, Jobs};
use super::phase::{Progress, Session, until_answered, until_stopped};
use super::tally::Tally;
use shoalmq_client::{Connection, ConnectionError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long a GETJOB waits, in milliseconds: then its consumer looks whether the phase is over.
const GETJOB_TIMEOUT_MS: &str = "100";
/// Jobs that were added and do not come for this long are lost.
const IDLE_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 10_000 });

/// What all workers of the phase share.
#[derive(Clone, Debug)]
struct Common {
    jobs: Arc<Jobs>,
    progress: Arc<Progress>,
    /// Room for jobs under way: taken by who adds one, given back by who gets it.
    room: Arc<Semaphore>,
    pipeline: usize,
    count: usize,
}

/// Starts a worker per connection.
pub(super) fn spawn(
    workers: &mut JoinSet<Tally>,
    session: &Session,
    mut clients: Vec<Connection>,
    progress: &Arc<Progress>,
    stopped: &watch::Receiver<bool>,
) {
    let producers = clients.split_off(clients.len() / 2);
    let consumers = clients.len();
    let pipeline = session.args.pipeline.get();
    let common = Common {
        jobs: session.jobs(),
        progress: Arc::clone(progress),
        room: Arc::new(Semaphore::new(producers.len() * pipeline)),
        pipeline,
        count: session.args.count.get(),
    };
    for (index, mut client) in clients.into_iter().enumerate() {
        let (common, stopped) = (common.clone(), stopped.clone());
        workers.spawn(async move {
            let mut tally = Tally::new();
            let from = common.jobs.queues_of(index, consumers);
            let work = consume(&mut client, &common, &from, &mut tally);
            let result = until_stopped(stopped, work).await;
            if !common.progress.is_complete() {
                // It failed, or everyone stops: else producers may wait for ever for this one to make room.
                common.room.close();
            }
            tally.ended(result)
        });
    }
    for mut client in producers {
        let (common, stopped) = (common.clone(), stopped.clone());
        workers.spawn(async move {
            let mut tally = Tally::new();
            let work = produce(&mut client, &common, &mut tally);
            let result = until_answered(stopped, work).await;
            tally.ended(result)
        });
    }
}

async fn produce(
    client: &mut Connection,
    common: &Common,
    tally: &mut Tally,
) -> Result<(), ConnectionError> {
    let Common {
        jobs,
        progress,
        room,
        pipeline,
        ..
    } = common;
    loop {
        let batch = progress.claim(*pipeline as u64);
        if batch.is_empty() {
            return Ok(());
        }
        let count = (batch.end - batch.start) as u32;
        let Ok(taken) = room.acquire_many(count).await else {
            return Ok(());
        };
        taken.forget();
        let body = jobs.stamped(progress.start.elapsed().as_micros() as u64);
        let mut words = Vec::new();
        for number in batch.clone() {
            jobs.add(number, &body, &mut words);
            client.send(&words);
        }
        client.flush().await?;
        for _ in batch {
            if let Err(error) = Jobs::added(&client.receive().await?) {
                // It will not come, so it is done with.
                tally.fail(error);
                room.add_permits(1);
                progress.add_done(1);
            }
        }
    }
}

async fn consume(
    client: &mut Connection,
    common: &Common,
    from: &[&str],
    tally: &mut Tally,
) -> Result<(), ConnectionError> {
    let Common {
        jobs,
        progress,
        room,
        count,
        ..
    } = common;
    let count = count.to_string();
    let mut get = vec![
        "GETJOB",
        "TIMEOUT",
        GETJOB_TIMEOUT_MS,
        "COUNT",
        &count,
        "FROM",
    ];
    get.extend(from);
    let mut held: Vec<Delivered> = Vec::new();
    let mut seen = (progress.done(), Instant::now());
    while !progress.is_complete() {
        let had = std::mem::take(&mut held);
        if !had.is_empty() {
            let ids = had.iter().map(|job| &job.id[..]);
            let words: Vec<&[u8]> = [&b"ACKJOB"[..]].into_iter().chain(ids).collect();
            client.send(&words);
        }
        client.send(&get);
        client.flush().await?;
        if !had.is_empty() {
            match Jobs::acked(&client.receive().await?, had.len()) {
                Ok(()) => tally.done += had.len() as u64,
                Err(error) => tally.fail(error),
            }
            progress.add_done(had.len() as u64);
        }
        held = jobs.delivered(client.receive().await?, from, tally);
        room.add_permits(held.len());
        let now = progress.start.elapsed();
        for job in &held {
            match job
                .stamp
                .map(|stamp| now.checked_sub(Duration::from_micros(stamp)))
            {
                Some(Some(latency)) => tally.took(latency),
                _ => tally.fail("a job that this run did not add"),
            }
        }
        if seen.0 != progress.done() {
            seen = (progress.done(), Instant::now());
        }
        if seen.1.elapsed() > IDLE_TIMEOUT && held.is_empty() {
            room.close();
            tally.fail(format!("jobs are missing: none came for {IDLE_TIMEOUT:?}"));
            return Ok(());
        }
    }
    Ok(())
}
