//! The bytes of one record of each kind, pinned: a kind or a field that moves is a format that older logs do not have.
//!
//! `SHOALMQ_BLESS=1 cargo test -p shoalmq-storage golden` writes the file again, when a kind is added.

use std::fmt::Write;
use std::path::Path;

use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::QueueName;
use shoalmq_core::job::Body;
use shoalmq_core::record::{AckRecord, CountRecord, JobRecord, MoveRecord};
use shoalmq_core::topic::{EndRecord, Ended, Entry, EntryId, Origin, OriginNode, TopicRecord};

use super::*;

const FILE: &str = "src/record/golden.txt";
const TAKES: &str = "a string takes anything";

fn nodes() -> std::sync::Arc<[NodeId]> {
    [NodeId::from_bytes([2; 20]), NodeId::from_bytes([3; 20])].into()
}

/// One of each kind, all optional parts included.
fn one_of_each() -> Vec<Record> {
    let (time, wall) = (Time::from_millis(300), WallTime(400));
    let id = JobId::from_bytes([9; 24]);
    let extras = Extras::new([(Tag::META, &b"m"[..])]);
    vec![
        Record::Started {
            generation: 3,
            time,
            wall,
        },
        Record::Mark { time, wall },
        Record::Added(Box::new(JobRecord {
            delay: 5,
            nacks: 6,
            additional_deliveries: 7,
            holders: nodes(),
            extras: extras.clone(),
            ..JobRecord::sample()
        })),
        Record::Deleted(id),
        Record::Flushed,
        Record::Standing(Standing {
            requeue: Some(time),
            nacks: 6,
            additional_deliveries: 7,
            extras: extras.clone(),
            ..Standing::sample()
        }),
        Record::Closed { time, wall },
        Record::Holders {
            id,
            holders: nodes(),
        },
        Record::Acked(Box::new(AckRecord {
            queue: Some(QueueName::new(b"q")),
            expires: time,
            unheard: nodes(),
            withdrawn: true,
            extras: extras.clone(),
            ..AckRecord::sample()
        })),
        Record::Peer {
            id: NodeId::from_bytes([2; 20]),
            store: StoreId(300),
        },
        Record::PeerForgotten(NodeId::from_bytes([2; 20])),
        Record::Setting(Box::new(Setting::sample())),
    ]
}

/// The same of topics.
fn one_of_each_of_topics() -> Vec<Record> {
    let extras = Extras::new([(Tag::META, &b"m"[..])]);
    let origin = Origin::new(OriginNode::new(2), 7);
    vec![
        Record::Topic(TopicRecord::Life(origin)),
        Record::Topic(TopicRecord::Entry(Arc::new(Entry {
            origin,
            number: 300,
            id: EntryId::new(400, 5),
            channel: Arc::from(&b"c"[..]),
            body: Body::new(b"b"),
            extras,
        }))),
        Record::Topic(TopicRecord::End {
            origin,
            number: 300,
            record: EndRecord::new(
                EntryId::new(400, 5),
                &[Ended {
                    origin: Origin::new(OriginNode::new(2), 6),
                    records: 7,
                    known: 300,
                }],
            ),
        }),
        Record::Topic(TopicRecord::Freed {
            origin,
            first: 2,
            last: 300,
            first_entry: Some(2),
        }),
    ]
}

/// The same of jobs that were moved, or that fail.
fn one_of_each_of_moves() -> Vec<Record> {
    vec![
        Record::Moved(Box::new(MoveRecord {
            nacks: 6,
            additional_deliveries: 7,
            ..MoveRecord::sample()
        })),
        Record::Counted(Box::new(CountRecord {
            nacks: 6,
            additional_deliveries: 7,
            extras: Extras::new([(Tag::DELIVERIES, &[3, 0][..])]),
            ..CountRecord::sample()
        })),
    ]
}

fn name(record: &Record) -> &'static str {
    match record {
        Record::Started { .. } => "started",
        Record::Mark { .. } => "mark",
        Record::Added(_) => "added",
        Record::Deleted(_) => "deleted",
        Record::Flushed => "flushed",
        Record::Standing(_) => "standing",
        Record::Closed { .. } => "closed",
        Record::Holders { .. } => "holders",
        Record::Acked(_) => "acked",
        Record::Moved(_) => "moved",
        Record::Counted(_) => "counted",
        Record::Peer { .. } => "peer",
        Record::PeerForgotten(_) => "peer forgotten",
        Record::Setting(_) => "setting",
        Record::Topic(TopicRecord::Life(_)) => "life",
        Record::Topic(TopicRecord::Entry(_)) => "entry",
        Record::Topic(TopicRecord::End { .. }) => "end",
        Record::Topic(TopicRecord::Freed { .. }) => "freed",
    }
}

#[test]
fn the_bytes_of_every_kind_are_golden() {
    let mut records = one_of_each();
    records.extend(one_of_each_of_topics());
    records.extend(one_of_each_of_moves());
    assert_eq!(records.len(), KINDS as usize, "one of each kind");
    let mut text = String::new();
    for (kind, record) in records.iter().enumerate() {
        let mut bytes = Vec::new();
        encode(record, &mut bytes);
        let number = usize::from(bytes[HEADER + 1]);
        assert_eq!(number, kind, "{} has its number", name(record));
        write!(text, "{kind} {}: ", name(record)).expect(TAKES);
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
    assert_eq!(text, golden, "the bytes of a record changed");
}
