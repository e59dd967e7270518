//! HTTP: health, metrics, the API, and who may read them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::fixture::{Launch, Node, binary, eventually, free_port, run};
use crate::wire::{Reply, simple};

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// A node, and its port for HTTP.
fn node(flags: &str) -> (Node, u16) {
    let port = free_port();
    let launch = Launch::new().flag("--http-port", &port.to_string());
    (launch.flags(flags).start(), port)
}

fn request(port: u16, method: &str, path: &str, headers: &str) -> Answer {
    let text =
        format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{headers}\r\n");
    send(port, text.as_bytes())
}

fn send(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("HTTP is served");
    stream.write_all(bytes).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path, "")
}

fn json(port: u16, path: &str) -> serde_json::Value {
    serde_json::from_str(&get(port, path).body).expect("JSON")
}

/// The value of a series, named as it is written.
fn sample(text: &str, series: &str) -> Option<f64> {
    let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(of)
}

#[test]
fn a_node_is_healthy_until_it_leaves() {
    let (node, port) = node("");
    for probe in ["startup", "ready", "live"] {
        let answer = get(port, &format!("/healthz/{probe}"));
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "ok\n"),
            "{probe}"
        );
    }
    let answer = get(port, "/api/v1/safe-to-delete");
    assert_eq!(answer.status, 409);
    assert!(
        answer.body.contains("CLUSTER LEAVING yes"),
        "{}",
        answer.body
    );
    node.connect().call("CLUSTER LEAVING yes");
    let answer = get(port, "/healthz/ready");
    assert_eq!((answer.status, answer.body.as_str()), (503, "leaving\n"));
    assert_eq!(get(port, "/healthz/live").status, 200);
    assert_eq!(get(port, "/api/v1/safe-to-delete").status, 200);
    node.connect().call("CLUSTER LEAVING no");
    assert_eq!(get(port, "/healthz/ready").status, 200);
}

#[test]
fn a_drain_is_undone_by_delete_and_by_cluster_leaving_no() {
    let (node, port) = node("");
    let mut client = node.connect();
    for way in ["DELETE", "CLUSTER LEAVING no"] {
        let mut waiting = node.connect();
        waiting.send("GETJOB FROM q");
        node.wait_for_blocked(1);
        let answer = request(port, "POST", "/api/v1/drain", "");
        assert_eq!(answer.status, 200);
        // As at a stop: it goes elsewhere, without an error.
        waiting.assert_closed();
        let ready = get(port, "/healthz/ready");
        let reasons = (ready.status, ready.body.as_str());
        assert_eq!(reasons, (503, "draining\n"), "{way}");
        let metrics = get(port, "/metrics").body;
        let flags = ["draining", "leaving", "ready"]
            .map(|name| sample(&metrics, &format!("shoalmq_{name}")));
        assert_eq!(flags, [Some(1.0), Some(0.0), Some(0.0)], "{way}");

        for _ in 0..2 {
            if way == "DELETE" {
                let answer = request(port, "DELETE", "/api/v1/drain", "");
                let told = (answer.status, answer.body.as_str());
                assert_eq!(told, (200, "{\"draining\":false}"));
            } else {
                assert_eq!(client.call(way), simple("OK"));
            }
        }
        assert_eq!(get(port, "/healthz/ready").status, 200, "{way}");
        assert_eq!(client.call("CLUSTER LEAVING"), simple("no"));
        let metrics = get(port, "/metrics").body;
        let flags = ["draining", "leaving", "ready"]
            .map(|name| sample(&metrics, &format!("shoalmq_{name}")));
        assert_eq!(flags, [Some(0.0), Some(0.0), Some(1.0)], "{way}");
        let id = client.add("q", "body", "");
        assert_eq!(client.take("q").id, id);
        assert_eq!(client.call("GETJOB TIMEOUT 1 FROM q"), Reply::NilArray);
    }
}

