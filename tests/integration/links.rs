//! The doors for other nodes, seen by one that speaks the protocol: who is let in, which link of a node is heard, and what
//! a link that goes wrong does to the rest.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use shoalmq::bus::codec::{self, Frame, Notice};
use shoalmq::bus::handshake::{Handshake, Hello, Key};
use shoalmq::bus::{Claim, NodeId, StoreId};
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::{Guarantee, JobId};
use shoalmq_core::message::{Copy, Message};
use shoalmq_core::time::Time;
use shoalmq_gossip::{Effect, Event, Identity, Membership, Memory, Secret, Settings};

use crate::fixture::{Launch, Node, eventually};
use crate::wire::int;

const NAME: &str = "shoal";
const SECRET: &str = "the right secret";
/// What a stranger may hear: a greeting.
const GREETING: usize = 46;
const PATIENCE: Duration = Duration::from_secs(10);

fn node() -> Node {
    Launch::new()
        .flags("--appendonly no")
        .flag("--cluster-secret", SECRET)
        .start()
}

fn bus(node: &Node) -> SocketAddr {
    ([127, 0, 0, 1], node.port() + 10_000).into()
}

fn key(name: &str, secret: &str) -> Key {
    Key::new(name.as_bytes(), secret.as_bytes())
}

/// A node that is all script: its gossip is real, its links are what a test makes of them.
struct Fake {
    socket: UdpSocket,
    membership: Membership,
    began: Instant,
}

impl Fake {
    fn new(id: u8, secret: Option<&str>) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let me = Identity {
            node: NodeId::from_bytes([id; 20]),
            start: 1,
            renewal: 0,
            epoch: 1,
            store: StoreId(1),
            bus: socket.local_addr().expect("bound"),
        };
        let settings = Settings {
            cluster_name: NAME.to_owned(),
            secret: secret.map(|secret| Secret::new(secret.as_bytes())),
            ..Settings::default()
        };
        Fake {
            socket,
            membership: Membership::new(me, settings, Memory::default(), [id; 32], Time::ZERO),
            began: Instant::now(),
        }
    }

    /// One event, with all that follows from it. Returns what came of it.
    fn handle(&mut self, event: Event) -> Vec<Effect> {
        let now = Time::ZERO + self.began.elapsed();
        let mut effects = Vec::new();
        self.membership.handle(now, event, &mut effects);
        for effect in &effects {
            if let Effect::Send { to, bytes } = effect {
                self.socket.send_to(bytes, to).expect("loopback");
            }
        }
        effects
    }

    /// Takes what comes within a moment.
    fn pump(&mut self) {
        let mut packet = [0; 2048];
        if let Ok(length) = self.socket.recv(&mut packet) {
            self.handle(Event::Packet(packet[..length].to_vec()));
        }
        self.handle(Event::Tick);
    }

    fn members(&self) -> usize {
        self.membership.members().count()
    }

    fn hello(&self) -> Hello {
        let me = self.membership.me();
        Hello {
            claim: Claim {
                node: me.node,
                start: me.start,
                renewal: me.renewal,
                epoch: me.epoch,
                store: me.store,
                bus: me.bus,
            },
            ..Hello::sample(0)
        }
    }
}

/// Makes a scripted node a member.
#[track_caller]
fn join(node: &Node, id: u8) -> Fake {
    let mut fake = Fake::new(id, Some(SECRET));
    fake.handle(Event::Meet(bus(node)));
    eventually("the scripted node is a member", || {
        fake.pump();
        (known_nodes(node) == 2 && fake.members() == 1).then_some(())
    });
    fake
}

fn known_nodes(node: &Node) -> usize {
    let nodes = node.connect().call("CLUSTER NODES").text();
    nodes
        .lines()
        .filter(|line| !line.contains("handshake"))
        .count()
}

fn link(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(bus(node)).expect("the bus listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// All that comes until the node closes the connection; what came last may be lost when it had not read all.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the node does not close the connection: {error}"),
    }
    bytes
}

/// Dials as this node. Returns the stream, what was sent, and whether the node took it for one of its own.
fn dial(node: &Node, key: &Key, hello: &Hello) -> (TcpStream, Vec<u8>, bool) {
    let mut stream = link(node);
    let (mut out, mut sent, mut input) = (Vec::new(), Vec::new(), Vec::new());
    let mut handshake = Handshake::dial(key, [7; 32], hello, &mut out);
    loop {
        stream.write_all(&out).expect("the node listens");
        sent.append(&mut out);
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).unwrap_or(0);
        input.extend_from_slice(&bytes[..length]);
        if length == 0 {
            assert!(input.is_empty(), "it heard {} bytes more", input.len());
            return (stream, sent, false);
        }
        let Ok((read, proven)) = handshake.advance(&input, &mut out) else {
            return (stream, sent, false);
        };
        input.drain(..read);
        if proven.is_some() {
            return (stream, sent, true);
        }
    }
}

