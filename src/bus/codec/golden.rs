//! The bytes of one frame of each kind, pinned: a kind or a field that moves is a frame that other nodes misread.
//!
//! `SHOALMQ_BLESS=1 cargo test --lib golden` writes the file again, when a kind is added.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shoalmq_core::command::{
    Answer, CopyView, EventView, HeldBy, Question, QueueList, QueueOrder, QueuesWanted, Report,
    Standing,
};
use shoalmq_core::dedup::{KeyName, KeyNews, KeyStand, KeyedJob};
use shoalmq_core::extras::{Extras, Features, Tag};
use shoalmq_core::id::{ClientId, NodeId, QueueName};
use shoalmq_core::message::{Copy, Holders, PeerState};
use shoalmq_core::outcome::{Fate, Outcome};
use shoalmq_core::setting::Setting;
use shoalmq_core::stamp::Stamp;
use shoalmq_core::telling::{QueueDepths, QueuesView};
use shoalmq_core::time::WallTime;
use shoalmq_core::topic::{
    Closed, EndRecord, Ended, Entry, EntryId, Greeting, Have, Head, Origin, OriginNode,
    TopicMessage, TopicNews, TopicRecord,
};

use super::*;
use crate::bus::{Claim, Profile};

const FILE: &str = "src/bus/codec/golden.txt";
const TAKES: &str = "a string takes anything";

fn extras() -> Extras {
    Extras::new([(Tag::META, &b"m"[..])])
}

fn nodes() -> Holders {
    [NodeId::from_bytes([2; 20]), NodeId::from_bytes([3; 20])].into()
}

fn copy() -> Copy {
    Copy {
        age_ms: 300,
        delay: 5,
        nacks: 6,
        additional_deliveries: 7,
        moves: 1,
        holders: nodes(),
        extras: extras(),
        ..Copy::sample()
    }
}

fn notices() -> Vec<Notice> {
    vec![
        Notice::Ping(300),
        Notice::Pong(300),
        Notice::Node(Box::new(NodeState {
            profile: Profile {
                name: Some("host".to_owned()),
                zone: "a".to_owned(),
                features: Features::only(9),
                extras: extras(),
                ..Profile::sample()
            },
            members: vec![Claim::sample(2)],
            extras: extras(),
        })),
        Notice::Forget(NodeId::from_bytes([2; 20])),
    ]
}

fn of_one_job() -> Vec<Message> {
    let id = JobId::from_bytes([9; 24]);
    vec![
        Message::ReplJob(Box::new(copy())),
        Message::GotJob(id),
        Message::Missing(id),
        Message::Holders {
            id,
            holders: nodes(),
            copies: 2,
        },
        Message::Enqueue {
            id,
            delay_ms: 300,
            extras: extras(),
        },
        Message::WillQueue {
            id,
            extras: extras(),
        },
        Message::Queued {
            id,
            nacks: 6,
            additional_deliveries: 7,
            extras: extras(),
        },
        Message::Working {
            id,
            for_ms: 300,
            extras: extras(),
        },
        Message::SetAck {
            id,
            holders: nodes(),
            withdrawn: true,
            extras: extras(),
        },
        Message::GotAck {
            id,
            known: true,
            holders: nodes(),
        },
        Message::DelJob {
            id,
            extras: extras(),
        },
    ]
}

fn of_more() -> Vec<Message> {
    let queue = || QueueName::new(b"q");
    let list = QueueList {
        pattern: Some(b"q*"[..].into()),
        order: QueueOrder::Ready,
        count: 300,
    };
    let figures = QueuesView {
        queues: vec![QueueDepths::empty(queue())],
        more: true,
        ..QueuesView::default()
    };
    vec![
        Message::NeedJobs {
            queue: queue(),
            count: 3,
            waiting: 2,
            at_once: 1,
        },
        Message::YourJobs(vec![copy()]),
        Message::Settings([Setting::sample()].into()),
        Message::Ask {
            number: 300,
            question: Question::QueueLength(queue()),
        },
        Message::Answer {
            number: 300,
            answer: Answer::Count(4),
        },
        Message::Ask {
            number: 300,
            question: Question::Queues(QueuesWanted::Page {
                list,
                least: 4,
                after: Some(queue()),
            }),
        },
        Message::Answer {
            number: 300,
            answer: Answer::Queues(figures),
        },
        Message::SettingsDigest {
            digest: 300,
            answer: true,
        },
    ]
}

fn of_topics() -> Vec<Message> {
    let origin = Origin::new(OriginNode::new(7), 300);
    let id = EntryId::new(300, 1);
    let have = || Have {
        origin,
        held: vec![(1, 300)],
        newest: Some((300, id)),
    };
    let ended = Ended {
        origin,
        records: 3,
        known: 4,
    };
    let end = TopicRecord::End {
        origin: Origin::new(OriginNode::new(7), 301),
        number: 1,
        record: EndRecord::new(id, &[ended]),
    };
    let freed = TopicRecord::Freed {
        origin,
        first: 1,
        last: 2,
        first_entry: Some(1),
    };
    let news = vec![
        TopicNews::Greeting(Box::new(Greeting {
            own: origin,
            asks: true,
            ends: vec![end.clone()],
            whole: vec![(origin, 300)],
            haves: vec![have()],
        })),
        TopicNews::Counted(origin),
        TopicNews::Haves(vec![have()]),
        TopicNews::Follows(origin, 300),
        TopicNews::Records(vec![TopicRecord::Entry(Arc::new(Entry::sample())), end]),
        TopicNews::Pull(origin, 1, 300),
        TopicNews::Pulled {
            origin,
            first: 1,
            last: 300,
            records: vec![freed],
        },
        TopicNews::Close(id),
        TopicNews::Closed,
        TopicNews::HowFar(OriginNode::new(7), true),
        TopicNews::SoFar(OriginNode::new(7), vec![have()]),
    ];
    let head = head();
    let messages = news.into_iter();
    messages
        .map(|news| Message::Topic(Box::new(TopicMessage { head, news })))
        .collect()
}

