//! Directives from file, environment, flags and CONFIG SET; starts that must fail, and how they say why.

use std::fs;
use std::net::TcpListener;

use crate::fixture::{Ended, Launch, Node, binary, eventually, run};
use crate::wire::{Connection, bulk, simple};

/// A configuration as users of Disque have it, obsolete directives included.
const DISQUE_CONF: &str = "\
# Disque configuration file example
daemonize no
pidfile /var/run/disque.pid
tcp-backlog 511
timeout 0
tcp-keepalive 0
loglevel notice
logfile \"\"
# syslog-enabled no
appendonly no
appendfilename \"disque.aof\"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
aof-load-truncated yes
aof-enqueue-jobs-once no
cluster-config-file nodes.conf
cluster-node-timeout 5000
slowlog-log-slower-than 10000
slowlog-max-len 64
latency-monitor-threshold 0
client-output-buffer-limit normal 0 0 0
hz 10
aof-rewrite-incremental-fsync yes
";

fn setting(client: &mut Connection, name: &str) -> String {
    client
        .call(&format!("CONFIG GET {name}"))
        .field(name)
        .text()
}

/// Asserts an end with this code, told in one line that holds all of the words.
#[track_caller]
fn assert_told(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(
        ended.status.code(),
        Some(code),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let line = ended.stderr.trim_end_matches('\n');
    assert!(
        !line.is_empty() && !line.contains('\n'),
        "one line on stderr, not {:?}",
        ended.stderr
    );
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in {line:?}");
    }
}

#[test]
fn an_unknown_directive_is_told_by_name_and_place() {
    assert_told(
        &Launch::new().flags("--no-such-directive 5").run(),
        2,
        &["no-such-directive"],
    );
    let in_file = Launch::new()
        .configuration("# one\nmaxclients 100\nno-such-directive 5\n")
        .run();
    assert_told(&in_file, 2, &["no-such-directive", "shoalmq.conf", "3"]);
}

#[test]
fn a_bad_value_is_told_with_its_place_and_what_is_allowed() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("appendfsync", "sometimes", &["always", "everysec", "no"]),
        ("appendonly", "perhaps", &["yes", "no"]),
        ("maxclients", "many", &[]),
        ("maxclients", "-1", &[]),
        ("maxmemory", "much", &[]),
        ("loglevel", "loud", &["notice"]),
        ("log-format", "xml", &["text", "json"]),
        ("storage", "paper", &["sled", "memory"]),
    ];
    for (name, value, allowed) in cases {
        let words: Vec<_> = [name, value]
            .into_iter()
            .chain(allowed.iter().copied())
            .collect();
        assert_told(
            &Launch::new().flag(&format!("--{name}"), value).run(),
            2,
            &words,
        );
        let in_file = Launch::new()
            .configuration(&format!("\n\n{name} {value}\n"))
            .run();
        assert_told(&in_file, 2, &[&words[..], &["shoalmq.conf", "3"]].concat());
    }
    let in_environment = Launch::new().variable("SHOALMQ_MAXCLIENTS", "many").run();
    assert_told(&in_environment, 2, &["SHOALMQ_MAXCLIENTS", "many"]);
    assert_told(
        &Launch::new().flags("--port 99999").run(),
        2,
        &["port", "99999"],
    );
    assert_told(
        &Launch::new().flags("--maxclients").run(),
        2,
        &["maxclients"],
    );
    assert_told(
        &Launch::new().configuration("maxclients\n").run(),
        2,
        &["maxclients", "shoalmq.conf"],
    );
    assert_told(
        &Launch::new().configuration("requirepass \"open\n").run(),
        2,
        &["shoalmq.conf", "1"],
    );
}

#[test]
fn a_configuration_file_that_is_not_there_is_told() {
    let mut command = binary();
    command.args(["server", "/no/such/file.conf"]);
    let ended = run(command, b"");
    assert!(
        matches!(ended.status.code(), Some(1 | 2)),
        "{}",
        ended.status
    );
    assert!(
        ended.stderr.contains("/no/such/file.conf") && ended.stderr.lines().count() == 1,
        "{}",
        ended.stderr
    );
}

#[test]
fn a_port_in_use_is_told_in_one_line() {
    let launch = Launch::new();
    let port = launch.port();
    let _taken = TcpListener::bind(("127.0.0.1", port)).expect("bind a port");
    assert_told(&launch.run(), 1, &[&port.to_string(), "in use"]);
}

