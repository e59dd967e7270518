//! How a job comes back: NACK, ENQUEUE and DEQUEUE, WORKING, its retry, its delay.

use super::*;

#[test]
fn enqueue_puts_back_active_jobs_and_counts_the_delivery() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    assert_eq!(
        client.call(&format!("ENQUEUE {id} {UNKNOWN}")),
        int(0),
        "already queued, unknown"
    );
    client.take("q");
    assert_eq!(client.call(&format!("ENQUEUE {id} {id}")), int(1));
    assert_eq!(client.state(&id), "queued");
    assert_eq!(number(&mut client, &id, "additional-deliveries"), 1);
    assert_eq!(number(&mut client, &id, "nacks"), 0);
}

#[test]
fn enqueue_ends_a_delay_at_once() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "DELAY 60");
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(1));
    assert_eq!(client.length("q"), 1);
    assert_eq!(
        number(&mut client, &id, "additional-deliveries"),
        0,
        "it is the first queueing"
    );
}

#[test]
fn nack_puts_the_job_back_to_its_old_place_and_counts() {
    let (_node, mut client) = start();
    let first = client.add("q", "first", "");
    client.add("q", "second", "");
    client.take("q");
    assert_eq!(client.call(&format!("NACK {first} {UNKNOWN}")), int(1));
    assert_eq!(number(&mut client, &first, "nacks"), 1);
    assert_eq!(number(&mut client, &first, "additional-deliveries"), 0);
    assert_eq!(
        client.call(&format!("NACK {first}")),
        int(0),
        "already queued"
    );
    assert_eq!(
        bodies(&client.call("GETJOB COUNT 2 FROM q")),
        ["first", "second"]
    );
    assert_eq!(client.call(&format!("NACK {first}")), int(1));
    assert_eq!(number(&mut client, &first, "nacks"), 2);
}

#[test]
fn dequeue_makes_queued_jobs_active() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    assert_eq!(client.call(&format!("DEQUEUE {id} {UNKNOWN} {id}")), int(1));
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.call(&format!("DEQUEUE {id}")), int(0));
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(1));
    assert_eq!(client.take("q").id, id);
}

#[test]
fn working_postpones_the_retry_and_answers_it() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 10");
    client.take("q");
    eventually("part of the retry has gone", || {
        (number(&mut client, &id, "next-requeue-within") < 9_300).then_some(())
    });
    assert_eq!(client.call(&format!("WORKING {id}")), int(10));
    let left = number(&mut client, &id, "next-requeue-within");
    assert!((9_400..=10_600).contains(&left), "{left}");
}

#[test]
fn working_takes_a_queued_job_out_of_its_queue() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 10");
    assert_eq!(client.call(&format!("WORKING {id}")), int(10));
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.state(&id), "active");
}

#[test]
fn working_refuses_unknown_jobs_and_has_nothing_to_postpone_at_retry_0() {
    let (_node, mut client) = start();
    let unknown = error("NOJOB Job not known in the context of this node.");
    assert_eq!(client.call(&format!("WORKING {UNKNOWN}")), unknown);
    let id = client.add("q", "body", "RETRY 0");
    client.take("q");
    assert_eq!(client.call(&format!("WORKING {id}")), int(0));
}

#[test]
fn working_is_too_late_after_half_of_the_ttl() {
    let (_node, mut client) = start();
    let added = Instant::now();
    let id = client.add("q", "body", "TTL 4 RETRY 1");
    assert_eq!(client.call(&format!("WORKING {id}")), int(1));
    let too_late = "TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next delivery.";
    let refused = eventually("WORKING is refused", || {
        let reply = client.call(&format!("WORKING {id}"));
        (reply != int(1)).then_some(reply)
    });
    assert_eq!(refused, error(too_late));
    let elapsed = added.elapsed();
    assert!(
        elapsed > Duration::from_millis(900) && elapsed < Duration::from_millis(3_200),
        "{elapsed:?}"
    );
}

#[test]
fn an_unacknowledged_job_is_delivered_again_after_its_retry() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 1");
    client.take("q");
    let delivered = Instant::now();
    let again = client.call("GETJOB WITHCOUNTERS TIMEOUT 5000 FROM q");
    let elapsed = delivered.elapsed();
    assert_eq!(again.items()[0].items()[1], bulk(&id));
    assert_eq!(again.items()[0].items()[4], int(0), "nacks");
    assert_eq!(again.items()[0].items()[6], int(1), "additional deliveries");
    assert!(
        elapsed > Duration::from_millis(450) && elapsed < Duration::from_millis(1_800),
        "{elapsed:?}"
    );
    assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
}

#[test]
fn a_job_with_retry_0_is_never_queued_again() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 0");
    assert_eq!(
        *client.show(&id).field("next-requeue-within"),
        Reply::NilBulk
    );
    client.take("q");
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(0));
    assert_eq!(client.call(&format!("NACK {id}")), int(0));
    assert_eq!(
        *client.show(&id).field("next-requeue-within"),
        Reply::NilBulk
    );
    assert_eq!(client.call("GETJOB TIMEOUT 300 FROM q"), Reply::NilArray);
    assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
}

#[test]
fn a_delayed_job_is_active_until_its_time() {
    let (_node, mut client) = start();
    let added = Instant::now();
    let id = client.add("q", "body", "DELAY 1");
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    let job = client.call("GETJOB WITHCOUNTERS TIMEOUT 5000 FROM q");
    let elapsed = added.elapsed();
    assert_eq!(
        job.items()[0].items()[6],
        int(0),
        "the first queueing is no additional delivery"
    );
    assert!(
        elapsed > Duration::from_millis(990) && elapsed < Duration::from_millis(1_400),
        "{elapsed:?}"
    );
}
