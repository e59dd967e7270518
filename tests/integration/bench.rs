//! `shoalmq bench`: a small run has all phases, and numbers that can be.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Node, binary, eventually, run};

#[test]
fn a_small_run_reports_its_phases_as_json() {
    let node = Node::start();
    let mut command = binary();
    let port = node.port().to_string();
    command.args([
        "bench",
        "-p",
        &port,
        "--jobs",
        "2000",
        "--phases",
        "produce,consume,end-to-end",
        "--json",
    ]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let reports: Vec<serde_json::Value> = ended.stdout.lines().map(parse).collect();
    let phases: Vec<_> = reports
        .iter()
        .map(|report| report["phase"].as_str())
        .collect();
    assert_eq!(
        phases,
        [Some("produce"), Some("consume"), Some("end-to-end")]
    );
    for report in &reports {
        assert_eq!(
            (&report["jobs"], &report["errors"]),
            (&2000.into(), &0.into()),
            "{report}"
        );
        let number = |value: &serde_json::Value| {
            value
                .as_f64()
                .unwrap_or_else(|| panic!("a number in {report}"))
        };
        let latency = &report["latency"];
        let rising = ["p50_ms", "p99_ms", "p999_ms", "max_ms"].map(|name| number(&latency[name]));
        assert!(rising.is_sorted() && rising[0] > 0.0, "{report}");
        assert!(number(&report["jobs_per_second"]) > 0.0, "{report}");
        assert!(
            number(&report["server_cpu_seconds_per_million"]) >= 0.0,
            "the node runs here: {report}"
        );
    }
    let mut client = node.connect();
    assert_eq!(
        client.info("registered_jobs"),
        "0",
        "a run leaves nothing behind"
    );
    let stat = client.call("INFO commandstats").text();
    assert!(
        stat.contains("cmdstat_addjob:calls=") && stat.contains("cmdstat_getjob:calls="),
        "{stat}"
    );
}

/// `shoalmq bench` against a node, with these flags.
fn bench(node: &Node, flags: &str) -> Command {
    let mut command = binary();
    command.args(["bench", "-p", &node.port().to_string()]);
    command.args(flags.split(' '));
    command
}

#[test]
fn a_run_deletes_the_jobs_that_nobody_took() {
    let node = Node::start();
    let flags = "--jobs 2000 --queues 3 --phases produce";
    let ended = run(bench(&node, flags), b"");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let said = "deleted 2000 of the jobs that it added";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert_eq!(node.connect().info("registered_jobs"), "0");
}

#[test]
fn a_run_that_is_interrupted_deletes_what_it_added() {
    for (flags, signal) in [
        ("--phases produce --jobs 1000000000", Signal::INT),
        ("--phases end-to-end --jobs 1000000000", Signal::INT),
        ("--phases produce,consume --jobs 1000000000", Signal::TERM),
    ] {
        let node = Node::start();
        let mut client = node.connect();
        let other = client.add("other", "body", "");
        let mut bench = bench(&node, flags);
        bench.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = bench.spawn().expect("the binary runs");
        eventually("jobs are there", || {
            let jobs: u64 = client.info("registered_jobs").parse().expect("a number");
            (jobs > 1).then_some(())
        });
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("it runs");
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{flags}: {said}");
        assert_eq!(client.info("registered_jobs"), "1", "{flags}: {said}");
        assert_eq!(client.take("other").id, other, "what others added stays");
    }
}

#[test]
fn a_run_that_cannot_delete_its_jobs_says_so() {
    let mut node = Node::start();
    let mut bench = bench(&node, "--phases produce --jobs 1000000000");
    bench.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = bench.spawn().expect("the binary runs");
    let mut client = node.connect();
    eventually("jobs are there", || {
        (client.info("registered_jobs") != "0").then_some(())
    });
    node.kill();
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let expected = "jobs that it added may be left in queue shoalmq-bench";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_queue_whose_jobs_are_out_or_delayed_is_not_used() {
    let node = Node::start();
    let mut client = node.connect();
    client.add("shoalmq-bench", "body", "DELAY 100");
    client.add("shoalmq-bench", "body", "");
    client.take("shoalmq-bench");
    let ended = run(bench(&node, "--phases produce --jobs 10"), b"");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    let said = "queue shoalmq-bench holds 2 jobs";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert_eq!(client.info("registered_jobs"), "2");
}

#[test]
fn a_run_without_a_node_fails() {
    let mut node = Node::start();
    node.kill();
    let mut command = binary();
    command.args([
        "bench",
        "-p",
        &node.port().to_string(),
        "--jobs",
        "10",
        "--json",
    ]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert!(
        ended.stderr.contains(&node.port().to_string()),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_small_run_of_topics_reports_its_phases_as_json() {
    let node = Node::start();
    let flags = "topics --entries 2000 --channels 3 --readers 2 --page 100 --json";
    let ended = run(bench_topics(&node, flags), b"");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let reports: Vec<serde_json::Value> = ended.stdout.lines().map(parse).collect();
    let told: Vec<_> = reports
        .iter()
        .map(|report| (report["phase"].as_str(), report["entries"].as_u64()))
        .collect();
    let expected = [
        (Some("publish"), Some(2000)),
        (Some("live"), Some(4000)),
        (Some("replay"), Some(8000)),
    ];
    assert_eq!(told, expected, "{reports:?}");
    for report in &reports {
        assert_eq!(report["errors"], 0, "{report}");
        let cpu = report["server_cpu_seconds_per_million"].as_f64();
        assert!(cpu.is_some(), "the node runs here: {report}");
    }
    let said = "flushed 4000 entries that it published";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let left = node.connect().call("TLEN *").int();
    assert_eq!(left, 0, "a run leaves nothing behind");
}

#[test]
fn a_run_of_topics_that_is_interrupted_flushes_what_it_published() {
    let node = Node::start();
    let mut client = node.connect();
    client.call("TPUB other body");
    for phases in ["publish", "live", "publish,replay"] {
        let flags = format!("topics --phases {phases} --entries 100000000");
        let mut bench = bench_topics(&node, &flags);
        bench.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = bench.spawn().expect("the binary runs");
        eventually("entries are there", || {
            (client.call("TLEN *").int() > 1).then_some(())
        });
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::INT).expect("it runs");
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{phases}: {said}");
        let left = client.call("TLEN *").int();
        assert_eq!(left, 1, "{phases}: what others published stays: {said}");
    }
}

#[test]
fn channels_that_have_entries_are_not_used() {
    let node = Node::start();
    let mut client = node.connect();
    client.call("TPUB shoalmq-bench.0 body");
    let ended = run(bench_topics(&node, "topics --entries 10"), b"");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    let said = "channels shoalmq-bench.* hold 1 entries: TFLUSH shoalmq-bench.* BEFORE $ removes them; \
                or choose others with --channel";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert_eq!(client.call("TLEN *").int(), 1);
}

/// `shoalmq bench topics` against a node, with these flags behind the word.
fn bench_topics(node: &Node, flags: &str) -> Command {
    let mut command = binary();
    let words = flags.split(' ');
    command.arg("bench").args(words);
    command.args(["-p", &node.port().to_string()]);
    command
}
