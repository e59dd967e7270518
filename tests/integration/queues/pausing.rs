//! PAUSE: queues that take no jobs, or hand out none.

use super::*;

#[test]
fn pause_answers_the_resulting_state_as_a_simple_string() {
    let (_node, mut client) = start();
    let cases = [
        ("state", "none"),
        ("in", "in"),
        ("state", "in"),
        ("out", "out"),
        ("in out", "all"),
        ("all", "all"),
        ("STATE", "all"),
        ("none in", "in"),
        ("in none", "none"),
        ("all none out", "out"),
        ("OUT In", "all"),
        ("none", "none"),
    ];
    for (options, state) in cases {
        assert_eq!(
            client.call(&format!("PAUSE q {options}")),
            simple(state),
            "{options}"
        );
        assert_eq!(stat_or_none(&mut client), state, "{options}");
    }
    let refused = client.call("PAUSE q in sideways");
    assert!(refused.refuses("ERR syntax error"), "{refused:?}");
    assert_eq!(
        stat_or_none(&mut client),
        "none",
        "a refused PAUSE changes nothing"
    );
}

fn stat_or_none(client: &mut Connection) -> String {
    match client.call("QSTAT q") {
        Reply::NilArray => "none".to_owned(),
        figures => figures.field("pause").text(),
    }
}

#[test]
fn asking_for_the_pause_state_makes_no_queue_and_pausing_does() {
    let (_node, mut client) = start();
    assert_eq!(client.call("PAUSE q state"), simple("none"));
    assert_eq!(client.call("QSTAT q"), Reply::NilArray);
    assert_eq!(client.call("PAUSE q in"), simple("in"));
    assert_eq!(stat(&mut client, "q", "len"), int(0));
}

#[test]
fn a_queue_paused_in_input_refuses_new_jobs_and_still_delivers() {
    let (_node, mut client) = start();
    client.add("q", "before", "");
    client.call("PAUSE q in");
    let paused = error("PAUSED Queue paused in input, try later");
    assert_eq!(client.call("ADDJOB q body 0"), paused);
    assert_eq!(client.call("ADDJOB q body 0 DELAY 5"), paused);
    assert_eq!(client.call("ADDJOB q body 0 ASYNC"), paused);
    client.add("other", "body", "");
    assert_eq!(client.take("q").body, "before");
    client.call("PAUSE q none");
    client.add("q", "after", "");
    assert_eq!(client.take("q").body, "after");
}

#[test]
fn a_queue_paused_in_output_behaves_as_empty_until_it_is_resumed() {
    let (node, mut client) = start();
    client.call("PAUSE q out");
    client.add("q", "first", "");
    client.add("q", "second", "");
    assert_eq!(client.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    assert_eq!(client.length("q"), 2);
    let mut blocked = node.connect();
    blocked.send("GETJOB FROM q");
    node.wait_for_blocked(1);
    client.add("q", "third", "");
    blocked.assert_silent();
    assert_eq!(client.call("PAUSE q none"), simple("none"));
    assert_eq!(bodies(&blocked.receive()), ["first"]);
    assert_eq!(client.length("q"), 2);
}

#[test]
fn resuming_output_serves_the_blocked_clients_in_their_order() {
    let (node, mut client) = start();
    client.call("PAUSE q all");
    let mut waiting: Vec<_> = (0..3).map(|_| node.connect()).collect();
    for (n, connection) in waiting.iter_mut().enumerate() {
        connection.send("GETJOB FROM q");
        node.wait_for_blocked(n + 1);
    }
    client.call("PAUSE q out");
    for n in 0..3 {
        client.add("q", &n.to_string(), "");
    }
    waiting[0].assert_silent();
    client.call("PAUSE q in");
    for (n, connection) in waiting.iter_mut().enumerate() {
        assert_eq!(bodies(&connection.receive()), [n.to_string()]);
    }
}

#[test]
fn a_retry_into_a_queue_paused_in_input_waits_another_retry() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 1");
    client.take("q");
    let delivered = Instant::now();
    client.call("PAUSE q in");
    let mut last = i64::MAX;
    eventually("the retry comes and is put off", || {
        let left = client.show(&id).field("next-requeue-within").int();
        let put_off = left > last;
        last = left;
        put_off.then_some(())
    });
    assert!(
        delivered.elapsed() > Duration::from_millis(450),
        "{:?}",
        delivered.elapsed()
    );
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.state(&id), "active");
    client.call("PAUSE q none");
    eventually("the next retry queues it", || {
        (client.length("q") == 1).then_some(())
    });
}
