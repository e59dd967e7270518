//! CONFIG GET, SET, REWRITE and RESETSTAT.

use super::{setting, start};
use crate::wire::{array, bulk, simple};

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
        let refused = client.call(&format!("CONFIG SET {name} {value}"));
        let text = format!("ERR Invalid argument '{value}' for CONFIG SET '{name}'");
        assert!(refused.refuses(&text), "{refused:?}");
    }
    for name in ["port", "bind", "daemonize", "nosuchthing"] {
        let refused = client.call(&format!("CONFIG SET {name} 1"));
        let text = format!("ERR Unsupported CONFIG parameter: {name}");
        assert!(refused.refuses(&text), "{refused:?}");
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
        let refused = client.call(command);
        assert!(refused.refuses(text), "{command}: {refused:?}");
    }
}
