//! What operators and client libraries ask of the server itself: INFO, CONFIG, CLIENT, AUTH, SLOWLOG and the like.

mod auth;
mod client;
mod config;
mod slowlog;
mod stopping;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fixture::{Launch, Node, eventually};
use crate::wire::{Connection, Reply, bulk, count, error, int, simple, wrong_arity};

/// The sections of INFO and their fields, in their order; a section may hold more in between.
const INFO: [(&str, &str); 8] = [
    (
        "Server",
        "disque_version shoalmq_version redis_version disque_git_sha1 disque_git_dirty disque_build_id os arch_bits \
         multiplexing_api gcc_version process_id run_id tcp_port uptime_in_seconds uptime_in_days hz executable config_file",
    ),
    (
        "Clients",
        "connected_clients client_longest_output_list client_biggest_input_buf blocked_clients",
    ),
    (
        "Memory",
        "used_memory used_memory_human used_memory_rss used_memory_peak used_memory_peak_human \
         mem_fragmentation_ratio mem_allocator",
    ),
    ("Jobs", "registered_jobs"),
    ("Queues", "registered_queues"),
    (
        "Persistence",
        "loading aof_enabled aof_state aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec \
         aof_current_rewrite_time_sec aof_last_bgrewrite_status aof_last_write_status",
    ),
    (
        "Stats",
        "total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes \
         total_net_output_bytes instantaneous_input_kbps instantaneous_output_kbps rejected_connections \
         latest_fork_usec",
    ),
    (
        "CPU",
        "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children",
    ),
];

/// Name, arity and flags of COMMAND. `auth` and `hello` take more than Disque's here: no arity is held against them.
const COMMANDS: [(&str, i64, &str); 32] = [
    ("addjob", -4, "write denyoom fast"),
    ("getjob", -2, "write fast"),
    ("ackjob", -1, "write fast"),
    ("fastack", -1, "write fast"),
    ("deljob", -1, "write fast"),
    ("show", 2, "readonly fast"),
    ("enqueue", -1, "write denyoom fast"),
    ("nack", -1, "write denyoom fast"),
    ("dequeue", -1, "write fast"),
    ("working", 2, "write fast"),
    ("qlen", 2, "readonly fast"),
    ("qpeek", 3, "readonly"),
    ("qstat", 2, "readonly fast"),
    ("qscan", -1, "readonly"),
    ("jscan", -1, "readonly"),
    ("pause", -3, "readonly fast"),
    ("auth", 0, "readonly loading fast"),
    ("ping", -1, "readonly fast"),
    ("info", -1, "readonly loading"),
    ("shutdown", -1, "readonly admin loading"),
    ("monitor", 1, "readonly admin"),
    ("debug", -2, "admin"),
    ("config", -2, "readonly admin"),
    ("cluster", -2, "readonly admin"),
    ("client", -2, "readonly admin"),
    ("slowlog", -2, "readonly"),
    ("time", 1, "readonly fast"),
    ("command", 0, "readonly loading"),
    ("latency", -2, "readonly admin loading"),
    ("hello", 0, "readonly fast"),
    ("loadjob", 2, "write"),
    ("bgrewriteaof", 1, "readonly admin"),
];

fn start() -> (Node, Connection) {
    let node = Node::start();
    let client = node.connect();
    (node, client)
}

fn setting(client: &mut Connection, name: &str) -> String {
    client
        .call(&format!("CONFIG GET {name}"))
        .field(name)
        .text()
}

#[test]
fn ping_and_echo() {
    let (_node, mut client) = start();
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(
        client.call_arguments(&["PING", "hi there"]),
        bulk("hi there")
    );
    assert_eq!(
        client.call_arguments(&[&b"ECHO"[..], b"\0\xff"]),
        bulk(b"\0\xff")
    );
    assert_eq!(client.call("PING a b"), wrong_arity("ping"));
    assert_eq!(client.call("ECHO"), wrong_arity("echo"));
}

#[test]
fn select_knows_one_database() {
    let (_node, mut client) = start();
    assert_eq!(client.call("SELECT 0"), simple("OK"));
    for other in ["1", "15", "-1"] {
        assert_eq!(
            client.call(&format!("SELECT {other}")),
            error("ERR DB index is out of range")
        );
    }
}

#[test]
fn time_is_two_bulks() {
    let (_node, mut client) = start();
    let before = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let reply = client.call("TIME");
    let [seconds, micros] = reply.items() else {
        panic!("two elements: {reply:?}")
    };
    let now = Duration::from_secs(seconds.text().parse().expect("seconds"))
        + Duration::from_micros(micros.text().parse().expect("microseconds"));
    assert!(
        now + Duration::from_millis(1) >= before && now < before + Duration::from_secs(30),
        "{now:?} {before:?}"
    );
}

