//! The bytes on the wire: RESP2, inline commands, RESP3, pipelines, limits, and what breaks a connection.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Node, eventually};
use crate::wire::{
    Connection, Reply, array, bodies, bulk, encode, encode_words, error, int, simple, wrong_arity,
};

/// Sends bytes on a connection of their own, then QUIT, and answers all that came back before the close.
#[track_caller]
fn exchange(node: &Node, bytes: &[u8]) -> String {
    let mut connection = node.connect();
    connection.send_raw(bytes);
    connection.send_raw(b"*1\r\n$4\r\nQUIT\r\n");
    let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
    answer
        .strip_suffix("+OK\r\n")
        .unwrap_or_else(|| panic!("no answer to QUIT in {answer:?}"))
        .to_owned()
}

/// Sends bytes that break the protocol, and answers all that came back before the close.
#[track_caller]
fn broken(node: &Node, bytes: &[u8]) -> String {
    let mut connection = node.connect();
    connection.send_raw(bytes);
    String::from_utf8_lossy(&connection.rest()).into_owned()
}

#[test]
fn commands_are_arrays_of_bulks_or_lines() {
    let node = Node::start();
    let cases: [(&[u8], &str); 26] = [
        (b"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"),
        (b"*2\r\n$4\r\npInG\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n"),
        (b"*2\r\n$4\r\nPING\r\n$0\r\n\r\n", "$0\r\n\r\n"),
        (
            b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
            "+PONG\r\n+PONG\r\n",
        ),
        (b"*0\r\n", ""),
        (b"*-1\r\n", ""),
        (b"*-7\r\n", ""),
        (b"*0\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n"),
        (b"PING\r\n", "+PONG\r\n"),
        (b"PING\n", "+PONG\r\n"),
        (b"  ping   \r\n", "+PONG\r\n"),
        (b"\r\n", ""),
        (b"\n\n\r\n", ""),
        (b"   \r\n", ""),
        (b"PING hi\r\n", "$2\r\nhi\r\n"),
        (b"PING \"hi there\"\r\n", "$8\r\nhi there\r\n"),
        (b"PING 'a b'\r\n", "$3\r\na b\r\n"),
        (b"PING \"\\x41\\n\\\"\\\\\"\r\n", "$4\r\nA\n\"\\\r\n"),
        (b"PING 'it\\'s'\r\n", "$4\r\nit's\r\n"),
        (b"PING \"\"\r\n", "+PONG\r\n"),
        (
            b"PING\r\n*1\r\n$4\r\nPING\r\nPING x\r\n",
            "+PONG\r\n+PONG\r\n$1\r\nx\r\n",
        ),
        (b"FOO bar\r\n", "-ERR unknown command 'FOO'\r\n"),
        (
            b"*2\r\n$5\r\nF\r\nOo\r\n$1\r\nx\r\n",
            "-ERR unknown command 'F  Oo'\r\n",
        ),
        (b"*1\r\n$0\r\n\r\n", "-ERR unknown command ''\r\n"),
        (
            b"PING a b\r\n",
            "-ERR wrong number of arguments for 'ping' command\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n",
            "-ERR unknown command 'GET'\r\n-ERR unknown command 'Host:'\r\n+PONG\r\n",
        ),
    ];
    for (sent, expected) in cases {
        assert_eq!(exchange(&node, sent), expected, "{}", sent.escape_ascii());
    }
}

