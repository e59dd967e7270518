//! Outcomes: RESULT, KEEP, WAITJOB, PROGRESS and DELJOB GLOBAL at one node.

use super::*;

/// What WAITJOB says of one job.
fn outcome(id: &str, outcome: &str, detail: Reply) -> Reply {
    array([array([bulk(id), bulk(outcome), detail])])
}

#[test]
fn a_producer_waits_for_its_job_and_gets_the_result() {
    let (node, mut client) = start();
    let id = client.add("q", "body", "");
    let mut producer = node.connect();
    producer.send(&format!("WAITJOB {id}"));
    let said = client.call(&format!("WAITJOB TIMEOUT 1 {id}"));
    assert_eq!(said, outcome(&id, "pending", Reply::NilBulk));
    assert_eq!(
        client.call(&format!("WORKING {id} PROGRESS half")),
        int(300)
    );
    let said = client.call(&format!("WAITJOB TIMEOUT 1 {id}"));
    assert_eq!(said, outcome(&id, "pending", bulk("half")));
    assert_eq!(client.call(&format!("ACKJOB {id} RESULT 42")), int(1));
    assert_eq!(producer.receive(), outcome(&id, "acked", bulk("42")));
    let said = client.call(&format!("WAITJOB {id}"));
    assert_eq!(
        said,
        outcome(&id, "acked", Reply::NilBulk),
        "only the end is remembered"
    );
}

#[test]
fn an_end_that_is_kept_survives_kill_and_restart_on_both_backends() {
    for backend in ["sled", "log"] {
        let mut node = Node::with(&format!(
            "--appendonly yes --storage {backend} --appendfsync always"
        ));
        let mut client = node.connect();
        let id = client.add("q", "body", "KEEP 600");
        let large = "x".repeat(65_536);
        let ack = client.call_arguments(&["ACKJOB", &id, "RESULT", &large]);
        assert_eq!(ack, int(1));
        let dead = client.add("q", "body", "MAXDELIVER 1");
        assert_eq!(client.call(&format!("NACK {dead} DEAD REASON why")), int(1));
        for clean in [false, true] {
            let mut client = restarted(&mut node, clean);
            let said = client.call(&format!("WAITJOB {id} {dead}"));
            assert_eq!(said.items()[0].items()[2], bulk(&large), "{backend}");
            let [_, kind, map] = said.items()[1].items() else {
                panic!("{said:?} has not three elements");
            };
            assert_eq!(*kind, bulk("dead"));
            assert_eq!(map.field("shoal.dead.text"), &bulk("why"));
            assert_eq!(client.length("q"), 0);
        }
    }
}

#[test]
fn a_cancelled_job_is_deleted_and_wrong_arguments_change_nothing() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    let large = "x".repeat(65_537);
    let refused = client.call_arguments(&["ACKJOB", &id, "RESULT", &large]);
    assert_eq!(
        refused,
        error("ERR RESULT is larger than result-max-size (65536)")
    );
    let refused = client.call(&format!("DELJOB {id} GLOABL"));
    assert_eq!(
        refused,
        error("ERR syntax error near 'GLOABL': did you mean GLOBAL?")
    );
    let refused = client.call("ADDJOB q b 0 KEEP 0");
    assert_eq!(refused, error("ERR KEEP must be between 1 and 604800"));
    assert_eq!(client.call("CONFIG SET result-max-size 1"), simple("OK"));
    let refused = client.call(&format!("ACKJOB {id} RESULT 42"));
    assert_eq!(
        refused,
        error("ERR RESULT is larger than result-max-size (1)")
    );
    assert_eq!(client.length("q"), 1);
    assert_eq!(client.call(&format!("DELJOB {id} GLOBAL")), int(1));
    assert_eq!(client.length("q"), 0);
    let said = client.call(&format!("WAITJOB TIMEOUT 1000 {id}"));
    assert_eq!(said, outcome(&id, "deleted", Reply::NilBulk));
    assert_eq!(client.info("deleted_jobs"), "1");
    let unknown = "D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2K-05a1";
    let said = client.call(&format!("WAITJOB {unknown}"));
    assert_eq!(said, outcome(unknown, "unknown", Reply::NilBulk));
}
