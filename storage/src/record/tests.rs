use proptest::prelude::*;

use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::QueueName;
use shoalmq_core::job::Body;
use shoalmq_core::message::Holders;
use shoalmq_core::record::{AckRecord, JobRecord};
use shoalmq_core::topic::{EndRecord, Ended, Entry, EntryId, Origin, OriginNode, TopicRecord};

use super::*;

fn encoded(record: &Record) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(record, &mut frame);
    frame
}

/// A whole record around any version and payload.
fn sealed(version: u8, payload: &[u8]) -> Vec<u8> {
    let mut whole = vec![version];
    whole.extend_from_slice(payload);
    let length = u32::try_from(whole.len()).expect("small");
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&whole).to_le_bytes());
    bytes.extend_from_slice(&whole);
    bytes
}

fn job_ids() -> impl Strategy<Value = JobId> {
    any::<[u8; 24]>().prop_map(JobId::from_bytes)
}

fn times() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(Time::from_millis)
}

fn walls() -> impl Strategy<Value = WallTime> {
    any::<u64>().prop_map(WallTime)
}

fn extras() -> impl Strategy<Value = Extras> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    let fields = proptest::collection::btree_map(0..1_u16 << 15, bytes, 0..3);
    fields.prop_map(|fields| {
        let fields = fields.iter();
        Extras::new(fields.map(|(&number, value)| (Tag::optional(number), &value[..])))
    })
}

fn jobs() -> impl Strategy<Value = JobRecord> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    (
        (
            job_ids(),
            bytes(),
            bytes(),
            any::<u64>(),
            times(),
            holders(),
            extras(),
        ),
        (
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            any::<u16>(),
            any::<u32>(),
            any::<u32>(),
        ),
    )
        .prop_map(
            |((id, queue, body, created, added, holders, extras), numbers)| JobRecord {
                id,
                queue: QueueName::new(&queue),
                body: Body::new(&body),
                created,
                added,
                ttl: numbers.0,
                delay: numbers.1,
                retry: numbers.2,
                replicate: numbers.3,
                nacks: numbers.4,
                additional_deliveries: numbers.5,
                holders,
                extras,
            },
        )
}

fn node_ids() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::from_bytes)
}

/// Often none, as on a lone node.
fn holders() -> impl Strategy<Value = Holders> {
    prop_oneof![
        Just(Holders::from([])),
        proptest::collection::vec(node_ids(), 1..64).prop_map(Holders::from),
    ]
}

fn acks() -> impl Strategy<Value = AckRecord> {
    let queue = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
    (
        job_ids(),
        queue,
        times(),
        holders(),
        any::<bool>(),
        extras(),
    )
        .prop_map(
            |(id, queue, expires, unheard, withdrawn, extras)| AckRecord {
                id,
                queue: queue.map(|name| QueueName::new(&name)),
                expires,
                unheard,
                withdrawn,
                extras,
            },
        )
}

fn standings() -> impl Strategy<Value = Standing> {
    (
        job_ids(),
        any::<(bool, bool)>(),
        proptest::option::of(times()),
        any::<u32>(),
        any::<u32>(),
        extras(),
    )
        .prop_map(
            |(id, (queued, turn), requeue, nacks, additional_deliveries, extras)| Standing {
                id,
                queued,
                turn,
                requeue,
                nacks,
                additional_deliveries,
                extras,
            },
        )
}

fn settings() -> impl Strategy<Value = Setting> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Arc::from);
    let value = proptest::option::of(bytes());
    (any::<u8>(), bytes(), value, any::<u64>(), node_ids()).prop_map(
        |(kind, name, value, version, node)| Setting {
            kind: SettingKind(kind),
            name,
            value,
            version,
            node,
        },
    )
}

fn records() -> impl Strategy<Value = Record> {
    prop_oneof![
        (any::<u64>(), times(), walls()).prop_map(|(generation, time, wall)| Record::Started {
            generation,
            time,
            wall
        }),
        (times(), walls()).prop_map(|(time, wall)| Record::Mark { time, wall }),
        jobs().prop_map(|job| Record::Added(Box::new(job))),
        job_ids().prop_map(Record::Deleted),
        Just(Record::Flushed),
        standings().prop_map(Record::Standing),
        (times(), walls()).prop_map(|(time, wall)| Record::Closed { time, wall }),
        (job_ids(), holders()).prop_map(|(id, holders)| Record::Holders { id, holders }),
        acks().prop_map(|ack| Record::Acked(Box::new(ack))),
        (node_ids(), any::<u64>()).prop_map(|(id, store)| Record::Peer {
            id,
            store: StoreId(store)
        }),
        node_ids().prop_map(Record::PeerForgotten),
        settings().prop_map(|setting| Record::Setting(Box::new(setting))),
        topic_records().prop_map(Record::Topic),
    ]
}

