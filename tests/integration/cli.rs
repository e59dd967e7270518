//! `shoalmq cli`: one command per run, its exit code, its output for people and for scripts, and its standard input.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Ended, Launch, Node, Reaped, binary, eventually, run};
use crate::wire::int;

#[track_caller]
fn cli(node: &Node, arguments: &[&str]) -> Ended {
    cli_with_input(node, arguments, b"")
}

#[track_caller]
fn cli_with_input(node: &Node, arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = binary();
    command
        .args(["cli", "-p", &node.port().to_string()])
        .args(arguments);
    run(command, input)
}

#[test]
fn an_answer_is_printed_and_the_exit_code_is_0() {
    let node = Node::start();
    let ended = cli(&node, &["PING"]);
    assert_eq!(
        (ended.status.code(), ended.stdout.as_str()),
        (Some(0), "PONG\n"),
        "{}",
        ended.stderr
    );
    let ended = cli(&node, &["ADDJOB", "q", "two words", "0"]);
    assert_eq!(ended.status.code(), Some(0));
    assert!(
        ended.stdout.starts_with("D-") && ended.stdout.len() == 41,
        "{:?}",
        ended.stdout
    );
    let mut client = node.connect();
    assert_eq!(
        client.take("q").body,
        "two words",
        "one argument of the shell is one argument of the command"
    );
}

#[test]
fn an_error_answer_makes_the_exit_code_1() {
    let node = Node::start();
    let ended = cli(&node, &["NOSUCH", "x"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("ERR unknown command 'NOSUCH'"));
    for arguments in [
        &["QLEN"][..],
        &["SHOW", "not-an-id"],
        &["--raw", "NOSUCH"],
        &["--json", "NOSUCH"],
    ] {
        assert_eq!(
            cli(&node, arguments).status.code(),
            Some(1),
            "{arguments:?}"
        );
    }
    assert_eq!(
        cli(&node, &["GETJOB", "NOHANG", "FROM", "q"]).status.code(),
        Some(0),
        "nothing is no error"
    );
}

#[test]
fn a_node_that_cannot_be_reached_makes_the_exit_code_1() {
    let mut node = Node::start();
    node.kill();
    let mut command = binary();
    command.args(["cli", "-p", &node.port().to_string(), "PING"]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&node.port().to_string()),
        "{}",
        ended.stderr
    );
}

#[test]
fn raw_prints_the_bytes_alone() {
    let node = Node::start();
    let mut client = node.connect();
    client.call_arguments(&["ADDJOB", "q", "line one\nline \"two\"", "0"]);
    assert_eq!(cli(&node, &["--raw", "QLEN", "q"]).stdout, "1\n");
    assert_eq!(cli(&node, &["--raw", "ECHO", "a\"b"]).stdout, "a\"b\n");
    let ended = cli(&node, &["--raw", "GETJOB", "FROM", "q"]);
    assert!(
        ended.stdout.ends_with("line one\nline \"two\"\n"),
        "{:?}",
        ended.stdout
    );
}

#[test]
fn json_is_json() {
    let node = Node::start();
    let mut client = node.connect();
    let id = client
        .call_arguments(&["ADDJOB", "q", "a \"body\"\n", "0"])
        .simple_text()
        .to_owned();
    let json = |arguments: &[&str]| {
        let ended = cli(&node, &[&["--json"], arguments].concat());
        let parsed: serde_json::Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}", ended.stdout));
        parsed
    };
    assert_eq!(json(&["QLEN", "q"]), 1);
    assert_eq!(json(&["PING"]), "PONG");
    assert_eq!(
        json(&["QPEEK", "q", "1"]),
        serde_json::json!([["q", id, "a \"body\"\n"]])
    );
    assert_eq!(
        json(&["GETJOB", "NOHANG", "FROM", "other"]),
        serde_json::Value::Null
    );
    let shown = json(&["SHOW", &id]);
    assert!(shown.to_string().contains("next-requeue-within"), "{shown}");
}

#[test]
fn queues_are_a_table_for_people_and_json_for_programs() {
    let node = Node::start();
    let mut client = node.connect();
    for n in 0..12 {
        client.add("mail", &n.to_string(), "");
    }
    client.add("bills", "x", "DELAY 100");
    let table = cli(&node, &["--no-raw", "queues", "SORT", "ready"]).stdout;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|it| it.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..3], ["QUEUE", "READY", "ACTIVE"], "{table}");
    assert_eq!((lines[1][0], lines[1][1]), ("mail", "12"), "{table}");
    assert_eq!((lines[2][0], lines[2][3]), ("bills", "1"), "{table}");
    let ended = cli(&node, &["--json", "queues", "MATCH", "m*"]);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&told[0][0]["name"], &told[0][0]["ready"]),
        (&"mail".into(), &12.into())
    );
    assert_eq!(told[1], serde_json::json!([]));
    let raw = cli(&node, &["queues", "MATCH", "m*"]).stdout;
    assert!(raw.starts_with("name\nmail\nready\n12\n"), "{raw}");
    let wrong = cli(&node, &["queues", "SORT", "size"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stderr.contains("SORT must be name, ready or age"));
}