#[test]
fn only_who_knows_the_password_may_undo_a_drain() {
    let port = free_port();
    let launch = Launch::new().flag("--http-port", &port.to_string());
    let _node = launch.password("secret").start();
    assert_eq!(request(port, "DELETE", "/api/v1/drain", "").status, 401);
    let origin = "Authorization: Bearer secret\r\nOrigin: http://elsewhere\r\n";
    assert_eq!(request(port, "DELETE", "/api/v1/drain", origin).status, 403);
    let password = "Authorization: Bearer secret\r\n";
    assert_eq!(
        request(port, "DELETE", "/api/v1/drain", password).status,
        200
    );
}

#[test]
fn a_node_that_refuses_all_adds_for_lack_of_memory_is_not_ready_and_says_so() {
    for policy in ["refuse", "spill"] {
        // With `spill`, bodies that may leave memory do not count: some hundred bytes for each job do.
        let (limit, size) = match policy {
            "refuse" => ("1mb", 10_000),
            _ => ("300kb", 1),
        };
        let (node, port) = node(&format!("--maxmemory {limit} --memory-policy {policy}"));
        let mut client = node.connect();
        let body = "x".repeat(size);
        let mut ids = Vec::new();
        let refused = loop {
            match client.call_arguments(&["ADDJOB", "q", &body, "0"]) {
                Reply::Simple(id) => ids.push(id),
                refused => break refused,
            }
        };
        assert!(refused.error_text().contains("out of memory"), "{policy}");
        let answer = get(port, "/healthz/ready");
        let told = (answer.status, answer.body.as_str());
        assert_eq!(told, (503, "memory is short\n"), "{policy}");
        let lines = |what: &str| {
            node.log()
                .lines()
                .filter(|line| line.contains(what))
                .count()
        };
        eventually("the log says it", || {
            (lines("all adds are refused") == 1).then_some(())
        });
        assert_eq!(lines("adds are taken again"), 0);

        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        client.call_arguments(&[&["ACKJOB"], &ids[..]].concat());
        assert_eq!(get(port, "/healthz/ready").status, 200, "{policy}");
        client.add("q", "there is room again", "");
        eventually("the log says that it is over", || {
            (lines("adds are taken again") == 1).then_some(())
        });
        assert_eq!(lines("all adds are refused"), 1);
    }
}

#[test]
fn a_queue_is_told_of() {
    let (node, port) = node("");
    let mut client = node.connect();
    for _ in 0..3 {
        client.add("mail/box", "12345", "");
    }
    client.add("mail/box", "later", "DELAY 100");
    client.take("mail/box");
    let queue = json(port, "/api/v1/queues/mail%2Fbox");
    let told = ["ready", "active", "delayed", "restored", "bytes"];
    let told = told.map(|name| queue[name].as_u64());
    assert_eq!(told, [Some(2), Some(1), Some(1), Some(0), Some(20)]);
    assert!(
        queue["restored_requeue_within_seconds"].is_null(),
        "{queue}"
    );
    assert_eq!(queue["exists"], true);
    let unknown = json(port, "/api/v1/queues/none");
    assert_eq!(
        (&unknown["ready"], &unknown["exists"]),
        (&0.into(), &false.into())
    );
    assert_eq!(json(port, "/api/v1/queues")["total"]["ready"], 2);
    assert_eq!(json(port, "/api/v1/cluster")["node"]["jobs"], 4);
    let text = get(port, "/metrics").body;
    let named = |name: &str| sample(&text, &format!("shoalmq_{name}{{queue=\"mail/box\"}}"));
    assert_eq!(named("queue_ready_jobs"), Some(2.0));
    assert_eq!(named("queue_active_jobs"), Some(1.0));
    assert_eq!(named("queue_delayed_jobs"), Some(1.0));
    assert_eq!(named("jobs_added_total"), Some(4.0));
    assert_eq!(named("job_wait_seconds_count"), Some(1.0));
    assert_eq!(
        sample(&text, "shoalmq_node_jobs_delivered_total"),
        Some(1.0)
    );
}

