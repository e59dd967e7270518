//! `shoalmq storage`: what it tells of a stopped node's log, what it leaves alone, and what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use shoalmq_core::extras::Extras;
use shoalmq_core::job::Body;
use shoalmq_core::record::Record;
use shoalmq_core::topic::{Entry, EntryId, Origin, OriginNode, TopicRecord};
use shoalmq_storage::record::encode;
use shoalmq_storage::{StorageKind, Store};

use crate::fixture::{Ended, Launch, Node, binary, run};
use crate::wire::int;

#[track_caller]
fn storage(tool: &str, arguments: &[&str], dir: &Path) -> Ended {
    let mut command = binary();
    command.args(["storage", tool]).args(arguments).arg(dir);
    run(command, b"")
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder of the node") {
        let path = entry.expect("a folder of the node").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("a file of the node");
            found.insert(path, bytes);
        }
    }
    found
}

/// A node with three jobs, one of them acknowledged, and a body that is not text.
fn node_with_jobs() -> Node {
    let node = Launch::new().flags("--appendfsync always").start();
    let mut client = node.connect();
    client.add("q", "first body", "RETRY 60");
    let second = client.add("q", "second body", "RETRY 60");
    assert_eq!(client.call(&format!("ACKJOB {second}")), int(1));
    client.call_arguments(&[&b"ADDJOB"[..], b"q", b"\0\xff\r\n", b"0"]);
    node
}

#[test]
fn a_check_counts_what_is_there_and_changes_nothing() {
    let mut node = node_with_jobs();
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    let before = files(&data);
    let ended = storage("check", &["--json"], &data);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(told["verdict"], "sound");
    assert_eq!(told["storage"], "sled");
    assert_eq!(told["jobs"], 2);
    assert_eq!(told["clean_stop"], true);
    assert_eq!(told["records_by_kind"]["added"], 3);
    assert_eq!(told["records_by_kind"]["deleted"], 1);
    assert_eq!(told["records_by_kind"]["closed"], 1);
    let share = told["live_share"].as_f64().expect("a number");
    assert!(share > 0.1 && share < 0.9, "{share}");
    let text = storage("check", &[], &data);
    assert!(text.stdout.contains("verdict   sound\n"), "{}", text.stdout);
    assert_eq!(text.stderr, "", "nothing beside the result on a pipe");
    assert!(files(&data) == before, "a check changes no byte");
    node.restart();
    assert_eq!(node.connect().call("QLEN q"), int(2));
}

#[test]
fn a_dump_has_a_line_for_every_record_and_changes_nothing() {
    let mut node = node_with_jobs();
    node.kill();
    let data = node.launch().data().to_owned();
    let before = files(&data);
    let ended = storage("dump", &[], &data);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object per line"))
        .collect();
    assert_eq!(lines[0]["kind"], "started");
    let added: Vec<_> = lines
        .iter()
        .filter(|line| line["kind"] == "added")
        .collect();
    assert_eq!(added.len(), 3);
    assert_eq!(added[0]["body"], "first body");
    assert_eq!(added[0]["queue"], "q");
    assert_eq!(added[0]["retry_seconds"], 60);
    assert_eq!(added[2]["body_base64"], "AP8NCg==");
    assert_eq!(added[2].get("body"), None);
    let gone = lines.iter().find(|line| line["kind"] == "deleted");
    assert_eq!(gone.expect("one was acknowledged")["id"], added[1]["id"]);
    assert!(files(&data) == before, "a dump changes no byte");
}

