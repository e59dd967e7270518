//! The crate `redis`, as Rust programs use it: both protocols, pipelines, a blocking call, errors.

use redis::{Client, Connection, ErrorKind, Value, cmd};

use crate::fixture::{Launch, Node};

/// Queue, id and body, as GETJOB gives them.
type Delivery = (String, String, Vec<u8>);

fn open(node: &Node, protocol: &str) -> Connection {
    let url = format!("redis://127.0.0.1:{}/0?protocol={protocol}", node.port());
    Client::open(url)
        .expect("a valid address")
        .get_connection()
        .expect("connect")
}

fn add(connection: &mut Connection, body: &[u8]) -> String {
    cmd("ADDJOB")
        .arg("q")
        .arg(body)
        .arg(0)
        .arg("RETRY")
        .arg(60)
        .query(connection)
        .expect("add a job")
}

/// One job of the queue, without waiting.
fn take(connection: &mut Connection) -> Option<Delivery> {
    let jobs: Option<Vec<Delivery>> = cmd("GETJOB")
        .arg("NOHANG")
        .arg("FROM")
        .arg("q")
        .query(connection)
        .expect("ask for a job");
    jobs?.pop()
}

fn works_with(protocol: &str) {
    let node = Node::start();
    let mut connection = open(&node, protocol);
    assert_eq!(
        cmd("PING").query::<String>(&mut connection).expect("ping"),
        "PONG"
    );
    assert_eq!(take(&mut connection), None);

    let id = add(&mut connection, b"a\0body\r\n");
    assert_eq!(
        cmd("QLEN")
            .arg("q")
            .query::<u64>(&mut connection)
            .expect("ask for a length"),
        1
    );
    assert_eq!(
        take(&mut connection),
        Some(("q".to_owned(), id.clone(), b"a\0body\r\n".to_vec()))
    );
    assert_eq!(
        cmd("WORKING")
            .arg(&id)
            .query::<u64>(&mut connection)
            .expect("postpone"),
        60
    );
    assert_eq!(
        cmd("NACK")
            .arg(&id)
            .query::<u64>(&mut connection)
            .expect("give back"),
        1
    );
    assert_eq!(take(&mut connection).expect("the job is back").1, id);
    assert_eq!(
        cmd("ACKJOB")
            .arg(&id)
            .query::<u64>(&mut connection)
            .expect("acknowledge"),
        1
    );
    assert_eq!(
        cmd("SHOW")
            .arg(&id)
            .query::<Value>(&mut connection)
            .expect("ask for a job"),
        Value::Nil
    );

    let bodies: Vec<_> = (0..50).map(|n: u32| n.to_string()).collect();
    let mut pipeline = redis::pipe();
    for body in &bodies {
        pipeline.cmd("ADDJOB").arg("q").arg(body).arg(0);
    }
    let ids: Vec<String> = pipeline.query(&mut connection).expect("add in a pipeline");
    let (_, mut scanned): (String, Vec<String>) = cmd("JSCAN")
        .arg("BUSYLOOP")
        .query(&mut connection)
        .expect("walk the jobs");
    scanned.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(scanned, expected);
    let (_, queues): (String, Vec<String>) = cmd("QSCAN")
        .arg(0)
        .query(&mut connection)
        .expect("walk the queues");
    assert_eq!(queues, ["q"]);
    let jobs: Vec<Delivery> = cmd("GETJOB")
        .arg("COUNT")
        .arg(100)
        .arg("FROM")
        .arg("q")
        .query(&mut connection)
        .expect("take all");
    assert!(
        jobs.iter()
            .map(|job| &job.2[..])
            .eq(bodies.iter().map(String::as_bytes))
    );
    assert_eq!(
        cmd("ACKJOB")
            .arg(&ids)
            .query::<usize>(&mut connection)
            .expect("acknowledge"),
        ids.len()
    );
}

#[test]
fn resp2_works() {
    works_with("resp2");
}

#[test]
fn resp3_works() {
    works_with("resp3");
}

#[test]
fn a_blocking_call_waits_for_its_job() {
    for protocol in ["resp2", "resp3"] {
        let node = Node::start();
        let mut consumer = open(&node, protocol);
        let mut producer = open(&node, protocol);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let jobs: Vec<Delivery> = cmd("GETJOB")
                    .arg("FROM")
                    .arg("q")
                    .query(&mut consumer)
                    .expect("wait for a job");
                jobs
            });
            node.wait_for_blocked(1);
            let id = add(&mut producer, b"body");
            assert_eq!(
                waiting.join().expect("the consumer was served"),
                [("q".to_owned(), id, b"body".to_vec())]
            );
        });
    }
}

#[test]
fn errors_keep_their_code() {
    let node = Node::start();
    let mut connection = open(&node, "resp3");
    let refused = cmd("SHOW")
        .arg("x")
        .query::<Value>(&mut connection)
        .expect_err("a bad id");
    assert_eq!(refused.code(), Some("BADID"));
    let refused = cmd("NOSUCH")
        .query::<Value>(&mut connection)
        .expect_err("no such command");
    assert!(
        matches!(refused.kind(), ErrorKind::Server(_)),
        "{refused:?}"
    );
    assert_eq!(
        cmd("PING").query::<String>(&mut connection).expect("ping"),
        "PONG"
    );
}

#[test]
fn a_password_is_sent() {
    let node = Launch::new()
        .flags("--appendonly no")
        .password("secret")
        .start();
    for user in ["", "default"] {
        for protocol in ["resp2", "resp3"] {
            let url = format!(
                "redis://{user}:secret@127.0.0.1:{}/?protocol={protocol}",
                node.port()
            );
            let mut connection = Client::open(url)
                .expect("a valid address")
                .get_connection()
                .expect("connect");
            assert_eq!(
                cmd("PING").query::<String>(&mut connection).expect("ping"),
                "PONG"
            );
        }
        let url = format!("redis://{user}:wrong@127.0.0.1:{}/", node.port());
        assert!(
            Client::open(url)
                .expect("a valid address")
                .get_connection()
                .is_err()
        );
    }
}