fn origins() -> impl Strategy<Value = Origin> {
    (any::<u32>(), any::<u64>()).prop_map(|(node, start)| Origin::new(OriginNode::new(node), start))
}

fn entry_ids() -> impl Strategy<Value = EntryId> {
    (any::<u64>(), any::<u64>()).prop_map(|(ms, seq)| EntryId::new(ms, seq))
}

fn topic_records() -> impl Strategy<Value = TopicRecord> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    let entry = (
        origins(),
        any::<u64>(),
        entry_ids(),
        bytes(),
        bytes(),
        extras(),
    );
    let entry = entry.prop_map(|(origin, number, id, channel, body, extras)| {
        TopicRecord::Entry(Arc::new(Entry {
            origin,
            number,
            id,
            channel: channel.into(),
            body: Body::new(&body),
            extras,
        }))
    });
    let ended =
        (origins(), any::<u64>(), any::<u64>()).prop_map(|(origin, records, known)| Ended {
            origin,
            records,
            known,
        });
    let ended = proptest::collection::vec(ended, 0..5);
    let end = (origins(), any::<u64>(), entry_ids(), ended);
    let end = end.prop_map(|(origin, number, id, ended)| TopicRecord::End {
        origin,
        number,
        record: EndRecord::new(id, &ended),
    });
    let freed = (origins(), any::<u64>(), any::<u64>(), any::<Option<u64>>());
    let freed = freed.prop_map(|(origin, first, last, first_entry)| TopicRecord::Freed {
        origin,
        first,
        last,
        first_entry,
    });
    prop_oneof![origins().prop_map(TopicRecord::Life), entry, end, freed]
}

fn typical_job() -> Record {
    Record::Added(Box::new(JobRecord {
        id: JobId::from_bytes([7; 24]),
        queue: QueueName::new(b"payments"),
        body: Body::new(&[b'x'; 100]),
        created: 1_780_000_000_000 * 1_000_000,
        added: Time::from_millis(86_400_000),
        replicate: 3,
        ..JobRecord::sample()
    }))
}

#[test]
fn a_typical_job_takes_less_than_180_bytes() {
    let length = encoded(&typical_job()).len();
    assert!(length < 180, "{length} bytes");
}

#[test]
fn the_bytes_of_a_record_are_these() {
    let started = Record::Started {
        generation: 3,
        time: Time::from_millis(300),
        wall: WallTime(1),
    };
    assert_eq!(encoded(&started), sealed(VERSION, &[0, 3, 0xac, 0x02, 1]));
    assert_eq!(encoded(&Record::Flushed), sealed(VERSION, &[4]));
    let deleted = Record::Deleted(JobId::from_bytes([9; 24]));
    let mut payload = vec![3, 24];
    payload.extend_from_slice(&[9; 24]);
    assert_eq!(encoded(&deleted), sealed(VERSION, &payload));
}

#[test]
fn the_bytes_of_what_nodes_know_of_each_other_are_these() {
    let id = JobId::from_bytes([9; 24]);
    let nodes: Holders = [NodeId::from_bytes([1; 20]), NodeId::from_bytes([2; 20])].into();
    let both = [&[2][..], &[1; 20], &[2; 20]].concat();
    let holders = Record::Holders {
        id,
        holders: nodes.clone(),
    };
    let payload = [&[7, 24][..], &[9; 24], &both].concat();
    assert_eq!(encoded(&holders), sealed(VERSION, &payload));
    let ack = |queue: Option<&[u8]>, unheard: Holders, withdrawn: bool| {
        Record::Acked(Box::new(AckRecord {
            queue: queue.map(QueueName::new),
            expires: Time::from_millis(300),
            unheard,
            withdrawn,
            ..AckRecord::sample()
        }))
    };
    let named = [&[8, 24][..], &[1; 24], &[1, 1, b'q', 0xac, 0x02], &both].concat();
    for withdrawn in [false, true] {
        let record = ack(Some(b"q"), nodes.clone(), withdrawn);
        let payload = [&named[..], &[u8::from(withdrawn), 0]].concat();
        assert_eq!(encoded(&record), sealed(VERSION, &payload));
    }
    let payload = [&[8, 24][..], &[1; 24], &[0, 0xac, 0x02, 0, 0, 0]].concat();
    let tombstone = ack(None, [].into(), false);
    assert_eq!(encoded(&tombstone), sealed(VERSION, &payload));
    let forgotten = Record::PeerForgotten(NodeId::from_bytes([1; 20]));
    let payload = [&[10][..], &[1; 20]].concat();
    assert_eq!(encoded(&forgotten), sealed(VERSION, &payload));
    let peer = Record::Peer {
        id: NodeId::from_bytes([1; 20]),
        store: StoreId(300),
    };
    let payload = [&[9][..], &[1; 20], &[0xac, 0x02]].concat();
    assert_eq!(encoded(&peer), sealed(VERSION, &payload));
}