#[test]
fn a_dump_shows_what_the_cluster_has_set() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    node.connect().call("PAUSE mail in bcast");
    node.connect().call("QCONFIG mail* SET maxlen 5");
    node.connect().call("QPURGE mail");
    let id = node.connect().call("CLUSTER MYID").text();
    node.kill();
    let ended = storage("dump", &[], node.launch().data());
    let lines = ended.stdout.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("a JSON object per line"));
    let settings: Vec<Value> = lines
        .filter(|line: &Value| line["kind"] == "setting")
        .collect();
    assert_eq!(settings.len(), 4);
    let [input, output, longest, purged] = [0, 1, 2, 3].map(|at| &settings[at]);
    assert_eq!(
        (&input["setting"], &output["setting"]),
        (&"pause-in".into(), &"pause-out".into())
    );
    assert_eq!(
        (&input["name"], &input["value"]),
        (&"mail".into(), &"yes".into())
    );
    assert_eq!(
        (&output["name"], output.get("value")),
        (&"mail".into(), None)
    );
    assert_eq!(
        (&longest["setting"], &longest["name"], &longest["value"]),
        (&"maxlen".into(), &"mail*".into(), &"5".into())
    );
    assert_eq!(purged["setting"], "purged");
    let mark = purged["value"].as_str().expect("stamps as text");
    let [maker, start, created] = mark.split('-').collect::<Vec<_>>()[..] else {
        panic!("{mark} is no stamp of one node");
    };
    assert_eq!((maker, start), (&id[..8], "1"));
    assert!(created.parse().is_ok_and(|created: u64| created > 0));
    assert_eq!(input["node"], Value::from(id));
    assert!(input["version"].as_u64() > Some(1_700_000_000_000));
}

#[test]
fn a_dump_ends_quietly_when_nobody_reads_it_any_more() {
    let mut node = Launch::new().flags("--appendfsync no").start();
    let mut client = node.connect();
    let body = "x".repeat(100_000);
    for _ in 0..30 {
        client.call_arguments(&["ADDJOB", "q", &body, "0"]);
    }
    assert!(node.terminate().success());
    let mut child = binary()
        .args(["storage", "dump"])
        .arg(node.launch().data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the tool");
    let mut out = child.stdout.take().expect("a pipe");
    let mut first = [0; 20];
    out.read_exact(&mut first).expect("a line");
    drop(out);
    let ended = child.wait_with_output().expect("wait for the tool");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn a_running_node_is_left_alone() {
    let node = node_with_jobs();
    let data = node.launch().data();
    for (tool, arguments) in [
        ("check", &[][..]),
        ("dump", &[]),
        ("convert", &["--to", "sled"]),
    ] {
        let ended = storage(tool, arguments, data);
        assert_eq!(ended.status.code(), Some(2), "{tool}");
        let line = format!(
            "shoalmq storage {tool}: a node runs on {}; stop it first\n",
            data.display()
        );
        assert_eq!(ended.stderr, line);
    }
    assert_eq!(node.connect().call("QLEN q"), int(2));
}

#[test]
fn damage_is_told_and_makes_the_exit_code_1() {
    let mut node = node_with_jobs();
    let mut client = node.connect();
    // Of what is damaged in the newest part of its file, sled says nothing: it takes that for the end of what was written.
    for number in 0..100 {
        client.add("q", &format!("{number} {}", "body ".repeat(5000)), "");
    }
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    let marker = b"first body";
    let mut damaged = 0;
    for (file, mut bytes) in files(&data) {
        let places: Vec<_> = (0..bytes.len().saturating_sub(marker.len()))
            .filter(|at| bytes[*at..].starts_with(marker))
            .collect();
        for at in &places {
            bytes[*at] ^= 0x20;
        }
        if !places.is_empty() {
            fs::write(&file, bytes).expect("a file of the log");
            damaged += 1;
        }
    }
    assert!(damaged > 0, "bodies lie in the files as they are");
    let before = files(&data);
    let ended = storage("check", &["--json"], &data);
    assert_eq!(
        ended.status.code(),
        Some(1),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(told["verdict"], "damaged");
    assert!(told["damage"][0].is_string(), "{told}");
    let ended = storage("dump", &[], &data);
    assert_eq!(ended.status.code(), Some(1));
    assert!(!ended.stdout.contains("First body"), "no wrong body");
    assert!(ended.stderr.contains("damaged"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(files(&data) == before, "damage is left as it is");
}

#[test]
fn a_folder_without_a_log_is_refused_and_left_empty() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (tool, arguments) in [
        ("check", &[][..]),
        ("dump", &[]),
        ("convert", &["--to", "sled"]),
    ] {
        let ended = storage(tool, arguments, folder.path());
        assert_eq!(ended.status.code(), Some(2), "{tool}");
        assert!(
            ended.stderr.contains("there is no job log in"),
            "{}",
            ended.stderr
        );
    }
    assert!(files(folder.path()).is_empty());
    let ended = storage("check", &["--no-such-flag"], folder.path());
    assert_eq!(ended.status.code(), Some(2));
}

#[test]
fn a_log_is_not_converted_to_what_it_is() {
    let mut node = node_with_jobs();
    assert!(node.terminate().success());
    let ended = storage("convert", &["--to", "sled"], node.launch().data());
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(
        ended.stderr,
        "shoalmq storage convert: the job log is kept by sled already\n"
    );
    node.restart();
    let mut client = node.connect();
    assert_eq!(client.take("q").body, "first body");
}

#[test]
fn a_converted_log_goes_on_where_the_node_stopped() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    let mut client = node.connect();
    let ids: Vec<_> = (0..50)
        .map(|number| client.add("q", &format!("body {number}"), "RETRY 600"))
        .collect();
    for body in ["taken", "waiting", "kept"] {
        client.add("once", body, "RETRY 0");
    }
    assert_eq!(client.take("once").body, "taken");
    assert_eq!(client.call(&format!("ACKJOB {}", ids[7])), int(1));
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    let ended = storage("convert", &["--to", "log"], &data);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.contains("converted "), "{}", ended.stdout);
    assert!(data.join("sled.converted").is_dir() && !data.join("sled").exists());
    assert!(!data.join("convert").exists());
    assert_eq!(storage("check", &[], &data).status.code(), Some(0));

    node.restart_with("--storage log");
    let mut client = node.connect();
    assert!(node.log().contains("clean=true"), "{}", node.log());
    assert_eq!(client.call("QLEN q"), int(49));
    assert_eq!(client.take("q").id, ids[0]);
    assert_eq!(client.take("once").body, "waiting");
    assert_eq!(client.call("QLEN once"), int(1));
    node.kill();

    let ended = storage("convert", &["--to", "sled"], &data);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    node.restart_with("--storage sled --aof-enqueue-jobs-once yes");
    let mut client = node.connect();
    assert!(node.log().contains("clean=false"), "{}", node.log());
    assert_eq!(
        client.call("QLEN once"),
        int(0),
        "they may have been delivered"
    );
    assert_eq!(client.call("QLEN q"), int(49));
    assert_eq!(client.take("q").id, ids[0]);
}

#[test]
fn an_interrupted_conversion_is_finished_and_a_foreign_log_left_alone() {
    let mut node = node_with_jobs();
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    let ended = storage("convert", &["--to", "log"], &data);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let converted = files(&data.join("log"));
    // As after a crash between the two last renames.
    fs::rename(data.join("sled.converted"), data.join("sled")).expect("a folder of the node");
    let ended = storage("convert", &["--to", "log"], &data);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("is in the way"), "{}", ended.stderr);
    fs::create_dir(data.join("convert")).expect("a folder of the node");
    for storage in ["sled", "log"] {
        let flags = format!("--storage {storage}");
        let refused = Launch::new().flags(&flags).in_data(&data).run();
        assert_eq!(refused.status.code(), Some(1), "no node starts on two logs");
    }
    let ended = storage("convert", &["--to", "log"], &data);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!data.join("sled").exists() && !data.join("convert").exists());
    assert!(files(&data.join("log")) == converted);
    node.restart_with("--storage log");
    assert_eq!(node.connect().call("QLEN q"), int(2));
}

