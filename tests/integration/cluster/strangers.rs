//! Who does not hold the secret can neither join, nor read a job, nor make a node forget a member.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::cluster::fixture::{Shoal, throughout, until};
use crate::cluster::recorder::{Link, Recorder, Tape};
use crate::fixture::{DEADLINE, Launch, Node};
use crate::wire::{Reply, int, simple};

const FLAGS: &str = "--appendonly no --cluster-secret correct-horse";
/// Nobody who has not proven itself needs more than a greeting and a proof; well below any job.
const HANDSHAKE_MAX: usize = 4096;

fn bus(node: &Node) -> SocketAddr {
    ([127, 0, 0, 1], node.port() + 10_000).into()
}

/// Says this to a node over TCP. What it answers, until it closes the link; panics when it does not.
#[track_caller]
fn say(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("dial the bus");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("set a timeout");
    stream
        .set_write_timeout(Some(DEADLINE))
        .expect("set a timeout");
    // The node may have had enough before the end.
    let _ = stream.write_all(bytes);
    hear(stream)
}

/// All that comes until the other side closes.
#[track_caller]
fn hear(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!(
            "the link stays open: {error}; heard {}",
            heard.escape_ascii()
        ),
    }
    heard
}

fn send(packets: &[Vec<u8>], to: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("open a socket");
    for packet in packets {
        socket.send_to(packet, to).expect("send a packet");
    }
}

/// What strangers might say, in no particular protocol and almost in the right one.
fn nonsense(greeting: &[u8]) -> Vec<Vec<u8>> {
    let mut almost = greeting.to_vec();
    almost.resize(46, 0);
    let oversize = |length: &[u8]| [&almost[..], length, &vec![0x41; 1 << 20]].concat();
    let mut all = vec![
        b"GET / HTTP/1.1\r\nHost: shoal\r\n\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        vec![0; 10_000],
        vec![0xff; 10_000],
        (0..=255).cycle().take(5_000).collect(),
        almost.clone(),
        oversize(&[0xff; 2]),
        oversize(&[0xff; 4]),
        oversize(&[0xff; 8]),
        oversize(&[0x00, 0x10]),
    ];
    // Every way to break off the greeting, and to break one byte of it.
    all.extend((1..almost.len()).map(|length| almost[..length].to_vec()));
    all.extend((0..almost.len()).map(|at| {
        let mut bytes = almost.clone();
        bytes[at] ^= 0x80;
        bytes
    }));
    all
}

#[test]
fn nonsense_is_turned_away_and_changes_nothing() {
    let shoal = Shoal::with(2, FLAGS);
    let address = bus(&shoal.nodes[0]);
    // The node's own greeting is the best that a stranger can know; it says it at once, or when it was greeted.
    let mut idle = TcpStream::connect(address).expect("dial the bus");
    idle.set_read_timeout(Some(Duration::from_millis(500)))
        .expect("set a timeout");
    let mut greeting = vec![0; 46];
    let told = idle.read(&mut greeting).unwrap_or(0);
    greeting.truncate(told);
    drop(idle);
    if greeting.is_empty() {
        greeting = b"SHOAL\x01\x01".to_vec();
    }
    let nonsense = nonsense(&greeting);
    let resident = shoal.nodes[0].resident();
    for bytes in &nonsense {
        let mut stream = TcpStream::connect(address).expect("dial the bus");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("set a timeout");
        // It may have had enough before the end.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let heard = hear(stream);
        assert!(
            heard.len() <= HANDSHAKE_MAX,
            "{} bytes for a stranger",
            heard.len()
        );
    }
    let packets: Vec<_> = nonsense
        .iter()
        .map(|bytes| bytes[..bytes.len().min(60_000)].to_vec())
        .chain([
            vec![],
            vec![0xa7],
            vec![0xa7, 1],
            [&[0xa7, 1][..], &[0; 1400]].concat(),
        ])
        .collect();
    for _ in 0..20 {
        send(&packets, address);
    }
    let grown = shoal.nodes[0].resident().saturating_sub(resident);
    assert!(grown < 64 << 20, "grew by {grown} bytes");
    let mut connection = shoal.connect(0);
    let id = connection.add("q", "body", "REPLICATE 2");
    assert_eq!(shoal.nodes_where(&id, "active"), [1]);
    assert_eq!(shoal.cluster_info(0, "cluster_known_nodes"), "2");
    assert_eq!(shoal.cluster_info(0, "cluster_reachable_nodes"), "1");
}

#[test]
fn a_silent_stranger_is_put_out_and_a_crowd_of_them_keeps_no_node_out() {
    let mut shoal = Shoal::with(2, FLAGS);
    let crowd: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(bus(&shoal.nodes[0])).expect("dial the bus"))
        .collect();
    shoal.nodes.push(Launch::new().flags(FLAGS).start());
    shoal.meet(shoal.nodes[2].port());
    shoal.wait_until_all_met();
    for stream in crowd {
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("set a timeout");
        assert!(hear(stream).len() <= HANDSHAKE_MAX);
    }
}

/// Two nodes whose whole talk goes over recorders.
struct Overheard {
    shoal: Shoal,
    recorders: Vec<Recorder>,
}

fn heard_at(node: &Node, number: u8) -> SocketAddr {
    ([127, 0, 0, 2 + number], node.port() + 10_000).into()
}

