//! What people see when they get something wrong: the way out, and never a password.

use std::fs;

use crate::fixture::{Launch, Node, binary, eventually, free_port, run};
use crate::wire::{Connection, array, bulk, error, int, simple};

const PASSWORD: &str = "s3cr3t-w0rd";

#[test]
fn a_slip_is_answered_with_what_was_meant() {
    let node = Node::start();
    let mut client = node.connect();
    for (command, text) in [
        (
            "GETJBO FROM q",
            "ERR unknown command 'GETJBO': did you mean GETJOB?",
        ),
        (
            "ADDJOB q b 0 RETRI 5",
            "ERR syntax error near 'RETRI': did you mean RETRY?",
        ),
        (
            "GETJOB NOHNAG FROM q",
            "ERR syntax error near 'NOHNAG': did you mean NOHANG?",
        ),
        (
            "PAUSE q state outt",
            "ERR syntax error near 'outt': did you mean OUT?",
        ),
        (
            "QCONFIG q SETT ttl 5",
            "ERR syntax error near 'SETT': did you mean SET?",
        ),
        (
            "QCONFIG q SET tll 5",
            "ERR unknown policy 'tll': one of retry, ttl, delay, replicate, maxlen, priority, keep, max-deliver, dead-queue, backoff, dead-ttl, pause-in, pause-out",
        ),
        (
            "QSCAN BUSYLOP",
            "ERR invalid cursor or option name near 'BUSYLOP': did you mean BUSYLOOP?",
        ),
        (
            "CLUSTER NODE",
            "ERR Wrong CLUSTER subcommand or number of arguments: did you mean NODES?",
        ),
        (
            "CLUSTER MEET 127.0.0.1",
            "ERR Wrong CLUSTER subcommand or number of arguments: try CLUSTER MEET host port",
        ),
        (
            "SLOWLOG GTE",
            "ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN. did you mean GET?",
        ),
        (
            "LATENCY LATST",
            "ERR syntax error near 'LATST': did you mean LATEST?",
        ),
    ] {
        assert_eq!(client.call(command), error(text), "{command}");
    }
    // Opposites are not to be taken for each other, and what nobody knows is no slip.
    for command in ["ACK", "GET", "HGETALL"] {
        let text = format!("ERR unknown command '{command}'");
        assert_eq!(client.call(command), error(&text));
    }
}

