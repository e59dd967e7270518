//! Delays, ttls and retries go on across restarts, and while nothing runs.

use super::*;

#[test]
fn a_delay_goes_on_across_restarts() {
    for clean in [true, false] {
        let mut node = durable();
        let added = Instant::now();
        let id = node.connect().add("q", "body", "DELAY 3");
        if clean {
            node.restart_cleanly();
        } else {
            node.restart_after_kill();
        }
        let mut client = node.connect();
        assert_eq!(client.state(&id), "active");
        let job = client.call("GETJOB TIMEOUT 8000 FROM q");
        let elapsed = added.elapsed();
        assert_eq!(jobs(&job)[0].id, id);
        let range = Duration::from_millis(2_900)..Duration::from_millis(4_200);
        assert!(range.contains(&elapsed), "clean {clean}: {elapsed:?}");
    }
}

#[test]
fn a_delay_that_ended_while_the_node_was_down_is_over() {
    let mut node = durable();
    let added = Instant::now();
    let id = node.connect().add("q", "body", "DELAY 1 RETRY 600");
    assert!(node.terminate().success());
    // Until the delay is over: nothing runs that could tell.
    thread::sleep(Duration::from_millis(1_100).saturating_sub(added.elapsed()));
    node.restart();
    let job = node.connect().call("GETJOB TIMEOUT 1500 FROM q");
    assert_eq!(jobs(&job)[0].id, id);
}

#[test]
fn a_ttl_goes_on_across_restarts_and_while_the_node_is_down() {
    for clean in [true, false] {
        let mut node = durable();
        let added = Instant::now();
        let mut client = node.connect();
        let short = client.add("q", "short", "TTL 4 RETRY 1");
        let long = client.add("q", "long", "TTL 100 RETRY 1");
        if clean {
            assert!(node.terminate().success());
        } else {
            node.kill();
        }
        // A part of the ttl passes while nothing runs.
        thread::sleep(Duration::from_millis(1_500).saturating_sub(added.elapsed()));
        node.restart();
        let mut client = node.connect();
        let left = client.show(&long).field("ttl").int();
        assert!(
            (90..=99).contains(&left),
            "clean {clean}: {left} s left of 100 after {:?}",
            added.elapsed()
        );
        eventually("the short job expires", || {
            (!is_known(&mut client, &short)).then_some(())
        });
        let elapsed = added.elapsed();
        assert!(
            elapsed < Duration::from_millis(5_600),
            "clean {clean}: {elapsed:?}"
        );
        assert!(is_known(&mut client, &long));
    }
}

#[test]
fn a_retry_goes_on_after_a_clean_stop() {
    let mut node = durable();
    let mut client = node.connect();
    let delivered = Instant::now();
    let id = client.add("q", "body", "RETRY 3");
    client.take("q");
    node.restart_cleanly();
    let again = node
        .connect()
        .call("GETJOB TIMEOUT 10000 WITHCOUNTERS FROM q");
    let elapsed = delivered.elapsed();
    assert_eq!(again.items()[0].items()[1], bulk(&id));
    assert_eq!(again.items()[0].items()[6], int(1));
    assert!(
        elapsed > Duration::from_millis(2_400) && elapsed < Duration::from_millis(5_500),
        "{elapsed:?}"
    );
}