#[test]
fn what_is_not_of_a_log_is_left_where_the_new_one_should_go() {
    let mut node = node_with_jobs();
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    let (new, old) = ("log", "sled");
    fs::create_dir(data.join(new)).expect("a temporary folder");
    fs::write(data.join(new).join("lock"), "").expect("a temporary file");
    let foreign = data.join(new).join("node.log");
    fs::write(&foreign, "what the node said").expect("a temporary file");
    let refused = storage("convert", &["--to", new], &data);
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("is in the way"),
        "{}",
        refused.stderr
    );
    assert!(foreign.exists() && data.join(old).exists());
    assert!(!data.join("convert").exists());
    fs::remove_file(&foreign).expect("a temporary file");
    let done = storage("convert", &["--to", new], &data);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
}

fn published(number: u64) -> Record {
    Record::Topic(TopicRecord::Entry(Arc::new(Entry {
        origin: Origin::new(OriginNode::new(7), 1),
        number,
        id: EntryId::new(number, 0),
        channel: Arc::from(&b"orders.eu"[..]),
        body: Body::new(format!("body {number}").as_bytes()),
        extras: Extras::default(),
    })))
}

/// Puts entries into the log of a stopped node, as publishing would, in three segments.
fn publish(kind: StorageKind, data: &Path) {
    let store = Store::open(kind, data).expect("open the log");
    let mut topics = store.into_backends().topics;
    for segment in 1..=3 {
        let mut frame = Vec::new();
        for number in 0..10 {
            encode(&published(u64::from(segment) * 10 + number), &mut frame);
        }
        topics.append(segment, &frame).expect("write the log");
    }
    topics.sync().expect("sync the log");
}

