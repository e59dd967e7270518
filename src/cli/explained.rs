//! The reply to EXPLAIN for people: what matters first, then the copies and the events in columns. Times are UTC.

use super::date::utc;
use super::table::{Figures, aligned, text};
use shoalmq_resp::Frame;

/// How much of a node's id stands in the columns: what ids of jobs have of it.
const SHORT: usize = 8;

/// The text, without a newline at its end; none if the reply explains no job.
pub(super) fn of_job(reply: &Frame) -> Option<String> {
    let told = Figures::of(reply)?;
    let value = |wanted| told.get(wanted);
    let missing = items(value("missing")?)?.iter().map(text);
    let lines = [
        ("id", text(value("id")?)),
        ("queue", text(value("queue")?)),
        ("state", text(value("state")?)),
        ("why", text(value("why")?)),
        ("held by", held_by(value("held-by")?).unwrap_or_default()),
        ("progress", text(value("progress")?)),
        ("missing", missing.collect::<Vec<_>>().join(" ")),
    ];
    let lines = lines.iter().filter(|(_, text)| !text.is_empty());
    let mut out = lines.fold(String::new(), |out, (name, text)| {
        out + &format!("{name:<9} {text}\n")
    });
    let copies: Option<Vec<_>> = items(value("copies")?)?.iter().map(copy).collect();
    let events: Option<Vec<_>> = items(value("events")?)?.iter().map(event).collect();
    push_table(
        &mut out,
        ["NODE", "STATE", "QUEUE", "VERSION", "TURN", "NEXT", "IN"],
        copies?,
    );
    push_table(&mut out, ["TIME", "NODE", "EVENT", "DETAIL"], events?);
    out.truncate(out.trim_end().len());
    Some(out)
}

fn push_table<const COLUMNS: usize>(
    out: &mut String,
    headings: [&str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
) {
    if rows.is_empty() {
        return;
    }
    let mut lines = vec![headings.map(str::to_owned)];
    lines.extend(rows);
    out.push('\n');
    out.push_str(&aligned(&lines, |_| true));
    out.push('\n');
}

fn items(value: &Frame) -> Option<&[Frame]> {
    match value {
        Frame::Array(items) => Some(items),
        _ => None,
    }
}

fn copy(copy: &Frame) -> Option<[String; 7]> {
    let told = Figures::of(copy)?;
    let value = |wanted| told.get(wanted);
    let has_turn = matches!(value("turn")?, Frame::Integer(1));
    let next_in = match value("next-in")? {
        Frame::Integer(ms) => format!("{}.{:03}s", ms / 1000, ms % 1000),
        _ => "-".to_owned(),
    };
    Some([
        short(value("node")?),
        text(value("state")?),
        text(value("queue")?),
        text(value("version")?),
        if has_turn { "yes" } else { "-" }.to_owned(),
        text(value("next")?),
        next_in,
    ])
}

fn event(event: &Frame) -> Option<[String; 4]> {
    let [Frame::Integer(at), node, name, detail] = items(event)? else {
        return None;
    };
    Some([moment(*at), short(node), text(name), text(detail)])
}

/// Who has the job, if anybody has.
fn held_by(held: &Frame) -> Option<String> {
    let told = Figures::of(held)?;
    let value = |wanted| told.get(wanted);
    let name = text(value("name")?);
    let name = if name.is_empty() {
        name
    } else {
        format!(" ({name})")
    };
    let Frame::Integer(since) = value("since")? else {
        return None;
    };
    let (client, node) = (text(value("client")?), text(value("node")?));
    Some(format!(
        "client {client}{name} at node {node} since {}",
        moment(*since)
    ))
}

fn short(node: &Frame) -> String {
    text(node).chars().take(SHORT).collect()
}

/// Unix milliseconds as date and time.
fn moment(unix_ms: i64) -> String {
    let (date, time) = utc(u64::try_from(unix_ms).unwrap_or_default());
    format!("{date} {time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Frame {
        Frame::Bulk(text.as_bytes().to_vec())
    }

    fn flat(pairs: Vec<(&str, Frame)>) -> Frame {
        let flat = pairs
            .into_iter()
            .flat_map(|(name, value)| [bulk(name), value]);
        Frame::Array(flat.collect())
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(moment(0), "1970-01-01 00:00:00.000");
        assert_eq!(moment(951_782_399_999), "2000-02-28 23:59:59.999");
        assert_eq!(moment(951_868_800_000), "2000-03-01 00:00:00.000");
        assert_eq!(moment(1_767_225_600_001), "2026-01-01 00:00:00.001");
    }

    #[test]
    fn what_matters_stands_first_and_the_rest_in_columns() {
        let node = "0123456789abcdef0123456789abcdef01234567";
        let copy = flat(vec![
            ("node", bulk(node)),
            ("state", bulk("active")),
            ("queue", bulk("mail")),
            ("version", Frame::Integer(0)),
            ("turn", Frame::Integer(1)),
            ("next", bulk("retry")),
            ("next-in", Frame::Integer(1500)),
        ]);
        let held = flat(vec![
            ("node", bulk(node)),
            ("client", Frame::Integer(7)),
            ("name", bulk("worker")),
            ("since", Frame::Integer(0)),
        ]);
        let event = Frame::Array(vec![
            Frame::Integer(0),
            bulk(node),
            bulk("added"),
            bulk("x"),
        ]);
        let reply = flat(vec![
            ("id", bulk("D-1")),
            ("queue", bulk("mail")),
            ("state", bulk("active")),
            ("why", bulk("Because.")),
            ("copies", Frame::Array(vec![copy])),
            ("held-by", held),
            ("progress", Frame::NilBulk),
            ("events", Frame::Array(vec![event])),
            ("missing", Frame::Array(vec![bulk("m1"), bulk("m2")])),
        ]);
        let expected = "\
id        D-1
queue     mail
state     active
why       Because.
held by   client 7 (worker) at node 0123456789abcdef0123456789abcdef01234567 since 1970-01-01 00:00:00.000
missing   m1 m2

NODE      STATE   QUEUE  VERSION  TURN  NEXT   IN
01234567  active  mail   0        yes   retry  1.500s

TIME                     NODE      EVENT  DETAIL
1970-01-01 00:00:00.000  01234567  added  x";
        assert_eq!(of_job(&reply).as_deref(), Some(expected));
        assert_eq!(of_job(&Frame::NilBulk), None);
    }
}