#[test]
fn the_bytes_of_a_setting_are_these() {
    let setting = |value: Option<&[u8]>| {
        Record::Setting(Box::new(Setting {
            kind: SettingKind::PAUSE_OUT,
            name: Arc::from(&b"q"[..]),
            value: value.map(Arc::from),
            version: 300,
            ..Setting::sample()
        }))
    };
    let end = [&[0xac, 0x02][..], &[1; 20]].concat();
    let payload = [&[11, 1, 1, b'q', 1, 3][..], b"yes", &end].concat();
    assert_eq!(encoded(&setting(Some(b"yes"))), sealed(VERSION, &payload));
    let payload = [&[11, 1, 1, b'q', 0][..], &end].concat();
    assert_eq!(encoded(&setting(None)), sealed(VERSION, &payload));
}

#[test]
fn a_newer_version_and_a_newer_kind_are_named() {
    assert_eq!(decode(&sealed(VERSION + 1, &[0])), Err(Invalid::Version(3)));
    assert_eq!(
        decode(&sealed(VERSION, &[KINDS as u8, 1, 2])),
        Err(Invalid::Kind(KINDS))
    );
    assert_eq!(
        decode(&sealed(VERSION, &[0x80, 0x01])),
        Err(Invalid::Kind(128))
    );
}

#[test]
fn zeros_are_no_record() {
    assert_eq!(decode(&[0; 64]), Err(Invalid::Checksum));
    assert!(!any_within(&[0; 64]));
}

#[test]
fn whole_records_with_senseless_fields_are_refused() {
    // A list of holders that ends within an id.
    let cut = [&[8, 24][..], &[9; 24], &[1], &[1; 19]].concat();
    let cases: [&[u8]; 5] = [&[], &[0, 1], &[4, 0], &[3, 2, 9, 9], &cut];
    for payload in cases {
        let bytes = sealed(VERSION, payload);
        let refused = decode(&bytes);
        assert!(
            matches!(refused, Err(Invalid::Fields(_))),
            "{payload:?}: {refused:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_records_survive_their_frame(written in proptest::collection::vec(records(), 0..20)) {
        let mut frame = Vec::new();
        for record in &written {
            encode(record, &mut frame);
        }
        let mut rest = frame.as_slice();
        let mut read = Vec::new();
        while !rest.is_empty() {
            let (record, after) = decode(rest).expect("it was just written");
            read.push(record);
            rest = after;
        }
        prop_assert_eq!(read, written);
    }

    #[test]
    fn any_cut_is_seen(record in records()) {
        let bytes = encoded(&record);
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end]), Err(Invalid::Truncated));
        }
    }

    #[test]
    fn any_changed_byte_is_seen(record in records(), at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = encoded(&record);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let changed = decode(&bytes);
        prop_assert!(matches!(changed, Err(Invalid::Truncated | Invalid::Checksum)), "{:?}", changed);
    }

    #[test]
    fn no_garbage_panics(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        any_within(&bytes);
    }

    #[test]
    fn no_payload_panics(payload: Vec<u8>, kind in 0_u8..KINDS as u8) {
        let mut kinded = vec![kind];
        kinded.extend_from_slice(&payload);
        let _ = decode(&sealed(VERSION, &kinded));
    }

    #[test]
    fn a_record_is_found_behind_garbage(garbage: Vec<u8>, record in records()) {
        let mut bytes = garbage;
        bytes.extend_from_slice(&encoded(&record));
        prop_assert!(any_within(&bytes));
    }
}

#[test]
fn a_field_that_must_be_understood_is_refused_by_name_and_is_no_damage() {
    let extras = Extras::new([(Tag::META, &b"m"[..]), (Tag::required(41), b"?")]);
    let records = [
        Record::Added(Box::new(JobRecord {
            extras: extras.clone(),
            ..JobRecord::sample()
        })),
        Record::Acked(Box::new(AckRecord {
            extras: extras.clone(),
            ..AckRecord::sample()
        })),
        Record::Standing(Standing {
            extras,
            ..Standing::sample()
        }),
    ];
    for record in records {
        let bytes = encoded(&record);
        let refused = decode(&bytes).expect_err("nobody knows field 41");
        assert_eq!(refused, Invalid::Extra(Tag::required(41)));
        assert!(refused.is_newer());
        assert!(refused.to_string().contains("field 41"), "{refused}");
        assert!(any_within(&[b"torn", &bytes[..]].concat()), "it is whole");
    }
}
