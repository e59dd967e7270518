//! Copies: how many there are when a producer is answered, and what they are good for.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, assert_each_once, drain, until};
use crate::wire::{Reply, encode_words, error, simple};

const TOO_FEW: &str = "NOREPL Not enough reachable nodes for the requested replication level";
const TIMEOUT: &str = "NOREPL Timeout reached before replicating to the requested number of nodes";

fn holders(reply: &Reply) -> usize {
    reply.field("nodes-delivered").items().len()
}

#[test]
fn a_job_is_on_as_many_nodes_as_asked_when_addjob_answers() {
    for nodes in [3, 5] {
        let shoal = Shoal::start(nodes);
        let mut connection = shoal.connect(0);
        for replicate in 1..=nodes {
            let id = connection.add("q", "body", &format!("REPLICATE {replicate}"));
            let states = shoal.states(&id);
            let copies = states.iter().flatten().count();
            assert!(copies >= replicate, "REPLICATE {replicate}: {states:?}");
            assert_eq!(shoal.nodes_where(&id, "queued"), [0]);
            assert_eq!(shoal.nodes_where(&id, "active").len(), copies - 1);
            assert!(holders(&connection.show(&id)) >= replicate);
        }
        let id = connection.add("q", "body", "");
        assert!(shoal.copies(&id) >= 3, "the default is 3");
        assert_eq!(connection.show(&id).field("repl").int(), 3);
    }
}

#[test]
fn a_copy_is_the_same_job() {
    let shoal = Shoal::start(3);
    let options = "REPLICATE 3 DELAY 40 RETRY 50 TTL 6000";
    let id = shoal.connect(1).add("a queue", "body", options);
    for node in 0..3 {
        let shown = shoal.connect(node).show(&id);
        for (field, value) in [("queue", "a queue"), ("state", "active"), ("body", "body")] {
            assert_eq!(shown.field(field).text(), value);
        }
        for (field, value) in [("repl", 3), ("delay", 40), ("retry", 50), ("nacks", 0)] {
            assert_eq!(shown.field(field).int(), value, "{field}");
        }
        assert!((5_980..=6001).contains(&shown.field("ttl").int()));
        assert!(!shown.field("nodes-delivered").items().is_empty());
    }
}

#[test]
fn pipelined_addjobs_replicate_at_once_and_are_answered_in_order() {
    const COUNT: usize = 300;
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    let commands: Vec<_> = (0..COUNT)
        .map(|n| encode_words(&format!("ADDJOB q body-{n} 5000 REPLICATE {}", 1 + n % 3)))
        .collect();
    connection.send_raw(&commands.concat());
    let ids: Vec<_> = (0..COUNT)
        .map(|_| connection.receive().simple_text().to_owned())
        .collect();
    for (n, id) in ids.iter().enumerate() {
        let shown = connection.show(id);
        assert_eq!(shown.field("body").text(), format!("body-{n}"));
        assert!(shoal.copies(id) > n % 3);
    }
}

#[test]
fn an_addjob_that_waits_does_not_hold_up_the_next() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    shoal.nodes[2].freeze();
    connection.send("ADDJOB q slow 0 REPLICATE 3");
    connection.send("ADDJOB q fast 0 REPLICATE 1");
    let mut other = shoal.connect(0);
    until("the second is queued", || other.length("q") == 1);
    connection.assert_silent();
    shoal.nodes[2].thaw();
    for body in ["slow", "fast"] {
        let id = connection.receive().simple_text().to_owned();
        assert_eq!(other.show(&id).field("body").text(), body);
    }
}

#[test]
fn a_job_that_lacks_copies_in_time_is_refused_and_gone() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    shoal.nodes[2].freeze();
    let refused = connection.call("ADDJOB q body 200 REPLICATE 3");
    assert_eq!(refused, error(TIMEOUT));
    // The same for a producer that leaves.
    let mut impatient = shoal.connect(0);
    impatient.send("ADDJOB q body 0 REPLICATE 3");
    until("the job waits", || {
        connection.info("adds_waiting_for_copies") == "1"
    });
    drop(impatient);
    until("the job is withdrawn, too", || {
        connection.info("withdrawn_jobs_waiting") == "2"
    });
    shoal.nodes[2].thaw();
    shoal.wait_until_empty();
}

