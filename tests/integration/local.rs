//! `deploy/local/shoal`: a cluster on one machine, as somebody who tries it out uses it.

use std::path::Path;
use std::process::Command;

use crate::fixture::{Ended, eventually, run};
use crate::wire::Connection;

/// The user's home, below the folder of the test.
const HOME: &str = "home of ann";

/// A folder of a cluster, which is stopped however the test ends.
struct Local {
    folder: tempfile::TempDir,
}

impl Local {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("a shoal ")
            .tempdir()
            .expect("make a temporary folder");
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/local/shoal");
        let mut command = Command::new(script);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path().join(HOME))
            .env("SHOALMQ", env!("CARGO_BIN_EXE_shoalmq"));
        command
    }

    fn try_run(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments), b"")
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let ended = self.try_run(arguments);
        assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    #[track_caller]
    fn fail(&self, arguments: &[&str], wanted: &str) {
        let ended = self.try_run(arguments);
        assert!(!ended.status.success(), "{arguments:?}: {}", ended.stdout);
        assert!(
            ended.stderr.contains(wanted),
            "{arguments:?}: {}",
            ended.stderr
        );
    }

    /// Starts three nodes on ports that are free, away from those of other tests. The first of them.
    fn start(&self) -> u16 {
        let first = 9_000 + (std::process::id() % 300) as u16 * 3;
        for port in (first..10_000).step_by(3) {
            let text = port.to_string();
            let ended = self.try_run(&["start", "3", "--port", &text, "--", "--appendfsync", "no"]);
            if ended.status.success() {
                assert!(
                    ended.stdout.contains("3 nodes on ports"),
                    "{}",
                    ended.stdout
                );
                return port;
            }
            assert!(ended.stderr.contains("in use"), "{}", ended.stderr);
        }
        panic!("no ports are free");
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Nothing to stop is an error of the script that is none here.
        self.try_run(&["stop"]);
    }
}

#[test]
fn a_cluster_on_one_machine_starts_loses_a_node_and_stops() {
    let local = Local::new();
    let port = local.start();
    let id = Connection::open(port).add("q", "body", "REPLICATE 3 RETRY 1");
    // Nothing is written where the command is typed, which may be a checkout.
    let mut entries = std::fs::read_dir(local.folder.path()).expect("read the folder");
    assert!(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == HOME)));
    let status = local.run(&["status"]);
    assert_eq!(status.matches(", process ").count(), 3, "{status}");
    assert_eq!(status.matches(" connected").count(), 3, "{status}");
    local.fail(&["start-node", "1"], "node 1 runs already");
    local.fail(&["start"], "runs already");

    local.run(&["kill", "1"]);
    assert!(
        local
            .run(&["status"])
            .contains(&format!("node 1: port {port}, stopped"))
    );
    local.fail(&["kill", "1"], "node 1 does not run");
    let reply = Connection::open(port + 2).call("GETJOB FROM q");
    assert_eq!(reply.items()[0].items()[1].text(), id);
    local.run(&["start-node", "1"]);
    eventually("the node is back", || {
        let info = Connection::open(port).call("CLUSTER INFO").text();
        info.contains("cluster_reachable_nodes:2\r\n").then_some(())
    });

    local.run(&["stop"]);
    assert_eq!(local.run(&["status"]).matches(", stopped").count(), 3);
    // All of it again, as it was.
    local.run(&["start"]);
    let shown = Connection::open(port + 1).call(&format!("SHOW {id}"));
    assert_eq!(shown.field("body").text(), "body");
}

#[test]
fn what_cannot_be_is_said_clearly() {
    let local = Local::new();
    for (arguments, wanted) in [
        (&["status"][..], "there is no cluster in"),
        (&["stop"], "there is no cluster in"),
        (&["kill"], "which node?"),
        (&["kill", "1"], "there is no node 1 in"),
        (
            &["start-node", "x"],
            "the node must be a number above 0, not 'x'",
        ),
        (
            &["start", "0"],
            "the number of nodes must be a number above 0, not '0'",
        ),
        (&["start", "3", "4"], "'4' is too much"),
        (&["start", "--port"], "--port must be a number above 0"),
        (&["start", "--port", "60000"], "leaves no room"),
        (
            &["start", "--appendonly", "no"],
            "directives for the nodes go behind --",
        ),
        (&["swim"], "there is no 'swim'"),
        (
            &["start", "1", "--", "--bogus", "1"],
            "unknown directive `bogus`",
        ),
    ] {
        local.fail(arguments, wanted);
    }
    local.fail(&["status"], "there is no cluster in");
    assert!(local.run(&["--help"]).contains("start [NODES]"));
    assert!(local.try_run(&[]).stderr.contains("start [NODES]"));
}