#[test]
fn the_tools_know_topics() {
    let mut node = node_with_jobs();
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    publish(StorageKind::Sled, &data);
    let before = files(&data);
    let checked = |storage: &str| {
        let ended = self::storage("check", &["--json"], &data);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        assert_eq!(
            (&told["storage"], &told["jobs"]),
            (&storage.into(), &2.into())
        );
        assert_eq!(told["clean_stop"], true);
        let topics = &told["topics"];
        assert_eq!(topics["records_by_kind"]["entry"], 30);
        assert_eq!(
            (&topics["channels"], &topics["origins"]),
            (&1.into(), &1.into())
        );
        assert_eq!(topics["segments"].as_array().map(Vec::len), Some(3));
    };
    checked("sled");
    let text = storage("check", &[], &data).stdout;
    let entries = "entries   30 in 1 channels, of 1 origins";
    assert!(
        text.contains(entries) && text.contains("verdict   sound\n"),
        "{text}"
    );
    let dumped = storage("dump", &[], &data).stdout;
    let last: Value = serde_json::from_str(dumped.lines().last().expect("lines")).expect("JSON");
    assert_eq!(
        (&last["stream"], &last["segment"]),
        (&"topics".into(), &3.into())
    );
    assert_eq!(
        (&last["channel"], &last["body"]),
        (&"orders.eu".into(), &"body 39".into())
    );
    assert!(files(&data) == before, "nothing is changed");

    let ended = storage("convert", &["--to", "log"], &data);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for kept in ["sled.converted", "sled-topics.converted"] {
        assert!(ended.stdout.contains(kept) && data.join(kept).is_dir());
    }
    checked("log");
    // As after a crash between the renames: both streams, or one of them, are in place.
    for back in [&["sled", "sled-topics"][..], &["sled"]] {
        for name in back {
            let kept = data.join(format!("{name}.converted"));
            fs::rename(kept, data.join(name)).expect("a folder of the node");
        }
        fs::create_dir(data.join("convert")).expect("a folder of the node");
        if back.len() == 2 {
            let ready = data.join("convert/log-topics");
            fs::rename(data.join("log-topics"), ready).expect("a folder of the node");
        }
        let ended = storage("convert", &["--to", "log"], &data);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        checked("log");
    }
    node.restart_with("--storage log");
    assert_eq!(node.connect().call("QLEN q"), int(2));
}

#[test]
fn damaged_topics_are_told_and_set_aside_alone() {
    let mut node = node_with_jobs();
    assert!(node.terminate().success());
    let data = node.launch().data().to_owned();
    let ended = storage("convert", &["--to", "log"], &data);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    publish(StorageKind::Log, &data);
    let file = data.join("log-topics/000000000002.log");
    let mut bytes = fs::read(&file).expect("a file of the node");
    bytes[700] ^= 1;
    fs::write(&file, bytes).expect("a file of the node");
    let ended = storage("check", &["--json"], &data);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(
        (&told["verdict"], &told["jobs"]),
        (&"damaged".into(), &2.into())
    );
    let damage = told["damage"][0].as_str().expect("a text");
    assert!(
        damage.starts_with("topics, in file 000000000002.log"),
        "{damage}"
    );
    let refused = Launch::new().flags("--storage log").in_data(&data).run();
    assert_eq!(refused.status.code(), Some(1));

    node.restart_with("--storage log --storage-on-corrupt set-aside");
    assert!(
        node.log()
            .contains("the log of topics is damaged and set aside")
    );
    assert_eq!(node.connect().call("QLEN q"), int(2), "jobs stay");
    let names = fs::read_dir(&data).expect("the node's folder");
    let names = names.map(|entry| entry.expect("a name").file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("log-topics.corrupt-"));
    assert_eq!(aside.count(), 1);
}
