//! CLUSTER and HELLO: what one node tells of itself and of others, who joins and who goes.

use std::time::Duration;

use crate::fixture::{Node, eventually};
use crate::wire::{Connection, Reply, bulk, error, int, simple};

fn start() -> (Node, Connection) {
    let node = Node::start();
    let client = node.connect();
    (node, client)
}

#[test]
fn hello_lists_this_node() {
    let (node, mut client) = start();
    let hello = client.call("HELLO");
    let [version, id, own] = hello.items() else {
        panic!("three elements: {hello:?}")
    };
    assert_eq!(*version, int(1));
    assert!(
        id.text().len() == 40 && id.text().bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id:?}"
    );
    assert_eq!(own.items().len(), 4);
    assert_eq!(own.items()[0], *id);
    own.items()[1].bytes();
    assert_eq!(own.items()[2], bulk(node.port().to_string()));
    assert_eq!(own.items()[3], bulk("1"));
}

#[test]
fn cluster_tells_of_a_node_that_is_alone() {
    let (_node, mut client) = start();
    let id = client.call("HELLO").items()[1].text();
    assert_eq!(client.call("CLUSTER MYID"), bulk(&id));
    let info = client.call("CLUSTER INFO").text();
    let lines: Vec<_> = info.split_terminator("\r\n").collect();
    let expected = [
        "cluster_state:ok",
        "cluster_known_nodes:1",
        "cluster_reachable_nodes:0",
        "cluster_size:1",
    ];
    assert_eq!(lines[..4], expected);
    let nodes = client.call("CLUSTER NODES").text();
    let fields: Vec<_> = nodes.trim_end_matches('\n').split(' ').collect();
    assert_eq!(fields.len(), 6, "{nodes:?}");
    assert_eq!(
        (fields[0], fields[2], fields[5]),
        (id.as_str(), "myself", "connected")
    );
    assert_eq!(client.call("CLUSTER LEAVING"), simple("no"));
    assert_eq!(client.call("CLUSTER LEAVING yes"), simple("OK"));
    assert_eq!(client.call("CLUSTER LEAVING"), simple("yes"));
    assert_eq!(
        client.call("HELLO").items()[2].items()[3],
        bulk("100"),
        "a leaving node is the last choice"
    );
    assert!(client.call("CLUSTER NODES").text().contains("leaving"));
    let refused = client.call("CLUSTER LEAVING maybe");
    assert_eq!(
        refused,
        error("ERR Wrong argument for CLUSTER LEAVING. Use 'yes' or 'no'")
    );
    assert_eq!(client.call("CLUSTER LEAVING no"), simple("OK"));
}

#[test]
fn cluster_reset_deletes_all_and_hard_takes_a_new_id() {
    let (_node, mut client) = start();
    let id = client.call("CLUSTER MYID");
    client.add("q", "body", "");
    assert_eq!(client.call("CLUSTER RESET"), simple("OK"));
    assert_eq!(client.info("registered_jobs"), "0");
    assert_eq!(client.call("CLUSTER MYID"), id);
    client.add("q", "body", "");
    assert_eq!(client.call("CLUSTER RESET hard"), simple("OK"));
    assert_eq!(client.length("q"), 0);
    let new = client.call("CLUSTER MYID");
    assert_ne!(new, id);
    assert_eq!(client.add("q", "body", "")[2..10], new.text()[..8]);
    let refused = client.call("CLUSTER RESET softly");
    assert!(refused.refuses("ERR syntax error"), "{refused:?}");
}

/// Two nodes that know each other, each with a client.
fn pair(flags: &str) -> [(Node, Connection); 2] {
    let nodes = [Node::with(flags), Node::with(flags)];
    let mut both = nodes.map(|node| {
        let client = node.connect();
        (node, client)
    });
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", both[1].0.port());
    assert_eq!(both[0].1.call(&meet), simple("OK"));
    for (_, client) in &mut both {
        wait_for_reachable(client, 1);
    }
    both
}

fn wait_for_reachable(client: &mut Connection, nodes: usize) {
    let line = format!("cluster_reachable_nodes:{nodes}\r\n");
    eventually(&format!("{nodes} reachable nodes"), || {
        client
            .call("CLUSTER INFO")
            .text()
            .contains(&line)
            .then_some(())
    });
}

