//! Running a phase: connect, start every worker at once, watch them, add up what they measured.

use super::BenchError;
use super::args::{Args, Phase};
use super::cleaning::Interrupts;
use super::cpu::Process;
use super::job::{Jobs, shown};
use super::report::Report;
use super::tally::Tally;
use super::{consume, end_to_end, produce};
use crate::cli::NodeArgs;
use indicatif::{ProgressBar, ProgressStyle};
use shoalmq_client::{Connection, ConnectionError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a producer waits for answers when the run stops: longer than ADDJOB waits for copies.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// How often progress is looked at.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// A phase that did nothing for this long has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How many jobs a phase is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target(pub(super) u64);

/// What the workers of a phase share: how far they are together.
#[derive(Debug)]
pub(super) struct Progress {
    /// How much the workers do: then the phase is over.
    target: u64,
    /// How much there is to claim.
    claimable: u64,
    claimed: AtomicU64,
    /// Nobody takes on any more.
    stopped: AtomicBool,
    done: AtomicU64,
    /// When `done` reached `target`.
    end: OnceLock<Instant>,
    /// When the phase began; times in bodies count from it.
    pub(super) start: Instant,
}

/// A run: each phase has new connections, except the one that asks questions.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) args: Args,
    jobs: Arc<Jobs>,
    pub(super) control: Connection,
    server: Option<Process>,
    pub(super) interrupts: Interrupts,
}

impl Progress {
    pub(super) fn new(target: Target) -> Arc<Self> {
        Self::read_by(1, target)
    }

    /// As [`Self::new`], where each of `readers` does all that others have claimed.
    pub(super) fn read_by(readers: u64, Target(claimable): Target) -> Arc<Self> {
        let (claimed, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let end = OnceLock::new();
        Arc::new(Self {
            target: claimable.saturating_mul(readers),
            claimable,
            claimed,
            stopped: AtomicBool::new(false),
            done,
            end,
            start: Instant::now(),
        })
    }

    /// Takes up to `count` of the jobs that nobody has taken on yet: their numbers.
    pub(super) fn claim(&self, count: u64) -> std::ops::Range<u64> {
        if self.stopped.load(Relaxed) {
            return 0..0;
        }
        let claim =
            |claimed: u64| Some(self.claimable.min(claimed + count)).filter(|end| *end > claimed);
        match self.claimed.fetch_update(Relaxed, Relaxed, claim) {
            Ok(start) => start..self.claimable.min(start + count),
            Err(end) => end..end,
        }
    }

    /// From now on there is nothing to claim.
    fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Gives back the claim to `count` jobs.
    pub(super) fn release(&self, count: u64) {
        self.claimed.fetch_sub(count, Relaxed);
    }

    pub(super) fn add_done(&self, count: u64) {
        let before = self.done.fetch_add(count, Relaxed);
        if count > 0 && before + count >= self.target {
            self.end.get_or_init(Instant::now);
        }
    }

    /// How long the phase took, or has taken so far.
    pub(super) fn took(&self) -> Duration {
        self.end
            .get()
            .map_or_else(|| self.start.elapsed(), |end| *end - self.start)
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.done() >= self.target
    }
}

impl Session {
    /// Connects, and finds the node's process.
    pub(super) async fn open(args: Args) -> Result<Self, BenchError> {
        let mut control = args.node.connect().await?;
        let server = Process::chosen(args.server_pid, &args.node, &mut control).await?;
        let jobs = Arc::new(Jobs::new(&args));
        Ok(Self {
            args,
            jobs,
            control,
            server,
            interrupts: Interrupts::watch(),
        })
    }

    /// Refuses to go on if there are jobs in the queues.
    pub(super) async fn expect_empty(&mut self) -> Result<(), BenchError> {
        for queue in self.jobs.queues() {
            let reply = self.control.call(&["QLEN", queue]).await?;
            match reply.as_integer() {
                Some(0) => {}
                Some(jobs) => {
                    return Err(BenchError::Backlog {
                        queue: queue.clone(),
                        jobs,
                    });
                }
                None => {
                    return Err(BenchError::Reply {
                        command: "QLEN",
                        reply: shown(&reply),
                    });
                }
            }
        }
        Ok(())
    }