#[test]
fn what_breaks_the_protocol_is_told_and_closes_the_connection() {
    let node = Node::start();
    let cases: [(&[u8], &str); 19] = [
        (b"PING \"x\r\n", "unbalanced quotes in request"),
        (b"PING 'x\r\n", "unbalanced quotes in request"),
        (b"PING \"x\"y\r\n", "unbalanced quotes in request"),
        (b"PING 'x'y\r\n", "unbalanced quotes in request"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1x\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (
            b"*3\r\n$6\r\nADDJOB\r\n$629145600\r\n",
            "invalid bulk length",
        ),
        (b"*1\r\n$18446744073709551620\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nPING\r\n$4x\r\n", "invalid bulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*2\r\n$4\r\nPING\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n\xff\r\n", "expected '$', got"),
    ];
    for (sent, expected) in cases {
        let answer = broken(&node, sent);
        let expected = format!("-ERR Protocol error: {expected}");
        assert!(
            answer.starts_with(&expected),
            "{}: {answer:?}",
            sent.escape_ascii()
        );
        assert!(
            answer.ends_with("\r\n") && answer.matches('\n').count() == 1,
            "one line: {answer:?}"
        );
    }
    let mut client = node.connect();
    eventually("all of them are gone", || {
        (client.info("connected_clients") == "1").then_some(())
    });
}

#[test]
fn what_came_before_a_protocol_error_is_answered_and_nothing_after_it() {
    let node = Node::start();
    let answer = broken(&node, b"PING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$-5\r\nPING\r\n");
    assert_eq!(
        answer,
        "+PONG\r\n+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"
    );
}

#[test]
fn lines_without_an_end_are_refused_at_64_kib() {
    let node = Node::start();
    let long = |start: &str| format!("{start}{}", "1".repeat(70 * 1024)).into_bytes();
    let cases = [
        ("x", "too big inline request"),
        ("*", "too big mbulk count string"),
        ("*1\r\n$", "too big bulk count string"),
    ];
    for (start, expected) in cases {
        assert_eq!(
            broken(&node, &long(start)),
            format!("-ERR Protocol error: {expected}\r\n"),
            "{start:?}"
        );
    }
    let long_argument = "y".repeat(60 * 1024);
    let answer = exchange(&node, format!("PING {long_argument}\r\n").as_bytes());
    assert_eq!(
        answer,
        format!("${}\r\n{long_argument}\r\n", long_argument.len())
    );
}

#[test]
fn announced_lengths_are_not_allocated_before_the_bytes_come() {
    let node = Node::start();
    let mut other = node.connect();
    let mut read = || {
        other
            .info("total_net_input_bytes")
            .parse::<usize>()
            .expect("a number of bytes")
    };
    let resident = node.resident();
    let headers = [
        "*4\r\n$6\r\nADDJOB\r\n$1\r\nq\r\n$536870912\r\nabc",
        "*1048576\r\n$4\r\nPI",
    ];
    let expected = read() + 10 * headers.concat().len();
    let mut connections: Vec<_> = (0..20).map(|_| node.connect()).collect();
    for (connection, header) in connections.iter_mut().zip(headers.iter().cycle()) {
        connection.send_raw(header.as_bytes());
    }
    eventually("the server has read the headers", || {
        (read() >= expected).then_some(())
    });
    let grown = node.resident().saturating_sub(resident);
    assert!(grown < 64 * 1024 * 1024, "grew by {grown} bytes");
}

#[test]
fn a_client_that_leaves_amid_a_large_bulk_leaves_nothing() {
    let node = Node::start();
    let mut client = node.connect();
    let mut half = node.connect();
    half.send_raw(b"*4\r\n$6\r\nADDJOB\r\n$1\r\nq\r\n$8000000\r\n");
    half.send_raw(&vec![b'x'; 5_000_000]);
    assert_eq!(
        client.call("PING"),
        simple("PONG"),
        "others are served meanwhile"
    );
    drop(half);
    eventually("the connection is gone", || {
        (client.info("connected_clients") == "1").then_some(())
    });
    assert_eq!(client.info("registered_jobs"), "0");
}

#[test]
fn a_large_bulk_in_small_pieces_is_not_scanned_again_and_again() {
    let node = Node::start();
    let mut client = node.connect();
    let body = vec![b'z'; 48 * 1024 * 1024];
    let start = Instant::now();
    client.send_raw(format!("*4\r\n$6\r\nADDJOB\r\n$1\r\nq\r\n${}\r\n", body.len()).as_bytes());
    for piece in body.chunks(4096) {
        client.send_raw(piece);
    }
    client.send_raw(b"\r\n$1\r\n0\r\n");
    let id = client.receive().simple_text().to_owned();
    // 12 thousand pieces, scanned from the start each time, would be 300 GB.
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    let job = client.take("q");
    assert_eq!((job.id, job.body.len()), (id, body.len()));
}

#[test]
fn a_command_may_be_split_at_every_byte() {
    let node = Node::start();
    let mut other = node.connect();
    let mut stream = encode(&["ADDJOB", "q", "a\r\nb", "0", "TTL", "77"]);
    stream.extend_from_slice(b"PING \"in line\"\r\n");
    stream.extend_from_slice(&encode(&["GETJOB", "FROM", "q"]));
    stream.extend_from_slice(b"\r\n*0\r\n");
    stream.extend_from_slice(&encode(&["ECHO", ""]));
    let mut connection = node.connect();
    for split in 0..=stream.len() {
        connection.send_raw(&stream[..split]);
        // An exchange with the server between the two pieces lets it read the first one by itself.
        assert_eq!(other.call("PING"), simple("PONG"));
        connection.send_raw(&stream[split..]);
        let id = connection.receive().simple_text().to_owned();
        assert_eq!(connection.receive(), bulk("in line"), "split at {split}");
        assert_eq!(
            connection.receive(),
            array([array([bulk("q"), bulk(&id), bulk("a\r\nb")])]),
            "split at {split}"
        );
        assert_eq!(connection.receive(), bulk(""), "split at {split}");
        assert_eq!(other.call(&format!("ACKJOB {id}")), int(1));
    }
}

#[test]
fn a_command_may_come_byte_by_byte() {
    let node = Node::start();
    let mut connection = node.connect();
    for byte in encode(&["ADDJOB", "q", "body", "0"]) {
        connection.send_raw(&[byte]);
    }
    connection.receive().simple_text();
    for byte in b"GETJOB  FROM 'q'\r\n" {
        connection.send_raw(&[*byte]);
    }
    assert_eq!(bodies(&connection.receive()), ["body"]);
}

#[test]
fn a_pipeline_of_ten_thousand_commands_is_answered_in_order() {
    let node = Node::start();
    let mut connection = node.connect();
    let mut bytes = Vec::new();
    for n in 0..2_500 {
        bytes.extend_from_slice(&encode(&["ADDJOB", "q", &n.to_string(), "0"]));
        bytes.extend_from_slice(&encode(&["PING", &n.to_string()]));
        bytes.extend_from_slice(b"GETJOB FROM q\r\n");
        bytes.extend_from_slice(&encode_words("QLEN q"));
    }
    let mut writer = connection.writer();
    let sending = thread::spawn(move || writer.write_all(&bytes).expect("send the pipeline"));
    for n in 0..2_500 {
        let id = connection.receive().simple_text().to_owned();
        let n = n.to_string();
        assert_eq!(connection.receive(), bulk(&n));
        assert_eq!(
            connection.receive(),
            array([array([bulk("q"), bulk(&id), bulk(&n)])])
        );
        assert_eq!(connection.receive(), int(0));
    }
    sending.join().expect("the sender has sent");
    connection.assert_silent();
}

#[test]
fn a_client_that_reads_late_gets_everything() {
    let node = Node::start();
    let mut connection = node.connect();
    let mut other = node.connect();
    let text = "x".repeat(50_000);
    let bytes = encode(&["ECHO", &text]).repeat(400);
    let mut writer = connection.writer();
    let sending = thread::spawn(move || writer.write_all(&bytes).expect("send the pipeline"));
    // 20 MB of answers fill every buffer on the way before the first is read.
    for _ in 0..20 {
        assert_eq!(other.call("PING"), simple("PONG"));
    }
    for _ in 0..400 {
        assert_eq!(connection.receive(), bulk(&text));
    }
    sending.join().expect("the sender has sent");
}

#[test]
fn quit_answers_and_drops_what_follows() {
    let node = Node::start();
    for quit in [
        "QUIT\r\n",
        "quit now please\r\n",
        "*2\r\n$4\r\nQuit\r\n$1\r\nx\r\n",
    ] {
        let sent = format!("PING\r\n{quit}ADDJOB q body 0\r\nPING\r\n");
        assert_eq!(
            broken(&node, sent.as_bytes()),
            "+PONG\r\n+OK\r\n",
            "{quit:?}"
        );
    }
    assert_eq!(node.connect().length("q"), 0);
}

#[test]
fn hello_3_switches_the_connection_to_resp3() {
    let node = Node::start();
    let mut connection = node.connect();
    let hello = connection.call("HELLO 3");
    let Reply::Map(pairs) = &hello else {
        panic!("HELLO 3 answers a map, not {hello:?}")
    };
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key.text()).collect();
    assert_eq!(
        keys,
        [
            "server", "version", "proto", "id", "mode", "role", "modules"
        ]
    );
    assert_eq!(*hello.field("server"), bulk("disque"));
    assert_eq!(*hello.field("proto"), int(3));
    assert!(hello.field("id").int() > 0);
    assert_eq!(*hello.field("mode"), bulk("standalone"));
    assert_eq!(*hello.field("role"), bulk("master"));
    assert_eq!(*hello.field("modules"), array([]));

    for command in [
        "GETJOB NOHANG FROM q",
        "GETJOB TIMEOUT 1 FROM q",
        "QSTAT unknown",
        "CLIENT GETNAME",
    ] {
        assert_eq!(connection.call(command), Reply::Null, "{command}");
    }
    assert_eq!(
        connection.call(&format!("SHOW {}", crate::jobs::UNKNOWN)),
        Reply::Null
    );
    let setting = connection.call("CONFIG GET maxclients");
    assert!(
        matches!(&setting, Reply::Map(pairs) if pairs.len() == 1),
        "CONFIG GET is a map: {setting:?}"
    );

    let id = connection.add("q", "body", "RETRY 0");
    assert_eq!(connection.call("QSTAT q").items().len(), 20);
    let shown = connection.show(&id);
    assert_eq!(
        *shown.field("next-requeue-within"),
        Reply::Null,
        "a nil inside an answer"
    );
    assert_eq!(
        connection.call("GETJOB FROM q"),
        array([array([bulk("q"), bulk(&id), bulk("body")])])
    );
    assert_eq!(
        connection.call("HELLO").items()[0],
        int(1),
        "HELLO without a version is Disque's array"
    );

    let back = connection.call("HELLO 2");
    assert_eq!(back.items().len(), 14);
    assert_eq!(*back.field("proto"), int(2));
    assert_eq!(connection.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    assert_eq!(
        connection.call(&format!("SHOW {}", crate::jobs::UNKNOWN)),
        Reply::NilBulk
    );
}

#[test]
fn a_nil_follows_the_protocol_at_the_moment_of_its_command() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send("GETJOB TIMEOUT 50 FROM q");
    connection.send("HELLO 3");
    connection.send("GETJOB TIMEOUT 50 FROM q");
    connection.send("HELLO 2");
    connection.send("GETJOB NOHANG FROM q");
    assert_eq!(connection.receive(), Reply::NilArray);
    assert!(matches!(connection.receive(), Reply::Map(_)));
    assert_eq!(connection.receive(), Reply::Null);
    assert_eq!(connection.receive().items().len(), 14);
    assert_eq!(connection.receive(), Reply::NilArray);
}

