//! GLOBAL: what QLEN, QSTAT, QPEEK, QSCAN and JSCAN say of the whole cluster, and that they say what is missing.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::cluster::fixture::{Shoal, until};
use crate::wire::{Connection, Reply, bodies, bulk, int};

/// A view of the cluster: what it says, and the ids of the nodes that are missing in it.
#[track_caller]
fn view(connection: &mut Connection, command: &str) -> (Reply, BTreeSet<String>) {
    let reply = connection.call(command);
    let [answer, missing] = reply.items() else {
        panic!("{command}: {reply:?}");
    };
    let missing = missing.items().iter().map(Reply::text).collect();
    (answer.clone(), missing)
}

/// Two jobs at node 0, three at node 1, four at node 2, taken by nobody, each once in the cluster.
fn filled(flags: &str) -> (Shoal, BTreeSet<String>) {
    let shoal = Shoal::with(3, flags);
    let mut ids = BTreeSet::new();
    for (node, count) in [(0, 2), (1, 3), (2, 4)] {
        for n in 0..count {
            let mut connection = shoal.connect(node);
            ids.insert(connection.add("q", &format!("{node}-{n}"), "REPLICATE 2 RETRY 1000"));
        }
        // Jobs that two nodes make within one millisecond are of the same age.
        let made = SystemTime::now();
        until("the next millisecond", || {
            made.elapsed().is_ok_and(|passed| passed.as_millis() >= 1)
        });
    }
    (shoal, ids)
}