#[test]
fn a_data_folder_of_another_node_is_told_in_one_line() {
    let node = Launch::new().start();
    let id = node.connect().add("q", "body", "");
    let ended = Launch::new().in_data(node.launch().data()).run();
    assert_told(&ended, 1, &[&node.launch().data().display().to_string()]);
    assert_eq!(node.connect().take("q").id, id, "the first node goes on");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_told_in_one_line() {
    let launch = Launch::new();
    let file = launch.folder().join("a-file");
    fs::write(&file, "not a folder").expect("write a file");
    // Tests may run as root, whom no permission stops: /proc takes no files from anyone.
    for folder in [file.clone(), file.join("below"), "/proc/self".into()] {
        let ended = launch.clone().in_data(&folder).run();
        assert_told(&ended, 1, &[&folder.display().to_string()]);
    }
}

#[test]
fn later_sources_take_precedence() {
    // Default, file, environment, flag, each overruled by the next.
    for level in 0..4 {
        let mut launch = Launch::new().flags("--appendonly no");
        if level >= 1 {
            launch = launch.configuration("slowlog-max-len 1001\n");
        }
        if level >= 2 {
            launch = launch.variable("SHOALMQ_SLOWLOG_MAX_LEN", "1002");
        }
        if level >= 3 {
            launch = launch.flags("--slowlog-max-len 1003");
        }
        let node = launch.start();
        let mut client = node.connect();
        let expected = ["128", "1001", "1002", "1003"][level];
        assert_eq!(setting(&mut client, "slowlog-max-len"), expected);
        assert_eq!(client.call("CONFIG SET slowlog-max-len 1004"), simple("OK"));
        assert_eq!(setting(&mut client, "slowlog-max-len"), "1004");
    }
}

#[test]
fn variables_that_kubernetes_sets_and_unknown_ones_are_skipped() {
    let node = Launch::new()
        .flags("--appendonly no")
        .variable("SHOALMQ_PORT", "tcp://10.96.0.12:7711")
        .variable("SHOALMQ_PORT_7711_TCP", "tcp://10.96.0.12:7711")
        .variable("SHOALMQ_PORT_7711_TCP_PROTO", "tcp")
        .variable("SHOALMQ_SERVICE_HOST", "10.96.0.12")
        .variable("SHOALMQ_SERVICE_PORT", "7711")
        .variable("SHOALMQ_SERVICE_PORT_CLIENTS", "7711")
        .variable("SHOALMQ_NO_SUCH_DIRECTIVE", "5")
        .start();
    assert_eq!(node.connect().call("PING"), simple("PONG"));
}

#[test]
fn a_configuration_of_disque_starts_a_node() {
    let node = Launch::new().configuration(DISQUE_CONF).start();
    let mut client = node.connect();
    assert_eq!(setting(&mut client, "slowlog-max-len"), "64");
    assert_eq!(setting(&mut client, "cluster-node-timeout"), "5000");
    assert_eq!(setting(&mut client, "appendonly"), "no");
    let log = node.log();
    assert!(
        log.contains("aof-rewrite-incremental-fsync"),
        "obsolete directives are warned of:\n{log}"
    );
}

#[test]
fn values_may_be_quoted_and_names_in_any_case() {
    let text = "\
# A comment, and an empty line.

appendonly no
  SlowLog-Max-Len   77
requirepass \"two words \\x41 \\\"quoted\\\"\"
loglevel 'debug'
";
    let node = Launch::new().configuration(text).start_unauthenticated();
    let mut client = Connection::open(node.port());
    assert_eq!(
        client.call_arguments(&["AUTH", "two words A \"quoted\""]),
        simple("OK")
    );
    assert_eq!(setting(&mut client, "slowlog-max-len"), "77");
    assert_eq!(setting(&mut client, "loglevel"), "debug");
}

#[test]
fn a_configuration_may_come_on_standard_input() {
    let launch = Launch::new();
    let text = format!(
        "port {}\ndir {}\nno-such-directive 1\n",
        launch.port(),
        launch.data().display()
    );
    let mut command = binary();
    command.args(["server", "-"]);
    let ended = run(command, text.as_bytes());
    assert_told(&ended, 2, &["no-such-directive", "3"]);
}

#[test]
fn config_rewrite_keeps_comments_and_order_and_outlives_a_restart() {
    let text = "# The first line.\nappendonly no\n\n# How many clients.\nmaxclients 100\nslowlog-max-len 5\n# The end.\n";
    let mut node = Launch::new().configuration(text).start();
    let mut client = node.connect();
    assert_eq!(client.call("CONFIG SET maxclients 321"), simple("OK"));
    assert_eq!(
        client.call("CONFIG SET latency-monitor-threshold 55"),
        simple("OK")
    );
    assert_eq!(
        client.call_arguments(&["CONFIG", "SET", "requirepass", "two words"]),
        simple("OK")
    );
    assert_eq!(client.call_arguments(&["AUTH", "two words"]), simple("OK"));
    assert_eq!(client.call("CONFIG REWRITE"), simple("OK"));
    let path = node.launch().configuration_path();
    let written = fs::read_to_string(&path).expect("read the configuration file");
    let start = "# The first line.\nappendonly no\n\n# How many clients.\nmaxclients 321\nslowlog-max-len 5\n# The end.\n";
    assert!(written.starts_with(start), "{written}");
    assert!(
        written
            .lines()
            .any(|line| line == "latency-monitor-threshold 55"),
        "{written}"
    );
    assert!(
        written
            .lines()
            .any(|line| line == "requirepass \"two words\""),
        "{written}"
    );
    assert_eq!(written.matches("maxclients").count(), 1, "{written}");
    assert!(node.terminate().success());
    let node = node.launch().clone().start_unauthenticated();
    let mut client = Connection::open(node.port());
    assert_eq!(client.call_arguments(&["AUTH", "two words"]), simple("OK"));
    assert_eq!(setting(&mut client, "maxclients"), "321");
    assert_eq!(setting(&mut client, "latency-monitor-threshold"), "55");
    assert_eq!(client.call("CONFIG REWRITE"), simple("OK"));
    assert_eq!(
        fs::read_to_string(&path).expect("read the configuration file"),
        written,
        "nothing more to change"
    );
}

#[test]
fn hang_up_reopens_the_log_file() {
    let launch = Launch::new();
    let log = launch.folder().join("server.log");
    let moved = launch.folder().join("server.log.1");
    let node = launch
        .flags("--appendonly no --loglevel debug")
        .flag("--logfile", &log.display().to_string())
        .start();
    assert!(
        fs::metadata(&log).expect("the log file is there").len() > 0,
        "the start is logged"
    );
    fs::rename(&log, &moved).expect("rename the log file");
    node.hang_up();
    eventually("a new log file", || log.exists().then_some(()));
    assert_eq!(node.connect().call("PING"), simple("PONG"));
    let mut node = node;
    assert!(node.terminate().success());
    assert!(
        fs::metadata(&log).expect("the log file is there").len() > 0,
        "the stop is logged in the new file"
    );
}

#[test]
fn logs_can_be_json() {
    let launch = Launch::new();
    let log = launch.folder().join("server.log");
    let mut node = launch
        .flags("--log-format json")
        .flag("--logfile", &log.display().to_string())
        .start();
    assert!(node.terminate().success());
    let text = fs::read_to_string(&log).expect("read the log file");
    assert!(text.lines().count() >= 2, "{text}");
    for line in text.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            event["level"].is_string() && event["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn the_log_tells_no_secret() {
    let launch = Launch::new()
        .flags("--appendonly no --loglevel debug")
        .password("s3cr3t-w0rd");
    let node = launch.start();
    assert_eq!(
        node.connect().call("CONFIG GET requirepass"),
        crate::wire::array([bulk("requirepass"), bulk("********")])
    );
    assert!(!node.log().contains("s3cr3t-w0rd"), "{}", node.log());
}

#[test]
fn help_explains_every_directive() {
    let mut command = binary();
    command.args(["server", "--help"]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for directive in [
        "port",
        "bind",
        "dir",
        "appendonly",
        "appendfsync",
        "storage",
        "maxmemory",
        "maxclients",
        "requirepass",
        "protected-mode",
        "logfile",
        "loglevel",
        "log-format",
        "aof-enqueue-jobs-once",
        "slowlog-log-slower-than",
        "latency-monitor-threshold",
    ] {
        let line = ended
            .stdout
            .lines()
            .position(|line| line.trim_start().starts_with(&format!("--{directive}")));
        let line =
            line.unwrap_or_else(|| panic!("--{directive} is not explained:\n{}", ended.stdout));
        let explanation: String = ended.stdout.lines().skip(line).take(2).collect();
        assert!(
            explanation.split_whitespace().count() >= 5,
            "--{directive}: {explanation:?}"
        );
    }
    let node = Node::start();
    for pair in node.connect().call("CONFIG GET *").items().chunks(2) {
        let name = pair[0].text();
        let listed = ended.stdout.contains(&format!("--{name}")) || ended.stdout.contains(&name);
        assert!(listed, "{name} can be set and is not in --help");
    }
}

#[test]
fn a_node_that_anyone_can_reach_starts_with_a_warning() {
    let node = Launch::new()
        .flags("--appendonly no --bind 0.0.0.0")
        .start();
    assert_eq!(node.connect().call("PING"), simple("PONG"));
    assert!(node.log().contains("protected"), "{}", node.log());
}