#[test]
fn hello_takes_a_name_and_refuses_other_protocols() {
    let node = Node::start();
    let mut connection = node.connect();
    assert_eq!(
        *connection.call("HELLO 2 SETNAME worker-7").field("proto"),
        int(2)
    );
    assert_eq!(connection.call("CLIENT GETNAME"), bulk("worker-7"));
    for version in ["1", "4", "99"] {
        assert_eq!(
            connection.call(&format!("HELLO {version}")),
            error("NOPROTO unsupported protocol version")
        );
    }
    assert_eq!(connection.call("HELLO x"), wrong_arity("hello"));
    assert_eq!(
        connection.call("GETJOB NOHANG FROM q"),
        Reply::NilArray,
        "still RESP2"
    );
}

#[test]
fn reset_makes_a_connection_as_new() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.call("HELLO 3 SETNAME someone");
    assert_eq!(connection.call("RESET"), simple("RESET"));
    assert_eq!(connection.call("CLIENT GETNAME"), Reply::NilBulk);
    assert_eq!(connection.call("MONITOR"), simple("OK"));
    connection.send("RESET");
    // The monitor may still see its own RESET.
    let reply = connection.receive();
    let reset = if reply == simple("RESET") {
        reply
    } else {
        connection.receive()
    };
    assert_eq!(reset, simple("RESET"));
    assert_eq!(node.connect().call("PING"), simple("PONG"));
    connection.assert_silent();
    assert_eq!(connection.call("PING"), simple("PONG"));
}

