//! What operators and client libraries ask of the server itself: INFO, CONFIG, CLIENT, AUTH, SLOWLOG and the like.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fixture::{Launch, Node, eventually};
use crate::wire::{
    Connection, Reply, array, bulk, count, encode_words, error, int, simple, wrong_arity,
};

/// The sections of INFO and their fields, in their order; a section may hold more in between.
const INFO: [(&str, &str); 8] = [
    (
        "Server",
        "disque_version disque_git_sha1 disque_git_dirty disque_build_id os arch_bits multiplexing_api gcc_version \
         process_id run_id tcp_port uptime_in_seconds uptime_in_days hz executable config_file",
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
    assert_eq!(
        client.call("INFO server clients"),
        error("ERR syntax error")
    );
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
    ] {
        assert_eq!(client.info(field), expected, "{field}");
    }
    assert_eq!(client.info("run_id").len(), 40);
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
        assert_eq!(row.len(), 6, "{name}");
        if arity != 0 {
            assert_eq!(row[1], int(arity), "{name}");
        }
        let expected: Vec<_> = flags.split(' ').map(simple).collect();
        assert_eq!(row[2], Reply::Array(expected), "{name}");
        assert_eq!(row[3..], [int(0), int(0), int(0)], "{name}");
    }
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
}

#[test]
fn config_get_takes_globs_and_answers_pairs() {
    let (_node, mut client) = start();
    assert_eq!(
        client.call("CONFIG GET maxclients"),
        array([bulk("maxclients"), bulk("10000")])
    );
    assert_eq!(client.call("CONFIG GET nosuchthing"), array([]));
    assert_eq!(client.call("CONFIG GET save"), array([]));
    let slow = client.call("config get SLOWLOG-*");
    assert_eq!(slow.items().len(), 4);
    assert_eq!(*slow.field("slowlog-max-len"), bulk("128"));
    assert_eq!(*slow.field("slowlog-log-slower-than"), bulk("10000"));
    let all = client.call("CONFIG GET *");
    assert!(all.items().len() > 40 && all.items().len() % 2 == 0);
    for (name, value) in [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("aof-enqueue-jobs-once", "no"),
        ("requirepass", ""),
        ("latency-monitor-threshold", "0"),
        ("maxmemory-policy", "acks"),
    ] {
        assert_eq!(*all.field(name), bulk(value), "{name}");
    }
}

