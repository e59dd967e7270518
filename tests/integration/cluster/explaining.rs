//! EXPLAIN with several nodes: any node says where a job is, who has it, and what happened to it anywhere.

use std::collections::BTreeMap;

use crate::cluster::fixture::{Shoal, until};
use crate::wire::{Reply, int};

/// Names and values of a flat list.
fn pairs(reply: Reply) -> BTreeMap<String, Reply> {
    let Reply::Array(items) = reply else {
        panic!("{reply:?} has no pairs");
    };
    let pairs = items.chunks_exact(2);
    pairs.map(|it| (it[0].text(), it[1].clone())).collect()
}

fn list(reply: &Reply) -> Vec<Reply> {
    match reply {
        Reply::Array(items) => items.clone(),
        other => panic!("{other:?} is no list"),
    }
}

fn explain(shoal: &Shoal, node: usize, id: &str) -> BTreeMap<String, Reply> {
    pairs(shoal.call(node, &format!("EXPLAIN {id}")))
}

fn events(told: &BTreeMap<String, Reply>) -> Vec<(String, String)> {
    let events = list(&told["events"]).into_iter();
    let named = events.map(|event| {
        let event = list(&event);
        (event[1].text(), event[2].text())
    });
    named.collect()
}

#[test]
fn a_job_that_a_client_of_another_node_has_is_explained_by_a_third_one() {
    let mut shoal = Shoal::start(3);
    let id = shoal
        .connect(0)
        .add("q", "body", "REPLICATE 2 RETRY 300 KEEP 600");
    let ready = explain(&shoal, 2, &id);
    assert_eq!(ready["state"].text(), "queued");
    assert_eq!(list(&ready["copies"]).len(), 2);
    let mut worker = shoal.connect(1);
    worker.call("CLIENT SETNAME worker-1");
    let Reply::Int(client) = worker.call("CLIENT ID") else {
        panic!("a connection has a number");
    };
    let Reply::Array(jobs) = worker.call("GETJOB FROM q") else {
        panic!("there is one");
    };
    assert_eq!(list(&jobs[0])[1].text(), id);
    worker.call(&format!("WORKING {id} PROGRESS half"));
    let out = explain(&shoal, 2, &id);
    assert_eq!(
        (out["id"].text(), out["state"].text()),
        (id.clone(), "active".to_owned())
    );
    assert_eq!(
        (out["queue"].text(), out["progress"].text()),
        ("q".to_owned(), "half".to_owned())
    );
    let held = pairs(out["held-by"].clone());
    assert_eq!(held["node"].text(), shoal.id(1));
    assert_eq!(
        (&held["client"], held["name"].text()),
        (&int(client), "worker-1".to_owned())
    );
    let begin = format!("Client {client} got it at node {}", &shoal.id(1)[..8]);
    assert!(
        out["why"].text().starts_with(&begin),
        "{}",
        out["why"].text()
    );
    let happened = events(&out);
    for (node, event) in [
        (0, "added"),
        (0, "shipped"),
        (1, "handed out"),
        (1, "working"),
    ] {
        let wanted = (shoal.id(node), event.to_owned());
        assert!(
            happened.contains(&wanted),
            "{event} is not among {happened:?}"
        );
    }
    let turns = list(&out["copies"]).into_iter().map(pairs);
    let turns = turns.filter(|copy| copy["turn"] == int(1));
    let turns: Vec<String> = turns.map(|copy| copy["node"].text()).collect();
    assert_eq!(turns, [shoal.id(1)]);
    assert_eq!(list(&out["missing"]), []);

    let first = shoal.id(0);
    shoal.kill(&[0]);
    until("the others notice", || {
        let out = explain(&shoal, 2, &id);
        out["state"].text() == "active" && list(&out["missing"]).len() == 1
    });
    let out = explain(&shoal, 2, &id);
    assert_eq!(list(&out["missing"])[0].text(), first);
    drop(worker);
    until("the worker is gone", || {
        let held = pairs(explain(&shoal, 2, &id)["held-by"].clone());
        held["name"].text().is_empty()
    });
    shoal.call(2, &format!("ACKJOB {id}"));
    for node in [1, 2] {
        until("it is over", || {
            let told = explain(&shoal, node, &id);
            told["state"].text() == "acked" && told["held-by"] == Reply::NilBulk
        });
    }
}

#[test]
fn a_job_that_no_node_knows_is_nil() {
    let shoal = Shoal::start(2);
    let id = "D-0123abcd-AAAAAAAAAAAAAAAAAAAAAAAA-05a1";
    assert_eq!(shoal.call(0, &format!("EXPLAIN {id}")), Reply::NilBulk);
}
