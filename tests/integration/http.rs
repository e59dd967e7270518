//! HTTP: health, who may read what, and requests that are bad or slow; `metrics` and `api` look at what is told.

mod api;
mod metrics;

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
