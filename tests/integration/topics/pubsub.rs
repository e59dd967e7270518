//! Redis's pub/sub, byte for byte: what client libraries are built for.

use crate::fixture::{Node, eventually};
use crate::wire::{Connection, array, bulk, count, int};

/// Sends a line, and expects exactly these bytes.
#[track_caller]
fn exchange(connection: &mut Connection, line: &str, expected: &str) {
    connection.send(line);
    expect(connection, expected);
}

#[track_caller]
fn expect(connection: &mut Connection, expected: &str) {
    let expected = expected.replace(' ', "\r\n") + "\r\n";
    let found = connection.exactly(expected.len());
    assert_eq!(String::from_utf8_lossy(&found), expected);
}

#[test]
fn bytes_of_resp2() {
    let node = Node::start();
    let [mut client, mut listener] = [node.connect(), node.connect()];
    let both = "*3 $9 subscribe $4 news :1 *3 $9 subscribe $1 b :2";
    exchange(&mut listener, "SUBSCRIBE news b", both);
    exchange(&mut listener, "PSUBSCRIBE n*", "*3 $10 psubscribe $2 n* :3");
    exchange(
        &mut listener,
        "SUBSCRIBE news",
        "*3 $9 subscribe $4 news :3",
    );
    exchange(&mut client, "PUBLISH news hello", ":2");
    let told = "*3 $7 message $4 news $5 hello *4 $8 pmessage $2 n* $4 news $5 hello";
    expect(&mut listener, told);
    exchange(&mut client, "PUBLISH b x", ":1");
    expect(&mut listener, "*3 $7 message $1 b $1 x");
    exchange(&mut client, "PUBLISH other x", ":0");
    exchange(&mut listener, "PING", "*2 $4 pong $0 ");
    exchange(&mut listener, "PING hi", "*2 $4 pong $2 hi");
    exchange(&mut listener, "UNSUBSCRIBE b", "*3 $11 unsubscribe $1 b :2");
    exchange(
        &mut listener,
        "UNSUBSCRIBE",
        "*3 $11 unsubscribe $4 news :1",
    );
    exchange(&mut listener, "UNSUBSCRIBE", "*3 $11 unsubscribe $-1 :1");
    exchange(
        &mut listener,
        "UNSUBSCRIBE what",
        "*3 $11 unsubscribe $4 what :1",
    );
    exchange(
        &mut listener,
        "PUNSUBSCRIBE",
        "*3 $12 punsubscribe $2 n* :0",
    );
    exchange(&mut listener, "PUNSUBSCRIBE", "*3 $12 punsubscribe $-1 :0");
    exchange(&mut listener, "PING", "+PONG");
    exchange(&mut client, "PUBLISH news hello", ":0");
    listener.assert_silent();
}

#[test]
fn bytes_of_resp3() {
    let node = Node::start();
    let [mut client, mut listener] = [node.connect(), node.connect()];
    listener.call("HELLO 3");
    let both = ">3 $9 subscribe $4 news :1 >3 $9 subscribe $1 b :2";
    exchange(&mut listener, "SUBSCRIBE news b", both);
    exchange(&mut listener, "PSUBSCRIBE n*", ">3 $10 psubscribe $2 n* :3");
    exchange(&mut client, "PUBLISH news hello", ":2");
    let told = ">3 $7 message $4 news $5 hello >4 $8 pmessage $2 n* $4 news $5 hello";
    expect(&mut listener, told);
    exchange(&mut listener, "PING", "+PONG");
    exchange(&mut listener, "PING hi", "$2 hi");
    exchange(&mut listener, "QLEN q", ":0");
    exchange(&mut listener, "UNSUBSCRIBE b", ">3 $11 unsubscribe $1 b :2");
    exchange(
        &mut listener,
        "UNSUBSCRIBE",
        ">3 $11 unsubscribe $4 news :1",
    );
    exchange(&mut listener, "UNSUBSCRIBE", ">3 $11 unsubscribe _ :1");
    exchange(
        &mut listener,
        "PUNSUBSCRIBE n*",
        ">3 $12 punsubscribe $2 n* :0",
    );
    exchange(&mut client, "PUBLISH news hello", ":0");
    listener.assert_silent();
}

/// The reply to PUBLISH on the connection that listens: Redis pushes first, then answers.
#[test]
fn a_publisher_that_listens_hears_itself() {
    let node = Node::start();
    let mut both = node.connect();
    both.call("HELLO 3");
    both.call("SUBSCRIBE c");
    both.send("PUBLISH c body");
    let replies = [both.receive(), both.receive()];
    assert!(replies.contains(&int(1)), "{replies:?}");
    let push = crate::wire::Reply::Push(vec![bulk("message"), bulk("c"), bulk("body")]);
    assert!(replies.contains(&push), "{replies:?}");
}

