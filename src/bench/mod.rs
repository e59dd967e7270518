//! `shoalmq bench`: how fast a node takes and hands out jobs, and at what cost. `topics` does the same for topics.
//!
//! A run is one or more phases, each with its own report. Every reply is verified: a wrong one counts as
//! an error, and a run with errors fails.
//!
//! | phase | does | latency |
//! |---|---|---|
//! | `produce` | ADDJOB on every connection | of ADDJOB |
//! | `consume` | GETJOB NOHANG and ACKJOB until the jobs are gone | of GETJOB |
//! | `end-to-end` | adds on half of the connections, while the others wait for jobs and acknowledge them | from before ADDJOB to the job in hand |
//!
//! Connections send `pipeline` commands in one write and read the replies before the next, so a latency
//! is that of a command within its batch. In `end-to-end` no more jobs are under way than the producers'
//! pipelines hold: it measures delivery, not a backlog.
//!
//! A run deletes what it added and nobody acknowledged, whatever ended it. Ctrl-C and SIGTERM end it; the second one leaves
//! the jobs where they are.

mod args;
mod cleaning;
mod consume;
mod cpu;
mod end_to_end;
mod job;
mod phase;
mod produce;
mod report;
mod tally;
mod topics;

#[cfg(test)]
mod tests;

pub use args::{Args, Of, Phase};
pub use report::{Latency, Report};
pub use topics::{TopicPhase, TopicReport, TopicsArgs};

use phase::{Session, Target};
use shoalmq_client::ConnectionError;
use std::process::ExitCode;

/// Why a run cannot go on. What was measured before is printed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The flags do not go together.
    #[error("{0}")]
    Args(&'static str),
    /// The node cannot be reached, or lets us not in.
    #[error(transparent)]
    Client(#[from] ConnectionError),
    /// A reply that the run depends on is not what it has to be.
    #[error("{command}: unexpected reply: {reply}")]
    Reply {
        /// The command.
        command: &'static str,
        /// The reply, as text.
        reply: String,
    },
    /// A queue must be empty, or what was measured is something else.
    #[error("queue {queue} holds {jobs} jobs: empty it, or choose another with --queue")]
    Backlog {
        /// The queue.
        queue: String,
        /// How many jobs it holds.
        jobs: i64,
    },
    /// Channels must be empty, or readers get what the run did not publish.
    #[error(
        "channels {pattern} hold {entries} entries: TFLUSH {pattern} BEFORE $ removes them; or choose others with --channel"
    )]
    Entries {
        /// What matches the channels.
        pattern: String,
        /// How many entries they hold.
        entries: i64,
    },
}

/// Runs the phases and prints their reports; tells what to exit with: success only if every reply and entry was right
/// and nobody pressed Ctrl-C.
pub async fn run(mut args: Args) -> ExitCode {
    let measured = match args.of.take() {
        Some(Of::Topics(args)) => {
            topics::measure(*args, &mut |report, json| report.print(json)).await
        }
        None => measure(args, &mut |report, json| report.print(json)).await,
    };
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("shoalmq bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the phases, handing each report out as it is ready; tells whether all went well.
async fn measure(args: Args, print: &mut dyn FnMut(&Report, bool)) -> Result<bool, BenchError> {
    args.check()?;
    let adds = args.phases.iter().any(|phase| *phase != Phase::Consume);
    let mut session = Session::open(args).await?;
    if !adds {
        return Ok(run_phases(&mut session, print).await? == Ended::Empty);
    }
    session.expect_unused().await?;
    let ended = run_phases(&mut session, print).await;
    if matches!(ended, Ok(Ended::Empty)) {
        session.expect_empty().await?;
        return Ok(true);
    }
    let cleaned = session.clean_up().await;
    Ok(ended? == Ended::Full && cleaned)
}

/// How the phases of a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    /// Well: all jobs are acknowledged.
    Empty,
    /// Well: the last one added jobs that nobody took.
    Full,
    /// With errors, or early.
    Badly,
}

async fn run_phases(
    session: &mut Session,
    print: &mut dyn FnMut(&Report, bool),
) -> Result<Ended, BenchError> {
    let (phases, json) = (session.args.phases.clone(), session.args.json);
    let mut added = None;
    let mut good = true;
    for phase in phases {
        let target = match (phase, added) {
            (Phase::Consume, Some(added)) => Target(added),
            _ => Target(session.args.jobs.get()),
        };
        let report = session.run(phase, target).await?;
        print(&report, json);
        good &= report.is_good();
        if phase == Phase::Produce {
            added = Some(added.unwrap_or(0) + report.jobs);
        } else if phase == Phase::Consume {
            added = None;
        }
        if report.interrupted {
            return Ok(Ended::Badly);
        }
    }
    Ok(match (good, added) {
        (false, _) => Ended::Badly,
        (true, None) => Ended::Empty,
        (true, Some(_)) => Ended::Full,
    })
}
