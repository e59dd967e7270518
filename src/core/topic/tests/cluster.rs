//! Topics on several nodes: real nodes, links that break, one clock.

use std::time::Duration;

use crate::command::{Command, Reply, Wait};
use crate::event::Event;
use crate::extras::Extras;
use crate::id::Ticket;
use crate::message::Message;
use crate::refusal::Refusal;
use crate::tests::shoal::Shoal;
use crate::time::WallTime;
use crate::topic::{
    Cursor, EntryId, Follow, Have, Head, Origin, Publish, Read, Start, Told, TopicCommand,
    TopicMessage, TopicNews, TopicRefusal, TopicReply,
};

pub(super) fn publish<'a>(channel: &'a str, body: &'a str) -> Publish<'a> {
    Publish {
        channel: channel.as_bytes(),
        body: body.as_bytes(),
        replicate: None,
        timeout: Some(Duration::from_secs(5)),
        is_async: false,
        dedup: None,
        extras: Extras::NONE,
    }
}

pub(super) fn topic(command: TopicCommand<'_>) -> Command<'_> {
    Command::Topic(Box::new(command))
}

fn read(start: Start, wait: Wait) -> Command<'static> {
    topic(TopicCommand::Read(Read {
        start,
        patterns: vec![b"*"],
        to: None,
        count: 1000,
        bytes: 1 << 20,
        wait,
        meta: false,
    }))
}

pub(super) fn send(shoal: &mut Shoal, seat: usize, publish: Publish<'_>) -> Ticket {
    shoal.send(seat, 1, topic(TopicCommand::Publish(publish)))
}

pub(super) fn published(
    shoal: &Shoal,
    seat: usize,
    ticket: Ticket,
) -> Option<Result<EntryId, Refusal>> {
    match shoal.answer(seat, ticket)? {
        Reply::Topic(reply) => match **reply {
            TopicReply::Published(id) => Some(Ok(id)),
            ref other => panic!("{other:?} answers no TPUB"),
        },
        Reply::Refused(refusal) => Some(Err(*refusal)),
        other => panic!("{other:?} answers no TPUB"),
    }
}

/// Publishes, and waits until that is answered.
pub(super) fn put(shoal: &mut Shoal, seat: usize, body: &str) -> Result<EntryId, Refusal> {
    let ticket = send(shoal, seat, publish("a", body));
    for _ in 0..6000 {
        if let Some(answer) = published(shoal, seat, ticket) {
            return answer;
        }
        shoal.advance_ms(1);
    }
    panic!("TPUB is answered in time");
}

/// A reader that carries its cursor between nodes.
#[derive(Default)]
struct Reader {
    cursor: Cursor,
    bodies: Vec<String>,
    late: usize,
    lost: u64,
}

impl Reader {
    /// Reads to the end at a node.
    fn read(&mut self, shoal: &mut Shoal, seat: usize) {
        let start = Start::Cursor(Box::new(self.cursor.clone()));
        let ticket = shoal.send(seat, 2, read(start, Wait::No));
        for _ in 0..6000 {
            if shoal.answer(seat, ticket).is_some() {
                break;
            }
            shoal.advance_ms(1);
        }
        let Some(Reply::Topic(reply)) = shoal.answer(seat, ticket) else {
            panic!("{:?} answers no TREAD", shoal.answer(seat, ticket));
        };
        let TopicReply::Page(page) = &**reply else {
            panic!("{reply:?} answers no TREAD");
        };
        self.cursor = page.cursor.clone();
        for told in &page.told {
            match told {
                Told::Entry(entry, late) => {
                    let body = entry.body.as_bytes().to_vec();
                    self.bodies.push(String::from_utf8(body).expect("text"));
                    self.late += usize::from(*late);
                }
                Told::Lost(_, count) => self.lost += count,
                Told::Unread(_) => panic!("read by the shell"),
            }
        }
    }

    fn sorted(&self) -> Vec<String> {
        let mut bodies = self.bodies.clone();
        bodies.sort_unstable();
        bodies
    }
}

pub(super) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:04}")).collect()
}

/// Topic messages that were sent, but for those that only greet.
fn topic_messages(shoal: &Shoal) -> usize {
    let is_topic = |message: &Message| match message {
        Message::Topic(message) => !matches!(message.news, TopicNews::Greeting(_)),
        _ => false,
    };
    let sent = shoal
        .sent
        .iter()
        .filter(|(_, _, message)| is_topic(message));
    sent.count()
}

