//! How nodes find each other, and who is not let in.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, throughout, until};
use crate::fixture::{Launch, Node};
use crate::wire::{Reply, error, simple};

#[test]
fn nodes_join_by_seeds() {
    let first = Launch::new().flags("--appendonly no").start();
    let seed = format!("127.0.0.1:{}", first.port());
    let mut nodes = vec![first];
    for _ in 1..5 {
        let flags = format!("--appendonly no --cluster-join {seed}");
        nodes.push(Launch::new().flags(&flags).start());
    }
    let shoal = Shoal { nodes };
    shoal.wait_until_all_met();
    for node in 0..5 {
        assert_eq!(shoal.cluster_info(node, "cluster_known_nodes"), "5");
        assert_eq!(shoal.cluster_info(node, "cluster_size"), "5");
        assert_eq!(shoal.cluster_info(node, "cluster_state"), "ok");
    }
}

#[test]
fn a_seed_may_come_later_and_be_a_name() {
    // Nobody is there yet under the name; a seed may also be the node itself.
    let later = Launch::new().flags("--appendonly no");
    let seeds = format!("--cluster-join localhost:{}", later.port());
    let port = later.port();
    let first = Launch::new().flags("--appendonly no").flags(&seeds).start();
    assert_eq!(first.connect().call("PING"), simple("PONG"));
    let second = later.flags(&seeds).start();
    if second.port() != port {
        // Another process took the port in between.
        return;
    }
    Shoal {
        nodes: vec![first, second],
    }
    .wait_until_all_met();
}

#[test]
fn nodes_are_met_by_name_and_in_a_chain() {
    let nodes: Vec<_> = (0..7)
        .map(|_| Node::with("--cluster-announce-host localhost"))
        .collect();
    let shoal = Shoal { nodes };
    // Each meets the next; nobody meets all.
    for pair in shoal.nodes.windows(2) {
        let port = pair[1].port().to_string();
        let met = pair[0]
            .connect()
            .call(&format!("CLUSTER MEET localhost {port}"));
        assert_eq!(met, simple("OK"));
    }
    shoal.wait_until_all_met();
    let nodes = shoal.call(3, "CLUSTER NODES").text();
    let fields: Vec<Vec<&str>> = nodes
        .lines()
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(fields.len(), 7);
    for fields in &fields {
        assert_eq!(fields.len(), 6, "{fields:?}");
        assert_eq!((fields[0].len(), fields[5]), (40, "connected"));
        let (host, port) = fields[1].rsplit_once(':').expect("host:port");
        let known = shoal
            .nodes
            .iter()
            .any(|node| node.port().to_string() == port);
        assert!(known, "{port} is the client port of no node");
        assert!(!host.is_empty());
    }
    let own: Vec<_> = fields
        .iter()
        .filter(|fields| fields[2] == "myself")
        .collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0][0], shoal.id(3));
    let hello = shoal.call(3, "HELLO");
    assert_eq!(hello.items().len(), 2 + 7);
    for node in &hello.items()[2..] {
        assert_eq!(node.items().len(), 4);
        assert_eq!(node.items()[3].text(), "1");
    }
}

#[test]
fn a_node_that_dies_is_seen_to_fail_and_to_come_back() {
    let mut shoal = Shoal::start(3);
    let id = shoal.id(2);
    let flags = |shoal: &Shoal| {
        let nodes = shoal.call(0, "CLUSTER NODES").text();
        let line = nodes
            .lines()
            .find(|line| line.starts_with(&id))
            .map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("no {id} in {nodes}"));
        line.split(' ').nth(2).expect("six fields").to_owned()
    };
    assert_eq!(flags(&shoal), "noflags");
    shoal.nodes[2].kill();
    until("it is failed", || flags(&shoal) == "fail");
    shoal.restart(2);
    until("it is back", || flags(&shoal) == "noflags");
    assert_eq!(shoal.id(2), id);
    // The same for one that hangs.
    shoal.nodes[2].freeze();
    until("it hangs", || flags(&shoal) == "fail");
    shoal.nodes[2].thaw();
    until("it goes on", || flags(&shoal) == "noflags");
    shoal.wait_until_all_met();
}

#[test]
fn nodes_of_another_name_or_secret_do_not_meet() {
    for (ours, theirs) in [
        ("--cluster-name ours", "--cluster-name theirs"),
        ("--cluster-secret ours", "--cluster-secret theirs"),
        ("--cluster-secret ours", ""),
        (
            "--cluster-name a --cluster-secret s",
            "--cluster-name b --cluster-secret s",
        ),
    ] {
        let shoal = Shoal::with(2, &format!("--appendonly no {ours}"));
        let seed = format!("--cluster-join 127.0.0.1:{}", shoal.nodes[0].port());
        let stranger = Node::with(&format!("{theirs} {seed}"));
        shoal.meet(stranger.port());
        shoal.connect(0).add("q", "body", "REPLICATE 2");
        let mut outside = stranger.connect();
        throughout(Duration::from_secs(2), "they stay apart", || {
            let known = |node| shoal.cluster_info(node, "cluster_reachable_nodes");
            let info = outside.call("CLUSTER INFO").text();
            known(0) == "1" && known(1) == "1" && info.contains("cluster_reachable_nodes:0\r\n")
        });
        assert_eq!(outside.call("GETJOB NOHANG FROM q"), Reply::NilArray);
        assert_eq!(outside.info("registered_jobs"), "0");
        assert!(
            shoal.nodes[0]
                .log()
                .contains("not taken for a node of this cluster")
                || shoal.nodes[1]
                    .log()
                    .contains("not taken for a node of this cluster"),
            "the operator is told"
        );
    }
}

#[test]
fn only_an_address_can_be_met() {
    let node = Node::start();
    let mut connection = node.connect();
    for (host, port, text) in [
        (
            "127.0.0.1",
            "0",
            "ERR Invalid node address specified: 127.0.0.1:0",
        ),
        (
            "127.0.0.1",
            "55536",
            "ERR Invalid node address specified: 127.0.0.1:55536",
        ),
        (
            "127.0.0",
            "7711",
            "ERR Invalid node address specified: 127.0.0:7711",
        ),
        ("127.0.0.1", "x", "ERR Invalid TCP port specified: x"),
    ] {
        assert_eq!(
            connection.call(&format!("CLUSTER MEET {host} {port}")),
            error(text)
        );
    }
    // Itself, and nobody at all: taken, and nothing comes of it.
    for port in [node.port(), 1] {
        let met = connection.call(&format!("CLUSTER MEET 127.0.0.1 {port}"));
        assert_eq!(met, simple("OK"));
    }
    throughout(Duration::from_millis(500), "it is alone", || {
        connection
            .call("CLUSTER INFO")
            .text()
            .contains("cluster_reachable_nodes:0\r\n")
    });
    for command in [
        "CLUSTER SLOTS",
        "CLUSTER COUNTKEYSINSLOT 1",
        "CLUSTER FORGET",
    ] {
        let text = "ERR Wrong CLUSTER subcommand or number of arguments";
        let refused = connection.call(command);
        assert!(refused.refuses(text), "{command}: {refused:?}");
    }
}
