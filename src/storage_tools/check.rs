//! `shoalmq storage check`: counts, the live share, damage.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use indicatif::HumanBytes;
use serde_json::{Value, json};
use shoalmq_core::record::{Segment, Stream};
use shoalmq_storage::streams::STREAMS;

use super::census::Census;
use super::folder::ReadOnly;
use super::topics::Topics;
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

/// What was counted of both streams.
#[derive(Debug, Default)]
struct Counted {
    jobs: Census,
    topics: Topics,
}

pub(super) fn run(args: &Args) -> Result<Verdict, ToolError> {
    let log = ReadOnly::copied(&args.read)?;
    let mut counted = Counted::default();
    let health = verdict::read(log.disk, log.copy(), "check", |at| {
        match at.stream {
            Stream::Jobs => counted.jobs.count(at.segment, at.bytes, at.record),
            Stream::Topics => counted.topics.count(at.segment, at.bytes, at.record),
        }
        Ok(())
    })?;
    let text = if args.json {
        format!("{}\n", to_json(&log, &counted, &health))
    } else {
        to_text(&log, &counted, &health)
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

fn to_json(log: &ReadOnly, counted: &Counted, health: &Health) -> Value {
    let census = &counted.jobs;
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
        "path": log.paths.jobs.display().to_string(),
        "storage": log.disk.name(),
        "disk_bytes": log.bytes.jobs,
        "verdict": if health.damaged == 0 { "sound" } else { "damaged" },
        "damaged_places": health.damaged,
        "damage": health.damage,
        "torn": health.torn(Stream::Jobs),
        "clean_stop": census.closed,
        "records": total.records,
        "records_by_kind": census.kinds,
        "bytes": total.bytes,
        "live_bytes": total.live_bytes,
        "live_share": live_share(census),
        "jobs": jobs,
        "acks": acked,
        "segments": segments,
        "topics": topics_to_json(log, &counted.topics, health),
    })
}

fn topics_to_json(log: &ReadOnly, topics: &Topics, health: &Health) -> Value {
    let total = topics.total();
    let segments = topics.segments.iter();
    let segments: Vec<_> = segments
        .map(|(segment, content)| {
            json!({
                "segment": segment,
                "records": content.records,
                "bytes": content.bytes,
            })
        })
        .collect();
    json!({
        "path": log.paths.topics.display().to_string(),
        "disk_bytes": log.bytes.topics,
        "torn": health.torn(Stream::Topics),
        "records": total.records,
        "records_by_kind": topics.kinds,
        "bytes": total.bytes,
        "entries": topics.entries,
        "channels": topics.channels(),
        "origins": topics.origins(),
        "segments": segments,
    })
}

fn to_text(log: &ReadOnly, counted: &Counted, health: &Health) -> String {
    let mut text = Lines(String::new());
    text.add_content(log, &counted.jobs);
    text.add_topics(log, &counted.topics);
    text.add_findings(&counted.jobs, health);
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
        let (path, name) = (log.paths.jobs.display(), log.disk.name());
        let bytes = HumanBytes(log.bytes.jobs);
        self.add("log", format_args!("{path} ({name}), {bytes} on disk"));
        self.add_segments(census.segments.keys());
        self.add_records(total.records, &census.kinds);
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

    /// What is in the stream of topics; nothing is said of an empty one.
    fn add_topics(&mut self, log: &ReadOnly, topics: &Topics) {
        let total = topics.total();
        if total.records == 0 {
            return;
        }
        let (path, disk) = (log.paths.topics.display(), HumanBytes(log.bytes.topics));
        self.add("topics", format_args!("{path}, {disk} on disk"));
        self.add_segments(topics.segments.keys());
        self.add_records(total.records, &topics.kinds);
        let (entries, channels, origins) = (topics.entries, topics.channels(), topics.origins());
        self.add(
            "entries",
            format_args!(
                "{entries} in {channels} channels, of {origins} origins: {} in records",
                HumanBytes(total.bytes)
            ),
        );
    }

    fn add_segments<'a>(&mut self, mut segments: impl ExactSizeIterator<Item = &'a Segment>) {
        let count = segments.len();
        match segments.next() {
            Some(first) => {
                let last = segments.last().unwrap_or(first);
                self.add("segments", format_args!("{count} ({first} to {last})"));
            }
            None => self.add("segments", count),
        }
    }

    fn add_records(&mut self, records: u64, kinds: &BTreeMap<&'static str, u64>) {
        let kinds: Vec<_> = kinds
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let kinds = kinds.join(", ");
        self.add("records", format_args!("{records} ({kinds})"));
    }

    /// How the log ends, what is damaged, and what that comes to.
    fn add_findings(&mut self, census: &Census, health: &Health) {
        let stop = if census.closed {
            "clean"
        } else {
            "unclean, or a copy of a running node"
        };
        self.add("stop", stop);
        for place in STREAMS.into_iter().filter_map(|stream| health.torn(stream)) {
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
