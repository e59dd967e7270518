//! `shoalmq storage dump`: a line of JSON for every record, in the order of the log: first the jobs, then the topics.
//!
//! Every line has `stream`, `segment`, `frame`, `offset` and `bytes`, which say where the record lies, and `kind`. Ids are
//! text.
//! Bodies, names of queues, and names and values of settings are text where they are UTF-8; else they are in `body_base64`
//! and so on.
//! Times are milliseconds: of the node's own timeline, or of the wall clock where the name says so.

use std::io::{self, BufWriter, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shoalmq_core::id::NodeId;
use shoalmq_core::policy::Policy;
use shoalmq_core::record::{Record, Stream};
use shoalmq_core::register::Register;
use shoalmq_core::setting::SettingKind;
use shoalmq_core::time::Time;
use shoalmq_core::topic::TopicRecord;
use shoalmq_storage::streams::STREAMS;

use super::census::kind;
use super::folder::ReadOnly;
use super::verdict::{self, At};
use super::{ReadArgs, ToolError, Verdict};

/// The flags of `shoalmq storage dump`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &Args) -> Result<Verdict, ToolError> {
    let log = ReadOnly::copied(&args.read)?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let read = verdict::read(log.disk, log.copy(), "dump", |at| {
        writeln!(out, "{}", line(&at)).map_err(ToolError::Output)
    });
    let health =
        match read.and_then(|health| out.flush().map(|()| health).map_err(ToolError::Output)) {
            // The reader closed the pipe: it has seen enough.
            Err(ToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Verdict::Sound);
            }
            read => read?,
        };
    for damage in &health.damage {
        eprintln!("shoalmq storage dump: damaged {damage}");
    }
    for place in STREAMS.into_iter().filter_map(|stream| health.torn(stream)) {
        eprintln!("shoalmq storage dump: torn at its end, {place}");
    }
    Ok(health.verdict())
}

fn line(at: &At<'_>) -> Value {
    let mut line = Map::new();
    let stream = match at.stream {
        Stream::Jobs => "jobs",
        Stream::Topics => "topics",
    };
    line.insert("stream".to_owned(), stream.into());
    line.insert("segment".to_owned(), at.segment.into());
    line.insert("frame".to_owned(), at.sequence.0.into());
    line.insert("offset".to_owned(), at.offset.into());
    line.insert("bytes".to_owned(), at.bytes.into());
    line.insert("kind".to_owned(), kind(at.record).into());
    let Value::Object(fields) = fields(at.record) else {
        unreachable!("fields are an object");
    };
    line.extend(fields);
    match at.record {
        Record::Added(job) => {
            text(&mut line, "queue", job.queue.as_bytes());
            text(&mut line, "body", job.body.as_bytes());
        }
        Record::Acked(ack) => {
            if let Some(queue) = &ack.queue {
                text(&mut line, "queue", queue.as_bytes());
            }
        }
        Record::Moved(moved) => text(&mut line, "queue", moved.queue.as_bytes()),
        Record::Setting(setting) => {
            text(&mut line, "name", &setting.name);
            if let Some(value) = &setting.value {
                text(&mut line, "value", value);
            }
        }
        Record::Started { .. }
        | Record::Mark { .. }
        | Record::Holders { .. }
        | Record::Counted(_)
        | Record::Deleted(_)
        | Record::Peer { .. }
        | Record::PeerForgotten(_)
        | Record::Flushed
        | Record::Standing(_)
        | Record::Closed { .. }
        | Record::Topic(
            TopicRecord::Life(_) | TopicRecord::End { .. } | TopicRecord::Freed { .. },
        ) => {}
        Record::Topic(TopicRecord::Entry(entry)) => {
            text(&mut line, "channel", &entry.channel);
            text(&mut line, "body", entry.body.as_bytes());
        }
    }
    Value::Object(line)
}