#[test]
fn info_has_its_sections_and_fields_in_order() {
    let (node, mut client) = start();
    let info = client.call("INFO").text();
    assert!(
        !info.replace("\r\n", "").contains(['\r', '\n']),
        "every line ends in CRLF"
    );
    let headers: Vec<_> = info.lines().filter(|line| line.starts_with('#')).collect();
    let expected: Vec<_> = INFO
        .iter()
        .map(|(section, _)| format!("# {section}"))
        .collect();
    let known: Vec<_> = headers
        .iter()
        .copied()
        .filter(|header| expected.iter().any(|name| name == header))
        .collect();
    assert_eq!(known, expected);
    for (section, fields) in INFO {
        let text = client
            .call(&format!("INFO {}", section.to_uppercase()))
            .text();
        assert_eq!(text.lines().next(), Some(format!("# {section}").as_str()));
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name)
            .collect();
        let expected: Vec<_> = fields.split_whitespace().collect();
        let found: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| expected.contains(name))
            .collect();
        assert_eq!(found, expected, "section {section}");
    }
    assert_eq!(client.call("INFO nosuchsection"), bulk(""));
    let two = client.call("INFO clients server nosuchsection").text();
    let headers: Vec<_> = two.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(headers, ["# Server", "# Clients"]);
    assert!(!info.contains("cmdstat_ping"));
    client.call("PING");
    assert!(
        client
            .call("INFO all")
            .text()
            .contains("cmdstat_ping:calls=1,usec=")
    );
    for (field, expected) in [
        ("tcp_port", node.port().to_string()),
        ("process_id", node.pid().to_string()),
        ("loading", "0".to_owned()),
        ("aof_enabled", "0".to_owned()),
        ("aof_state", "off".to_owned()),
        ("blocked_clients", "0".to_owned()),
        ("redis_version", "7.2.4".to_owned()),
    ] {
        assert_eq!(client.info(field), expected, "{field}");
    }
    assert_eq!(client.info("run_id").len(), 40);
    let replication = client.call("INFO replication").text();
    assert!(
        replication.starts_with("# Replication\r\nrole:master\r\n"),
        "{replication}"
    );
}

#[test]
fn info_counts() {
    let (node, mut client) = start();
    for n in 0..5 {
        client.add(&format!("q{n}"), "body", "");
    }
    let _others = [node.connect(), node.connect()];
    eventually("three clients", || {
        (client.info("connected_clients") == "3").then_some(())
    });
    assert_eq!(client.info("registered_jobs"), "5");
    assert_eq!(client.info("registered_queues"), "5");
    let before: u64 = client
        .info("total_commands_processed")
        .parse()
        .expect("a number");
    client.call("PING");
    let after: u64 = client
        .info("total_commands_processed")
        .parse()
        .expect("a number");
    assert_eq!(after, before + 2, "PING and one INFO");
    let stat = client.call("INFO commandstats").text();
    let line = stat
        .lines()
        .find(|line| line.starts_with("cmdstat_addjob:"))
        .expect("ADDJOB was called");
    assert!(
        line.starts_with("cmdstat_addjob:calls=5,usec=") && line.contains(",usec_per_call="),
        "{line}"
    );
    assert_eq!(client.call("CONFIG RESETSTAT"), simple("OK"));
    let reset: u64 = client
        .info("total_commands_processed")
        .parse()
        .expect("a number");
    assert!(reset <= 2, "{reset}");
    assert!(
        !client
            .call("INFO commandstats")
            .text()
            .contains("cmdstat_addjob")
    );
}

#[test]
fn info_tells_of_the_log_when_there_is_one() {
    let node = Launch::new().start();
    let mut client = node.connect();
    client.add("q", "body", "");
    assert_eq!(client.info("aof_enabled"), "1");
    assert_eq!(client.info("aof_state"), "on");
    assert_eq!(client.info("aof_last_write_status"), "ok");
    let text = client.call("INFO persistence").text();
    let expected = [
        "aof_current_size",
        "aof_base_size",
        "aof_pending_rewrite",
        "aof_buffer_length",
        "aof_rewrite_buffer_length",
        "aof_pending_bio_fsync",
        "aof_delayed_fsync",
    ];
    let names = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name);
    let found: Vec<_> = names.filter(|name| expected.contains(name)).collect();
    assert_eq!(found, expected);
}