/// A job on its way to this node, from that one.
fn copy(to: &Node, from: NodeId, random: u8) -> (JobId, Vec<u8>) {
    copy_with(to, from, random, Extras::NONE)
}

fn copy_with(to: &Node, from: NodeId, random: u8, extras: Extras) -> (JobId, Vec<u8>) {
    let own = NodeId::parse(to.connect().call("CLUSTER MYID").text().as_bytes()).expect("an id");
    let id = JobId::new(&from, [random; 14], 1, 3600, Guarantee::AtLeastOnce);
    let copy = Copy {
        id,
        ttl: 3600,
        replicate: 2,
        holders: [own, from].into(),
        extras,
        ..Copy::sample()
    };
    let mut bytes = Vec::new();
    codec::encode(&Message::ReplJob(Box::new(copy)), &mut bytes).expect("a small job");
    (id, bytes)
}

fn refused(node: &Node, reason: &str) -> u64 {
    let info = node.connect().call("INFO replication").text();
    let field = format!("refused_{reason}:");
    let count = info.lines().find_map(|line| line.strip_prefix(&field));
    count.expect("counted").parse().expect("a number")
}

#[test]
fn a_link_without_the_secret_hears_a_greeting_at_most_and_changes_nothing() {
    let node = node();
    let fake = join(&node, 9);
    let mut hello = fake.hello();
    // The strangest claim there is: to be the member itself, restarted.
    hello.claim.start = 100;
    for (name, secret, reason) in [
        (NAME, "", "secret"),
        (NAME, "a wrong secret", "secret"),
        ("another", SECRET, "cluster"),
    ] {
        let before = refused(&node, reason);
        let (_, _, taken) = dial(&node, &key(name, secret), &hello);
        assert!(!taken, "{name} {secret}");
        eventually("the refusal is counted", || {
            (refused(&node, reason) == before + 1).then_some(())
        });
    }
    // One that never proves anything hears a greeting, and no more.
    let mut stream = link(&node);
    let mut greeting = Vec::new();
    Handshake::dial(&key(NAME, ""), [7; 32], &hello, &mut greeting);
    stream.write_all(&greeting).expect("the node listens");
    stream.write_all(&[0; 100]).expect("the node listens");
    assert!(rest(&mut stream).len() <= GREETING);
    assert_eq!(known_nodes(&node), 2);
}

#[test]
fn who_holds_the_secret_but_is_no_member_is_not_heard() {
    let node = node();
    let stranger = Fake::new(9, Some(SECRET));
    let (mut stream, _, taken) = dial(&node, &key(NAME, SECRET), &stranger.hello());
    assert!(!taken);
    assert_eq!(rest(&mut stream), b"");
    assert_eq!((refused(&node, "stranger"), known_nodes(&node)), (1, 1));
}

#[test]
fn a_recording_of_a_link_is_worth_nothing() {
    let node = node();
    let fake = join(&node, 9);
    let (mut stream, mut recorded, taken) = dial(&node, &key(NAME, SECRET), &fake.hello());
    assert!(taken, "the scripted node is a member");
    let (id, frame) = copy(&node, fake.membership.me().node, 1);
    stream.write_all(&frame).expect("the link is up");
    recorded.extend_from_slice(&frame);
    let mut client = node.connect();
    eventually("the copy is there", || {
        (client.call_arguments(&["DELJOB", &id.to_string()]) == int(1)).then_some(())
    });
    drop(stream);
    for _ in 0..3 {
        let mut stream = link(&node);
        stream.write_all(&recorded).expect("the node listens");
        assert!(rest(&mut stream).len() <= GREETING);
    }
    assert_eq!(client.call_arguments(&["DELJOB", &id.to_string()]), int(0));
    assert!(refused(&node, "secret") >= 3);
}

#[test]
fn only_the_newest_link_of_a_node_is_heard() {
    let node = node();
    let fake = join(&node, 9);
    let (ours, mut hello) = (key(NAME, SECRET), fake.hello());
    let (mut old, _, taken) = dial(&node, &ours, &hello);
    assert!(taken);
    hello.claim.start += 1;
    let (mut new, _, taken) = dial(&node, &ours, &hello);
    assert!(taken, "the same node, restarted");
    assert_eq!(rest(&mut old), b"", "the former link is closed");
    hello.claim.start -= 1;
    let (_, _, taken) = dial(&node, &ours, &hello);
    assert!(!taken, "a process that was replaced");
    let mut asked = Vec::new();
    codec::encode_notice(&Notice::Ping(5), &mut asked).expect("a ping");
    new.write_all(&asked).expect("the link is up");
    let mut bytes = [0; 64];
    let length = new.read(&mut bytes).expect("a pong");
    let pong = codec::decode(&bytes[..length]).expect("a frame");
    assert_eq!(pong, Some((Frame::Notice(Notice::Pong(5)), length)));
}

