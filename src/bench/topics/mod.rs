//! `shoalmq bench topics`: how fast a node takes entries, hands them to readers and reads them again, and at what cost.
//!
//! A run is one or more phases, each with its own report. Every reply is verified, and so is what readers get: each entry of
//! the run once, in order of the ids, in its channel, with its body. A run with errors fails.
//!
//! | phase | does | latency |
//! |---|---|---|
//! | `publish` | TPUB on every connection | of TPUB |
//! | `live` | the same, while readers follow all channels by one pattern | from before TPUB to the entry in a reader's hand |
//! | `replay` | each reader reads from `0` on what the run has published so far, in pages, with the cursor | of TREAD |
//!
//! In `live` no more entries are under way to a reader than the publishers' pipelines hold: it measures delivery, not a
//! backlog.
//!
//! A run flushes its channels, whatever ended it. Ctrl-C and SIGTERM end it; the second one leaves the entries where they
//! are.

mod args;
mod entries;
mod live;
mod publish;
mod replay;
mod report;
mod session;

#[cfg(test)]
mod tests;

pub use args::{TopicPhase, TopicsArgs};
pub use report::TopicReport;

use super::BenchError;
use session::Session;

/// Runs the phases, handing each report out as it is ready; tells whether all went well.
pub(super) async fn measure(
    args: TopicsArgs,
    print: &mut dyn FnMut(&TopicReport, bool),
) -> Result<bool, BenchError> {
    args.check()?;
    let mut session = Session::open(args).await?;
    session.expect_unused().await?;
    let good = run_phases(&mut session, print).await;
    let cleaned = session.clean_up().await;
    Ok(good? && cleaned)
}

async fn run_phases(
    session: &mut Session,
    print: &mut dyn FnMut(&TopicReport, bool),
) -> Result<bool, BenchError> {
    let (phases, json) = (session.args.phases.clone(), session.args.json);
    let mut good = true;
    for phase in phases {
        let report = session.run(phase).await?;
        print(&report, json);
        good &= report.is_good();
        if report.interrupted {
            break;
        }
    }
    Ok(good)
}