#[test]
fn an_explained_job_is_text_for_people_and_json_for_programs() {
    let node = Node::start();
    let mut client = node.connect();
    let id = client.add("mail", "body", "DELAY 100");
    let text = cli(&node, &["--no-raw", "explain", &id]).stdout;
    for line in [
        "state     delayed",
        "why       Its DELAY is not over: node ",
    ] {
        assert!(text.lines().any(|it| it.starts_with(line)), "{text}");
    }
    let columns = |line: &str| {
        line.split_whitespace()
            .take(3)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let tables: Vec<String> = text.lines().map(columns).collect();
    for heading in ["NODE STATE QUEUE", "TIME NODE EVENT"] {
        assert!(tables.iter().any(|it| it == heading), "{text}");
    }
    let ended = cli(&node, &["--json", "explain", &id]);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(told["copies"][0]["next"], "delivery after delay");
    assert_eq!(told["events"][0][2], "added");
    assert_eq!(told["held-by"], serde_json::Value::Null);
    let unknown = crate::jobs::UNKNOWN;
    assert_eq!(
        cli(&node, &["--no-raw", "explain", unknown]).stdout,
        "(nil)\n"
    );
}

#[test]
fn standard_input_can_be_the_last_argument() {
    let node = Node::start();
    let ended = cli_with_input(&node, &["--raw", "-x", "ECHO"], b"from standard input");
    assert_eq!(
        (ended.status.code(), ended.stdout.as_str()),
        (Some(0), "from standard input\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn commands_on_standard_input_are_run_one_by_one() {
    let node = Node::start();
    let ended = cli_with_input(&node, &[], b"ADDJOB q \"a body\" 0\nQLEN q\nNOSUCH\nPING\n");
    for word in ["D-", "1", "ERR unknown command 'NOSUCH'", "PONG"] {
        let output = format!("{}{}", ended.stdout, ended.stderr);
        assert!(output.contains(word), "{word:?} is missing in {output:?}");
    }
    assert_eq!(node.connect().call("QLEN q"), int(1));
}

#[test]
fn a_password_can_be_given() {
    let node = Launch::new()
        .flags("--appendonly no")
        .password("secret")
        .start();
    let ended = cli(&node, &["PING"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("NOAUTH"));
    let ended = cli(&node, &["-a", "secret", "PING"]);
    assert_eq!(
        (ended.status.code(), ended.stdout.as_str()),
        (Some(0), "PONG\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn unknown_flags_and_subcommands_are_refused() {
    for arguments in [
        &["cli", "-p", "1", "--no-such-flag"][..],
        &["nosuchsubcommand"],
    ] {
        let mut command = binary();
        command.args(arguments);
        let ended = run(command, b"");
        assert_eq!(
            ended.status.code(),
            Some(2),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(arguments[arguments.len() - 1]),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn help_and_version() {
    for arguments in [
        &["--help"][..],
        &["cli", "--help"],
        &["bench", "--help"],
        &["bench", "topics", "--help"],
        &["--version"],
    ] {
        let mut command = binary();
        command.args(arguments);
        let ended = run(command, b"");
        assert_eq!(
            ended.status.code(),
            Some(0),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stdout.contains("shoalmq"),
            "{arguments:?}: {}",
            ended.stdout
        );
    }
}

#[test]
fn what_is_published_from_the_shell_is_an_entry_with_an_id() {
    let node = Node::start();
    let ended = cli(&node, &["publish", "a", "two words", "META", "k", "v"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.trim_end().contains('-'), "{}", ended.stdout);
    let ended = cli_with_input(&node, &["publish", "a", "-"], b"one\n\nthree");
    assert_eq!(
        (ended.status.code(), ended.stdout.lines().count()),
        (Some(0), 3)
    );
    let mut client = node.connect();
    let reply = client.call("TREAD FROM 0 PATTERN a");
    let entries = reply.items()[1].items();
    let bodies: Vec<String> = entries
        .iter()
        .map(|entry| entry.items()[2].text())
        .collect();
    assert_eq!(bodies, ["two words", "one", "", "three"]);
    assert_eq!(cli(&node, &["PUBLISH", "a", "x"]).stdout, "0\n");
    for wrong in [
        &["publish", "a"][..],
        &["publish", "a", "x", "NOSUCH"],
        &["tail"],
    ] {
        assert_eq!(cli(&node, wrong).status.code(), Some(1), "{wrong:?}");
    }
}

/// The bodies of the lines that `tail` has printed.
fn tailed(out: &Path) -> Vec<String> {
    let text = fs::read_to_string(out).expect("read the output");
    let words = text.lines().filter_map(|line| line.rsplit(' ').next());
    words.map(str::to_owned).collect()
}

#[test]
fn tail_goes_on_over_a_restart_and_ends_cleanly_at_an_interrupt() {
    let mut node = Launch::new().start();
    let folder = tempfile::tempdir().expect("make a temporary folder");
    let out = folder.path().join("out");
    cli(&node, &["publish", "orders.eu", "1"]);
    let mut command = binary();
    command.args(["cli", "-p", &node.port().to_string()]);
    command.args(["tail", "orders.*", "--from", "0"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command.stdout(File::create(&out).expect("create a file"));
    let mut child = Reaped(command.spawn().expect("start the process"));
    let wait_for = |bodies: &[&str]| {
        eventually("tail prints", || (tailed(&out) == bodies).then_some(()));
    };
    wait_for(&["1"]);
    cli(&node, &["publish", "others", "x"]);
    cli(&node, &["publish", "orders.us", "2"]);
    wait_for(&["1", "2"]);
    node.restart_cleanly();
    cli(&node, &["publish", "orders.eu", "3"]);
    wait_for(&["1", "2", "3"]);
    let pid = Pid::from_child(&child.0);
    kill_process(pid, Signal::INT).expect("interrupt it");
    let status = eventually("it ends", || child.0.try_wait().expect("wait for it"));
    assert_eq!(status.code(), Some(0));
}