fn fields(record: &Record) -> Value {
    match record {
        Record::Started {
            generation,
            time,
            wall,
        } => json!({ "generation": generation, "time": time.as_millis(), "wall": wall.0 }),
        Record::Mark { time, wall } | Record::Closed { time, wall } => {
            json!({ "time": time.as_millis(), "wall": wall.0 })
        }
        Record::Added(job) => json!({
            "id": job.id.to_string(),
            "created": job.created,
            "added": job.added.as_millis(),
            "ttl_seconds": job.ttl,
            "delay_seconds": job.delay,
            "retry_seconds": job.retry,
            "replicate": job.replicate,
            "nacks": job.nacks,
            "additional_deliveries": job.additional_deliveries,
            "holders": nodes(&job.holders),
        }),
        Record::Holders { id, holders } => {
            json!({ "id": id.to_string(), "holders": nodes(holders) })
        }
        Record::Moved(moved) => json!({
            "id": moved.id.to_string(),
            "added": moved.added.as_millis(),
            "ttl_seconds": moved.ttl,
            "nacks": moved.nacks,
            "additional_deliveries": moved.additional_deliveries,
            "register": Register::of(&moved.extras).as_ref().map(register),
        }),
        Record::Counted(counted) => json!({
            "id": counted.id.to_string(),
            "nacks": counted.nacks,
            "additional_deliveries": counted.additional_deliveries,
            "turn": counted.turn,
        }),
        Record::Acked(ack) => json!({
            "id": ack.id.to_string(),
            "expires": ack.expires.as_millis(),
            "unheard": nodes(&ack.unheard),
            "withdrawn": ack.withdrawn,
        }),
        Record::Deleted(id) => json!({ "id": id.to_string() }),
        Record::Peer { id, store } => {
            json!({ "node": id.to_string(), "store": store.to_string() })
        }
        Record::PeerForgotten(id) => json!({ "node": id.to_string() }),
        Record::Setting(setting) => json!({
            "setting": setting_name(setting.kind),
            "version": setting.version,
            "node": setting.node.to_string(),
        }),
        Record::Flushed => json!({}),
        Record::Standing(standing) => json!({
            "id": standing.id.to_string(),
            "queued": standing.queued,
            "turn": standing.turn,
            "requeue": standing.requeue.map(Time::as_millis),
            "nacks": standing.nacks,
            "additional_deliveries": standing.additional_deliveries,
        }),
        Record::Topic(record) => topic_fields(record),
    }
}

fn topic_fields(record: &TopicRecord) -> Value {
    match record {
        TopicRecord::Life(origin) => json!({ "origin": origin.to_string() }),
        TopicRecord::Entry(entry) => json!({
            "origin": entry.origin.to_string(),
            "number": entry.number,
            "id": entry.id.to_string(),
        }),
        TopicRecord::End {
            origin,
            number,
            record,
        } => json!({
            "origin": origin.to_string(),
            "number": number,
            "id": record.id().to_string(),
            "ended": record.ended().iter().map(|ended| json!({
                "origin": ended.origin.to_string(),
                "records": ended.records,
                "known": ended.known,
            })).collect::<Vec<_>>(),
        }),
        TopicRecord::Freed {
            origin,
            first,
            last,
            first_entry,
        } => json!({
            "origin": origin.to_string(),
            "first": first,
            "last": last,
            "first_entry": first_entry,
        }),
    }
}

/// Where a job is since it was moved.
fn register(register: &Register) -> Value {
    let dead = register.dead.as_ref().map(|dead| {
        let mut line = Map::new();
        text(&mut line, "from", &dead.from);
        text(&mut line, "text", &dead.text);
        line.insert("reason".to_owned(), dead.reason.name().into());
        line.insert("deliveries".to_owned(), dead.deliveries.into());
        line.insert("at".to_owned(), dead.at_ms.into());
        Value::Object(line)
    });
    json!({
        "version": register.version,
        "stamp": register.stamp,
        "node": register.node.to_string(),
        "created": register.created,
        "entered": register.entered,
        "dead": dead,
    })
}

/// What a setting is about.
fn setting_name(kind: SettingKind) -> String {
    if kind == SettingKind::PURGED {
        return "purged".to_owned();
    }
    let policy = Policy::of_kind(kind);
    policy.map_or_else(|| kind.0.to_string(), |policy| policy.name().to_owned())
}

fn nodes(ids: &[NodeId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// Bytes as text where they are UTF-8, else under another name in base64.
fn text(line: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => line.insert(name.to_owned(), text.into()),
        Err(_) => line.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}
