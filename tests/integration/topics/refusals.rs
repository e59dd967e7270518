//! What is refused, and changes nothing: wrong arguments, other nodes, strangers.

use crate::fixture::{Launch, Node, eventually};
use crate::topics::{publish, read};
use crate::wire::{Reply, error, int, simple, wrong_arity};

/// Sends each line, and expects its error; the connection stays usable and nothing is published or subscribed to.
#[track_caller]
fn refuses(cases: &[(&str, &str)]) {
    let node = Node::start();
    let mut client = node.connect();
    let id = publish(&mut client, "c", "body");
    for (line, expected) in cases {
        let reply = client.call_arguments(&line.split(' ').collect::<Vec<_>>());
        assert!(reply.refuses(expected), "{line}: {reply:?}");
        let (_, entries) = read(&mut client, "FROM 0 PATTERN *");
        assert!(
            entries.len() == 1 && entries[0].id == id,
            "{line}: {entries:?}"
        );
    }
    assert_eq!(client.call("TSTAT c").field("readers"), &int(0));
    assert_eq!(client.call("TRETAIN"), Reply::Array(vec![]));
}

#[test]
fn wrong_numbers_of_arguments() {
    let node = Node::start();
    let mut client = node.connect();
    for line in [
        "TPUB",
        "TPUB c",
        "PUBLISH",
        "PUBLISH c",
        "PUBLISH c b x",
        "SUBSCRIBE",
        "PSUBSCRIBE",
        "PUBSUB",
        "TFLUSH",
        "TFLUSH *",
        "TFLUSH * BEFORE",
        "TFLUSH * BEFORE $ x",
        "TLEN",
        "TLEN a b",
        "TSTAT",
        "TSTAT a b",
        "TSCAN",
        "TRETAIN c",
        "TUNSUB 1 2",
        "TCOMMIT",
        "TCOMMIT a",
        "TCOMMIT a 0-0@ x",
    ] {
        let name = line.split(' ').next().expect("a name").to_lowercase();
        assert_eq!(client.call(line), wrong_arity(&name), "{line}");
    }
}

#[test]
fn publishing() {
    let channel = "ERR the name of a channel must have 1 to 512 bytes";
    let long = format!("TPUB {} body", "x".repeat(513));
    let key = format!("TPUB c body DEDUP {}", "k".repeat(257));
    refuses(&[
        ("TPUB  body", channel),
        (&long, channel),
        (&long.replace("TPUB", "PUBLISH"), channel),
        ("TPUB c body BOGUS", "ERR syntax error"),
        ("TPUB c body REPLICATE", "ERR syntax error"),
        (
            "TPUB c body REPLICATE 0",
            "ERR REPLICATE must be between 1 and 65535",
        ),
        (
            "TPUB c body REPLICATE x",
            "ERR REPLICATE must be between 1 and 65535",
        ),
        (
            "TPUB c body REPLICATE 2",
            "NOREPL Not enough reachable nodes take copies for the requested replication level: nothing was published",
        ),
        (
            "TPUB c body TIMEOUT x",
            "ERR timeout is not an integer or out of range",
        ),
        ("TPUB c body TIMEOUT -1", "ERR timeout is negative"),
        (
            "TPUB c body DEDUP ",
            "ERR the key of DEDUP must have 1 to 256 bytes",
        ),
        (&key, "ERR the key of DEDUP must have 1 to 256 bytes"),
        ("TPUB c body META a", "ERR syntax error"),
        (
            "TPUB c body META shoal.x b",
            "ERR META names must not begin with 'shoal.'",
        ),
    ]);
}