fn head() -> Head {
    let (origin, id) = (Origin::new(OriginNode::new(7), 300), EntryId::new(300, 1));
    Head {
        clock: id,
        wall: WallTime(300),
        closed: Some((origin, Closed { id, records: 300 })),
        takes: true,
    }
}

/// The same of commits to named cursors.
fn of_commits() -> [Message; 2] {
    [TopicNews::Confirm(300), TopicNews::Confirmed(300)]
        .map(|news| Message::Topic(Box::new(TopicMessage { head: head(), news })))
}

/// The same of those who wait for the ends of jobs.
fn of_waiting() -> [Message; 2] {
    let id = |number| JobId::from_bytes([number; 24]);
    let rank = Some((3, true, 300, NodeId::from_bytes([1; 20])));
    let fates = [
        Fate::Unknown,
        Fate::Pending {
            rank: None,
            progress: Some(b"half".to_vec()),
        },
        Fate::Dead {
            rank,
            extras: extras(),
        },
        Fate::Ended {
            outcome: Outcome::Acked,
            result: Some(b"42".to_vec()),
            is_memory: true,
        },
    ];
    let fates = fates
        .into_iter()
        .zip(1..)
        .map(|(fate, number)| (id(number), fate));
    [
        Message::Watch([id(1), id(2)].into()),
        Message::Fates(fates.collect()),
    ]
}

fn keys() -> [Message; 6] {
    let id = |number| JobId::from_bytes([number; 24]);
    let name = || KeyName::new(b"q", b"key");
    let stands = [
        KeyStand::Pending,
        KeyStand::Live,
        KeyStand::Dead(300),
        KeyStand::Over(0),
    ];
    let jobs = || {
        let numbered = stands.into_iter().zip(1..);
        numbered.map(|(stand, number)| KeyedJob {
            id: id(number),
            created: 300,
            stand,
        })
    };
    let added = jobs().map(|job| (name(), job)).collect();
    [
        KeyNews::Claim(300, name()),
        KeyNews::Granted(300),
        KeyNews::Release(300, name()),
        KeyNews::Look(301, name(), vec![id(1), id(2)]),
        KeyNews::Found(301, jobs().collect(), vec![id(1)]),
        KeyNews::Added(added),
    ]
    .map(|news| Message::Key(Box::new(news)))
}

/// What is asked about one job, and what a node knows of it.
fn of_explaining() -> [Message; 2] {
    let event = EventView {
        at_ms: 300,
        event: "queued".to_owned(),
        detail: "NACK".to_owned(),
    };
    let copy = CopyView {
        standing: Standing::Ended(Outcome::Acked),
        queue: Some(QueueName::new(b"q")),
        rank: Some((3, true, 300, NodeId::from_bytes([1; 20]))),
        has_turn: true,
        next: "retry".to_owned(),
        next_in: Some(Duration::from_millis(300)),
    };
    let report = Report {
        copy: Some(copy),
        outcome: Some(Outcome::Acked),
        why: "Why.".to_owned(),
        held_by: Some(HeldBy {
            client: ClientId(300),
            name: b"worker".to_vec(),
            since_ms: 300,
        }),
        progress: Some(b"half".to_vec()),
        events: vec![event],
    };
    [
        Message::Ask {
            number: 300,
            question: Question::Explain(JobId::from_bytes([9; 24])),
        },
        Message::Answer {
            number: 300,
            answer: Answer::Report(Box::new(report)),
        },
    ]
}

/// One of each kind, all optional parts included, in the order of their numbers.
fn one_of_each() -> Vec<Frame> {
    let state = PeerState {
        syncs: true,
        leaving: true,
        stopping: false,
        full: true,
        load: 300,
        made: Stamp {
            start: 7,
            created: 1_767_226_300_319_000_000,
        },
    };
    let messages = [Message::State(state)].into_iter();
    let messages = messages
        .chain(of_one_job())
        .chain(of_more())
        .chain(of_topics())
        .chain([Message::Moved {
            id: JobId::from_bytes([9; 24]),
            extras: extras(),
        }])
        .chain(of_waiting())
        .chain(keys())
        .chain(of_explaining())
        .chain(of_commits());
    let notices = notices().into_iter().map(Frame::Notice);
    notices.chain(messages.map(Frame::Message)).collect()
}

#[test]
fn the_bytes_of_every_kind_are_golden() {
    let frames = one_of_each();
    assert_eq!(frames.len(), KINDS as usize, "one of each kind");
    let mut text = String::new();
    for (kind, frame) in frames.iter().enumerate() {
        let mut bytes = Vec::new();
        match frame {
            Frame::Notice(notice) => encode_notice(notice, &mut bytes),
            Frame::Message(message) => encode(message, &mut bytes),
            Frame::Unknown(_) => unreachable!("nobody says what it does not know"),
        }
        .expect("it fits");
        assert_eq!(usize::from(bytes[LENGTH]), kind, "{frame:?}");
        write!(text, "{kind}: ").expect(TAKES);
        for byte in bytes {
            write!(text, "{byte:02x}").expect(TAKES);
        }
        text.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("SHOALMQ_BLESS").is_some() {
        std::fs::write(&path, &text).expect("write the golden bytes");
    }
    let golden = std::fs::read_to_string(&path).expect("read the golden bytes");
    assert_eq!(text, golden, "the bytes of a frame changed");
}
