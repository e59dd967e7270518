//! The core's replies as RESP, in the exact shapes that Disque's clients count on.
//!
//! The versions of the protocol differ in their nils, and in the maps of commands that Disque does not have: SHOW and QSTAT
//! stay flat arrays in RESP3 too.

use std::time::Duration;

use shoalmq_core::command::{
    Answer, Delivery, Gathered, JobView, Policies, QueueView, Receipt, Reply, Told,
};
use shoalmq_core::extras::Tag;
use shoalmq_core::id::{JobId, NodeId, QueueName};
use shoalmq_core::job::Body;
use shoalmq_core::meta::Meta;
use shoalmq_core::outcome::{Fate, Outcome};
use shoalmq_core::register::{DeadLetter, Register};
use shoalmq_core::telling::QueueDepths;

use super::Failure;
use super::queue::{pause_name, state_name};
use shoalmq_resp::{Protocol, encode};

mod explained;
mod topic;

pub use topic::encode_push;

/// The elements of SHOW: a key and a value each of 15 times.
const SHOW_ELEMENTS: usize = 30;
/// The elements of QSTAT: a key and a value each of 10 times.
const QSTAT_ELEMENTS: usize = 20;
/// What WITHMETA tells about a dead letter.
const DEAD_ENTRIES: usize = 5;
/// What FULL appends to them: a key and a value each of 6 times.
const QSTAT_FULL_ELEMENTS: usize = 12;
/// What QLIST tells of each queue.
const QLIST_PAIRS: usize = 10;

/// Appends the reply to one command.
pub fn encode(reply: &Reply, protocol: Protocol, out: &mut Vec<u8>) {
    match reply {
        Reply::Added(id) | Reply::Existing(id) => {
            // As a simple string, in one write, with nothing in it to look for.
            let mut line = *b"+D-00000000-000000000000000000000000-0000\r\n";
            line[1..41].copy_from_slice(&id.text());
            out.extend_from_slice(&line);
        }
        Reply::Receipt(told) => receipt(out, protocol, told),
        Reply::Delivered(jobs, told) => deliveries(out, protocol, jobs, *told),
        Reply::Unread(_) => panic!("its bodies are read before it is told"),
        Reply::NothingToDeliver | Reply::QueueStat(None) => encode::nil_array(out, protocol),
        Reply::Count(count) => number(out, *count),
        Reply::Fates(fates) => {
            encode::array(out, fates.len());
            for (id, fate) in fates {
                encode::array(out, 3);
                encode::bulk(out, id);
                outcome(out, protocol, fate);
            }
        }
        Reply::Explained(explained) => explained::encode(explained.as_deref(), protocol, out),
        Reply::Shown(None) => encode::nil_bulk(out, protocol),
        Reply::Shown(Some(job)) => show(out, protocol, job),
        &Reply::Peeked(ref jobs, meta) => {
            let told = Told {
                meta,
                ..Told::default()
            };
            deliveries(out, protocol, jobs, told);
        }
        Reply::QueueStat(Some(queue)) => queue_stat(out, protocol, queue),
        Reply::PauseState(state) => encode::simple(out, pause_name(*state).as_bytes()),
        Reply::AllPolicies(all) => {
            encode::array(out, all.len());
            for (pattern, set) in all {
                encode::array(out, 2);
                encode::bulk(out, pattern);
                policies(out, protocol, set);
            }
        }
        Reply::Policies(set) => policies(out, protocol, set),
        Reply::Configured => encode::simple(out, b"OK"),
        Reply::Queues(cursor, names) => {
            scan(out, *cursor, names.len());
            for name in names {
                encode::bulk(out, name.as_bytes());
            }
        }
        Reply::JobIds(cursor, ids) => {
            scan(out, *cursor, ids.len());
            for id in ids {
                encode::simple(out, &id.text());
            }
        }
        Reply::Jobs(cursor, jobs) => {
            scan(out, *cursor, jobs.len());
            for job in jobs {
                show(out, protocol, job);
            }
        }
        Reply::Global(gathered) => global(gathered, protocol, out),
        Reply::Topic(reply) => topic::encode(reply, protocol, out),
        Reply::Refused(refusal) => Failure::from(*refusal).encode(out),
    }
}

/// RECEIPT of ADDJOB.
fn receipt(out: &mut Vec<u8>, protocol: Protocol, told: &Receipt) {
    encode::map(out, protocol, 5);
    key(out, "id");
    encode::simple(out, &told.id.text());
    entry(out, "existing", u64::from(told.is_existing));
    entry(out, "copies", u64::from(told.copies));
    entry(out, "on-disk", u64::from(told.on_disk));
    entry(out, "zones", u64::from(told.zones));
}

fn policies(out: &mut Vec<u8>, protocol: Protocol, set: &Policies) {
    encode::map(out, protocol, set.len());
    for (policy, value) in set {
        key(out, policy.name());
        encode::bulk(out, value);
    }
}