impl Overheard {
    fn start() -> Self {
        let mut nodes = Vec::new();
        let mut recorders = Vec::new();
        for number in 0..2 {
            let announced = format!("{FLAGS} --cluster-announce-host 127.0.0.{}", 2 + number);
            let node = Launch::new().flags(&announced).start();
            recorders.push(Recorder::start(heard_at(&node, number), bus(&node)));
            nodes.push(node);
        }
        let shoal = Shoal { nodes };
        let port = shoal.nodes[1].port().to_string();
        let met = shoal.call(0, &format!("CLUSTER MEET 127.0.0.3 {port}"));
        assert_eq!(met, simple("OK"));
        shoal.wait_until_all_met();
        Overheard { shoal, recorders }
    }

    /// Replicates a job both ways, acknowledges both, and waits until all that was overheard.
    fn talk(&self) {
        for (node, body) in [(0, "first secret"), (1, "second secret")] {
            let mut connection = self.shoal.connect(node);
            let id = connection.add("q", body, "REPLICATE 2");
            assert_eq!(connection.call(&format!("ACKJOB {id}")), int(1));
        }
        self.shoal.wait_until_empty();
        until("both jobs went over the line", || {
            self.recorders[1].tape().holds("first secret")
                && self.recorders[0].tape().holds("second secret")
        });
    }
}

#[test]
fn a_recording_said_again_is_not_believed() {
    let Overheard {
        mut shoal,
        recorders,
    } = {
        let overheard = Overheard::start();
        overheard.talk();
        overheard
    };
    let (id, members) = (shoal.id(0), shoal.call(0, "CLUSTER INFO").text());
    assert!(members.contains("cluster_known_nodes:2\r\n"));
    // The second node dies; what it said to the first is all that is left of it.
    shoal.nodes[1].kill();
    let tapes: Vec<Tape> = recorders.into_iter().map(Recorder::stop).collect();
    let alone = |shoal: &Shoal| shoal.cluster_info(0, "cluster_reachable_nodes") == "0";
    until("the first has noticed", || alone(&shoal));
    said_again(&shoal, &tapes);
    // A node that remembers nothing of that talk does not believe it either.
    shoal.nodes[0].kill();
    shoal.nodes[0].restart();
    assert_eq!(shoal.id(0), id);
    said_again(&shoal, &tapes);
    assert_eq!(
        shoal.cluster_info(0, "cluster_known_nodes"),
        "2",
        "nobody was forgotten"
    );
    // The real one is welcome, and no recording has spoiled that.
    let recorders: Vec<_> = (0..2)
        .map(|number| {
            let node = &shoal.nodes[usize::from(number)];
            Recorder::start(heard_at(node, number), bus(node))
        })
        .collect();
    shoal.restart(1);
    drop(recorders);
}

/// Says all that was recorded to the first node, over every door, in both roles.
fn said_again(shoal: &Shoal, tapes: &[Tape]) {
    let address = bus(&shoal.nodes[0]);
    let packets: Vec<_> = tapes.iter().flat_map(|tape| tape.packets.clone()).collect();
    assert!(packets.len() > 4, "they have gossiped");
    for link in tapes.iter().flat_map(|tape| &tape.links) {
        for bytes in [&link.dialled, &link.answered] {
            send(&packets, address);
            if bytes.is_empty() {
                continue;
            }
            let heard = say(address, bytes);
            assert!(heard.len() <= HANDSHAKE_MAX);
            for secret in ["first secret", "second secret"] {
                assert!(
                    !heard
                        .windows(secret.len())
                        .any(|window| window == secret.as_bytes())
                );
            }
        }
    }
    throughout(Duration::from_millis(700), "nothing has come of it", || {
        send(&packets, address);
        shoal.cluster_info(0, "cluster_reachable_nodes") == "0"
            && shoal.connect(0).info("registered_jobs") == "0"
    });
    assert_eq!(shoal.call(0, "GETJOB NOHANG FROM q"), Reply::NilArray);
}

#[test]
fn a_stranger_at_the_address_of_a_member_is_told_nothing() {
    let Overheard {
        mut shoal,
        recorders,
    } = {
        let overheard = Overheard::start();
        overheard.talk();
        overheard
    };
    shoal.nodes[1].kill();
    let mut tapes: Vec<Tape> = recorders.into_iter().map(Recorder::stop).collect();
    let link: Link = tapes
        .remove(1)
        .links
        .into_iter()
        .find(|link| link.dialled.windows(6).any(|window| window == b"secret"))
        .expect("one link carried the job");
    let listener = TcpListener::bind(heard_at(&shoal.nodes[1], 1)).expect("take the address");
    listener.set_nonblocking(true).expect("do not block");
    let mut connection = shoal.connect(0);
    connection.add("q", "third secret", "REPLICATE 1");
    // In vain, but it has the node look for anybody who might hold a copy.
    connection.send("ADDJOB q fourth-secret 0");
    let start = Instant::now();
    let mut visits = 0;
    while visits < 3 {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "the node does not dial"
        );
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        stream.set_nonblocking(false).expect("block again");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("set a timeout");
        stream.write_all(&link.answered).expect("say it again");
        let heard = hear(stream);
        assert!(
            heard.len() <= HANDSHAKE_MAX,
            "{} bytes for a stranger",
            heard.len()
        );
        assert!(!heard.windows(6).any(|window| window == b"secret"));
        visits += 1;
    }
    assert_eq!(shoal.cluster_info(0, "cluster_reachable_nodes"), "0");
}