#[test]
fn reading_and_following() {
    let start = "ERR give one start: FROM, LAST or AS";
    let pattern = "ERR a pattern must have 1 to 512 bytes";
    let name = "ERR the name of a cursor must have 1 to 256 bytes";
    let unknown = "ERR there is no named cursor of this name: TREAD or TSUB with AS begins one";
    let many = format!("TREAD FROM 0 PATTERN{}", " p".repeat(101));
    let long = format!("TREAD FROM 0 PATTERN {}", "x".repeat(513));
    let number = |name: &str| format!("ERR {name} must be a number from 1 to 10000");
    let (count, last) = (number("COUNT"), number("LAST"));
    let cases = [
        ("TREAD", "ERR PATTERN is missing"),
        ("TREAD FROM 0", "ERR PATTERN is missing"),
        ("TREAD FROM 0 PATTERN", "ERR PATTERN is missing"),
        ("TREAD PATTERN c", start),
        ("TREAD FROM 0 LAST 1 PATTERN c", start),
        ("TREAD AS a AS b PATTERN c", start),
        ("TREAD AS  PATTERN c", name),
        ("TREAD FROM 0 PATTERN ", pattern),
        (&long, pattern),
        (&many, "ERR at most 100 patterns in one call"),
        ("TREAD FROM", "ERR syntax error"),
        ("TREAD FROM x PATTERN c", "ERR invalid cursor 'x'"),
        ("TREAD FROM -1 PATTERN c", "ERR invalid cursor '-1'"),
        ("TREAD FROM 1-x PATTERN c", "ERR invalid cursor '1-x'"),
        (
            "TREAD FROM 1-1@???? PATTERN c",
            "ERR invalid cursor '1-1@????'",
        ),
        ("TREAD FROM 0 TO x PATTERN c", "ERR invalid id 'x'"),
        ("TREAD FROM 0 COUNT 0 PATTERN c", &count),
        ("TREAD FROM 0 COUNT 10001 PATTERN c", &count),
        ("TREAD FROM 0 COUNT x PATTERN c", &count),
        ("TREAD LAST 0 PATTERN c", &last),
        ("TREAD LAST 10001 PATTERN c", &last),
        (
            "TREAD FROM 0 BYTES 0 PATTERN c",
            "ERR BYTES must be a number greater than zero",
        ),
        (
            "TREAD FROM 0 BLOCK x PATTERN c",
            "ERR timeout is not an integer or out of range",
        ),
        ("TREAD FROM 0 BLOCK -1 PATTERN c", "ERR timeout is negative"),
        ("TREAD FROM 0 BOGUS PATTERN c", "ERR syntax error"),
        ("TSUB", "ERR PATTERN is missing"),
        ("TSUB FROM 0 PATTERN", "ERR PATTERN is missing"),
        ("TSUB FROM 0 LAST 1 PATTERN c", start),
        ("TSUB FROM x PATTERN c", "ERR invalid cursor 'x'"),
        ("TSUB AS  PATTERN c", name),
        ("TCOMMIT  0-0@", name),
        (
            "TCOMMIT a 0",
            "ERR invalid cursor '0': it does not begin with an id and '@'",
        ),
        ("TCOMMIT a 0-0@", unknown),
        ("TCURSOR ", name),
        ("TCURSOR a BOGUS", "ERR syntax error"),
        ("TCURSOR a DEL x", "ERR syntax error"),
        ("TCURSOR a SET", "ERR syntax error"),
        ("TCURSOR a SET x", "ERR invalid cursor 'x'"),
        ("TCURSOR a SET 0", unknown),
        ("TBIND  q", pattern),
        ("TBIND c q BOGUS", "ERR syntax error"),
        ("TBIND c q FROM x", "ERR invalid cursor 'x'"),
        (
            "TBIND c q RETRY x",
            "ERR RETRY time must be a non negative number",
        ),
        (
            "TBIND c q RETRY 0",
            "ERR RETRY must be greater than zero: a node that takes a binding over may make a job again",
        ),
        (
            "TBIND c q TTL 5 DELAY 5",
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered",
        ),
        ("TBIND c q MAXLEN 0", "ERR MAXLEN must be a positive number"),
        ("TUNBIND  q", pattern),
        ("TSUB COUNT 1 PATTERN c", "ERR syntax error"),
        ("TSUB PATTERN ", pattern),
        ("TUNSUB x", "ERR TUNSUB takes the number of a subscription"),
        ("TUNSUB 0", "ERR TUNSUB takes the number of a subscription"),
        (
            "TUNSUB 1",
            "ERR this connection has no subscription of that number",
        ),
        (
            "SUBSCRIBE c ",
            "ERR the name of a channel must have 1 to 512 bytes",
        ),
        ("PSUBSCRIBE c ", pattern),
        ("PUBSUB BOGUS", "ERR syntax error"),
        ("PUBSUB CHANNELS a b", "ERR syntax error"),
        ("PUBSUB NUMPAT x", "ERR syntax error"),
    ];
    refuses(&cases);
}