#[test]
fn a_handshake_that_is_cut_off_or_too_long_ends() {
    let node = node();
    let mut greeting = Vec::new();
    let hello = Fake::new(9, Some(SECRET)).hello();
    Handshake::dial(&key(NAME, SECRET), [7; 32], &hello, &mut greeting);

    let mut cut = link(&node);
    cut.write_all(&greeting[..20]).expect("the node listens");
    let mut silent = link(&node);

    let mut long = link(&node);
    long.write_all(&greeting).expect("the node listens");
    long.write_all(&[0xff; 2]).expect("the node listens");
    assert!(rest(&mut long).len() <= GREETING);

    let mut http = link(&node);
    http.write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("the node listens");
    assert_eq!(rest(&mut http), b"");

    // After five seconds.
    assert_eq!(rest(&mut cut), b"");
    assert_eq!(rest(&mut silent), b"");
    assert_eq!(refused(&node, "handshake"), 4);
}

#[test]
fn a_frame_that_is_too_long_or_makes_no_sense_ends_its_link_and_no_more() {
    let node = node();
    let fake = join(&node, 9);
    for bytes in [&u32::MAX.to_le_bytes()[..], &[2, 0, 0, 0, 6, 99]] {
        let (mut stream, _, taken) = dial(&node, &key(NAME, SECRET), &fake.hello());
        assert!(taken);
        stream.write_all(bytes).expect("the link is up");
        assert_eq!(rest(&mut stream), b"");
    }
    eventually("both are counted", || {
        (refused(&node, "malformed") == 2).then_some(())
    });
    // A kind that this node does not know is a newer node's, and skipped.
    let (mut stream, _, _) = dial(&node, &key(NAME, SECRET), &fake.hello());
    stream
        .write_all(&[2, 0, 0, 0, 99, 1])
        .expect("the link is up");
    let (id, frame) = copy(&node, fake.membership.me().node, 2);
    stream.write_all(&frame).expect("the link is up");
    let mut client = node.connect();
    eventually("the copy behind it is there", || {
        (client.call_arguments(&["DELJOB", &id.to_string()]) == int(1)).then_some(())
    });
}

#[test]
fn what_a_node_would_have_to_understand_is_refused_by_name_and_the_link_stays() {
    let node = node();
    let fake = join(&node, 9);
    let (mut stream, _, taken) = dial(&node, &key(NAME, SECRET), &fake.hello());
    assert!(taken);
    let sender = fake.membership.me().node;
    let needs = Extras::new([(Tag::required(41), &b""[..])]);
    let (newer, mut frame) = copy_with(&node, sender, 3, needs.clone());
    let known = Extras::new([(Tag::optional(4000), &b"verbatim"[..])]);
    let (plain, plain_frame) = copy_with(&node, sender, 4, known);
    frame.extend_from_slice(&plain_frame);
    stream.write_all(&frame).expect("the link is up");
    let mut client = node.connect();
    eventually("the copy behind it is there", || {
        (client.call_arguments(&["DELJOB", &plain.to_string()]) == int(1)).then_some(())
    });
    assert_eq!(
        client.call_arguments(&["DELJOB", &newer.to_string()]),
        int(0)
    );
    assert_eq!(refused(&node, "newer"), 1);
    let mut hello = fake.hello();
    hello.extras = needs;
    let (_, _, taken) = dial(&node, &key(NAME, SECRET), &hello);
    assert!(!taken, "a hello that must be understood");
    eventually("it is counted", || {
        (refused(&node, "newer") == 2).then_some(())
    });
    assert!(node.log().contains("field 41"), "{}", node.log());
}

#[test]
fn gossip_without_the_secret_is_not_answered() {
    let node = node();
    for (id, secret) in [(8, None), (9, Some("a wrong secret"))] {
        let mut stranger = Fake::new(id, secret);
        stranger.handle(Event::Meet(bus(&node)));
        // The friend comes after the stranger and is answered: so the stranger would have been answered by now.
        let friend = join_and_forget(&node, id + 10);
        for _ in 0..5 {
            stranger.pump();
        }
        assert_eq!((stranger.members(), friend), (0, 1));
        assert_eq!(stranger.membership.stats().packets_in, 0);
    }
    assert!(
        !node
            .connect()
            .call("CLUSTER NODES")
            .text()
            .contains("0808080808")
    );
}

/// Joins a node, and has it forgotten. Returns how many nodes it met.
fn join_and_forget(node: &Node, id: u8) -> usize {
    let fake = join(node, id);
    let forget = format!("CLUSTER FORGET {}", fake.membership.me().node);
    assert_eq!(node.connect().call(&forget).simple_text(), "OK");
    fake.members()
}
