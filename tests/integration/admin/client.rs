//! CLIENT, and what client libraries send when they connect.

use std::time::{Duration, Instant};

use super::start;
use crate::fixture::eventually;
use crate::wire::{Reply, bulk, error, int, simple};

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
    let refused = client.call("CLIENT KILL ID 1 TYPE");
    assert!(refused.refuses("ERR syntax error"), "{refused:?}");
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
        let answer = client.call(command);
        assert!(answer.refuses(refused), "{command}: {answer:?}");
    }
}
