//! `shoalmq bench`: a small run has all phases, and numbers that can be.

use crate::fixture::{Node, binary, run};

#[test]
fn a_small_run_reports_its_phases_as_json() {
    let node = Node::start();
    let mut command = binary();
    let port = node.port().to_string();
    command.args(["bench", "-p", &port, "--jobs", "2000", "--json"]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?}", ended.stdout));
    let text = report.to_string();
    for word in ["produce", "consume", "p50", "p99", "p99.9", "cpu"] {
        assert!(
            text.contains(word) || text.contains(&word.replace('.', "_")),
            "{word} is missing in {text}"
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
