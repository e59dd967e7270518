//! Jobs that fail: attempts, backoff, dead letters, and the way back.

use super::*;

/// Of the only dead letter in a queue, what its map says.
fn dead(client: &mut Connection, queue: &str, name: &str) -> String {
    let peeked = client.call(&format!("QPEEK {queue} 9 WITHMETA"));
    let [job] = peeked.items() else {
        panic!("{peeked:?} is not one job");
    };
    assert_eq!(job.items()[3], bulk("meta"));
    let value = job.items()[4].field(name).clone();
    match value {
        Reply::Int(number) => number.to_string(),
        value => value.text(),
    }
}

#[test]
fn a_worker_that_always_fails_leaves_a_dead_letter_that_redrive_sends_back() {
    let (_node, mut client) = start();
    let id = client.add(
        "q",
        "body",
        "MAXDELIVER 10 BACKOFF 1 1 RETRY 60 META trace 7",
    );
    let began = Instant::now();
    for attempt in 1..=10 {
        let taken = client.call("GETJOB TIMEOUT 10000 WITHMETA FROM q");
        let job = &taken.items()[0];
        assert_eq!(job.items()[1].text(), id);
        let meta = &job.items()[4];
        assert_eq!(meta.field("shoal.deliveries"), &int(attempt));
        assert_eq!(meta.field("trace"), &bulk("7"));
        let nack = ["NACK", &id, "REASON", &format!("attempt {attempt}")];
        assert_eq!(client.call_arguments(&nack), int(1));
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(9 * 800), "{took:?}");
    assert_eq!(client.length("q"), 0);
    assert_eq!(dead(&mut client, "q.dead", "shoal.dead.from"), "q");
    assert_eq!(
        dead(&mut client, "q.dead", "shoal.dead.reason"),
        "deliveries"
    );
    assert_eq!(dead(&mut client, "q.dead", "shoal.dead.text"), "attempt 10");
    assert_eq!(dead(&mut client, "q.dead", "shoal.dead.deliveries"), "10");
    assert_eq!(dead(&mut client, "q.dead", "trace"), "7");
    assert_eq!(client.call("REDRIVE q.dead"), int(1));
    assert_eq!(client.length("q.dead"), 0);
    let again = client.call("GETJOB NOHANG WITHCOUNTERS FROM q");
    let counters = &again.items()[0].items()[3..];
    assert_eq!(
        counters,
        [bulk("nacks"), int(0), bulk("additional-deliveries"), int(0)]
    );
    assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
    assert_eq!(client.length("q"), 0);
}

#[test]
fn a_job_that_kills_its_node_is_dead_after_five_kills() {
    for storage in ["sled", "log"] {
        let flags = format!("--storage {storage} --appendonly yes --appendfsync always");
        let mut node = Node::with(&flags);
        let id = node.connect().add("q", "poison", "MAXDELIVER 4 RETRY 1");
        let mut kills = 0;
        loop {
            let taken = node.connect().call("GETJOB TIMEOUT 5000 FROM q q.dead");
            let job = &jobs(&taken)[0];
            assert_eq!(job.id, id, "{storage}");
            if job.queue == "q.dead" {
                break;
            }
            kills += 1;
            assert!(kills <= 5, "{storage}: {kills} hand-outs");
            node.restart_after_kill();
        }
        assert!(kills >= 4, "{storage}: {kills} hand-outs");
        assert_eq!(node.connect().call(&format!("ACKJOB {id}")), int(1));
    }
}

#[test]
fn a_wait_and_a_dead_letter_survive_kill_and_restart() {
    let flags = "--storage log --appendonly yes --appendfsync always";
    let mut node = Node::with(flags);
    let mut client = node.connect();
    let waits = client.add("q", "waits", "RETRY 1");
    client.take("q");
    assert_eq!(client.call(&format!("NACK {waits} DELAY 6")), int(1));
    let given = Instant::now();
    let dead_one = client.add("q", "dead", "RETRY 1");
    client.take("q");
    let nack = format!("NACK {dead_one} DEAD REASON bad");
    assert_eq!(client.call(&nack), int(1));
    for clean in [false, true] {
        let mut client = restarted(&mut node, clean);
        let early = client.length("q");
        let is_over = given.elapsed() >= Duration::from_secs(6);
        assert!(early == 0 || is_over, "{early} after {:?}", given.elapsed());
        // After kill -9 every job waits for its retry.
        eventually("the dead letter is back", || {
            (client.length("q.dead") == 1).then_some(())
        });
        assert_eq!(dead(&mut client, "q.dead", "shoal.dead.text"), "bad");
        assert_eq!(dead(&mut client, "q.dead", "shoal.dead.reason"), "nack");
    }
    let mut client = node.connect();
    eventually("the wait is over", || {
        (client.length("q") == 1).then_some(())
    });
    let waited = given.elapsed();
    assert!(waited >= Duration::from_secs(6), "{waited:?}");
}

#[test]
fn nack_and_redrive_refuse_what_they_cannot_do() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    for (command, refusal) in [
        (
            format!("NACK {id} DEAD DELAY 3"),
            "ERR DEAD excludes DELAY and TO",
        ),
        (
            format!("NACK {id} TO x DEAD"),
            "ERR DEAD excludes DELAY and TO",
        ),
        (
            format!("NACK {id} DELY 3"),
            "ERR syntax error near 'DELY': did you mean DELAY?",
        ),
        (
            format!("NACK {id} DELAY x"),
            "ERR DELAY time must be a non negative number",
        ),
        (
            format!("NACK {id} DELAY"),
            "ERR syntax error near 'DELAY': its value is missing",
        ),
        (
            format!("NACK {id} nonsense"),
            "BADID Invalid Job ID format.",
        ),
        (
            "ADDJOB q b 0 MAXDELIVER 0".to_owned(),
            "ERR MAXDELIVER must be between 1 and 65535",
        ),
        (
            "ADDJOB q b 0 DEAD q".to_owned(),
            "ERR DEAD must name another queue",
        ),
        (
            "ADDJOB q b 0 BACKOFF 9 3".to_owned(),
            "ERR BACKOFF needs base and max between 1 and 604800 seconds, base not above max",
        ),
        (
            "ADDJOB q b 0 RETRY 0 MAXDELIVER 3".to_owned(),
            "ERR MAXDELIVER, DEAD, BACKOFF and DEDUP need RETRY > 0",
        ),
        (
            "QCONFIG q SET backoff 9".to_owned(),
            "ERR BACKOFF needs base and max between 1 and 604800 seconds, base not above max: \
             write base:max",
        ),
        (
            "REDRIVE q COUNT 0".to_owned(),
            "ERR COUNT must be a number greater than zero",
        ),
        (
            "REDRIVE q CONT 3".to_owned(),
            "ERR syntax error near 'CONT': did you mean COUNT?",
        ),
    ] {
        assert_eq!(client.call(&command), error(refusal), "{command}");
    }
    assert_eq!(client.state(&id), "queued");
}