#[test]
fn a_node_that_is_alone_shows_no_address() {
    let (node, mut client) = start();
    let id = client.call("CLUSTER MYID").text();
    assert_eq!(client.call("HELLO").items()[2].items()[1], bulk(""));
    let line = format!("{id} :{} myself 0 0 connected\n", node.port());
    assert_eq!(client.call("CLUSTER NODES"), bulk(line));
    let hello = client.call("HELLO 2");
    assert_eq!(hello.field("mode"), &bulk("standalone"));
}

#[test]
fn cluster_refuses_what_cannot_be() {
    let (_node, mut client) = start();
    let id = client.call("CLUSTER MYID").text();
    let unknown = "0123456789012345678901234567890123456789";
    let usage = "ERR Wrong CLUSTER subcommand or number of arguments";
    for (command, refusal) in [
        ("CLUSTER SLOTS", usage.to_owned()),
        ("CLUSTER COUNTKEYSINSLOT 1", usage.to_owned()),
        ("CLUSTER MEET 127.0.0.1", usage.to_owned()),
        (
            "CLUSTER MEET 127.0.0.1 0",
            "ERR Invalid node address specified: 127.0.0.1:0".to_owned(),
        ),
        (
            "CLUSTER MEET 127.0.0.1 55536",
            "ERR Invalid node address specified: 127.0.0.1:55536".to_owned(),
        ),
        (
            "CLUSTER MEET 999.0.0.1 7711",
            "ERR Invalid node address specified: 999.0.0.1:7711".to_owned(),
        ),
        (
            "CLUSTER MEET 127.0.0.1 x",
            "ERR Invalid TCP port specified: x".to_owned(),
        ),
        (
            "CLUSTER FORGET abc",
            "ERR Invalid node identifier".to_owned(),
        ),
        (
            &format!("CLUSTER FORGET {unknown}"),
            format!("ERR Unknown node {unknown}"),
        ),
        (
            &format!("CLUSTER FORGET {id}"),
            "ERR I tried hard but I can't forget myself...".to_owned(),
        ),
    ] {
        let refused = client.call(command);
        assert!(refused.refuses(&refusal), "{command}: {refused:?}");
    }
    assert_eq!(client.call("CLUSTER SAVECONFIG"), simple("OK"));
}

#[test]
fn an_address_that_is_being_met_is_shown_as_handshake() {
    let (_node, mut client) = start();
    // Nobody listens there.
    assert_eq!(client.call("CLUSTER MEET 127.0.0.1 1"), simple("OK"));
    let nodes = client.call("CLUSTER NODES").text();
    let newcomer = nodes.lines().nth(1).expect("a line for it");
    let fields: Vec<_> = newcomer.split(' ').collect();
    assert_eq!(fields[0].len(), 40);
    assert_eq!(
        fields[1..],
        ["127.0.0.1:1", "handshake", "0", "0", "disconnected"]
    );
    assert_eq!(client.call("CLUSTER NODES").text(), nodes, "its id stays");
    assert_eq!(client.call("HELLO").items().len(), 3);
}

#[test]
fn nodes_that_met_tell_of_each_other() {
    let [(a, mut client), (b, mut other)] = pair("");
    let (own, id) = (
        client.call("CLUSTER MYID").text(),
        other.call("CLUSTER MYID").text(),
    );
    let nodes = client.call("CLUSTER NODES").text();
    let lines: Vec<Vec<&str>> = nodes
        .lines()
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(lines.len(), 2, "{nodes}");
    assert!(lines.iter().all(|fields| fields.len() == 6), "{nodes}");
    let own_address = format!("127.0.0.1:{}", a.port());
    assert_eq!(lines[0][..3], [&own, &own_address, "myself"]);
    let address = format!("127.0.0.1:{}", b.port());
    assert_eq!(lines[1][..3], [&id, &address, "noflags"]);
    assert_eq!(lines[1][5], "connected");
    let hello = client.call("HELLO");
    assert_eq!(hello.items().len(), 4);
    let entry = [bulk(&id), bulk("127.0.0.1"), bulk(b.port().to_string())];
    assert_eq!(hello.items()[3].items()[..3], entry);
    assert_eq!(hello.items()[3].items()[3], bulk("1"));
    assert_eq!(client.call("HELLO 2").field("mode"), &bulk("cluster"));

    assert_eq!(other.call("CLUSTER LEAVING yes"), simple("OK"));
    eventually("the other node is seen to leave", || {
        let hello = client.call("HELLO");
        (hello.items()[3].items()[3] == bulk("100")).then_some(())
    });
    assert!(client.call("CLUSTER NODES").text().contains(" leaving "));
    wait_for_reachable(&mut client, 0);
}

