//! The simulator: many real cores and memberships in one thread, in virtual time, from one seed.
//!
//! ```text
//! cargo test --profile simulation -p shoalmq-simulation                      # the seeds of CI
//! cargo test --profile simulation -p shoalmq-simulation -- --seeds 0..3000   # more of them
//! cargo test --profile simulation -p shoalmq-simulation -- --seed 4711 --trace
//! ```
//!
//! A run is a cluster that comes up (`cluster`, `host`, `shell`: what the server does around a core), clients (`workload`),
//! faults (`faults`, `network`, `disk`), and what must hold (`checker`). Then all heals, consumers drain every node, and
//! nothing may be left. The same seed gives the same course of events, which the fingerprint of a run proves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use shoalmq_core::id::JobId;

use crate::checker::{Summary, Violation};
use crate::cluster::Cluster;
use crate::options::Options;
use crate::plan::Plan;
use crate::trace::{Detail, Line};

mod checker;
mod client;
mod cluster;
mod dice;
mod disk;
mod faults;
mod host;
mod membership;
mod network;
mod options;
mod plan;
mod schedule;
mod shell;
mod trace;
mod workload;

/// How a replay begins.
const COMMAND: &str = "cargo test --profile simulation -p shoalmq-simulation --";
/// At most so many lines of a job's life are shown.
const LIFE: usize = 300;

/// One run is shown, in all detail.
static SHOWS: AtomicBool = AtomicBool::new(false);

/// What became of one seed.
struct Outcome {
    violation: Option<Violation>,
    fingerprint: u64,
    summary: Summary,
    lines: Vec<Line>,
    /// The ids of the nodes, in order of their numbers.
    ids: Vec<String>,
}

impl Outcome {
    /// Writes nodes as `n0` and so on.
    fn readable(&self, text: &str) -> String {
        let ids = self.ids.iter().enumerate();
        ids.fold(text.to_owned(), |text, (number, id)| {
            text.replace(id, &format!("n{number}"))
        })
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n\n{}", options::USAGE);
            return ExitCode::FAILURE;
        }
    };
    // A panic is a finding: it is told with its seed. Where it was is told of the one that is shown.
    let shows = |place: &std::panic::PanicHookInfo<'_>| {
        if SHOWS.load(Ordering::Relaxed) {
            println!("{place}\n{}", own_frames());
        }
    };
    std::panic::set_hook(Box::new(shows));
    match options.trace {
        Some(seed) => show(Plan::new(seed, options.hosts)),
        None => run_all(&options),
    }
}

/// Runs one seed to its end, or to its first violation.
fn run(plan: Plan, detail: Detail) -> Outcome {
    let mut cluster = Cluster::new(plan, detail);
    let result = catch_unwind(AssertUnwindSafe(|| cluster.run()));
    let violation = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            let what = text.unwrap_or_else(|| "a panic without words".to_owned());
            let job = what
                .find("D-")
                .and_then(|at| what.as_bytes().get(at..at + 40));
            let job = job.and_then(|text| JobId::parse(text).ok().flatten());
            Some(Violation {
                what: format!("panic: {what}"),
                job,
            })
        }
    };
    Outcome {
        violation,
        fingerprint: cluster.trace.fingerprint(),
        summary: cluster.checker.summary(),
        ids: cluster
            .hosts
            .iter()
            .map(|host| host.id.to_string())
            .collect(),
        lines: cluster.trace.into_lines(),
    }
}

/// Runs many seeds, on as many threads as there are processors.
fn run_all(options: &Options) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(options.seeds.start);
    let stop = AtomicBool::new(false);
    let all = Mutex::new((Summary::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end {
                        return;
                    }
                    let found = run_checked(&Plan::new(seed, options.hosts));
                    let mut all = all.lock().expect("no run panics outside");
                    match found {
                        Ok(summary) => all.0.add(&summary),
                        Err(what) => {
                            println!("seed {seed}: {}", what.lines().next().unwrap_or_default());
                            all.1.push(seed);
                            stop.store(!options.keep_going, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (summary, mut failed) = all.into_inner().expect("no run panics outside");
    let seeds = &options.seeds;
    let took = began.elapsed().as_secs_f32();
    println!(
        "seeds {seeds:?} in {took:.1} s, {} failed; {summary:?}",
        failed.len()
    );
    failed.sort_unstable();
    match failed.first() {
        Some(&seed) => show(Plan::new(seed, options.hosts)),
        None => ExitCode::SUCCESS,
    }
}

/// Runs a seed; some of them twice, for both runs must be the same.
fn run_checked(plan: &Plan) -> Result<Summary, String> {
    let outcome = run(plan.clone(), Detail::Fingerprint);
    if let Some(violation) = outcome.violation {
        return Err(violation.what);
    }
    if plan.seed.is_multiple_of(20)
        && run(plan.clone(), Detail::Fingerprint).fingerprint != outcome.fingerprint
    {
        return Err("two runs are not the same".to_owned());
    }
    Ok(outcome.summary)
}

/// Runs a seed and tells what went wrong, with the life of the job that it is about.
fn show(plan: Plan) -> ExitCode {
    let seed = plan.seed;
    println!("{plan:#?}");
    SHOWS.store(true, Ordering::Relaxed);
    let outcome = run(plan, Detail::Everything);
    let Some(violation) = &outcome.violation else {
        for line in &outcome.lines {
            println!("{}", outcome.readable(&line.text));
        }
        println!(
            "seed {seed}: all is well; fingerprint {:016x}; {:?}",
            outcome.fingerprint, outcome.summary
        );
        return ExitCode::SUCCESS;
    };
    let concerns = |line: &&Line| match violation.job {
        Some(job) => line.jobs.contains(&job) || line.is_note,
        None => true,
    };
    let shown = if violation.job.is_some() {
        LIFE
    } else {
        LIFE / 5
    };
    let life: Vec<&Line> = outcome.lines.iter().filter(concerns).collect();
    for line in &life[life.len().saturating_sub(shown)..] {
        println!("{}", outcome.readable(&line.text));
    }
    println!("\nseed {seed}: {}", outcome.readable(&violation.what));
    println!("replay: {COMMAND} --seed {seed} --trace");
    ExitCode::FAILURE
}

/// Where a panic came from, as far as it is code of this project.
fn own_frames() -> String {
    let all = std::backtrace::Backtrace::force_capture().to_string();
    let lines: Vec<&str> = all.lines().collect();
    let own = lines.windows(2).filter(|pair| {
        let place = pair[1].trim_start();
        place.starts_with("at ") && (place.contains("src/core/") || place.contains("gossip/"))
    });
    own.map(|pair| format!("{} {}\n", pair[0].trim(), pair[1].trim()))
        .collect()
}