    /// Runs one phase to its end, or until Ctrl-C.
    pub(super) async fn run(&mut self, phase: Phase, target: Target) -> Result<Report, BenchError> {
        let clients = connections(&self.args.node, self.args.connections.get()).await?;
        let progress = Progress::new(target);
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        let cpu_before = self.server.and_then(Process::cpu_time);
        match phase {
            Phase::Produce => produce::spawn(&mut workers, self, clients, &progress, &stopped),
            Phase::Consume => consume::spawn(&mut workers, self, clients, &progress, &stopped),
            Phase::EndToEnd => end_to_end::spawn(&mut workers, self, clients, &progress, &stopped),
        }
        let (tally, interrupted) =
            watch_over(phase.name(), workers, &progress, &stop, &self.interrupts).await;
        let took = progress.took();
        let cpu = self.server.and_then(Process::cpu_time).zip(cpu_before);
        let cpu = cpu.map(|(after, before)| after.saturating_sub(before));
        let report = Report::new(&self.args, phase, tally, took, cpu);
        Ok(Report {
            interrupted,
            ..report
        })
    }

    pub(super) fn jobs(&self) -> Arc<Jobs> {
        Arc::clone(&self.jobs)
    }
}

/// This many connections to a node.
pub(super) async fn connections(
    node: &NodeArgs,
    count: usize,
) -> Result<Vec<Connection>, ConnectionError> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(node.connect().await?);
    }
    Ok(clients)
}

/// Runs a worker until it is done, or everyone has to stop.
pub(super) async fn until_stopped(
    mut stopped: watch::Receiver<bool>,
    work: impl Future<Output = Result<(), ConnectionError>>,
) -> Result<(), ConnectionError> {
    tokio::select! {
        result = work => result,
        _ = stopped.wait_for(|stop| *stop) => Ok(()),
    }
}

/// As [`until_stopped`], for a worker that adds jobs: it has time to read the answers to what it has sent, for a command
/// that is still on its way when the run cleans up would leave a job.
pub(super) async fn until_answered(
    mut stopped: watch::Receiver<bool>,
    work: impl Future<Output = Result<(), ConnectionError>>,
) -> Result<(), ConnectionError> {
    let late = async {
        // An error, too, means that there is nobody to go on for.
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(ANSWER_TIMEOUT).await;
    };
    tokio::select! {
        result = work => result,
        () = late => Ok(()),
    }
}

/// Waits for the workers, showing progress on a terminal; tells whether Ctrl-C ended it.
pub(super) async fn watch_over(
    phase: &'static str,
    mut workers: JoinSet<Tally>,
    progress: &Progress,
    stop: &watch::Sender<bool>,
    interrupts: &Interrupts,
) -> (Tally, bool) {
    let mut tally = Tally::new();
    let (mut interrupted, mut aborted) = (false, false);
    let mut last = (progress.done(), Instant::now());
    let bar = bar(phase, progress.target);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let mut interrupt = std::pin::pin!(interrupts.more_than(0));
    let mut again = std::pin::pin!(interrupts.more_than(1));
    loop {
        tokio::select! {
            worker = workers.join_next() => match worker {
                None => break,
                Some(Ok(part)) => tally.add(part),
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => tally.fail(error.to_string()),
            },
            _ = ticks.tick() => {
                let done = progress.done();
                bar.set_position(done);
                if done != last.0 {
                    last = (done, Instant::now());
                } else if last.1.elapsed() > STALL_TIMEOUT && !*stop.borrow() {
                    tally.fail("nothing was done for 30 s");
                    progress.stop();
                    stop.send_replace(true);
                }
            }
            () = &mut interrupt, if !interrupted => {
                interrupted = true;
                progress.stop();
                stop.send_replace(true);
            }
            () = &mut again, if !aborted => {
                aborted = true;
                workers.abort_all();
            }
        }
    }
    bar.finish_and_clear();
    (tally, interrupted)
}

/// A live line on standard error, if that is a terminal.
fn bar(phase: &'static str, target: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len} {per_sec}");
    let bar = ProgressBar::new(target).with_message(phase);
    bar.with_style(style.expect("the template is valid"))
}