#[test]
fn a_node_can_be_met_by_name() {
    let [a, b] = [Node::start(), Node::start()];
    let mut client = a.connect();
    let meet = format!("CLUSTER MEET localhost {}", b.port());
    assert_eq!(client.call(&meet), simple("OK"));
    wait_for_reachable(&mut client, 1);
    assert_eq!(client.call("CLUSTER NODES").text().lines().count(), 2);
}

#[test]
fn a_forgotten_node_is_gone_on_both_sides() {
    let [(_a, mut client), (_b, mut other)] = pair("");
    let id = other.call("CLUSTER MYID").text();
    assert_eq!(client.call(&format!("CLUSTER FORGET {id}")), simple("OK"));
    assert_eq!(client.call("CLUSTER NODES").text().lines().count(), 1);
    let again = client.call(&format!("CLUSTER FORGET {id}"));
    assert_eq!(again, error(&format!("ERR Unknown node {id}")));
    wait_for_reachable(&mut other, 0);
}

#[test]
fn reset_forgets_the_others_and_their_jobs_stay_theirs() {
    let [(_a, mut client), (_b, mut other)] = pair("");
    client.add("q", "body", "REPLICATE 2");
    assert_eq!(client.call("CLUSTER RESET"), simple("OK"));
    assert_eq!(client.info("registered_jobs"), "0");
    let info = client.call("CLUSTER INFO").text();
    assert!(info.contains("cluster_known_nodes:1\r\n"), "{info}");
    assert_eq!(other.info("registered_jobs"), "1");
}

/// An ADDJOB that cannot have its copies, because the other node stands still.
const LATE: &str = "ADDJOB q late 0 REPLICATE 2 RETRY 60\r\n";

#[test]
fn commands_behind_a_late_addjob_run_and_are_answered_in_order() {
    let [(a, mut client), (b, _)] = pair("--cluster-node-timeout 20000");
    b.freeze();
    let mut watcher = a.connect();
    client
        .send_raw(format!("{LATE}PING\r\n{LATE}ADDJOB q now 0 REPLICATE 1\r\nPING\r\n").as_bytes());
    eventually("the job behind is queued", || {
        (watcher.length("q") == 1).then_some(())
    });
    assert_eq!(watcher.info("blocked_clients"), "1");
    assert_eq!(info(&mut watcher, "adds_waiting_for_copies"), "2");
    client.assert_silent();
    b.thaw();
    assert!(client.receive().simple_text().starts_with("D-"));
    assert_eq!(client.receive(), simple("PONG"));
    assert!(client.receive().simple_text().starts_with("D-"));
    assert!(client.receive().simple_text().starts_with("D-"));
    assert_eq!(client.receive(), simple("PONG"));
    assert_eq!(watcher.length("q"), 3);
    assert_eq!(watcher.info("blocked_clients"), "0");
}

fn info(client: &mut Connection, field: &str) -> String {
    let text = client.call("INFO replication").text();
    let start = format!("{field}:");
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{field} in {text}"))
        .to_owned()
}

#[test]
fn quit_behind_a_late_addjob_waits_its_turn() {
    let [(_a, mut client), (b, _)] = pair("--cluster-node-timeout 20000");
    b.freeze();
    client.send_raw(format!("{LATE}QUIT\r\n").as_bytes());
    client.assert_silent();
    b.thaw();
    assert!(client.receive().simple_text().starts_with("D-"));
    assert_eq!(client.receive(), simple("OK"));
    client.assert_closed();
}

#[test]
fn a_late_addjob_may_go_unanswered() {
    let [(_a, mut client), (b, _)] = pair("--cluster-node-timeout 20000");
    b.freeze();
    client.send_raw(format!("CLIENT REPLY SKIP\r\n{LATE}PING\r\n").as_bytes());
    client.assert_silent();
    b.thaw();
    assert_eq!(client.receive(), simple("PONG"));
}