#[test]
fn config_set_changes_what_can_be_changed() {
    let (_node, mut client) = start();
    for (name, value, shown) in [
        ("maxclients", "321", "321"),
        ("maxmemory", "100mb", "104857600"),
        ("maxmemory", "1gb", "1073741824"),
        ("maxmemory", "12345678", "12345678"),
        ("slowlog-max-len", "5", "5"),
        ("appendfsync", "always", "always"),
        ("loglevel", "debug", "debug"),
        ("LOGLEVEL", "notice", "notice"),
        ("aof-enqueue-jobs-once", "yes", "yes"),
    ] {
        assert_eq!(
            client.call(&format!("CONFIG SET {name} {value}")),
            simple("OK"),
            "{name}"
        );
        assert_eq!(
            setting(&mut client, &name.to_lowercase()),
            shown,
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("maxclients", "many"),
        ("appendfsync", "sometimes"),
        ("loglevel", "loud"),
        ("maxmemory", "much"),
    ] {
        let refused = error(&format!(
            "ERR Invalid argument '{value}' for CONFIG SET '{name}'"
        ));
        assert_eq!(client.call(&format!("CONFIG SET {name} {value}")), refused);
    }
    for name in ["port", "bind", "daemonize", "nosuchthing"] {
        let refused = error(&format!("ERR Unsupported CONFIG parameter: {name}"));
        assert_eq!(client.call(&format!("CONFIG SET {name} 1")), refused);
    }
    assert_eq!(
        setting(&mut client, "appendfsync"),
        "always",
        "a refused SET changes nothing"
    );
}

#[test]
fn config_tells_what_is_wrong_with_a_subcommand() {
    let (_node, mut client) = start();
    for (command, text) in [
        ("CONFIG GET", "ERR Wrong number of arguments for CONFIG GET"),
        (
            "CONFIG get a b",
            "ERR Wrong number of arguments for CONFIG get",
        ),
        (
            "CONFIG SET maxclients",
            "ERR Wrong number of arguments for CONFIG SET",
        ),
        (
            "CONFIG REWRITE now",
            "ERR Wrong number of arguments for CONFIG REWRITE",
        ),
        (
            "CONFIG RESETSTAT now",
            "ERR Wrong number of arguments for CONFIG RESETSTAT",
        ),
        (
            "CONFIG REWRITE",
            "ERR The server is running without a config file",
        ),
        (
            "CONFIG HELP",
            "ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE",
        ),
    ] {
        assert_eq!(client.call(command), error(text), "{command}");
    }
}

#[test]
fn client_names_and_lists() {
    let (node, mut client) = start();
    assert_eq!(client.call("CLIENT GETNAME"), Reply::NilBulk);
    assert_eq!(client.call("CLIENT SETNAME worker-1"), simple("OK"));
    assert_eq!(client.call("CLIENT GETNAME"), bulk("worker-1"));
    let refused = error("ERR Client names cannot contain spaces, newlines or special characters.");
    for name in ["two words", "line\nend", "tab\t"] {
        assert_eq!(
            client.call_arguments(&["CLIENT", "SETNAME", name]),
            refused,
            "{name:?}"
        );
    }
    let mut blocked = node.connect();
    blocked.send("GETJOB FROM q");
    node.wait_for_blocked(1);
    let id = client.call("CLIENT ID").int();
    let list = client.call("CLIENT LIST").text();
    assert!(list.ends_with('\n') && !list.contains('\r'));
    let own = list
        .lines()
        .find(|line| line.contains("name=worker-1"))
        .expect("the own line");
    let keys: Vec<_> = own
        .split(' ')
        .filter_map(|field| field.split_once('='))
        .map(|(key, _)| key)
        .collect();
    let expected = "id addr fd name age idle flags qbuf qbuf-free obl oll omem events cmd";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert!(
        own.starts_with(&format!("id={id} addr={} ", client.address())),
        "{own}"
    );
    assert!(
        own.contains(" flags=N ") && own.ends_with(" cmd=client"),
        "{own}"
    );
    let other = list
        .lines()
        .find(|line| line.contains(&blocked.address()))
        .expect("the line of the blocked client");
    assert!(
        other.contains(" flags=b ") && other.ends_with(" cmd=getjob"),
        "{other}"
    );
    assert_eq!(
        client.call_arguments(&["CLIENT", "SETNAME", ""]),
        simple("OK")
    );
    assert_eq!(client.call("CLIENT GETNAME"), Reply::NilBulk);
}

#[test]
fn client_kill_by_address_id_and_type() {
    let (node, mut client) = start();
    let mut victims: Vec<_> = (0..3).map(|_| node.connect()).collect();
    for victim in &mut victims {
        assert_eq!(victim.call("PING"), simple("PONG"));
    }
    let address = victims[0].address();
    assert_eq!(client.call(&format!("CLIENT KILL {address}")), simple("OK"));
    victims[0].assert_closed();
    let id = victims[1].call("CLIENT ID").int();
    assert_eq!(client.call(&format!("CLIENT KILL ID {id}")), int(1));
    victims[1].assert_closed();
    eventually("two clients are left", || {
        (client.info("connected_clients") == "2").then_some(())
    });
    assert_eq!(
        client.call("CLIENT KILL TYPE normal"),
        int(1),
        "all but oneself"
    );
    victims[2].assert_closed();
    assert_eq!(
        client.call("CLIENT KILL 127.0.0.1:1"),
        error("ERR No such client")
    );
    assert_eq!(client.call("CLIENT KILL ID 999999"), int(0));
    assert_eq!(
        client.call("CLIENT KILL TYPE slave"),
        error("ERR Unknown client type 'slave'")
    );
    assert_eq!(client.call("CLIENT KILL ID"), error("ERR No such client"));
    assert_eq!(
        client.call("CLIENT KILL ID 1 TYPE"),
        error("ERR syntax error")
    );
    assert_eq!(client.call("CLIENT KILL TYPE normal SKIPME no"), int(1));
    client.assert_closed();
}

#[test]
fn a_client_may_kill_itself_and_is_answered_first() {
    let (_node, mut client) = start();
    let address = client.address();
    assert_eq!(client.call(&format!("CLIENT KILL {address}")), simple("OK"));
    client.assert_closed();
}

#[test]
fn client_pause_holds_everyone_up() {
    let (node, mut client) = start();
    let mut other = node.connect();
    assert_eq!(client.call("CLIENT PAUSE 300"), simple("OK"));
    let start = Instant::now();
    assert_eq!(other.call("PING"), simple("PONG"));
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_millis(250) && elapsed < Duration::from_millis(1_500),
        "{elapsed:?}"
    );
}

