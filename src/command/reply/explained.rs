//! EXPLAIN as RESP.

use shoalmq_core::command::{CopyView, EventView, Explained, HeldBy};
use shoalmq_core::id::{NodeId, QueueName};

use super::{bulk_or_nil, entry, job_id, key, millis_or_nil, nodes, number};
use shoalmq_resp::{Protocol, encode};

/// What a job has.
const PAIRS: usize = 9;
/// What each copy has.
const COPY_PAIRS: usize = 7;
/// What there is about the client that has it.
const HELD_PAIRS: usize = 4;

pub(super) fn encode(explained: Option<&Explained>, protocol: Protocol, out: &mut Vec<u8>) {
    let Some(job) = explained else {
        return encode::nil_bulk(out, protocol);
    };
    encode::map(out, protocol, PAIRS);
    key(out, "id");
    job_id(out, &job.id);
    key(out, "queue");
    bulk_or_nil(out, protocol, job.queue.as_ref().map(QueueName::as_bytes));
    key(out, "state");
    key(out, job.standing.name());
    key(out, "why");
    key(out, &job.why);
    key(out, "copies");
    encode::array(out, job.copies.len());
    for (node, view) in &job.copies {
        copy(out, protocol, node, view);
    }
    key(out, "held-by");
    match &job.held_by {
        Some((node, held)) => held_by(out, protocol, node, held),
        None => encode::nil_bulk(out, protocol),
    }
    key(out, "progress");
    bulk_or_nil(out, protocol, job.progress.as_deref());
    key(out, "events");
    encode::array(out, job.events.len());
    for (node, view) in &job.events {
        event(out, node, view);
    }
    key(out, "missing");
    nodes(out, &job.missing);
}

fn copy(out: &mut Vec<u8>, protocol: Protocol, node: &NodeId, view: &CopyView) {
    encode::map(out, protocol, COPY_PAIRS);
    key(out, "node");
    encode::bulk(out, &node.text());
    key(out, "state");
    key(out, view.standing.name());
    key(out, "queue");
    bulk_or_nil(out, protocol, view.queue.as_ref().map(QueueName::as_bytes));
    entry(out, "version", view.rank.map_or(0, |(version, ..)| version));
    entry(out, "turn", view.has_turn);
    key(out, "next");
    key(out, &view.next);
    key(out, "next-in");
    millis_or_nil(out, protocol, view.next_in);
}

fn held_by(out: &mut Vec<u8>, protocol: Protocol, node: &NodeId, held: &HeldBy) {
    encode::map(out, protocol, HELD_PAIRS);
    key(out, "node");
    encode::bulk(out, &node.text());
    entry(out, "client", held.client.0);
    key(out, "name");
    encode::bulk(out, &held.name);
    entry(out, "since", held.since_ms);
}

fn event(out: &mut Vec<u8>, node: &NodeId, view: &EventView) {
    encode::array(out, 4);
    number(out, view.at_ms);
    encode::bulk(out, &node.text());
    key(out, &view.event);
    key(out, &view.detail);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shoalmq_core::command::Standing;
    use shoalmq_core::id::{ClientId, JobId};
    use shoalmq_core::outcome::Outcome;

    use super::*;

    const NODE: &str = "0101010101010101010101010101010101010101";

    fn job() -> Explained {
        let node = NodeId::from_bytes([1; 20]);
        let copy = CopyView {
            standing: Standing::Active,
            queue: Some(QueueName::new(b"q")),
            rank: Some((2, false, 5, node)),
            has_turn: true,
            next: "retry".to_owned(),
            next_in: Some(Duration::from_millis(1500)),
        };
        let held = HeldBy {
            client: ClientId(7),
            name: b"w".to_vec(),
            since_ms: 9,
        };
        let event = EventView {
            at_ms: 8,
            event: "added".to_owned(),
            detail: "x".to_owned(),
        };
        Explained {
            id: JobId::from_bytes([1; 24]),
            queue: None,
            standing: Standing::Ended(Outcome::Acked),
            why: "Why.".to_owned(),
            copies: vec![(node, copy)],
            held_by: Some((node, held)),
            progress: None,
            events: vec![(node, event)],
            missing: vec![node],
        }
    }

    fn told(explained: Option<&Explained>, protocol: Protocol) -> String {
        let mut out = Vec::new();
        encode(explained, protocol, &mut out);
        String::from_utf8(out).expect("it is ASCII")
    }

    /// Words are bulks; what begins with the mark of another kind stands for itself.
    fn wire(words: &[&str]) -> String {
        let line = |word: &&str| {
            if word.starts_with(['*', '%', ':', '$', '_']) {
                format!("{word}\r\n")
            } else {
                format!("${}\r\n{word}\r\n", word.len())
            }
        };
        words.iter().map(line).collect()
    }

    #[test]
    fn a_job_is_a_map_or_a_flat_array() {
        let job = job();
        let id = String::from_utf8(job.id.text().to_vec()).expect("it is ASCII");
        let words =
            |all: &'static str, copy: &'static str, held: &'static str, nil: &'static str| {
                let words = [
                    all, "id", &id, "queue", nil, "state", "acked", "why", "Why.", "copies", "*1",
                    copy, "node", NODE, "state", "active", "queue", "q", "version", ":2", "turn",
                    ":1", "next", "retry", "next-in", ":1500", "held-by", held, "node", NODE,
                    "client", ":7", "name", "w", "since", ":9", "progress", nil, "events", "*1",
                    "*4", ":8", NODE, "added", "x", "missing", "*1", NODE,
                ];
                wire(&words)
            };
        let flat = words("*18", "*14", "*8", "$-1");
        assert_eq!(told(Some(&job), Protocol::Resp2), flat);
        let map = words("%9", "%7", "%4", "_");
        assert_eq!(told(Some(&job), Protocol::Resp3), map);
    }

    #[test]
    fn an_unknown_job_is_nil() {
        assert_eq!(told(None, Protocol::Resp2), "$-1\r\n");
        assert_eq!(told(None, Protocol::Resp3), "_\r\n");
    }
}
