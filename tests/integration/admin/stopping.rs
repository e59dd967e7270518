//! SHUTDOWN, signals and DEBUG RESTART.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::start;
use crate::fixture::{Launch, binary, eventually, free_port, run};
use crate::wire::{Connection, Reply, bulk, encode_words, simple};

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
            let refused = client.call(wrong);
            assert!(refused.refuses("ERR syntax error"), "{wrong}: {refused:?}");
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
fn a_stop_closes_connections_without_an_error() {
    let mut node = Launch::new().flags("--appendonly no").start();
    let [mut blocked, mut behind, mut pipelined, mut idle] = [(); 4].map(|()| node.connect());
    blocked.send("GETJOB FROM q");
    behind.send("GETJOB FROM q");
    node.wait_for_blocked(2);
    // It must not be taken for the answer to the GETJOB before it.
    behind.send("PING");
    pipelined.send_raw(&[encode_words("PING"), encode_words("GETJOB FROM q")].concat());
    node.wait_for_blocked(3);
    assert_eq!(pipelined.receive(), simple("PONG"));
    assert_eq!(idle.call("PING"), simple("PONG"));
    assert!(node.terminate().success());
    for connection in [&mut blocked, &mut behind, &mut pipelined, &mut idle] {
        connection.assert_closed();
    }
    assert!(!node.log().contains("still connected"), "{}", node.log());
}

#[test]
fn an_add_that_a_draining_node_cannot_take_ends_its_connection() {
    let port = free_port();
    let launch = Launch::new().flag("--http-port", &port.to_string());
    let node = launch.flags("--appendonly no").start();
    let mut drain = binary();
    drain.args(["drain", "--url", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(run(drain, b"").stdout, "drained\n");
    for command in ["ADDJOB q body 0", "GETJOB FROM q"] {
        let mut client = node.connect();
        let pipelined = [
            encode_words("ECHO a"),
            encode_words(command),
            encode_words("ECHO b"),
        ];
        client.send_raw(&pipelined.concat());
        assert_eq!(client.receive(), bulk("a"), "{command}");
        client.assert_closed();
    }
}

#[test]
fn clients_that_keep_coming_do_not_keep_a_node_from_stopping() {
    for _ in 0..5 {
        let mut node = Launch::new().flags("--shutdown-timeout 60").start();
        let (port, stop) = (node.port(), AtomicBool::new(false));
        let took = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // They stay: each that is let in while the node closes would have to be waited for.
                    let mut connections = Vec::new();
                    while !stop.load(Ordering::Relaxed) && connections.len() < 2000 {
                        match Connection::try_open(port) {
                            Ok(connection) => connections.push(connection),
                            Err(_) => thread::yield_now(),
                        }
                    }
                });
            }
            let mut client = node.connect();
            eventually("some are there", || {
                let connected: usize = client.info("connected_clients").parse().ok()?;
                (connected > 100).then_some(())
            });
            let start = Instant::now();
            assert!(node.terminate().success());
            stop.store(true, Ordering::Relaxed);
            start.elapsed()
        });
        assert!(took < Duration::from_secs(10), "{took:?}");
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