#[test]
fn queues_of_any_name_are_told_of_and_bad_requests_say_what_is_wrong() {
    let (node, port) = node("");
    let mut client = node.connect();
    for name in [&b"\xff\x00"[..], b"__other__"] {
        client.call_arguments(&[b"ADDJOB", name, b"x", b"0"]);
    }
    let queue = json(port, "/api/v1/queues/%FF%00");
    assert_eq!(
        (&queue["exists"], &queue["ready"]),
        (&true.into(), &1.into())
    );
    assert_eq!(queue["name"], "\\xFF\0");
    assert_eq!(queue["scope"], "node");
    let all = json(port, "/api/v1/queues?global=true");
    assert_eq!(
        (&all["scope"], &all["complete"]),
        (&"cluster".into(), &true.into())
    );
    assert_eq!(all["missing"], serde_json::json!([]));
    assert_eq!(
        (&all["total"]["ready"], &all["queues"][0]["name"]),
        (&2.into(), &"\\x5F_other__".into())
    );
    let text = get(port, "/metrics").body;
    let named = |label: &str| {
        sample(
            &text,
            &format!("shoalmq_queue_ready_jobs{{queue=\"{label}\"}}"),
        )
    };
    assert_eq!(named("__other__"), Some(0.0), "of those beyond the limit");
    assert_eq!(
        named("\\\\x5F_other__"),
        Some(1.0),
        "of the one that is called so"
    );
    let unknown = json(port, "/api/v1/queues/none?global=true");
    assert_eq!(
        (&unknown["exists"], &unknown["ready"]),
        (&false.into(), &0.into())
    );
    for (path, word) in [
        ("queues/%zz", "percent"),
        ("queues/q?global=maybe", "global must be"),
        ("queues?globl=true", "`globl`"),
    ] {
        let answer = get(port, &format!("/api/v1/{path}"));
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.head.contains("application/json"), "{}", answer.head);
        assert!(
            answer.body.contains("\"error\"") && answer.body.contains(word),
            "{}",
            answer.body
        );
    }
}

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
fn with_a_password_only_health_is_open() {
    let port = free_port();
    let launch = Launch::new().flag("--http-port", &port.to_string());
    let node = launch.password("secret").start();
    for path in ["/metrics", "/api/v1/cluster"] {
        let refused = get(port, path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.head.contains("www-authenticate: basic"));
        // :wrong and any:secret
        for (header, status) in [
            ("Bearer wrong", 401),
            ("Basic Ondyb25n", 401),
            ("Bearer secret", 200),
            ("Basic YW55OnNlY3JldA==", 200),
        ] {
            let answer = request(port, "GET", path, &format!("Authorization: {header}\r\n"));
            assert_eq!(answer.status, status, "{path}: {header}");
        }
    }
    assert_eq!(get(port, "/healthz/ready").status, 200);
    let mut client = node.connect();
    client.call("CONFIG SET http-auth api");
    assert_eq!(get(port, "/metrics").status, 200);
    assert_eq!(get(port, "/api/v1/queues").status, 401);
}

#[test]
fn bad_requests_are_answered_and_slow_ones_end() {
    let (_node, port) = node("");
    assert_eq!(get(port, "/nothing").status, 404);
    assert_eq!(
        request(port, "POST", "/metrics", "Content-Length: 0\r\n").status,
        405
    );
    assert_eq!(request(port, "HEAD", "/healthz/ready", "").status, 200);
    assert_eq!(send(port, b"nonsense\r\n\r\n").status, 400);
    let long = format!("X: {}\r\n", "x".repeat(64 << 10));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("HTTP is served");
    let text = format!("GET / HTTP/1.1\r\n{long}\r\n");
    // The node may hang up before all of it is sent.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("HTTP is served");
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    slow.write_all(b"GET /metr").expect("it is read");
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("the node hangs up");
}