/// What the command answers without GLOBAL, and the ids of the nodes that did not answer.
fn global(gathered: &Gathered, protocol: Protocol, out: &mut Vec<u8>) {
    let Gathered { answer, missing } = gathered;
    encode::array(out, 2);
    if let Answer::Queues(view) = answer {
        queue_list(out, protocol, &view.queues);
        return nodes(out, missing);
    }
    let local = match answer.clone() {
        Answer::Count(count) => Reply::Count(count),
        Answer::Peeked(jobs, is_meta) => Reply::Peeked(jobs, is_meta),
        Answer::QueueStat(queue) => Reply::QueueStat(queue),
        Answer::Made(_)
        | Answer::Purged(_)
        | Answer::Redriven(_)
        | Answer::Done(_)
        | Answer::Report(_)
        | Answer::Queues(_) => {
            panic!("no command with GLOBAL asks for it")
        }
        Answer::QueueNames(cursor, names) => Reply::Queues(cursor, names),
        Answer::JobIds(cursor, ids) => Reply::JobIds(cursor, ids),
        Answer::Jobs(cursor, jobs) => Reply::Jobs(cursor, jobs),
    };
    encode(&local, protocol, out);
    nodes(out, missing);
}

fn queue_list(out: &mut Vec<u8>, protocol: Protocol, queues: &[QueueDepths]) {
    encode::array(out, queues.len());
    for queue in queues {
        encode::map(out, protocol, QLIST_PAIRS);
        key(out, "name");
        encode::bulk(out, queue.name.as_bytes());
        entry(out, "ready", queue.depths.ready);
        entry(out, "active", queue.depths.active);
        entry(out, "delayed", queue.depths.delayed);
        entry(out, "dead", queue.depths.dead);
        entry(out, "oldest", queue.oldest.as_secs());
        entry(out, "consumers", queue.consumers);
        entry(out, "in", queue.recent.in_per_second());
        entry(out, "out", queue.recent.out_per_second());
        key(out, "paused");
        encode::bulk(out, pause_name(queue.pause).as_bytes());
    }
}

fn deliveries(out: &mut Vec<u8>, protocol: Protocol, jobs: &[Delivery], told: Told) {
    encode::array(out, jobs.len());
    let elements = 3 + 4 * usize::from(told.counters) + 2 * usize::from(told.meta);
    for job in jobs {
        encode::array(out, elements);
        encode::bulk(out, job.queue.as_bytes());
        job_id(out, &job.id);
        encode::bulk(out, job.body.as_bytes());
        if told.counters {
            entry(out, "nacks", job.nacks);
            entry(out, "additional-deliveries", job.additional_deliveries);
        }
        if told.meta {
            key(out, "meta");
            meta(out, protocol, job);
        }
    }
}

/// What the producer said about a job, how often it was handed out, and what a dead letter died of.
fn meta(out: &mut Vec<u8>, protocol: Protocol, job: &Delivery) {
    let given = Meta::decode(job.extras.get(Tag::META).unwrap_or_default());
    let dead = Register::of(&job.extras).and_then(|register| register.dead);
    let more = 1 + dead.as_ref().map_or(0, |_| DEAD_ENTRIES);
    encode::map(out, protocol, given.pairs().len() + more);
    for (name, value) in given.pairs() {
        encode::bulk(out, name);
        encode::bulk(out, value);
    }
    entry(out, "shoal.deliveries", job.deliveries);
    if let Some(dead) = dead {
        dead_letter(out, &dead);
    }
}

/// What a dead letter died of: [`DEAD_ENTRIES`] keys and values.
fn dead_letter(out: &mut Vec<u8>, dead: &DeadLetter) {
    key(out, "shoal.dead.from");
    encode::bulk(out, &dead.from);
    key(out, "shoal.dead.reason");
    encode::bulk(out, dead.reason.name().as_bytes());
    key(out, "shoal.dead.text");
    encode::bulk(out, &dead.text);
    entry(out, "shoal.dead.deliveries", dead.deliveries);
    entry(out, "shoal.dead.at", dead.at_ms);
}

/// How a job ended, or that it has not, and what there is to say about that.
fn outcome(out: &mut Vec<u8>, protocol: Protocol, fate: &Fate) {
    match fate {
        Fate::Unknown => {
            key(out, "unknown");
            encode::nil_bulk(out, protocol);
        }
        Fate::Pending { progress, .. } => {
            key(out, "pending");
            bulk_or_nil(out, protocol, progress.as_deref());
        }
        Fate::Dead { extras, .. } => {
            key(out, "dead");
            match Register::of(extras).and_then(|register| register.dead) {
                Some(dead) => {
                    encode::map(out, protocol, DEAD_ENTRIES);
                    dead_letter(out, &dead);
                }
                None => encode::map(out, protocol, 0),
            }
        }
        Fate::Ended {
            outcome, result, ..
        } => {
            key(out, outcome.name());
            let other = result.as_deref().filter(|_| *outcome == Outcome::Duplicate);
            match other.and_then(|bytes| bytes.try_into().ok()) {
                Some(id) => encode::bulk(out, &JobId::from_bytes(id).text()),
                None => bulk_or_nil(out, protocol, result.as_deref()),
            }
        }
    }
}

