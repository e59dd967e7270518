//! The levels of `maxmemory`: what is refused and what is thrown out at 75 %, 95 % and 100 %.

use crate::fixture::{Node, within};
use crate::wire::{Connection, Reply, count, error, int, simple};
use std::time::Duration;

const LIMIT: u64 = 8 * 1024 * 1024;

const NO_REPLICA: &str = "NOREPL Not enough reachable nodes for the requested replication level, since I'm unable to \
                          hold a copy of the message for the following reason: I'm out of memory";
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

fn start() -> (Node, Connection) {
    let node = Node::with(&format!("--maxmemory {LIMIT} --memory-policy refuse"));
    let client = node.connect();
    (node, client)
}

/// Adds jobs until the node takes no more, and answers their ids and the refusal.
fn fill(client: &mut Connection, options: &str) -> (Vec<String>, String) {
    let body = "x".repeat(10_000);
    let mut ids = Vec::new();
    for _ in 0..2_000 {
        let mut arguments = vec!["ADDJOB", "q", &body, "0"];
        arguments.extend(options.split_whitespace());
        match client.call_arguments(&arguments) {
            Reply::Simple(id) => ids.push(id),
            refused => return (ids, refused.error_text().to_owned()),
        }
    }
    panic!("20 MB fit into {LIMIT} bytes");
}

fn used(client: &mut Connection) -> u64 {
    client
        .info("used_memory")
        .parse()
        .expect("used_memory is a number")
}

/// Raises or lowers the limit so that `percent` percent of it are used.
fn set_level(client: &mut Connection, percent: u64) {
    let limit = used(client) * 100 / percent;
    assert_eq!(
        client.call(&format!("CONFIG SET maxmemory {limit}")),
        simple("OK")
    );
}

#[test]
fn above_three_quarters_a_lone_node_holds_no_new_copy() {
    let (_node, mut client) = start();
    let (ids, refusal) = fill(&mut client, "");
    assert_eq!(refusal, NO_REPLICA);
    let share = used(&mut client) * 100 / LIMIT;
    assert!(
        (75..=80).contains(&share),
        "refused at {share} % of maxmemory"
    );
    assert_eq!(client.call("PING"), simple("PONG"));
    client.take("q");
    assert_eq!(
        client.call(&format!("NACK {}", ids[0])),
        int(1),
        "what is held may still move"
    );
    for id in ids.iter().rev().take(20) {
        assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
    }
    client.add("q", "there is room again", "");
}

#[test]
fn above_95_percent_commands_that_need_memory_are_refused() {
    let (_node, mut client) = start();
    let (ids, _) = fill(&mut client, "");
    client.take("q");
    set_level(&mut client, 105);
    let commands = [
        "ADDJOB q body 0".to_owned(),
        format!("ENQUEUE {}", ids[0]),
        format!("NACK {}", ids[0]),
    ];
    for command in commands
        .iter()
        .map(String::as_str)
        .chain(["NACK", "ENQUEUE"])
    {
        assert_eq!(client.call(command), error(OUT_OF_MEMORY), "{command}");
    }
    assert_eq!(
        client.call("ADDJOB q"),
        crate::wire::wrong_arity("addjob"),
        "arity comes before memory"
    );
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(client.call(&format!("WORKING {}", ids[0])), int(300));
    assert_eq!(client.call("QLEN q"), count(ids.len() - 1));
    client.take("q");
    assert_eq!(
        client.call(&format!("ACKJOB {} {}", ids[0], ids[1])),
        int(2)
    );
    set_level(&mut client, 50);
    client.add("q", "there is room again", "");
}

#[test]
fn delivered_at_most_once_jobs_are_thrown_out_before_anything_is_refused() {
    let (_node, mut client) = start();
    let kept = client.add("kept", "at least once", "");
    let delivered = client.add("kept", "at least once, delivered", "");
    client.call("GETJOB COUNT 2 FROM kept");
    let (ids, _) = fill(&mut client, "RETRY 0");
    let taken = client.call(&format!("GETJOB COUNT {} FROM q", ids.len() / 2));
    assert_eq!(taken.items().len(), ids.len() / 2);
    set_level(&mut client, 98);
    assert_eq!(
        client.call("NACK"),
        int(0),
        "a command that needs memory finds room by throwing out"
    );
    assert_eq!(client.call(&format!("SHOW {}", ids[0])), Reply::NilBulk);
    for id in [&kept, &delivered, &ids[ids.len() - 1]] {
        client.show(id);
    }
    assert_eq!(
        client.call("QLEN q"),
        count(ids.len() - ids.len() / 2),
        "no job that may still be delivered is touched"
    );
}

#[test]
fn idle_queues_go_early_when_memory_is_short() {
    let (_node, mut client) = start();
    fill(&mut client, "");
    client.call("GETJOB TIMEOUT 1 FROM idle");
    client.call("PAUSE paused in");
    assert_ne!(
        client.call("QSTAT idle"),
        Reply::NilArray,
        "blocking makes the queue exist"
    );
    set_level(&mut client, 97);
    within(Duration::from_secs(8), "the idle queue goes", || {
        (client.call("QSTAT idle") == Reply::NilArray).then_some(())
    });
    assert_ne!(
        client.call("QSTAT paused"),
        Reply::NilArray,
        "a paused queue stays"
    );
    assert_ne!(
        client.call("QSTAT q"),
        Reply::NilArray,
        "a queue with jobs stays"
    );
}

#[test]
fn an_empty_node_uses_nothing_and_gives_back_what_it_used() {
    let (_node, mut client) = start();
    let empty = used(&mut client);
    assert!(empty < 256 * 1024, "{empty} bytes on an empty node");
    fill(&mut client, "");
    assert!(used(&mut client) > LIMIT / 2);
    client.call("DEBUG FLUSHALL");
    assert!(
        used(&mut client) <= empty + 64 * 1024,
        "{} bytes after FLUSHALL",
        used(&mut client)
    );
}