#[test]
fn a_subscribed_connection_takes_few_commands() {
    let node = Node::start();
    let [mut client, mut listener] = [node.connect(), node.connect()];
    listener.call("SUBSCRIBE c");
    for command in [
        "ADDJOB q body 0",
        "GETJOB NOHANG FROM q",
        "TPUB c body",
        "PUBLISH c body",
        "TREAD FROM 0 PATTERN c",
        "INFO",
        "ECHO x",
        "HELLO",
    ] {
        let refused = listener.call(command);
        let name = command.split(' ').next().expect("a name").to_lowercase();
        let expected = format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / TSUB / TUNSUB / TCOMMIT / PING / QUIT / RESET are allowed in this context"
        );
        assert_eq!(refused.error_text(), expected);
    }
    assert_eq!(client.call("TLEN *"), int(0), "nothing was done");
    listener.send("PUBLISH c");
    assert!(
        listener
            .receive()
            .error_text()
            .starts_with("ERR wrong number")
    );
    client.call("PUBLISH c body");
    assert_eq!(
        listener.receive(),
        array([bulk("message"), bulk("c"), bulk("body")])
    );
    exchange(&mut listener, "RESET", "+RESET");
    assert_eq!(
        client.call("PUBLISH c body"),
        int(0),
        "RESET ends subscriptions"
    );
    assert_eq!(listener.call("QLEN q"), int(0));
    listener.call("PSUBSCRIBE *");
    exchange(&mut listener, "QUIT", "+OK");
    listener.assert_closed();
    eventually("its subscriptions end with it", || {
        (client.call("PUBSUB NUMPAT") == int(0)).then_some(())
    });
}

#[test]
fn pubsub_tells_who_listens() {
    let node = Node::start();
    let [mut client, mut one, mut two] = [node.connect(), node.connect(), node.connect()];
    assert_eq!(client.call("PUBSUB CHANNELS"), array([]));
    assert_eq!(client.call("PUBSUB NUMSUB"), array([]));
    assert_eq!(client.call("PUBSUB NUMPAT"), int(0));
    one.call("SUBSCRIBE news");
    two.call("SUBSCRIBE news");
    two.call("SUBSCRIBE old");
    for listener in [&mut one, &mut two] {
        listener.call("PSUBSCRIBE n*");
        listener.call("TSUB PATTERN news");
    }
    two.call("PSUBSCRIBE x*");
    assert_eq!(
        client.call("PUBSUB CHANNELS"),
        array([bulk("news"), bulk("old")])
    );
    assert_eq!(client.call("PUBSUB CHANNELS n*"), array([bulk("news")]));
    let numbers = array([
        bulk("news"),
        int(2),
        bulk("what"),
        int(0),
        bulk("old"),
        int(1),
    ]);
    assert_eq!(client.call("PUBSUB NUMSUB news what old"), numbers);
    assert_eq!(client.call("PUBSUB NUMPAT"), int(2));
    drop((one, two));
    eventually("nobody listens", || {
        (client.call("PUBSUB CHANNELS") == array([])).then_some(())
    });
}

/// SUBSCRIBE names channels: what is special in a pattern is not in a name.
#[test]
fn a_name_is_no_pattern() {
    let node = Node::start();
    let [mut client, mut listener] = [node.connect(), node.connect()];
    for name in ["*", "a?", "[ab]", "\\x", "^-]"] {
        listener.call_arguments(&["SUBSCRIBE", name]);
        assert_eq!(
            client.call_arguments(&["PUBLISH", name, "it"]),
            int(1),
            "{name}"
        );
        assert_eq!(
            listener.receive(),
            array([bulk("message"), bulk(name), bulk("it")])
        );
    }
    for other in ["x", "ab", "a", "-"] {
        assert_eq!(
            client.call_arguments(&["PUBLISH", other, "not"]),
            int(0),
            "{other}"
        );
    }
    listener.assert_silent();
}

#[test]
fn messages_come_in_order_and_are_kept() {
    let node = Node::start();
    let [mut client, mut listener] = [node.connect(), node.connect()];
    listener.call("PSUBSCRIBE c.*");
    let lines = (0..5000).map(|n| format!("PUBLISH c.{} {n}\r\n", n % 7));
    let lines = lines.collect::<Vec<_>>().concat();
    client.send_raw(lines.as_bytes());
    for n in 0..5000_usize {
        let channel = format!("c.{}", n % 7);
        let expected = [
            bulk("pmessage"),
            bulk("c.*"),
            bulk(channel),
            bulk(n.to_string()),
        ];
        assert_eq!(listener.receive(), array(expected));
    }
    for _ in 0..5000 {
        assert_eq!(client.receive(), int(1));
    }
    assert_eq!(client.call("TLEN c.*"), count(5000));
}