#[test]
fn a_client_that_is_gone_takes_its_late_addjobs_with_it() {
    let [(a, client), (b, _)] = pair("--cluster-node-timeout 20000");
    let mut client = client;
    b.freeze();
    client.send_raw(format!("{LATE}{LATE}").as_bytes());
    let mut watcher = a.connect();
    eventually("the jobs wait", || {
        (watcher.info("registered_jobs") == "2").then_some(())
    });
    drop(client);
    eventually(
        "the adds are withdrawn, and the other node is still to hear of it",
        || (watcher.info("withdrawn_jobs_waiting") == "2").then_some(()),
    );
    b.thaw();
    eventually("the jobs are dropped", || {
        (watcher.info("registered_jobs") == "0").then_some(())
    });
    let mut other = b.connect();
    eventually("their copies too", || {
        (other.info("registered_jobs") == "0").then_some(())
    });
}

#[test]
fn a_client_that_only_listens_gets_its_late_answers() {
    let [(_a, mut client), (b, _)] = pair("--cluster-node-timeout 20000");
    b.freeze();
    client.send_raw(LATE.as_bytes());
    client.finish_sending();
    assert_eq!(client.receive_within(Duration::from_millis(100)), None);
    b.thaw();
    assert!(client.receive().simple_text().starts_with("D-"));
    client.assert_closed();
}

#[test]
fn more_addjobs_than_may_wait_are_all_answered_in_order() {
    const JOBS: usize = 3000;
    let [(_a, mut client), (b, _)] = pair("--cluster-node-timeout 20000");
    b.freeze();
    let commands: Vec<String> = (0..JOBS)
        .map(|number| format!("ADDJOB q{number} b 0 REPLICATE 2\r\nECHO {number}\r\n"))
        .collect();
    client.send_raw(commands.concat().as_bytes());
    client.assert_silent();
    b.thaw();
    for number in 0..JOBS {
        assert!(client.receive().simple_text().starts_with("D-"));
        assert_eq!(client.receive(), bulk(number.to_string()));
    }
}

#[test]
fn a_stop_hands_queued_jobs_over_and_closes_connections() {
    let [(mut a, mut client), (_b, mut other)] = pair("");
    for _ in 0..50 {
        client.add("q", "body", "REPLICATE 1");
    }
    let mut waiting = a.connect();
    waiting.send("GETJOB FROM empty");
    a.wait_for_blocked(1);
    assert!(a.terminate().success());
    // No error: programs that do not expect one would end, while libraries connect again.
    waiting.assert_closed();
    client.assert_closed();
    eventually("the jobs are at the other node", || {
        (other.length("q") == 50).then_some(())
    });
}

#[test]
fn an_add_in_flight_is_answered_before_its_node_stops() {
    let [(mut a, mut client), (b, _)] = pair("--appendonly no --cluster-node-timeout 20000");
    let mut operator = a.connect();
    b.freeze();
    client.send("ADDJOB q body 20000 REPLICATE 2");
    a.wait_for_blocked(1);
    operator.send("SHUTDOWN");
    eventually("the node stops", || {
        a.log().contains("node stops").then_some(())
    });
    b.thaw();
    assert!(client.receive().simple_text().starts_with("D-"));
    client.assert_closed();
    operator.assert_closed();
    assert!(a.wait_for_end().success());
}

#[test]
fn a_node_that_is_alone_stops_at_once() {
    let mut node = Node::with("--shutdown-timeout 60");
    node.connect().add("q", "body", "");
    let start = std::time::Instant::now();
    assert!(node.terminate().success());
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn with_global_the_whole_cluster_answers() {
    let [(_a, mut client), (_b, mut other)] = pair("");
    client.add("q", "one", "REPLICATE 1");
    other.add("q", "two", "REPLICATE 1");
    assert_eq!(client.length("q"), 1);
    let complete = Reply::Array(Vec::new());
    let both = client.call("QLEN q GLOBAL");
    assert_eq!(both.items(), [int(2), complete.clone()]);
    let peeked = client.call("QPEEK q 10 global");
    assert_eq!(peeked.items()[0].items().len(), 2);
    let stat = client.call("QSTAT q GLOBAL");
    assert_eq!(stat.items()[0].field("len"), &int(2));
    assert_eq!(stat.items()[1], complete);
    let refused = client.call("QLEN q x");
    assert_eq!(
        refused,
        error("ERR wrong number of arguments for 'qlen' command")
    );
}
