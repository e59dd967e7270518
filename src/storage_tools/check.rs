//! `shoalmq storage check`: counts, the live share, damage.

use std::fmt::Write as _;
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
        // Whoever closed the pipe has seen enough; the exit code still tells.
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
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<9} {value}").expect("a string takes all");
    };
    let (jobs, acked) = census.jobs();
    let total = census.total();
    let (path, name) = (log.path.display(), log.disk.name());
    line(
        "log",
        format!("{path} ({name}), {} on disk", HumanBytes(log.bytes)),
    );
    let ends = census
        .segments
        .keys()
        .next()
        .zip(census.segments.keys().last());
    line(
        "segments",
        match ends {
            Some((first, last)) => format!("{} ({first} to {last})", census.segments.len()),
            None => "0".to_owned(),
        },
    );
    let kinds: Vec<_> = census
        .kinds
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    line(
        "records",
        format!("{} ({})", total.records, kinds.join(", ")),
    );
    line(
        "jobs",
        format!(
            "{jobs}, and {acked} acknowledged or withdrawn ones that not every node has heard of"
        ),
    );
    if let Some(share) = live_share(census) {
        let (part, whole) = (HumanBytes(total.live_bytes), HumanBytes(total.bytes));
        line(
            "live",
            format!("{:.1} %: {part} of {whole} in records", share * 100.0),
        );
    }
    let stop = if census.closed {
        "clean"
    } else {
        "unclean, or a copy of a running node"
    };
    line("stop", stop.to_owned());
    if let Some(place) = health.examined.and_then(|seen| seen.torn) {
        line(
            "torn",
            format!("{place}; a crash may leave that, and a start cuts it off"),
        );
    }
    for damage in &health.damage {
        line("damage", damage.clone());
    }
    let more = health.damaged - health.damage.len() as u64;
    if more > 0 {
        line("damage", format!("and {more} places more"));
    }
    line(
        "verdict",
        match health.damaged {
            0 => "sound".to_owned(),
            1 => "damaged in 1 place".to_owned(),
            many => format!("damaged in {many} places"),
        },
    );
    text
}
