//! AUTH, passwords and protected mode.

use super::{setting, start};
use crate::fixture::Launch;
use crate::wire::{Connection, Reply, bulk, error, int, simple, wrong_arity};

const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

#[test]
fn without_a_password_set_only_the_default_user_may_name_one() {
    let (_node, mut client) = start();
    let refused = error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?",
    );
    assert_eq!(client.call("AUTH secret"), refused);
    assert_eq!(client.call("AUTH default secret"), simple("OK"));
    assert_eq!(client.call("AUTH bob secret"), error(WRONGPASS));
    assert_eq!(client.call("HELLO 3 AUTH bob secret"), error(WRONGPASS));
    let hello = client.call("HELLO 3 AUTH default secret");
    assert_eq!(*hello.field("proto"), int(3));
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
    assert_eq!(client.call("AUTH wrong"), error(WRONGPASS));
    assert_eq!(client.call("PING"), noauth);
    assert_eq!(
        client.call_arguments(&["AUTH", "s3cret word"]),
        simple("OK")
    );
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(client.call("AUTH wrong"), error(WRONGPASS));
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
    for who in ["default wrong", "bob right", "DEFAULT right"] {
        let refused = client.call(&format!("HELLO 3 AUTH {who}"));
        assert_eq!(refused, error(WRONGPASS), "{who}");
    }
    assert_eq!(client.call("AUTH bob right"), error(WRONGPASS));
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
    assert_eq!(other.call("AUTH default any"), simple("OK"));
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