#[test]
fn a_node_can_be_asked_without_curl() {
    let (mut node, port) = node("");
    let url = format!("http://127.0.0.1:{port}");
    let ask = |words: &[&str]| {
        let mut command = binary();
        command.args(words).args(["--url", &url]);
        run(command, b"")
    };
    for kind in ["startup", "ready", "live"] {
        let asked = ask(&["health", kind]);
        assert_eq!(
            (asked.status.code(), asked.stdout.as_str()),
            (Some(0), "ok\n"),
            "{kind}"
        );
    }
    // Alone it has nobody to hand a job to: it is kept for the next start.
    let id = node.connect().add("q", "x", "");
    assert_eq!(ask(&["drain"]).stdout, "drained\n");
    assert_eq!(ask(&["drain", "--timeout", "0"]).stdout, "drained\n");
    let ready = ask(&["health", "ready"]);
    assert_eq!(ready.status.code(), Some(1));
    assert!(ready.stdout.contains("draining"), "{}", ready.stdout);
    node.restart_cleanly();
    assert_eq!(node.connect().take("q").id, id);
    node.kill();
    assert_eq!(ask(&["drain"]).status.code(), Some(0));
    let gone = ask(&["health", "live"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(gone.stderr.contains("connect to"), "{}", gone.stderr);
    assert_eq!(ask(&["health", "nonsense"]).status.code(), Some(2));
}

#[test]
fn sighup_reads_the_configuration_again() {
    let port = free_port();
    let launch = Launch::new().flag("--http-port", &port.to_string());
    let node = launch
        .configuration("maxclients 500\nloglevel notice\n")
        .start();
    let mut client = node.connect();
    client.call("CONFIG SET slowlog-max-len 7");
    let change = |text: &str| {
        std::fs::write(node.launch().configuration_path(), text).expect("write the configuration");
        let lines = node.log().lines().count();
        node.hang_up();
        eventually("the reload", || {
            let log = node.log();
            let new: Vec<&str> = log.lines().skip(lines).collect();
            let done = new.iter().any(|line| {
                line.contains("configuration reloaded") || line.contains("not reloaded")
            });
            done.then(|| new.join("\n"))
        })
    };
    let log = change("maxclients 400\nmaxmemory 123mb\ntcp-backlog 77\n");
    assert!(log.contains("directive=\"maxmemory\""), "{log}");
    assert!(log.contains("needs a restart"), "{log}");
    let mut value = |name: &str| client.call(&format!("CONFIG GET {name}")).items()[1].text();
    assert_eq!(value("maxmemory"), (123 << 20).to_string());
    assert_eq!(value("slowlog-max-len"), "7");
    let succeeded = |text: &str| sample(text, "shoalmq_config_last_reload_successful");
    assert_eq!(succeeded(&get(port, "/metrics").body), Some(1.0));
    let log = change("maxmemory nonsense\n");
    assert!(log.contains("maxmemory"), "{log}");
    assert_eq!(value("maxmemory"), (123 << 20).to_string());
    assert_eq!(succeeded(&get(port, "/metrics").body), Some(0.0));
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

#[test]
fn channels_are_listed_page_by_page() {
    let (node, port) = node("");
    let mut client = node.connect();
    for number in 0..25 {
        client.call(&format!("TPUB mail.{} x", number % 5));
        client.call(&format!("TPUB other.{number} x"));
    }
    let page = json(port, "/api/v1/topics?match=mail.*&count=3");
    let channels = page["channels"].as_array().expect("a list");
    let names: Vec<_> = channels.iter().map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["mail.0", "mail.1", "mail.2"].map(Some));
    assert_eq!(
        (&channels[0]["entries"], &channels[0]["bytes"]),
        (&5.into(), &35.into())
    );
    assert_eq!(channels[0]["readers"], 0);
    let ids = ["oldest", "newest"].map(|id| channels[0][id].as_str().expect("an id"));
    assert!(ids[0] < ids[1], "{ids:?}");
    assert_eq!(page["total"]["channels"], 30);
    let rest = json(
        port,
        &format!(
            "/api/v1/topics?match=mail.*&count=3&cursor={}",
            page["next"]
        ),
    );
    assert_eq!(rest["channels"].as_array().map(Vec::len), Some(2));
    assert_eq!(rest["next"], serde_json::Value::Null);
    assert_eq!(get(port, "/api/v1/topics?global=true").status, 400);
}
