//! The metrics: what is counted, whose series there are, and in which format.

use super::{get, node, request, sample};
use crate::fixture::eventually;
use crate::wire::simple;

#[test]
fn what_clients_do_is_counted() {
    let (node, port) = node("");
    let mut client = node.connect();
    let id = client.add("q", "x", "RETRY 1");
    client.take("q");
    client.call(&format!("NACK {id}"));
    client.take("q");
    client.call(&format!("ACKJOB {id}"));
    client.call("ADDJOB q");
    client.call("ADDJOB q x 0 REPLICATE 3");
    client.add("short", "x", "TTL 1 RETRY 0");
    let text = eventually("the job to expire", || {
        let text = get(port, "/metrics").body;
        (sample(&text, "shoalmq_node_jobs_expired_total") == Some(1.0)).then_some(text)
    });
    for (series, value) in [
        ("node_jobs_nacked_total", 1.0),
        ("node_jobs_acked_total", 1.0),
        ("node_jobs_redelivered_total{reason=\"nack\"}", 1.0),
        ("node_job_service_seconds_count", 1.0),
        ("commands_total{command=\"addjob\",status=\"ok\"}", 2.0),
        ("norepl_total{reason=\"unreachable\"}", 1.0),
        ("norepl_total{reason=\"timeout\"}", 0.0),
        ("rejected_total{reason=\"norepl\"}", 1.0),
        ("jobs_without_wakeup", 0.0),
        ("ready", 1.0),
        ("cluster_members{state=\"alive\"}", 1.0),
    ] {
        assert_eq!(
            sample(&text, &format!("shoalmq_{series}")),
            Some(value),
            "{series}"
        );
    }
    let families = text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .count();
    assert!(families >= 40, "{families} families");
}

#[test]
fn series_of_queues_are_bounded_and_go_with_their_queue() {
    let (node, port) = node("--metrics-max-queues 2");
    let mut client = node.connect();
    for queue in ["a", "b", "c", "d"] {
        client.add(queue, "x", "");
    }
    let text = get(port, "/metrics").body;
    let ready = |queue: &str| {
        sample(
            &text,
            &format!("shoalmq_queue_ready_jobs{{queue=\"{queue}\"}}"),
        )
    };
    assert_eq!(
        ["a", "b", "c", "__other__"].map(ready),
        [Some(1.0), Some(1.0), None, Some(2.0)]
    );
    client.call("CONFIG SET metrics-max-queues 0");
    let text = get(port, "/metrics").body;
    assert!(!text.contains("{queue="), "{text}");
    assert_eq!(sample(&text, "shoalmq_node_ready_jobs"), Some(4.0));
}

#[test]
fn openmetrics_is_given_when_asked_for() {
    let (_node, port) = node("");
    let answer = request(
        port,
        "GET",
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert!(
        answer
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    assert!(answer.body.ends_with("# EOF\n"));
    let declared = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let mut families: Vec<&str> = declared.filter_map(|rest| rest.split(' ').next()).collect();
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count, "no family is declared twice");
    assert!(count > 40, "{count}");
    let least = "Accept: application/openmetrics-text;q=0.1, text/plain;q=0.9\r\n";
    let head = request(port, "GET", "/metrics", least).head;
    assert!(head.contains("content-type: text/plain"), "{head}");
    assert!(
        answer
            .body
            .contains("# TYPE shoalmq_node_jobs_added counter\n")
    );
    assert!(
        get(port, "/metrics")
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
}

#[test]
fn topics_are_told_in_metrics_and_in_info() {
    let (node, port) = node("--metrics-max-topics 2");
    let mut client = node.connect();
    for channel in ["a", "b", "c", "d", "a"] {
        client.call(&format!("TPUB {channel} 1234"));
    }
    client.call("TREAD FROM 0 COUNT 3 PATTERN *");
    client.call("TFLUSH b BEFORE $");
    let text = get(port, "/metrics").body;
    let of = |what: &str, channel: &str| {
        sample(
            &text,
            &format!("shoalmq_topic_channel_{what}{{channel=\"{channel}\"}}"),
        )
    };
    let all = |what: &str| ["a", "b", "c", "__other__"].map(|channel| of(what, channel));
    assert_eq!(all("entries"), [Some(2.0), Some(0.0), None, Some(2.0)]);
    assert_eq!(all("bytes"), [Some(10.0), Some(0.0), None, Some(10.0)]);
    assert_eq!(
        all("published_total"),
        [Some(2.0), Some(1.0), None, Some(2.0)]
    );
    for (what, value) in [
        ("entries_published_total", 5.0),
        ("entries_delivered_total", 3.0),
        ("entries_flushed_total", 1.0),
        ("entries_expired_total", 0.0),
        ("channels", 3.0),
        ("entries", 4.0),
        ("bytes", 20.0),
        ("readers", 0.0),
    ] {
        assert_eq!(
            sample(&text, &format!("shoalmq_topic_{what}")),
            Some(value),
            "{what}"
        );
    }
    let (log, limit) = ("shoalmq_topic_log_bytes", "shoalmq_topic_log_limit_bytes");
    assert!(sample(&text, log) > Some(20.0) && sample(&text, log) < sample(&text, limit));
    client.call("CONFIG SET metrics-max-topics 0");
    let text = get(port, "/metrics").body;
    assert!(!text.contains("{channel="), "{text}");
    let info = client.call("INFO topics");
    let info = info.text();
    assert!(info.starts_with("# Topics\r\ntopic_channels:3\r\ntopic_entries:4\r\n"));
}

#[test]
fn readers_of_named_cursors_tell_how_far_they_are_behind() {
    let (node, port) = node("--metrics-max-topics 2");
    let mut client = node.connect();
    client.call("TPUB c one");
    for name in ["done", "idle", "last"] {
        let read = client.call(&format!("TREAD AS {name} PATTERN c"));
        let cursor = read.items()[0].text();
        if name == "done" {
            assert_eq!(client.call(&format!("TCOMMIT done {cursor}")), simple("OK"));
        }
    }
    client.call("TRETAIN c MAXAGE 1");
    let of = |text: &str, what: &str, cursor: &str| {
        let name = format!("shoalmq_topic_cursor_{what}{{cursor=\"{cursor}\"}}");
        sample(text, &name)
    };
    eventually("retention has overtaken those that did not commit", || {
        let text = get(port, "/metrics").body;
        let all = ["done", "idle", "last", "__other__"].map(|c| of(&text, "overtaken", c));
        (all == [Some(0.0), Some(1.0), None, Some(1.0)]).then_some(())
    });
    client.call("TCURSOR done SET 0");
    client.call("TRETAIN c DEL");
    client.call("TPUB c two");
    eventually("what is not committed grows old", || {
        let text = get(port, "/metrics").body;
        (of(&text, "behind_seconds", "done") > Some(0.0)).then_some(())
    });
    client.call("CONFIG SET metrics-max-topics 0");
    let text = get(port, "/metrics").body;
    assert!(!text.contains("{cursor="), "{text}");
}