#[test]
fn an_entry_is_read_at_every_node_without_waiting_for_a_timer() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let began = shoal.time;
    for (number, body) in names(30).iter().enumerate() {
        put(&mut shoal, number % 3, body).expect("three nodes are there");
    }
    assert!(shoal.time - began < 30 * 10, "{} ms", shoal.time - began);
    for seat in 0..3 {
        let mut reader = Reader::default();
        let before = shoal.time;
        reader.read(&mut shoal, seat);
        assert!(shoal.time - before < 20, "{} ms", shoal.time - before);
        assert_eq!(reader.bodies, names(30), "in the order of publishing");
        assert_eq!((reader.late, reader.lost), (0, 0));
    }
}

#[test]
fn nothing_is_said_where_nobody_publishes() {
    let mut shoal = Shoal::new(3);
    put(&mut shoal, 0, "0000").expect("three nodes are there");
    let follow = Follow {
        start: Start::Now,
        patterns: vec![b"*"],
        meta: false,
    };
    shoal.send(1, 7, topic(TopicCommand::Follow(follow)));
    shoal.advance(5);
    let before = topic_messages(&shoal);
    shoal.advance(60);
    assert_eq!(topic_messages(&shoal) - before, 0);
}

#[test]
fn a_subscriber_gets_what_is_published_elsewhere_at_once() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let follow = Follow {
        start: Start::Now,
        patterns: vec![b"*"],
        meta: false,
    };
    shoal.send(1, 7, topic(TopicCommand::Follow(follow)));
    shoal.advance_ms(100);
    for (number, body) in names(10).iter().enumerate() {
        put(&mut shoal, number % 3, body).expect("three nodes are there");
        shoal.advance_ms(10);
        assert_eq!(shoal.pushes.len(), number + 1, "after {} ms", 10);
    }
}

/// A node greets while another one takes it for dead, as gossip lags behind. (Simulation seed 3296.)
#[test]
fn a_member_that_greeted_while_it_was_taken_for_dead_gets_all_that_comes() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    shoal.kill(1);
    shoal.start(1);
    for _ in 0..2000 {
        shoal.feed(0, Event::PeerFailing(Shoal::id(1), true));
        shoal.advance_ms(1);
    }
    shoal.feed(0, Event::PeerFailing(Shoal::id(1), false));
    shoal.advance(1);
    for body in names(5) {
        put(&mut shoal, 0, &body).expect("three nodes are there");
    }
    shoal.advance(3);
    let mut reader = Reader::default();
    reader.read(&mut shoal, 1);
    assert_eq!(reader.bodies, names(5));
}

/// The same, while the link over which it is answered stays up all the time. (Simulation seed 9391.)
#[test]
fn a_member_whose_own_link_alone_broke_hears_where_entries_go_on() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    shoal.cut_one_way(1, 0);
    shoal.advance_ms(100);
    shoal.mend();
    for _ in 0..100 {
        shoal.feed(0, Event::PeerFailing(Shoal::id(1), true));
        shoal.advance_ms(1);
    }
    let before = shoal.sent.len();
    shoal.feed(0, Event::PeerFailing(Shoal::id(1), false));
    let goes_on = |(from, to, message): &(usize, usize, Message)| match message {
        Message::Topic(message) => {
            (*from, *to) == (0, 1) && matches!(message.news, TopicNews::Follows(..))
        }
        _ => false,
    };
    assert!(shoal.sent.iter().skip(before).any(goes_on));
}

#[test]
fn a_wandering_reader_goes_on_without_a_node_that_is_down() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let mut reader = Reader::default();
    for (number, body) in names(20).iter().enumerate() {
        put(&mut shoal, number % 3, body).expect("three nodes are there");
        reader.read(&mut shoal, (number + 1) % 3);
    }
    shoal.kill(0);
    let began = shoal.time;
    put(&mut shoal, 1, "0020").expect("two nodes are there");
    reader.read(&mut shoal, 2);
    assert!(shoal.time - began < 2500, "{} ms", shoal.time - began);
    assert_eq!(reader.bodies, names(21));
    shoal.start(0);
    put(&mut shoal, 2, "0021").expect("two nodes are there");
    reader.read(&mut shoal, 0);
    assert_eq!(reader.bodies, names(22));
    let mut replay = Reader::default();
    replay.read(&mut shoal, 0);
    assert_eq!(replay.bodies, names(22));
}