#[test]
fn monitor_shows_the_commands_of_everyone_quoted() {
    let node = Node::start();
    let mut monitor = node.connect();
    let mut client = node.connect();
    assert_eq!(monitor.call("MONITOR"), simple("OK"));
    client.call_arguments(&[&b"ECHO"[..], b"a\"b\\\r\n\t\xff\0 c"]);
    client.call("nosuchcommand x");
    client.call("PING too many");
    client.call("AUTH secret");
    client.call("ADDJOB q body 0");
    let seen: Vec<_> = (0..3)
        .map(|_| monitor.receive().simple_text().to_owned())
        .collect();
    let address = client.address();
    let expected = [
        r#""ECHO" "a\"b\\\r\n\t\xff\x00 c""#,
        r#""AUTH" "(redacted)""#,
        r#""ADDJOB" "q" "body" "0""#,
    ]
    .map(str::to_owned);
    for (line, expected) in seen.iter().zip(expected) {
        let (time, rest) = line.split_once(' ').expect("a time and the rest");
        let (seconds, micros) = time.split_once('.').expect("seconds and microseconds");
        assert!(seconds.len() >= 10 && micros.len() == 6, "{line}");
        assert!(
            seconds
                .bytes()
                .chain(micros.bytes())
                .all(|byte| byte.is_ascii_digit()),
            "{line}"
        );
        assert_eq!(rest, format!("[{address}] {expected}"));
    }
    monitor.send("PING");
    let own = [monitor.receive(), monitor.receive()];
    assert!(own.contains(&simple("PONG")), "{own:?}");
    assert!(
        own.iter()
            .any(|reply| reply.simple_text().ends_with("\"PING\"")),
        "{own:?}"
    );
}