#[test]
fn an_error_repeats_little_and_nothing_that_steers_a_terminal() {
    let node = Node::start();
    let mut client = node.connect();
    let long = "x".repeat(1 << 20);
    for arguments in [
        &[&long[..]][..],
        &["CONFIG", "SET", &long, "1"],
        &["CONFIG", "SET", "maxclients", &long],
        &["ADDJOB", "q", "b", "0", &long],
        &["CLUSTER", "MEET", &long, "7711"],
        &["\x1b[2J\x07"],
    ] {
        let refused = client.call_arguments(arguments);
        let text = refused.error_text();
        assert!(text.len() < 400, "{}", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn config_set_says_what_is_allowed() {
    let node = Node::start();
    let mut client = node.connect();
    for (command, text) in [
        (
            "CONFIG SET maxclients many",
            "ERR Invalid argument 'many' for CONFIG SET 'maxclients': it must be a number from 1 to 2147483647",
        ),
        (
            "CONFIG SET appendfsync often",
            "ERR Invalid argument 'often' for CONFIG SET 'appendfsync': it must be one of `always`, `everysec`, `no`",
        ),
        (
            "CONFIG SET maxmemroy 1gb",
            "ERR Unsupported CONFIG parameter: maxmemroy: did you mean maxmemory?",
        ),
        (
            "CONFIG SET port 1",
            "ERR Unsupported CONFIG parameter: port: it can only be set at a start: in the configuration file, with --port, \
             or with SHOALMQ_PORT",
        ),
        (
            "CONFIG SET save x",
            "ERR Unsupported CONFIG parameter: save: CONFIG GET * lists all parameters",
        ),
        (
            "CONFIG SET maxclients 1 timeout 1",
            "ERR Wrong number of arguments for CONFIG SET: try CONFIG SET name value",
        ),
    ] {
        assert_eq!(client.call(command), error(text), "{command}");
    }
}

#[test]
fn no_command_shows_a_password() {
    let node = Launch::new()
        .flags("--appendonly no --loglevel debug --slowlog-log-slower-than 0 --cluster-secret s3cr3t-w0rd")
        .password(PASSWORD)
        .start();
    let mut monitor = node.connect();
    assert_eq!(monitor.call("MONITOR"), simple("OK"));
    let mut client = node.connect();
    let long = PASSWORD.repeat(50);
    for line in [
        format!("AUTH {PASSWORD}"),
        format!("AUTH default {PASSWORD}"),
        format!("HELLO 2 AUTH default {PASSWORD}"),
        format!("CONFIG SET requirepass {PASSWORD}"),
        format!("CONFIG SET requirepas {PASSWORD}"),
        format!("CONFIG SET requirepass {long}"),
        format!("CONFIG SET requirepass={PASSWORD} x"),
        format!("CONFIG SET cluster-secret {PASSWORD}"),
        format!("CONFIG SET timeout 0 requirepass {PASSWORD}"),
        format!("AUHT {PASSWORD}"),
        format!("AUTH a b {PASSWORD}"),
        format!("ACL SETUSER default >{PASSWORD}"),
        format!("HELLO 2 AUHT default {PASSWORD}"),
        "CONFIG GET *".to_owned(),
    ] {
        client.send_raw(format!("{line}\r\n").as_bytes());
        let inline = format!("{:?}", client.receive());
        assert!(!inline.contains(PASSWORD), "{line}: {inline}");
        let arguments = format!("{:?}", client.call(&line));
        assert!(!arguments.contains(PASSWORD), "{line}: {arguments}");
    }
    assert_eq!(client.call("ECHO end"), bulk("end"));
    let mut seen = String::new();
    while !seen.contains("\"end\"") {
        seen.push_str(monitor.receive().simple_text());
        seen.push('\n');
    }
    assert!(
        seen.contains(r#""CONFIG" "SET" "requirepass" "(redacted)""#),
        "{seen}"
    );
    assert!(!seen.contains(PASSWORD), "{seen}");
    let slow = format!("{:?}", client.call("SLOWLOG GET -1"));
    assert!(
        slow.contains("(redacted)") && !slow.contains(PASSWORD),
        "{slow}"
    );
    let masked = [bulk("requirepass"), bulk("********")];
    assert_eq!(client.call("CONFIG GET requirepass"), array(masked));
    assert!(!node.log().contains(PASSWORD), "{}", node.log());
}

#[test]
fn a_name_that_nobody_knows_is_not_met_and_holds_nobody_up() {
    let node = Node::start();
    let [mut client, mut other] = [node.connect(), node.connect()];
    client.send("CLUSTER MEET nosuch.invalid 7711");
    client.send("QLEN q");
    assert_eq!(other.call("PING"), simple("PONG"), "the node goes on");
    let refused = client.receive();
    let text = refused.error_text();
    assert!(
        text.starts_with("ERR Invalid node address specified: nosuch.invalid:7711: the name"),
        "{text}"
    );
    assert_eq!(client.receive(), int(0));
    assert!(client.call("CLUSTER NODES").text().lines().count() == 1);
}

#[test]
fn a_port_may_be_given_as_in_the_other_subcommands() {
    let launch = Launch::new();
    let port = free_port();
    let node = launch.flags(&format!("--appendonly no -p {port}")).spawn();
    eventually("the node serves the port", || {
        Connection::try_open(port).ok()
    });
    drop(node);
    let mut command = binary();
    command.args(["server", "-x", "7712"]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.stderr.contains("`-x`") && ended.stderr.contains("-p"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_data_folder_is_made_with_its_parents_or_the_one_in_the_way_is_named() {
    let launch = Launch::new().flags("--appendonly no");
    let deep = launch.folder().join("a/b/c");
    let node = launch.clone().in_data(&deep).start();
    assert!(deep.is_dir());
    assert!(
        node.log().contains("the data folder is new"),
        "{}",
        node.log()
    );
    drop(node);
    let file = launch.folder().join("file");
    fs::write(&file, "").expect("write a file");
    let ended = launch.in_data(&file.join("b/c")).run();
    assert_eq!(ended.status.code(), Some(1));
    let place = format!("nothing can be made in {}: ", file.display());
    assert!(
        ended.stderr.contains(&place) && ended.stderr.contains("--dir"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let ended = Launch::new()
        .flags(&format!("--port {port} --cluster-port 1"))
        .run();
    assert_eq!(ended.status.code(), Some(1));
    for word in [&port.to_string()[..], "in use", "--port"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[test]
fn every_subcommand_takes_the_same_options_and_the_password_of_the_server() {
    let http = free_port().to_string();
    let launch = Launch::new().flag("--http-port", &http);
    let node = launch.password(PASSWORD).start();
    let port = node.port().to_string();
    let url = format!("http://127.0.0.1:{http}");
    let backup = node.launch().folder().join("backup");
    let folder = backup.display().to_string();
    let place = ["-h", "127.0.0.1", "--port", &port];
    for (subcommand, place, rest) in [
        (&["cli"][..], &place[..], &["PING"][..]),
        (&["bench", "--jobs", "10"], &place, &[]),
        (&["storage", "backup"], &place, &[&folder]),
        (&["drain"], &["--url", &url], &[]),
    ] {
        let ends = |options: &[&str], variable: Option<&str>| {
            let mut command = binary();
            for words in [subcommand, place, options, rest] {
                command.args(words);
            }
            if let Some(name) = variable {
                command.env(name, PASSWORD);
            }
            if backup.exists() {
                fs::remove_dir_all(&backup).expect("remove the backup");
            }
            let ended = run(command, b"");
            let said = format!("{subcommand:?} {options:?} {variable:?}: {}", ended.stderr);
            (ended.status.code() == Some(0), said)
        };
        let (good, said) = ends(&[], None);
        assert!(!good, "{said}");
        for option in ["-a", "--password", "--pass"] {
            let (good, said) = ends(&["--user", "default", option, PASSWORD], None);
            assert!(good, "{said}");
        }
        for variable in ["SHOALMQ_REQUIREPASS", "SHOALMQ_PASSWORD", "REDISCLI_AUTH"] {
            let (good, said) = ends(&[], Some(variable));
            assert!(good, "{said}");
        }
    }
}

#[test]
fn help_is_answered_without_a_node() {
    let mut command = binary();
    command.args(["cli", "help", "ADDJOB"]);
    let ended = run(command, b"");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for option in ["REPLICATE", "DELAY", "RETRY", "TTL", "MAXLEN", "ASYNC"] {
        let mentions = ended.stdout.matches(option).count();
        assert!(mentions >= 2, "{option}: {}", ended.stdout);
    }
}
