//! `shoalmq storage check`: counts, the live share, damage.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::census::Census;
use super::folder::ReadOnly;
use super::verdict::{self, Health};
use super::{ReadArgs, ToolError, Verdict};

/// The flags of `shoalmq storage check`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    read: ReadArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Verdict, ToolError> {
    let log = ReadOnly::copied(&args.read)?;
    let mut census = Census::default();
    let health = verdict::read(log.open(), "check", |at| {
        census.count(at.segment, at.bytes, at.record);
        Ok(())
    })?;
    let text = if args.json {
        format!("{}\n", to_json(&log, &census, &health))
    } else {
        to_text(&log, &census, &health)
    };
    match io::stdout().write_all(text.as_bytes()) {
        // The reader closed the pipe: it has seen enough, and the exit code still tells.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        done => done.map_err(ToolError::Output)?,
    }
    Ok(health.verdict())
}

/// The share of the bytes of all records that is live; an empty log has none.
fn live_share(census: &Census) -> Option<f64> {
    let total = census.total();
    (total.bytes > 0).then(|| total.live_bytes as f64 / total.bytes as f64)
}

fn to_json(log: &ReadOnly, census: &Census, health: &Health) -> Value {
    let (jobs, acked) = census.jobs();
    let total = census.total();
    let segments: Vec<_> = census
        .segments
        .iter()
        .map(|(segment, content)| {
            json!({
                "segment": segment,
                "records": content.records,
                "bytes": content.bytes,
                "live_records": content.live_records,
                "live_bytes": content.live_bytes,
            })
        })
        .collect();
    json!({
        "path": log.path.display().to_string(),
        "storage": log.disk.name(),
        "disk_bytes": log.bytes,
        "verdict": if health.damaged == 0 { "sound" } else { "damaged" },
        "damaged_places": health.damaged,
        "damage": health.damage,
        "torn": health.examined.and_then(|seen| seen.torn).map(|place| place.to_string()),
        "clean_stop": census.closed,
        "records": total.records,
        "records_by_kind": census.kinds,
        "bytes": total.bytes,
        "live_bytes": total.live_bytes,
        "live_share": live_share(census),
        "jobs": jobs,
        "acks": acked,
        "segments": segments,
    })
}

fn to_text(log: &ReadOnly, census: &Census, health: &Health) -> String {
    let mut text = Lines(String::new());
    text.add_content(log, census);
    text.add_findings(census, health);
    text.0
}

/// Text of one line a fact: its name, then its value.
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        writeln!(self.0, "{name:<9} {value}").expect("a string takes all");
    }

    /// What is in the log.
    fn add_content(&mut self, log: &ReadOnly, census: &Census) {
        let (jobs, acked) = census.jobs();
        let total = census.total();
        let (path, name) = (log.path.display(), log.disk.name());
        let bytes = HumanBytes(log.bytes);
        self.add("log", format_args!("{path} ({name}), {bytes} on disk"));
        let count = census.segments.len();
        let mut segments = census.segments.keys();
        if let Some(first) = segments.next() {
            let last = segments.next_back().unwrap_or(first);
            self.add("segments", format_args!("{count} ({first} to {last})"));
        } else {
            self.add("segments", count);
        }
        let kinds = census.kinds.iter();
        let kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let (records, kinds) = (total.records, kinds.join(", "));
        self.add("records", format_args!("{records} ({kinds})"));
        self.add(
            "jobs",
            format_args!(
                "{jobs}, and {acked} acknowledged or withdrawn ones that not every node has heard of"
            ),
        );
        if let Some(share) = live_share(census) {
            let (part, whole) = (HumanBytes(total.live_bytes), HumanBytes(total.bytes));
            let percent = share * 100.0;
            self.add(
                "live",
                format_args!("{percent:.1} %: {part} of {whole} in records"),
            );
        }
    }

    /// How the log ends, what is damaged, and what that comes to.
    fn add_findings(&mut self, census: &Census, health: &Health) {
        let stop = if census.closed {
            "clean"
        } else {
            "unclean, or a copy of a running node"
        };
        self.add("stop", stop);
        if let Some(place) = health.examined.and_then(|seen| seen.torn) {
            self.add(
                "torn",
                format_args!("{place}; a crash may leave that, and a start cuts it off"),
            );
        }
        for damage in &health.damage {
            self.add("damage", damage);
        }
        let more = health.damaged - health.damage.len() as u64;
        if more > 0 {
            self.add("damage", format_args!("and {more} places more"));
        }
        match health.damaged {
            0 => self.add("verdict", "sound"),
            1 => self.add("verdict", "damaged in 1 place"),
            many => self.add("verdict", format_args!("damaged in {many} places")),
        }
    }
}