#[test]
fn what_a_node_does_not_push_is_pulled_from_it_though_nobody_told_who_has_it() {
    let mut shoal = Shoal::new(2);
    shoal.advance(3);
    let greeting = |(from, _, message): &(usize, usize, Message)| match message {
        Message::Topic(message) if *from == 0 => match &message.news {
            TopicNews::Greeting(greeting) => Some((message.head, greeting.own)),
            _ => None,
        },
        _ => None,
    };
    let (head, own) = shoal.sent.iter().find_map(greeting).expect("it greets");
    // As after a greeting behind which the records left memory before they could be pushed.
    let news = TopicNews::Follows(own, 6);
    let message = Message::Topic(Box::new(TopicMessage { head, news }));
    shoal.feed(1, Event::Message(Shoal::id(0), message));
    let is_pull = |(from, to, message): &(usize, usize, Message)| match message {
        Message::Topic(message) => {
            (*from, *to) == (1, 0) && message.news == TopicNews::Pull(own, 1, 5)
        }
        _ => false,
    };
    assert!(shoal.sent.iter().any(is_pull));
}

#[test]
fn both_sides_of_a_partition_publish_and_every_reader_gets_all_of_it() {
    let mut shoal = Shoal::new(4);
    shoal.advance(3);
    let mut readers = [Reader::default(), Reader::default()];
    for (from, to) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        shoal.cut(from, to);
    }
    shoal.advance(2);
    for (number, body) in names(40).iter().enumerate() {
        put(&mut shoal, number % 4, body).expect("two nodes on each side");
        readers[0].read(&mut shoal, number % 2);
        readers[1].read(&mut shoal, 2 + number % 2);
    }
    assert_eq!(readers[0].bodies.len() + readers[1].bodies.len(), 40);
    shoal.mend();
    shoal.advance(5);
    put(&mut shoal, 0, "0040").expect("four nodes");
    for (reader, seat) in readers.iter_mut().zip([2, 1]) {
        reader.read(&mut shoal, seat);
        assert_eq!(reader.sorted(), names(41));
        assert_eq!(reader.lost, 0);
    }
}

#[test]
fn a_wiped_node_copies_everything_before_it_serves() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    for body in names(50) {
        put(&mut shoal, 0, &body).expect("three nodes are there");
    }
    shoal.kill(0);
    shoal.wipe(0);
    shoal.advance(1);
    shoal.start(0);
    let mut reader = Reader::default();
    reader.read(&mut shoal, 0);
    assert_eq!(reader.bodies, names(50));
    put(&mut shoal, 0, "0050").expect("three nodes are there");
    reader.read(&mut shoal, 1);
    assert_eq!(reader.bodies, names(51));
    assert_eq!(reader.lost, 0);
}

#[test]
fn rolling_clean_restarts_hold_nothing_up_and_make_nothing_late() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let mut reader = Reader::default();
    let mut count = 0;
    for round in 0..6 {
        let seat = round % 3;
        shoal.feed(seat, Event::HandOver);
        for _ in 0..100 {
            if shoal.node(seat).handing_over() == 0 {
                break;
            }
            shoal.advance_ms(10);
        }
        assert_eq!(shoal.node(seat).handing_over(), 0);
        shoal.stop(seat);
        for _ in 0..5 {
            let body = format!("{count:04}");
            put(&mut shoal, (seat + 1) % 3, &body).expect("two nodes are there");
            count += 1;
            reader.read(&mut shoal, (seat + 2) % 3);
        }
        shoal.start(seat);
        for _ in 0..5 {
            let body = format!("{count:04}");
            put(&mut shoal, seat, &body).expect("three nodes are there");
            count += 1;
            reader.read(&mut shoal, (seat + 1) % 3);
        }
    }
    assert_eq!(reader.bodies, names(count));
    assert_eq!((reader.late, reader.lost), (0, 0));
}

#[test]
fn a_node_that_is_forgotten_while_it_lives_loses_nothing() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let mut reader = Reader::default();
    put(&mut shoal, 2, "0000").expect("three nodes are there");
    reader.read(&mut shoal, 1);
    shoal.cut(2, 0);
    shoal.cut(2, 1);
    shoal.advance(2);
    for seat in [0, 1] {
        shoal.feed(seat, Event::PeerForgotten(Shoal::id(2)));
    }
    let mut alone = publish("a", "0001");
    alone.replicate = Some(1);
    let ticket = send(&mut shoal, 2, alone);
    shoal.advance(2);
    published(&shoal, 2, ticket)
        .expect("answered")
        .expect("one copy is enough");
    put(&mut shoal, 0, "0002").expect("two nodes are there");
    reader.read(&mut shoal, 0);
    for (seat, other) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
        shoal.feed(seat, Event::PeerKnown(Shoal::id(other)));
    }
    shoal.mend();
    shoal.advance(5);
    put(&mut shoal, 2, "0003").expect("three nodes are there");
    for seat in 0..3 {
        reader.read(&mut shoal, seat);
    }
    assert_eq!(reader.sorted(), names(4));
    assert_eq!(reader.lost, 0);
}