#[test]
fn all_but_one_copy_may_be_killed() {
    for (nodes, replicate, killed) in [(5, 3, [0, 2].as_slice()), (7, 4, &[0, 3, 6])] {
        let mut shoal = Shoal::start(nodes);
        let mut connection = shoal.connect(0);
        let bodies: Vec<_> = (0..40).map(|n| format!("body-{n}")).collect();
        for body in &bodies {
            connection.add("q", body, &format!("REPLICATE {replicate} RETRY 1"));
        }
        drop(connection);
        shoal.kill(killed);
        let mut left = bodies.clone();
        let mut consumer = shoal.connect(1);
        until("every job comes", || {
            let reply = consumer.call("GETJOB TIMEOUT 1000 COUNT 50 FROM q");
            if reply != Reply::NilArray {
                for job in crate::wire::jobs(&reply) {
                    consumer.call(&format!("ACKJOB {}", job.id));
                    left.retain(|body| *body != job.body);
                }
            }
            left.is_empty()
        });
    }
}

#[test]
fn with_a_node_down_an_explicit_number_of_copies_is_strict_and_the_default_is_not() {
    let mut shoal = Shoal::start(3);
    shoal.kill(&[2]);
    let mut connection = shoal.connect(0);
    for asynchronous in ["", " ASYNC"] {
        let command = format!("ADDJOB q body 0 REPLICATE 3{asynchronous}");
        assert_eq!(connection.call(&command), error(TOO_FEW));
    }
    assert_eq!(
        connection.call("ADDJOB q b 0 REPLICATE 65535"),
        error(TOO_FEW)
    );
    let id = connection.add("q", "body", "");
    assert_eq!(shoal.copies(&id), 2, "as many as there are");
    assert_eq!(connection.show(&id).field("repl").int(), 3, "the aim stays");
    shoal.restart(2);
    until("the third copy is made", || shoal.copies(&id) == 3);
    assert_eq!(shoal.nodes_where(&id, "queued"), [0]);

    shoal.kill(&[1, 2]);
    assert_eq!(connection.call("ADDJOB q body 0"), error(TOO_FEW));
    let id = connection.add("q", "body", "REPLICATE 1");
    assert_eq!(shoal.copies(&id), 1);
}

#[test]
fn a_node_that_hangs_does_not_hold_up_the_default() {
    let shoal = Shoal::start(3);
    shoal.nodes[2].freeze();
    // Two copies will do once the third node is known to hang; until then the job waits for it.
    let id = shoal.connect(0).add("q", "body", "");
    assert!(
        shoal
            .connect(0)
            .show(&id)
            .field("nodes-delivered")
            .items()
            .len()
            >= 2
    );
    shoal.nodes[2].thaw();
    until("the third copy is made", || shoal.copies(&id) == 3);
}

#[test]
fn one_more_candidate_is_tried_when_the_first_hangs() {
    let shoal = Shoal::start(3);
    shoal.nodes[2].freeze();
    let mut connection = shoal.connect(0);
    // One of these would sooner or later have chosen the hanging node alone.
    for n in 0..20 {
        let reply = connection.call(&format!("ADDJOB q body-{n} 10000 REPLICATE 2"));
        let id = reply.simple_text();
        assert_eq!(connection.state(id), "queued");
        assert_eq!(shoal.call(1, &format!("SHOW {id}")).items().len(), 30);
    }
    shoal.nodes[2].thaw();
}

#[test]
fn asynchronous_jobs_are_answered_at_once_and_copied_later() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    shoal.nodes[1].freeze();
    shoal.nodes[2].freeze();
    let id = connection.add("q", "body", "REPLICATE 3 ASYNC");
    assert_eq!(connection.state(&id), "queued");
    shoal.nodes[1].thaw();
    shoal.nodes[2].thaw();
    until("all hold it", || shoal.copies(&id) == 3);
    let seen = drain(&shoal, "q", Duration::from_millis(100));
    assert_each_once(&seen, ["body".to_owned()]);
    shoal.wait_until_empty();
}

#[test]
fn at_most_once_jobs_have_one_copy() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    let refused = error(
        "ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)",
    );
    assert_eq!(connection.call("ADDJOB q body 0 RETRY 0"), refused);
    assert_eq!(
        connection.call("ADDJOB q body 0 RETRY 0 REPLICATE 2"),
        refused
    );
    let id = connection.add("q", "body", "RETRY 0 REPLICATE 1");
    assert_eq!(shoal.copies(&id), 1);
}

#[test]
fn the_default_follows_the_configuration() {
    let shoal = Shoal::with(3, "--appendonly no --default-replicate 2");
    let mut connection = shoal.connect(0);
    let id = connection.add("q", "body", "");
    assert_eq!(connection.show(&id).field("repl").int(), 2);
    let set = connection.call("CONFIG SET default-replicate 1");
    assert_eq!(set, simple("OK"));
    let id = connection.add("q", "body", "");
    assert_eq!(connection.show(&id).field("repl").int(), 1);
}