#[test]
fn what_modern_clients_send_at_connect_is_answered() {
    let (_node, mut client) = start();
    assert_eq!(
        client.call("CLIENT SETINFO LIB-NAME redis-py"),
        simple("OK")
    );
    assert_eq!(client.call("CLIENT SETINFO LIB-VER 8.1.0"), simple("OK"));
    assert_eq!(client.call("CLIENT NO-EVICT on"), simple("OK"));
    assert_eq!(client.call("CLIENT NO-TOUCH on"), simple("OK"));
    let refused =
        "ERR Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME connection-name)";
    for command in [
        "CLIENT TRACKING on",
        "CLIENT MAINT_NOTIFICATIONS ON",
        "CLIENT NOSUCH",
        "CLIENT GETNAME x",
    ] {
        assert_eq!(client.call(command), error(refused), "{command}");
    }
}

#[test]
fn slowlog_keeps_slow_commands() {
    let (_node, mut client) = start();
    assert_eq!(client.call("SLOWLOG LEN"), int(0));
    assert_eq!(
        client.call("CONFIG SET slowlog-log-slower-than 0"),
        simple("OK")
    );
    client.call("ECHO one");
    client.call("ECHO two");
    assert_eq!(
        client.call("CONFIG SET slowlog-log-slower-than -1"),
        simple("OK")
    );
    let entries = client.call("SLOWLOG GET 128");
    let echo = |word: &str| {
        let arguments = array([bulk("ECHO"), bulk(word)]);
        entries
            .items()
            .iter()
            .find(|entry| entry.items()[3] == arguments)
            .map(|entry| entry.items().to_vec())
    };
    let one = echo("one").expect("ECHO one is in the slow log");
    let two = echo("two").expect("ECHO two is in the slow log");
    assert_eq!(one.len(), 4);
    assert!(two[0].int() > one[0].int(), "ids grow");
    assert!(one[1].int() > 1_700_000_000 && one[2].int() >= 0);
    assert_eq!(client.call("SLOWLOG GET 1").items().len(), 1);
    assert!(client.call("SLOWLOG LEN").int() >= 2);
    assert_eq!(client.call("SLOWLOG RESET"), simple("OK"));
    assert_eq!(client.call("SLOWLOG LEN"), int(0));
    let refused = error("ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN.");
    assert_eq!(client.call("SLOWLOG NOSUCH"), refused);
}

#[test]
fn a_blocked_getjob_is_not_slow() {
    let (node, mut client) = start();
    client.call("CONFIG SET slowlog-log-slower-than 50000");
    client.call("GETJOB TIMEOUT 120 FROM q");
    assert_eq!(node.connect().call("SLOWLOG LEN"), int(0));
}