#[test]
fn a_node_that_is_cut_off_publishes_only_what_needs_no_copy() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    shoal.cut(0, 1);
    shoal.cut(0, 2);
    shoal.advance(2);
    let refusal = Refusal::Topic(TopicRefusal::TooFewTakers);
    assert_eq!(put(&mut shoal, 0, "0000"), Err(refusal));
    let mut alone = publish("a", "0001");
    alone.replicate = Some(1);
    let ticket = send(&mut shoal, 0, alone);
    shoal.advance_ms(20);
    assert!(matches!(published(&shoal, 0, ticket), Some(Ok(_))));
    shoal.mend();
    shoal.advance(5);
    let mut reader = Reader::default();
    reader.read(&mut shoal, 2);
    assert_eq!(reader.bodies, ["0001"]);
}

#[test]
fn an_entry_without_its_copies_stays_and_is_read() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    shoal.hang(1);
    shoal.hang(2);
    let ticket = send(&mut shoal, 0, publish("a", "0000"));
    shoal.advance(6);
    let answer = published(&shoal, 0, ticket);
    assert!(
        matches!(answer, Some(Err(Refusal::Topic(TopicRefusal::Pending(_))))),
        "{answer:?}"
    );
    shoal.wake(1);
    shoal.wake(2);
    shoal.advance(1);
    let mut reader = Reader::default();
    reader.read(&mut shoal, 2);
    assert_eq!(reader.bodies, ["0000"]);
}

#[test]
fn all_nodes_restart_and_readers_go_on() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let mut reader = Reader::default();
    for round in 0..4 {
        for number in 0..6 {
            let body = format!("{:04}", round * 6 + number);
            put(&mut shoal, number % 3, &body).expect("three nodes are there");
        }
        reader.read(&mut shoal, round % 3);
        for seat in 0..3 {
            shoal.kill(seat);
        }
        shoal.advance(1);
        for seat in 0..3 {
            shoal.start(seat);
        }
    }
    shoal.advance(5);
    for seat in 0..3 {
        reader.read(&mut shoal, seat);
        let mut replay = Reader::default();
        replay.read(&mut shoal, seat);
        assert_eq!(replay.sorted(), names(24));
    }
    assert_eq!(reader.sorted(), names(24));
    assert_eq!(reader.lost, 0);
}

/// What a node on a copied disk hears: the original used this life, or a later one, after the copy was made.
#[test]
fn a_life_that_is_not_this_node_s_alone_is_left() {
    for later in [0, 7] {
        let mut shoal = Shoal::new(2);
        shoal.advance(3);
        put(&mut shoal, 0, "0000").expect("two nodes are there");
        let own = |shoal: &Shoal| shoal.node(0).topics.own().expect("it has begun");
        let before = own(&shoal);
        let origin = Origin::new(before.node(), before.start() + later);
        let have = Have {
            origin,
            held: vec![(1, 9)],
            newest: None,
        };
        let head = Head {
            clock: EntryId::ZERO,
            wall: WallTime(shoal.time),
            closed: None,
            takes: true,
        };
        let news = TopicNews::Haves(vec![have]);
        let message = Message::Topic(Box::new(TopicMessage { head, news }));
        shoal.feed(0, Event::Message(Shoal::id(1), message));
        shoal.advance(3);
        assert!(own(&shoal).is_later_than(origin), "{later}");
        put(&mut shoal, 0, "0001").expect("the new life publishes");
        shoal.advance(5);
        for seat in 0..2 {
            let mut reader = Reader::default();
            reader.read(&mut shoal, seat);
            assert_eq!(reader.sorted(), names(2), "{later}");
        }
    }
}

#[test]
fn a_reader_waits_while_the_others_are_asked_about_a_member_that_went() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    shoal.hang(2);
    let amid = Publish {
        replicate: Some(2),
        ..publish("a", "0000")
    };
    let ticket = send(&mut shoal, 0, amid);
    shoal.advance_ms(20);
    assert!(matches!(published(&shoal, 0, ticket), Some(Ok(_))));
    let beginning = || Start::Cursor(Box::default());
    let ticket = shoal.send(1, 2, read(beginning(), Wait::No));
    shoal.advance_ms(20);
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    shoal.advance(3);
    let Some(Reply::Topic(reply)) = shoal.answer(1, ticket) else {
        panic!("{:?} answers no TREAD", shoal.answer(1, ticket));
    };
    let TopicReply::Page(page) = &**reply else {
        panic!("{reply:?} answers no TREAD");
    };
    assert_eq!(page.told.len(), 1, "{page:?}");
}