fn show(out: &mut Vec<u8>, protocol: Protocol, job: &JobView) {
    encode::array(out, SHOW_ELEMENTS);
    key(out, "id");
    job_id(out, &job.id);
    key(out, "queue");
    let queue = job.queue.as_ref();
    bulk_or_nil(out, protocol, queue.map(QueueName::as_bytes));
    key(out, "state");
    let state = if job.withdrawn {
        "withdrawn"
    } else {
        state_name(job.state)
    };
    encode::bulk(out, state.as_bytes());
    entry(out, "repl", job.replicate);
    entry(out, "ttl", job.ttl);
    entry(out, "ctime", job.created);
    entry(out, "delay", job.delay);
    entry(out, "retry", job.retry);
    entry(out, "nacks", job.nacks);
    entry(out, "additional-deliveries", job.additional_deliveries);
    key(out, "nodes-delivered");
    nodes(out, &job.holders);
    key(out, "nodes-confirmed");
    nodes(out, &job.confirmed);
    key(out, "next-requeue-within");
    millis_or_nil(out, protocol, job.next_requeue);
    key(out, "next-awake-within");
    millis_or_nil(out, protocol, job.next_awake);
    key(out, "body");
    let body = job.body.as_ref();
    bulk_or_nil(out, protocol, body.map(Body::as_bytes));
}

fn queue_stat(out: &mut Vec<u8>, protocol: Protocol, queue: &QueueView) {
    let more = queue.full.map_or(0, |_| QSTAT_FULL_ELEMENTS);
    encode::array(out, QSTAT_ELEMENTS + more);
    key(out, "name");
    encode::bulk(out, queue.name.as_bytes());
    entry(out, "len", queue.len);
    entry(out, "age", queue.age.as_secs());
    entry(out, "idle", queue.idle.as_secs());
    entry(out, "blocked", queue.blocked);
    key(out, "import-from");
    nodes(out, &queue.import_from);
    entry(out, "import-rate", queue.import_rate);
    entry(out, "jobs-in", queue.jobs_in);
    entry(out, "jobs-out", queue.jobs_out);
    key(out, "pause");
    encode::bulk(out, pause_name(queue.pause).as_bytes());
    if let Some(full) = &queue.full {
        entry(out, "active", full.depths.active);
        entry(out, "delayed", full.depths.delayed);
        entry(out, "dead", full.depths.dead);
        entry(out, "copies", full.depths.copies);
        entry(out, "restored", full.depths.restored);
        key(out, "restored-requeue-within");
        millis_or_nil(out, protocol, full.restored_within);
    }
}

/// Opens the answer of a scan; as many elements as `length` must follow.
fn scan(out: &mut Vec<u8>, cursor: u64, length: usize) {
    encode::array(out, 2);
    encode::bulk_integer(out, cursor);
    encode::array(out, length);
}

fn key(out: &mut Vec<u8>, name: &str) {
    encode::bulk(out, name.as_bytes());
}

fn entry(out: &mut Vec<u8>, name: &str, value: impl Into<u64>) {
    key(out, name);
    number(out, value.into());
}

/// RESP integers are signed: what is above their range, which no counter of ours reaches, is told as their largest.
fn number(out: &mut Vec<u8>, value: u64) {
    encode::integer(out, i64::try_from(value).unwrap_or(i64::MAX));
}

fn job_id(out: &mut Vec<u8>, id: &JobId) {
    // As a bulk, in one write: most replies to GETJOB have more of these than of anything else.
    let mut line = *b"$40\r\nD-00000000-000000000000000000000000-0000\r\n";
    line[5..45].copy_from_slice(&id.text());
    out.extend_from_slice(&line);
}

fn nodes(out: &mut Vec<u8>, nodes: &[NodeId]) {
    encode::array(out, nodes.len());
    for node in nodes {
        encode::bulk(out, &node.text());
    }
}

fn bulk_or_nil(out: &mut Vec<u8>, protocol: Protocol, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => encode::bulk(out, bytes),
        None => encode::nil_bulk(out, protocol),
    }
}

fn millis_or_nil(out: &mut Vec<u8>, protocol: Protocol, time: Option<Duration>) {
    match time {
        Some(time) => number(out, u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        None => encode::nil_bulk(out, protocol),
    }
}

#[cfg(test)]
mod tests;
