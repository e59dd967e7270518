//! Running seeds: one, many at once, and the one that is told about.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use shoalmq_core::id::JobId;
use shoalmq_core::planted::Bug;

use crate::checker::Violation;
use crate::cluster::Cluster;
use crate::options::{Options, name_of};
use crate::plan::Plan;
use crate::summary::Summary;
use crate::trace::{Detail, Line};

/// How a replay begins.
const COMMAND: &str = "cargo test --profile simulation -p shoalmq-simulation";
/// The most lines to show of a job's life, and of the end of a run that failed for no single job.
const LIFE: usize = 300;
const LAST: usize = 60;

/// One run is shown, in all detail.
static SHOWS: AtomicBool = AtomicBool::new(false);

/// How much of a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// The life of one job.
    Life,
    /// All.
    Everything,
}

/// What became of one seed.
struct Outcome {
    violation: Option<Violation>,
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
        summary: Summary {
            fingerprint: cluster.trace.fingerprint(),
            read: cluster
                .hosts
                .iter()
                .map(|host| host.disk.bodies_read())
                .sum(),
            ..cluster.checker.summary()
        },
        ids: cluster
            .hosts
            .iter()
            .map(|host| host.id.to_string())
            .collect(),
        lines: cluster.trace.into_lines(),
    }
}

/// Runs all seeds, and tells of the first that fails.
pub(crate) fn run_all(options: &Options) -> ExitCode {
    let began = Instant::now();
    let bug = options.bugs.first().map(|&(bug, _)| bug);
    let (summary, failed) = explore(options, options.seeds.clone(), bug);
    let (seeds, took) = (&options.seeds, began.elapsed().as_secs_f32());
    println!(
        "seeds {seeds:?} in {took:.1} s: {} failed; {summary}",
        failed.len()
    );
    let Some(&(seed, ref what)) = failed.first() else {
        return ExitCode::SUCCESS;
    };
    show(options, seed, bug, Telling::Life);
    println!("seed {seed} failed: {what}");
    ExitCode::FAILURE
}

/// Runs the seeds with one bug after the other, until it is found. Fails unless all are.
pub(crate) fn hunt(options: &Options) -> ExitCode {
    let mut missed = false;
    for &(bug, first) in &options.bugs {
        let first = first.map(|seed| seed..seed + 1);
        let ranges = first.into_iter().chain([options.seeds.clone()]);
        let (mut summary, mut failed) = (Summary::default(), Vec::new());
        for seeds in ranges {
            if failed.is_empty() {
                (summary, failed) = explore(options, seeds, Some(bug));
            }
        }
        let name = name_of(bug);
        if let Some((seed, what)) = failed.first() {
            println!("{name}: found by seed {seed}: {what}");
            println!("  {}", replay(options, *seed, Some(bug)));
        } else {
            missed = true;
            println!("{name}: not found by seeds {:?}; {summary}", options.seeds);
        }
    }
    ExitCode::from(u8::from(missed))
}

/// Runs seeds on as many threads as there are processors, until one fails or all are through. Returns those that failed.
fn explore(
    options: &Options,
    seeds: Range<u64>,
    bug: Option<Bug>,
) -> (Summary, Vec<(u64, String)>) {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let all = Mutex::new((Summary::default(), Vec::new()));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let plan = options.plan(seed, bug);
            if matches!(bug, Some(Bug::Topic(_))) && plan.topics.is_none() {
                // Without topics nobody can find it.
                continue;
            }
            let found = run_checked(&plan);
            let mut all = all.lock().expect("no run panics outside");
            match found {
                Ok(summary) => all.0.add(&summary),
                Err(what) => {
                    let what = what.lines().next().unwrap_or_default().to_owned();
                    if options.keep_going {
                        println!("seed {seed}: {what}");
                    }
                    all.1.push((seed, what));
                    stop.store(!options.keep_going, Ordering::Relaxed);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (summary, mut failed) = all.into_inner().expect("no run panics outside");
    failed.sort_unstable();
    (summary, failed)
}

/// Runs a seed; some of them twice, for both runs must be the same.
fn run_checked(plan: &Plan) -> Result<Summary, String> {
    let outcome = run(plan.clone(), Detail::Fingerprint);
    if let Some(violation) = outcome.violation {
        return Err(violation.what);
    }
    if plan.seed.is_multiple_of(20)
        && run(plan.clone(), Detail::Fingerprint).summary != outcome.summary
    {
        return Err("two runs are not the same".to_owned());
    }
    Ok(outcome.summary)
}

/// Runs a seed and tells what happened: all of it, or the life of the job that something went wrong with.
pub(crate) fn show(options: &Options, seed: u64, bug: Option<Bug>, telling: Telling) -> ExitCode {
    let plan = options.plan(seed, bug);
    println!("{plan:#?}");
    SHOWS.store(true, Ordering::Relaxed);
    let outcome = run(plan, Detail::Everything);
    let job = outcome
        .violation
        .as_ref()
        .and_then(|violation| violation.job);
    let concerns = |line: &&Line| match (telling, job) {
        (Telling::Life, Some(job)) => line.jobs.contains(&job) || line.is_note,
        (Telling::Everything, _) | (Telling::Life, None) => true,
    };
    let shown = match (telling, job) {
        (Telling::Everything, _) => usize::MAX,
        (Telling::Life, Some(_)) => LIFE,
        (Telling::Life, None) => LAST,
    };
    let lines: Vec<&Line> = outcome.lines.iter().filter(concerns).collect();
    for line in &lines[lines.len().saturating_sub(shown)..] {
        println!("{}", outcome.readable(&line.text));
    }
    println!("\nseed {seed}: {}", outcome.summary);
    let Some(violation) = &outcome.violation else {
        return ExitCode::SUCCESS;
    };
    println!("violation: {}", outcome.readable(&violation.what));
    println!("replay: {}", replay(options, seed, bug));
    ExitCode::FAILURE
}

/// The command that shows this run again.
fn replay(options: &Options, seed: u64, bug: Option<Bug>) -> String {
    let features = bug.map_or("", |_| " --features planted-bugs");
    let bug = bug.map_or_else(String::new, |bug| format!(" --bug {}", name_of(bug)));
    let hosts = options
        .hosts
        .map_or_else(String::new, |hosts| format!(" --hosts {hosts}"));
    format!("{COMMAND}{features} -- --seed {seed}{bug}{hosts} --trace")
}

/// Panics are findings, printed with their seeds. The place of a panic is printed for the run that is shown.
pub(crate) fn tell_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if SHOWS.load(Ordering::Relaxed) {
            println!("{panic}\n{}", own_frames());
        }
    }));
}

/// Where a panic came from, as far as it is code of this project.
fn own_frames() -> String {
    let all = std::backtrace::Backtrace::force_capture().to_string();
    let lines: Vec<&str> = all.lines().collect();
    let own = lines.windows(2).filter(|pair| {
        let place = pair[1].trim_start();
        place.starts_with("at ") && (place.contains("src/core/") || place.contains("gossip/"))
    });
    let frames = own.flat_map(|pair| [pair[0].trim(), " ", pair[1].trim(), "\n"]);
    frames.collect()
}
