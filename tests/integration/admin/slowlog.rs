//! SLOWLOG and LATENCY.

use super::start;
use crate::wire::{array, bulk, error, int, simple};

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
    assert!(client.call("LATENCY NOSUCH").refuses("ERR syntax error"));
}