#[test]
fn views_are_of_the_whole_cluster_when_asked() {
    let (shoal, ids) = filled("--appendonly no");
    for node in 0..3 {
        let mut connection = shoal.connect(node);
        assert_eq!(
            connection.length("q"),
            i64::try_from(node).expect("small") + 2,
            "local"
        );
        let none = BTreeSet::new();
        assert_eq!(
            view(&mut connection, "QLEN q GLOBAL"),
            (int(9), none.clone())
        );
        assert_eq!(
            view(&mut connection, "qlen unknown global"),
            (int(0), none.clone())
        );

        let (peeked, missing) = view(&mut connection, "QPEEK q 5 GLOBAL");
        assert_eq!(
            bodies(&peeked),
            ["0-0", "0-1", "1-0", "1-1", "1-2"],
            "oldest first"
        );
        assert_eq!(missing, none);
        let (peeked, _) = view(&mut connection, "QPEEK q -3 GLOBAL");
        assert_eq!(bodies(&peeked), ["2-3", "2-2", "2-1"], "newest first");

        let (stat, missing) = view(&mut connection, "QSTAT q GLOBAL");
        assert_eq!(*stat.field("name"), bulk("q"));
        assert_eq!(*stat.field("len"), int(9));
        assert_eq!(*stat.field("jobs-in"), int(9));
        assert_eq!((missing, stat.items().len()), (none.clone(), 20));

        let (scanned, missing) = view(&mut connection, "QSCAN BUSYLOOP GLOBAL");
        let all = Reply::Array(vec![bulk("q")]);
        assert_eq!(scanned.items(), [bulk("0"), all], "three nodes have it");
        assert_eq!(missing, none);

        let (scanned, missing) = view(
            &mut connection,
            "JSCAN QUEUE q STATE queued BUSYLOOP GLOBAL",
        );
        let [cursor, found] = scanned.items() else {
            panic!("{scanned:?}");
        };
        assert_eq!(*cursor, bulk("0"));
        let found: Vec<_> = found
            .items()
            .iter()
            .map(|id| id.simple_text().to_owned())
            .collect();
        assert_eq!(found.len(), 9, "each once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), ids);
        assert_eq!(missing, none);
    }
}

#[test]
fn full_figures_are_of_the_whole_cluster_when_asked() {
    let (shoal, _) = filled("--appendonly no");
    let none = BTreeSet::new();
    shoal.connect(1).take("q");
    shoal.connect(2).add("q", "later", "REPLICATE 1 DELAY 1000");
    for node in 0..3 {
        let mut connection = shoal.connect(node);
        for words in ["FULL GLOBAL", "GLOBAL FULL"] {
            let (stat, missing) = view(&mut connection, &format!("QSTAT q {words}"));
            assert_eq!((missing, stat.items().len()), (none.clone(), 32));
            let counts = ["len", "active", "delayed", "copies", "restored"];
            let counts = counts.map(|name| stat.field(name).int());
            assert_eq!(counts, [8, 1, 1, 9, 0], "{words}");
        }
    }
}

#[test]
fn a_partial_view_names_who_is_missing() {
    let (shoal, _) = filled("--appendonly no");
    let ids: Vec<_> = (0..3).map(|node| shoal.id(node)).collect();
    let mut connection = shoal.connect(0);
    // One that hangs does not answer in time.
    shoal.nodes[2].freeze();
    let (length, missing) = view(&mut connection, "QLEN q GLOBAL");
    assert_eq!(length, int(5));
    assert_eq!(missing, BTreeSet::from([ids[2].clone()]));
    shoal.nodes[2].thaw();
    shoal.wait_until_all_met();
    assert_eq!(
        view(&mut connection, "QLEN q GLOBAL"),
        (int(9), BTreeSet::new())
    );
    // One that is down is not asked, and missing all the same.
    let mut shoal = shoal;
    shoal.kill(&[1]);
    let (length, missing) = view(&mut connection, "QLEN q GLOBAL");
    assert_eq!(length, int(6));
    assert_eq!(missing, BTreeSet::from([ids[1].clone()]));
    let (peeked, missing) = view(&mut connection, "QPEEK q 3 GLOBAL");
    assert_eq!(bodies(&peeked), ["0-0", "0-1", "2-0"]);
    assert_eq!(missing, BTreeSet::from([ids[1].clone()]));
}

/// Name and ready jobs of each queue of a list, and the ids of the nodes that are missing in it.
fn listed(connection: &mut Connection, command: &str) -> (Vec<(String, i64)>, BTreeSet<String>) {
    let (queues, missing) = view(connection, command);
    let queues = queues.items().iter();
    let queues = queues.map(|it| (it.field("name").text(), it.field("ready").int()));
    (queues.collect(), missing)
}

#[test]
fn lists_are_of_the_whole_cluster_and_name_who_is_missing() {
    let (mut shoal, _) = filled("--appendonly no");
    for node in 0..3 {
        let mut connection = shoal.connect(node);
        for n in 0..4 {
            connection.add(
                &format!("own-{node}"),
                &n.to_string(),
                "REPLICATE 1 RETRY 1000",
            );
        }
    }
    shoal.connect(1).take("q");
    shoal.connect(2).call("PAUSE own-2 in");
    let told = |names: &[(&str, i64)]| -> Vec<(String, i64)> {
        names
            .iter()
            .map(|&(name, ready)| (name.to_owned(), ready))
            .collect()
    };
    let none = BTreeSet::new();
    for node in 0..3 {
        let mut connection = shoal.connect(node);
        let all = told(&[("own-0", 4), ("own-1", 4), ("own-2", 4), ("q", 8)]);
        assert_eq!(listed(&mut connection, "QLIST"), (all, none.clone()));
        let longest = told(&[("q", 8), ("own-0", 4)]);
        let command = "QLIST SORT ready COUNT 2";
        assert_eq!(listed(&mut connection, command), (longest, none.clone()));
        let (queues, _) = view(&mut connection, "QLIST MATCH q");
        let queue = &queues.items()[0];
        assert_eq!(
            (queue.field("active"), queue.field("out")),
            (&int(1), &int(1))
        );
        let (queues, _) = view(&mut connection, "QLIST MATCH own-2");
        assert_eq!(*queues.items()[0].field("paused"), bulk("in"));
    }
    let (own, _) = listed(&mut shoal.connect(0), "QLIST MATCH own-* LOCAL");
    assert_eq!(own, told(&[("own-0", 4)]));
    let away = shoal.id(1);
    shoal.kill(&[1]);
    let (queues, missing) = listed(&mut shoal.connect(0), "QLIST SORT ready");
    assert_eq!(missing, BTreeSet::from([away]));
    let left = told(&[("q", 6), ("own-0", 4), ("own-2", 4)]);
    assert_eq!(queues, left);
}
