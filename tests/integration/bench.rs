//! `shoalmq bench`: a small run has all phases, and numbers that can be.

use crate::fixture::{Node, binary, run};

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
