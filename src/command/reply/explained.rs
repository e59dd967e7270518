//! EXPLAIN as RESP.

use shoalmq_core::command::{CopyView, EventView, Explained, HeldBy};
use shoalmq_core::id::{NodeId, QueueName};

use super::{bulk_or_nil, entry, job_id, key, millis_or_nil, nodes, number};
use crate::resp::{Protocol, encode};

/// What is told of a job.
const PAIRS: usize = 9;
/// What is told of each copy.
const COPY_PAIRS: usize = 7;
/// What is told of who has it.
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