#[test]
fn latency_keeps_events_over_its_threshold() {
    let (_node, mut client) = start();
    assert_eq!(client.call("LATENCY LATEST"), array([]));
    assert_eq!(client.call("LATENCY HISTORY command"), array([]));
    assert_eq!(
        client.call("LATENCY GRAPH command"),
        error("ERR No samples available for event 'command'")
    );
    client.call("LATENCY DOCTOR").text();
    assert_eq!(
        client.call("CONFIG SET latency-monitor-threshold 20"),
        simple("OK")
    );
    assert_eq!(client.call("DEBUG SLEEP 0.06"), simple("OK"));
    let latest = client.call("LATENCY LATEST");
    let event = latest
        .items()
        .first()
        .expect("an event over the threshold")
        .items()
        .to_vec();
    assert_eq!(event.len(), 4);
    assert!(
        event[2].int() >= 60 && event[3].int() >= event[2].int(),
        "{event:?}"
    );
    let name = event[0].text();
    let history = client.call(&format!("LATENCY HISTORY {name}"));
    assert_eq!(history.items()[0].items().len(), 2);
    assert_eq!(client.call(&format!("LATENCY RESET {name}")), int(1));
    assert!(client.call("LATENCY RESET").int() >= 0);
    assert_eq!(client.call("LATENCY NOSUCH"), error("ERR syntax error"));
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

#[test]
fn auth_without_a_password_set_is_an_error() {
    let (_node, mut client) = start();
    let refused = error("ERR Client sent AUTH, but no password is set");
    assert_eq!(client.call("AUTH secret"), refused);
    assert_eq!(client.call("AUTH default secret"), refused);
    assert_eq!(client.call("AUTH"), wrong_arity("auth"));
    assert_eq!(client.call("AUTH a b c"), wrong_arity("auth"));
}

#[test]
fn a_password_is_asked_of_everyone_for_everything() {
    let node = Launch::new()
        .flags("--appendonly no")
        .password("s3cret word")
        .start();
    let mut client = Connection::open(node.port());
    let noauth = error("NOAUTH Authentication required.");
    for command in [
        "PING",
        "HELLO",
        "INFO",
        "ADDJOB q body 0",
        "COMMAND",
        "SHUTDOWN",
        "CONFIG GET requirepass",
    ] {
        assert_eq!(client.call(command), noauth, "{command}");
    }
    assert_eq!(client.call("NOSUCH"), error("ERR unknown command 'NOSUCH'"));
    assert_eq!(client.call("QLEN"), wrong_arity("qlen"));
    assert_eq!(client.call("AUTH wrong"), error("ERR invalid password"));
    assert_eq!(client.call("PING"), noauth);
    assert_eq!(
        client.call_arguments(&["AUTH", "s3cret word"]),
        simple("OK")
    );
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(client.call("AUTH wrong"), error("ERR invalid password"));
    assert_eq!(
        client.call("PING"),
        noauth,
        "a wrong password takes the authentication away"
    );
    assert_eq!(
        client.call_arguments(&["AUTH", "default", "s3cret word"]),
        simple("OK")
    );
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(client.call("RESET"), simple("RESET"));
    assert_eq!(client.call("PING"), noauth);
    let hello = client.call_arguments(&[
        "HELLO",
        "3",
        "AUTH",
        "default",
        "s3cret word",
        "SETNAME",
        "me",
    ]);
    assert_eq!(*hello.field("proto"), int(3));
    assert_eq!(client.call("CLIENT GETNAME"), bulk("me"));
    let mut quitting = Connection::open(node.port());
    assert_eq!(quitting.call("QUIT"), simple("OK"));
    quitting.assert_closed();
}

#[test]
fn hello_with_a_wrong_password_changes_nothing() {
    let node = Launch::new()
        .flags("--appendonly no")
        .password("right")
        .start();
    let mut client = Connection::open(node.port());
    let refused = client.call("HELLO 3 AUTH default wrong");
    refused.error_text();
    assert_eq!(
        client.call("PING"),
        error("NOAUTH Authentication required.")
    );
    assert_eq!(client.call("AUTH right"), simple("OK"));
    assert_eq!(client.call("CLIENT GETNAME"), Reply::NilBulk, "still RESP2");
}

#[test]
fn setting_a_password_hits_open_connections_until_it_is_taken_away() {
    let (node, mut client) = start();
    let mut other = node.connect();
    assert_eq!(other.call("PING"), simple("PONG"));
    assert_eq!(client.call("CONFIG SET requirepass new"), simple("OK"));
    let noauth = error("NOAUTH Authentication required.");
    assert_eq!(client.call("PING"), noauth);
    assert_eq!(other.call("PING"), noauth);
    assert_eq!(client.call("AUTH new"), simple("OK"));
    assert_eq!(
        client.call_arguments(&["CONFIG", "SET", "requirepass", ""]),
        simple("OK")
    );
    assert_eq!(other.call("PING"), simple("PONG"));
}

#[test]
fn protected_mode_lets_loopback_in_and_can_be_read() {
    let (_node, mut client) = start();
    assert_eq!(setting(&mut client, "protected-mode"), "yes");
    assert_eq!(client.call("PING"), simple("PONG"));
}

#[test]
fn shutdown_closes_without_an_answer_and_exits_with_0() {
    for command in ["SHUTDOWN", "shutdown REWRITE-AOF"] {
        let (mut node, mut client) = start();
        let mut blocked = node.connect();
        blocked.send("GETJOB FROM q");
        node.wait_for_blocked(1);
        for wrong in [
            "SHUTDOWN NOSAVE",
            "SHUTDOWN SAVE",
            "SHUTDOWN REWRITE-AOF now",
        ] {
            assert_eq!(client.call(wrong), error("ERR syntax error"), "{wrong}");
        }
        client.send(command);
        client.assert_closed();
        assert!(node.wait_for_end().success(), "{command}");
        blocked.rest();
    }
}

#[test]
fn signals_stop_the_server_even_when_clients_are_busy() {
    for interrupt in [false, true] {
        let (mut node, mut client) = start();
        let mut blocked = node.connect();
        blocked.send("GETJOB FROM q");
        node.wait_for_blocked(1);
        client.send_raw(&encode_words("ADDJOB other body 0").repeat(500));
        let start = Instant::now();
        let status = if interrupt {
            node.interrupt()
        } else {
            node.terminate()
        };
        assert!(status.success(), "{status}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn debug_restart_comes_back_with_its_jobs() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    let mut client = node.connect();
    let id = client.add("q", "body", "");
    client.send("DEBUG RESTART");
    client.rest();
    // It either replaces its process or ends with success for a supervisor: in both cases the pid is ours to reap.
    let shown = eventually("the node serves again", || {
        let mut client = Connection::try_open(node.port()).ok()?;
        client
            .try_send_raw(&encode_words(&format!("SHOW {id}")))
            .ok()?;
        client
            .try_receive()
            .ok()
            .filter(|reply| !matches!(reply, Reply::Error(_)))
    });
    assert_eq!(*shown.field("body"), bulk("body"));
    assert!(node.terminate().success());
}