#[test]
fn keeping() {
    let pattern = "ERR a pattern must have 1 to 512 bytes";
    refuses(&[
        ("TFLUSH c AFTER $", "ERR syntax error"),
        (
            "TFLUSH c BEFORE x",
            "ERR invalid id 'x': give an id or unix milliseconds",
        ),
        (
            "TFLUSH c BEFORE -1",
            "ERR invalid id '-1': give an id or unix milliseconds",
        ),
        ("TFLUSH  BEFORE $", pattern),
        ("TLEN ", pattern),
        (
            "TSTAT ",
            "ERR the name of a channel must have 1 to 512 bytes",
        ),
        ("TSCAN x", "ERR invalid cursor or option name"),
        ("TSCAN 0 BOGUS", "ERR invalid cursor or option name"),
        (
            "TSCAN 0 COUNT 0",
            "ERR COUNT must be a number greater than zero",
        ),
        ("TSCAN 0 MATCH ", pattern),
        ("TRETAIN  MAXLEN 1", pattern),
        ("TRETAIN c MAXLEN", "ERR syntax error"),
        (
            "TRETAIN c MAXLEN 0",
            "ERR MAXLEN must be a number greater than zero",
        ),
        (
            "TRETAIN c MAXAGE x",
            "ERR MAXAGE must be a number greater than zero",
        ),
        (
            "TRETAIN c MAXBYTES -1",
            "ERR MAXBYTES must be a number greater than zero",
        ),
        ("TRETAIN c BOGUS", "ERR syntax error"),
        ("TRETAIN c DEL x", "ERR syntax error"),
    ]);
}

/// One call that fails among many names subscribes to none of them.
#[test]
fn too_many_subscriptions() {
    let node = Node::start();
    let mut client = node.connect();
    let many = |from: usize, to: usize| {
        let names = (from..to).map(|n| format!(" c{n}"));
        names.collect::<Vec<_>>().concat()
    };
    client.send(&format!("SUBSCRIBE{}", many(0, 9_999)));
    for _ in 0..9_999 {
        client.receive();
    }
    let full = error(
        "ERR a connection has at most 10000 subscriptions: use patterns, or another connection",
    );
    assert_eq!(client.call("PSUBSCRIBE a b"), full);
    assert_eq!(client.call("TSUB PATTERN a").items()[1], int(1));
    assert_eq!(client.call("TSUB PATTERN a"), full);
    assert_eq!(node.connect().call("PUBSUB NUMPAT"), int(0));
}

#[test]
fn strangers_are_refused() {
    let node = Launch::new()
        .flags("--appendonly no")
        .password("secret")
        .start();
    let mut stranger = crate::wire::Connection::open(node.port());
    for line in [
        "TPUB c body",
        "PUBLISH c body",
        "TREAD FROM 0 PATTERN c",
        "TSUB PATTERN c",
        "SUBSCRIBE c",
        "TFLUSH c BEFORE $",
        "TCOMMIT r 0-0@",
        "TCURSOR",
        "TBIND c q",
        "TUNBIND c q",
        "TBINDINGS",
    ] {
        assert_eq!(
            stranger.call(line),
            error("NOAUTH Authentication required."),
            "{line}"
        );
    }
    let mut client = node.connect();
    assert_eq!(client.call("TLEN *"), int(0));
    client.call("SUBSCRIBE c");
    assert_eq!(stranger.call("AUTH secret"), simple("OK"));
    assert_eq!(stranger.call("PUBLISH c body"), int(1));
    client.receive();
    // Who resets has no subscriptions, and has to give the password again.
    assert_eq!(client.call("RESET"), simple("RESET"));
    assert_eq!(
        client.call("SUBSCRIBE c"),
        error("NOAUTH Authentication required.")
    );
    eventually("nobody listens", || {
        (stranger.call("PUBLISH c body") == int(0)).then_some(())
    });
}
