//! META of ADDJOB and WITHMETA of GETJOB: wherever the job goes, what its producer said about it goes too.

use crate::cluster::fixture::Shoal;
use crate::fixture::{Launch, Node, eventually};
use crate::wire::{Connection, Reply, array, bulk, error, int};

/// Takes one job with its META.
#[track_caller]
fn take(client: &mut Connection) -> Vec<Reply> {
    let reply = eventually("a job", || {
        match client.call("GETJOB NOHANG WITHMETA FROM q") {
            Reply::NilArray | Reply::Null => None,
            reply => Some(reply),
        }
    });
    match reply.items() {
        [job] => job.items().to_vec(),
        other => panic!("one job, not {other:?}"),
    }
}

#[test]
fn a_job_without_meta_tells_its_deliveries() {
    let node = Node::start();
    let mut client = node.connect();
    let id = client.add("q", "body", "RETRY 60");
    let job = take(&mut client);
    let expected = [
        bulk("q"),
        bulk(&id),
        bulk("body"),
        bulk("meta"),
        array([bulk("shoal.deliveries"), int(1)]),
    ];
    assert_eq!(job, expected);
    assert_eq!(client.call(&format!("NACK {id}")), int(1));
    assert_eq!(take(&mut client)[4].field("shoal.deliveries"), &int(2));
}

#[test]
fn meta_stands_behind_the_counters_and_is_a_map_in_resp3() {
    let node = Node::start();
    let mut client = node.connect();
    let add = [
        "ADDJOB",
        "q",
        "body",
        "0",
        "META",
        "traceparent",
        "00-4bf9-01",
        "RETRY",
        "60",
        "META",
        "b",
        "old",
        "META",
        "b",
        "\0\r\n",
    ];
    let id = client.call_arguments(&add).simple_text().to_owned();
    let taken = client.call("GETJOB WITHMETA WITHCOUNTERS FROM q");
    let job = taken.items()[0].items();
    assert_eq!(job.len(), 9);
    assert_eq!(
        job[3..7],
        [bulk("nacks"), int(0), bulk("additional-deliveries"), int(0)]
    );
    let meta = array([
        bulk("traceparent"),
        bulk("00-4bf9-01"),
        bulk("b"),
        bulk("\0\r\n"),
        bulk("shoal.deliveries"),
        int(1),
    ]);
    assert_eq!(job[7..], [bulk("meta"), meta]);
    client.call("HELLO 3");
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(1));
    let taken = client.call("GETJOB WITHMETA FROM q");
    let Reply::Map(pairs) = &taken.items()[0].items()[4] else {
        panic!("a map, not {taken:?}");
    };
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[0], (bulk("traceparent"), bulk("00-4bf9-01")));
}

#[test]
fn bad_meta_is_refused_and_adds_nothing() {
    let node = Node::start();
    let mut client = node.connect();
    let long = "x".repeat(4096);
    let too_much = error("ERR META takes at most 16 pairs of 4096 bytes in all");
    let ours = error("ERR META names must not begin with 'shoal.'");
    let add = |client: &mut Connection, meta: &[&str]| {
        client.call_arguments(&[&["ADDJOB", "q", "b", "0"], meta].concat())
    };
    assert_eq!(add(&mut client, &["META", "n", &long]), too_much);
    assert_eq!(add(&mut client, &["META", "shoal.x", "1"]), ours);
    let names: Vec<String> = (0..17).map(|name| name.to_string()).collect();
    let many: Vec<&str> = names.iter().flat_map(|name| ["META", name, "v"]).collect();
    assert_eq!(add(&mut client, &many), too_much);
    for cut in [&["META"][..], &["META", "name"]] {
        let refused = add(&mut client, cut);
        let why = "ERR syntax error near 'META': its value is missing";
        assert_eq!(refused, error(why));
    }
    assert_eq!(client.length("q"), 0);
    assert!(matches!(add(&mut client, &many[..48]), Reply::Simple(_)));
}

#[test]
fn meta_survives_kill_restart_rewrite_and_spilling() {
    for storage in ["sled", "log"] {
        let flags = format!("--storage {storage} --appendfsync always --maxmemory 8mb");
        let mut node = Launch::new().flags(&flags).start();
        let mut client = node.connect();
        client.add("q", "first", "RETRY 1 META who me");
        let body = "x".repeat(4096);
        for _ in 0..4000 {
            client.add("other", &body, "RETRY 1 META n v");
        }
        assert_ne!(client.info("spilled_jobs"), "0", "bodies left memory");
        node.kill();
        node.restart();
        let mut client = node.connect();
        client.call("BGREWRITEAOF");
        let job = take(&mut client);
        assert_eq!(job[2], bulk("first"));
        assert_eq!(job[4].field("who"), &bulk("me"), "{storage}");
        let spilled = eventually("a job that was spilled", || {
            match client.call("GETJOB NOHANG WITHMETA COUNT 5 FROM other") {
                Reply::NilArray => None,
                jobs => Some(jobs),
            }
        });
        for job in spilled.items() {
            assert_eq!(job.items()[2], bulk(&body));
            assert_eq!(job.items()[4].field("n"), &bulk("v"), "{storage}");
        }
    }
}

#[test]
fn a_copy_elsewhere_has_the_meta() {
    let mut shoal = Shoal::start(3);
    let mut client = shoal.connect(0);
    client.add("q", "body", "RETRY 1 REPLICATE 3 META who me");
    drop(client);
    shoal.nodes[0].kill();
    let mut client = shoal.connect(1);
    assert_eq!(take(&mut client)[4].field("who"), &bulk("me"));
}