#[test]
fn client_reply_switches_answers_off() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send("CLIENT REPLY SKIP");
    connection.send("ECHO skipped");
    assert_eq!(connection.call("ECHO heard"), bulk("heard"));
    connection.send("CLIENT REPLY OFF");
    connection.send("ADDJOB q body 0");
    connection.send("NOSUCHCOMMAND");
    assert_eq!(connection.call("CLIENT REPLY ON"), simple("OK"));
    assert_eq!(connection.length("q"), 1);
}

#[test]
fn a_client_too_many_is_told_so_and_closed() {
    let node = Node::with("--maxclients 3");
    // The fixture's own connection may still count for a moment.
    let served = || {
        let mut connection = node.connect();
        connection.send("PING");
        (connection.try_receive().ok()? == simple("PONG")).then_some(connection)
    };
    let mut connections: Vec<_> = (0..3)
        .map(|_| eventually("a client is served", served))
        .collect();
    let mut refused = node.connect();
    assert_eq!(refused.rest(), b"-ERR max number of clients reached\r\n");
    assert_eq!(connections[0].call("PING"), simple("PONG"));
    connections.pop();
    eventually("a place is free again", served);
    assert_ne!(connections[0].info("rejected_connections"), "0");
}

#[test]
fn the_largest_argument_count_is_accepted() {
    let node = Node::start();
    let mut connection = node.connect();
    let id = connection.add("q", "body", "");
    let mut arguments = vec!["ACKJOB"];
    arguments.resize(100_000, crate::jobs::UNKNOWN);
    arguments.push(&id);
    assert_eq!(connection.call_arguments(&arguments), int(1));
}

#[test]
fn unread_answers_of_one_client_do_not_hold_up_the_others() {
    let node = Node::start();
    let deaf = node.connect();
    let mut writer = deaf.writer();
    writer
        .set_write_timeout(Some(Duration::from_millis(300)))
        .expect("set a write timeout");
    let bytes = encode(&["ECHO", &"x".repeat(100_000)]).repeat(50);
    // Fails once all buffers are full, or succeeds: both leave answers that nobody reads.
    let _ = writer.write_all(&bytes);
    let mut client: Connection = node.connect();
    let start = Instant::now();
    for n in 0..100 {
        client.add("q", &n.to_string(), "");
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}