#[test]
fn command_lists_every_command_with_arity_and_flags() {
    let (_node, mut client) = start();
    let list = client.call("COMMAND");
    assert_eq!(client.call("COMMAND COUNT"), count(list.items().len()));
    for (name, arity, flags) in COMMANDS {
        let row = list.items().iter().find(|row| row.items()[0] == bulk(name));
        let row = row
            .unwrap_or_else(|| panic!("{name} is not listed"))
            .items();
        assert_eq!(row.len(), 10, "{name}");
        if arity != 0 {
            assert_eq!(row[1], int(arity), "{name}");
        }
        let expected: Vec<_> = flags.split(' ').map(simple).collect();
        assert_eq!(row[2], Reply::Array(expected), "{name}");
        assert_eq!(row[3..6], [int(0), int(0), int(0)], "{name}");
    }
    client.call("HELLO 3");
    let list = client.call("COMMAND INFO config");
    let config = list.items()[0].items();
    assert_eq!(
        config[2],
        Reply::Set(vec![simple("readonly"), simple("admin")])
    );
    assert_eq!(
        config[6],
        Reply::Set(
            ["@read", "@admin", "@slow", "@dangerous"]
                .map(simple)
                .into()
        )
    );
    assert_eq!(config[7..9], [Reply::Set(vec![]), Reply::Set(vec![])]);
    let names: Vec<_> = config[9]
        .items()
        .iter()
        .map(|row| row.items()[0].text())
        .collect();
    assert_eq!(
        names,
        [
            "config|get",
            "config|resetstat",
            "config|rewrite",
            "config|set"
        ]
    );
}

#[test]
fn command_info_and_docs_answer_for_single_commands() {
    let (_node, mut client) = start();
    let info = client.call("COMMAND INFO ADDJOB nosuch qlen");
    let [addjob, unknown, qlen] = info.items() else {
        panic!("one entry a name: {info:?}")
    };
    assert_eq!(addjob.items()[0], bulk("addjob"));
    assert!(
        matches!(unknown, Reply::NilBulk | Reply::NilArray),
        "{unknown:?}"
    );
    assert_eq!(qlen.items()[1], int(2));
    let docs = client.call("COMMAND DOCS");
    assert!(
        docs.items().len() >= 64,
        "name and description of each command"
    );
    let one = client.call("COMMAND DOCS addjob");
    assert_eq!(one.items()[0], bulk("addjob"));
    assert!(!one.items()[1].field("summary").text().is_empty());
    let refused = error("ERR Unknown subcommand or wrong number of arguments.");
    assert_eq!(client.call("COMMAND NOSUCH"), refused);
    let keyless = error("ERR The command has no key arguments");
    assert_eq!(client.call("COMMAND GETKEYS addjob q b 0"), keyless);
}

#[test]
fn debug_sleep_stops_the_whole_server() {
    let (node, mut client) = start();
    let mut other = node.connect();
    client.send("DEBUG SLEEP 0.4");
    let start = Instant::now();
    assert_eq!(client.receive(), simple("OK"));
    assert!(
        start.elapsed() > Duration::from_millis(390),
        "{:?}",
        start.elapsed()
    );
    client.send("DEBUG SLEEP 0.4");
    eventually("another client is held up", || {
        let start = Instant::now();
        assert_eq!(other.call("QLEN q"), int(0));
        (start.elapsed() > Duration::from_millis(150)).then_some(())
    });
}

#[test]
fn debug_error_and_unknown_subcommands() {
    let (_node, mut client) = start();
    assert_eq!(
        client.call_arguments(&["DEBUG", "ERROR", "MYCODE my text"]),
        error("MYCODE my text")
    );
    let refused = error("ERR Unknown DEBUG subcommand or wrong number of arguments for 'nosuch'");
    assert_eq!(client.call("DEBUG nosuch"), refused);
}

#[test]
fn debug_loadaof_brings_back_the_same_jobs() {
    let node = Launch::new().start();
    let mut client = node.connect();
    let id = client.add("q", "body", "RETRY 30");
    let acked = client.add("q", "acked", "");
    client.call(&format!("ACKJOB {acked}"));
    assert_eq!(client.call("DEBUG LOADAOF"), simple("OK"));
    assert_eq!(*client.show(&id).field("body"), bulk("body"));
    assert_eq!(client.call(&format!("SHOW {acked}")), Reply::NilBulk);
}

#[test]
fn bgrewriteaof_starts_in_the_background() {
    let (_node, mut client) = start();
    assert_eq!(
        client.call("BGREWRITEAOF"),
        simple("Background append only file rewriting started")
    );
}
