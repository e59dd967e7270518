//! A node that leaves: says so, takes nothing new, and gives away what it holds before it goes.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, assert_each_once, drain, until};
use crate::wire::{Connection, LEAVING, Reply, bulk, error, simple};

/// The priority of a node in HELLO.
fn priority(connection: &mut Connection, id: &str) -> Option<String> {
    let hello = connection.call("HELLO");
    let nodes = &hello.items()[2..];
    let node = nodes.iter().find(|node| node.items()[0] == bulk(id))?;
    Some(node.items()[3].text())
}

fn flags(connection: &mut Connection, id: &str) -> String {
    let nodes = connection.call("CLUSTER NODES").text();
    let line = nodes.lines().find(|line| line.starts_with(id));
    let line = line.unwrap_or_else(|| panic!("no {id} in {nodes}"));
    line.split(' ').nth(2).expect("six fields").to_owned()
}

#[test]
fn all_nodes_know_who_leaves() {
    let shoal = Shoal::start(3);
    let id = shoal.id(0);
    let mut connections: Vec<_> = (0..3).map(|node| shoal.connect(node)).collect();
    assert_eq!(connections[0].call("CLUSTER LEAVING"), simple("no"));
    for (word, wanted, flag) in [("yes", "100", true), ("no", "1", false)] {
        assert_eq!(
            connections[0].call(&format!("CLUSTER LEAVING {word}")),
            simple("OK")
        );
        assert_eq!(connections[0].call("CLUSTER LEAVING"), simple(word));
        until("all see its priority", || {
            connections
                .iter_mut()
                .all(|connection| priority(connection, &id).as_deref() == Some(wanted))
        });
        for connection in &mut connections {
            let flags = flags(connection, &id);
            assert_eq!(
                flags.split(',').any(|word| word == "leaving"),
                flag,
                "{flags}"
            );
        }
    }
    let wrong = connections[0].call("CLUSTER LEAVING maybe");
    assert_eq!(
        wrong,
        error("ERR Wrong argument for CLUSTER LEAVING. Use 'yes' or 'no'")
    );
}

#[test]
fn a_leaving_node_adds_elsewhere_and_lets_nobody_wait() {
    let shoal = Shoal::with(4, "--appendonly no --leaving-grace 3600");
    let mut connection = shoal.connect(0);
    let mut blocked = shoal.connect(0);
    blocked.send("GETJOB FROM nothing");
    shoal.nodes[0].wait_for_blocked(1);
    let here = connection.add("here", "body", "REPLICATE 1");
    assert_eq!(connection.call("CLUSTER LEAVING yes"), simple("OK"));
    assert_eq!(blocked.receive(), error(LEAVING));
    assert_eq!(connection.call("GETJOB FROM nothing"), error(LEAVING));
    assert_eq!(
        connection.call("GETJOB TIMEOUT 10 FROM nothing"),
        error(LEAVING)
    );
    assert_eq!(
        connection.call("GETJOB NOHANG FROM nothing"),
        Reply::NilArray
    );

    // The copies are all on others, one of which queues the job.
    let id = connection.add("q", "body", "REPLICATE 2");
    assert_eq!(connection.call(&format!("SHOW {id}")), Reply::NilBulk);
    until("it is queued at one of two", || {
        shoal.nodes_where(&id, "queued").len() == 1 && shoal.copies(&id) == 2
    });
    let refused = connection.call("ADDJOB q body 0 REPLICATE 4");
    let text = "NOREPL Not enough reachable nodes for the requested replication level, since I'm unable to hold a copy \
                of the message for the following reason: I'm leaving the cluster";
    assert_eq!(refused, error(text));
    // And no other chooses it.
    until("the others know", || {
        priority(&mut shoal.connect(1), &shoal.id(0)).as_deref() == Some("100")
    });
    for _ in 0..5 {
        let id = shoal.connect(1).add("q", "body", "REPLICATE 3");
        assert_eq!(shoal.states(&id)[0], None);
    }
    // What it has queued it still serves.
    assert_eq!(connection.take("here").id, here);

    assert_eq!(connection.call("CLUSTER LEAVING no"), simple("OK"));
    let id = connection.add("back", "body", "REPLICATE 3");
    assert_eq!(connection.state(&id), "queued");
}

#[test]
fn a_leaving_node_gives_away_what_it_holds() {
    let shoal = Shoal::with(3, "--appendonly no --leaving-grace 0");
    let mut connection = shoal.connect(0);
    let mut bodies = Vec::new();
    for n in 0..120 {
        let options = match n % 4 {
            0 => "REPLICATE 1 RETRY 1000",
            1 => "REPLICATE 2 RETRY 1000",
            2 => "REPLICATE 3 RETRY 1000",
            _ => "REPLICATE 1 RETRY 0",
        };
        let body = format!("body-{n}");
        connection.add("q", &body, options);
        bodies.push(body);
    }
    let delayed = connection.add("later", "body", "REPLICATE 1 DELAY 3 RETRY 1000");
    assert_eq!(connection.call("CLUSTER LEAVING yes"), simple("OK"));
    until("nothing is queued at the node that leaves", || {
        connection.length("q") == 0
    });
    until("it may go", || {
        shoal.cluster_info(0, "cluster_leaving_jobs_left") == "0"
    });
    assert!(shoal.states(&delayed)[1..].iter().flatten().count() >= 1);
    // Now it may go, and takes nothing with it.
    let mut shoal = shoal;
    drop(connection);
    shoal.kill(&[0]);
    let seen = drain(&shoal, "q", Duration::from_secs(1));
    assert_each_once(&seen, bodies);
    let job = shoal.call(1, "GETJOB TIMEOUT 10000 FROM later");
    assert_eq!(job.items()[0].items()[1].text(), delayed);
}

#[test]
fn a_node_that_is_stopped_hands_over_what_is_queued() {
    for by_command in [true, false] {
        let mut shoal = Shoal::start(3);
        let mut connection = shoal.connect(0);
        let mut bodies = Vec::new();
        for n in 0..60 {
            let options = [
                "REPLICATE 1 RETRY 1000",
                "REPLICATE 3 RETRY 1000",
                "REPLICATE 1 RETRY 0",
            ];
            let body = format!("body-{n}");
            connection.add("q", &body, options[n % 3]);
            bodies.push(body);
        }
        if by_command {
            connection.send("SHUTDOWN");
            connection.assert_closed();
            assert!(shoal.nodes[0].wait_for_end().success());
        } else {
            assert!(shoal.nodes[0].terminate().success());
        }
        let seen = drain(&shoal, "q", Duration::from_secs(1));
        assert_each_once(&seen, bodies);
    }
}

#[test]
fn a_lone_node_stops_with_its_jobs() {
    // Nobody to hand over to: the jobs wait on disk, and the stop does not wait for anybody.
    let mut shoal = Shoal::with(2, "--appendfsync always");
    shoal.kill(&[1]);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 1 RETRY 1000");
    assert!(shoal.nodes[0].terminate().success());
    shoal.nodes[0].restart();
    assert_eq!(shoal.connect(0).take("q").id, id);
}
