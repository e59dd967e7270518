use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use shoalmq_core::command::{
    Answer, Delivery, Detail, Done, Errand, Forward, JobView, PauseState, Question, QueueList,
    QueueOrder, QueueScan, QueueView, QueueWaits, QueuesWanted, Redrive, ScanReply,
};
use shoalmq_core::extras::{Extras, Features, Tag};
use shoalmq_core::id::StoreId;
use shoalmq_core::job::{Body, JobState};
use shoalmq_core::message::{Copy, Holders};
use shoalmq_core::outcome::{Fate, Outcome};
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::stamp::{Stamp, Stamps};
use shoalmq_core::telling::{Depths, QueueDepths, QueuesView, Recent};

use super::*;
use crate::bus::{Claim, Profile};

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    match frame {
        Frame::Message(message) => encode(message, &mut bytes),
        Frame::Notice(notice) => encode_notice(notice, &mut bytes),
        Frame::Unknown(_) => unreachable!("nobody says what it does not know"),
    }
    .expect("it fits");
    bytes
}

/// A frame around any payload.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

fn job_ids() -> impl Strategy<Value = JobId> {
    any::<[u8; 24]>().prop_map(JobId::from_bytes)
}

fn node_ids() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::from_bytes)
}

fn nodes() -> impl Strategy<Value = Vec<NodeId>> {
    vec(node_ids(), 0..6)
}

fn holders() -> impl Strategy<Value = Holders> {
    nodes().prop_map(Holders::from)
}

fn names() -> impl Strategy<Value = QueueName> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| QueueName::new(&bytes))
}

fn bodies() -> impl Strategy<Value = Body> {
    vec(any::<u8>(), 0..300).prop_map(|bytes| Body::new(&bytes))
}

fn spans() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn pauses() -> impl Strategy<Value = PauseState> {
    any::<(bool, bool)>().prop_map(|(input, output)| PauseState { input, output })
}

fn settings() -> impl Strategy<Value = Setting> {
    let bytes = || vec(any::<u8>(), 0..40).prop_map(Arc::from);
    let value = option::of(bytes());
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

fn states() -> impl Strategy<Value = JobState> {
    prop_oneof![
        Just(JobState::WaitReplicas),
        Just(JobState::Active),
        Just(JobState::Queued),
        Just(JobState::Acked),
    ]
}

fn extras() -> impl Strategy<Value = Extras> {
    let fields = btree_map(0..1_u16 << 15, vec(any::<u8>(), 0..40), 0..4);
    fields.prop_map(|fields| {
        let fields = fields.iter();
        Extras::new(fields.map(|(&number, value)| (Tag::optional(number), &value[..])))
    })
}

fn copies() -> impl Strategy<Value = Copy> {
    (
        (job_ids(), names(), bodies(), holders(), extras()),
        any::<(u64, u64, u32, u32, u32)>(),
        any::<(u16, u32, u32, u8)>(),
    )
        .prop_map(|((id, queue, body, holders, extras), times, counts)| Copy {
            id,
            queue,
            body,
            created: times.0,
            age_ms: times.1,
            ttl: times.2,
            delay: times.3,
            retry: times.4,
            replicate: counts.0,
            nacks: counts.1,
            additional_deliveries: counts.2,
            moves: counts.3,
            holders,
            extras,
        })
}

fn deliveries() -> impl Strategy<Value = Delivery> {
    (
        (names(), job_ids(), bodies(), extras()),
        any::<(u64, u8, u32, u32, u32)>(),
    )
        .prop_map(
            |(
                (queue, id, body, extras),
                (entered, priority, nacks, additional_deliveries, deliveries),
            )| {
                Delivery {
                    queue,
                    id,
                    entered,
                    priority,
                    body,
                    nacks,
                    additional_deliveries,
                    deliveries,
                    extras,
                }
            },
        )
}

fn queue_views() -> impl Strategy<Value = QueueView> {
    (
        (names(), nodes(), pauses()),
        (spans(), spans()),
        any::<[u64; 5]>(),
        option::of((any::<bool>(), depths(), option::of(spans()))),
    )
        .prop_map(
            |((name, import_from, pause), (age, idle), counts, full)| QueueView {
                name,
                len: counts[0],
                age,
                idle,
                blocked: counts[1],
                import_from,
                import_rate: counts[2],
                jobs_in: counts[3],
                jobs_out: counts[4],
                pause,
                full: full.map(|(open, depths, restored_within)| QueueWaits {
                    open,
                    depths,
                    restored_within,
                }),
            },
        )
}

fn job_views() -> impl Strategy<Value = JobView> {
    (
        (
            job_ids(),
            option::of(names()),
            states(),
            option::of(bodies()),
        ),
        (nodes(), nodes(), option::of(spans()), option::of(spans())),
        any::<(u16, u32, u64, u32, u32, u32, u32, bool)>(),
    )
        .prop_map(
            |((id, queue, state, body), (holders, confirmed, requeue, awake), numbers)| JobView {
                id,
                queue,
                state,
                withdrawn: numbers.7,
                replicate: numbers.0,
                ttl: numbers.1,
                created: numbers.2,
                delay: numbers.3,
                retry: numbers.4,
                nacks: numbers.5,
                additional_deliveries: numbers.6,
                holders,
                confirmed,
                next_requeue: requeue,
                next_awake: awake,
                body,
            },
        )
}

fn forwards() -> impl Strategy<Value = Forward> {
    let nack = (
        any::<(Option<u32>, bool)>(),
        option::of(names()),
        any::<Option<Vec<u8>>>(),
    );
    let errands = prop_oneof![
        nack.prop_map(|((delay, is_dead), to, reason)| Errand::Nack {
            delay,
            to,
            reason,
            is_dead,
        }),
        any::<Option<Vec<u8>>>().prop_map(Errand::Working),
        any::<u8>().prop_map(Errand::Promote),
        Just(Errand::Delete),
    ];
    (vec(job_ids(), 0..4), any::<bool>(), errands).prop_map(|(ids, only_turn, errand)| Forward {
        ids,
        only_turn,
        errand,
    })
}

fn done() -> impl Strategy<Value = Done> {
    prop_oneof![
        Just(Done::Holds),
        any::<u64>().prop_map(Done::Count),
        Just(Done::TooLate),
    ]
}

fn fates() -> impl Strategy<Value = Fate> {
    let ranks = || {
        option::of((any::<(u32, bool, u64)>(), node_ids())).prop_map(|rank| {
            rank.map(|((version, dead, stamp), node)| (version, dead, stamp, node))
        })
    };
    let outcomes = prop_oneof![
        Just(Outcome::Acked),
        Just(Outcome::Deleted),
        Just(Outcome::Expired)
    ];
    prop_oneof![
        Just(Fate::Unknown),
        (ranks(), any::<Option<Vec<u8>>>())
            .prop_map(|(rank, progress)| Fate::Pending { rank, progress }),
        (ranks(), extras()).prop_map(|(rank, extras)| Fate::Dead { rank, extras }),
        (outcomes, any::<(Option<Vec<u8>>, bool)>()).prop_map(|(outcome, (result, is_memory))| {
            Fate::Ended {
                outcome,
                result,
                is_memory,
            }
        }),
    ]
}

fn questions() -> impl Strategy<Value = Question> {
    let scans = (
        any::<(u64, Option<u64>, bool)>(),
        option::of(names()),
        vec(states(), 0..4),
    );
    prop_oneof![
        names().prop_map(Question::QueueLength),
        names().prop_map(Question::Purged),
        forwards().prop_map(Question::Forward),
        Just(Question::Made),
        (names(), any::<(i64, bool)>()).prop_map(|(queue, (count, is_meta))| Question::QueuePeek {
            queue,
            count,
            is_meta,
        }),
        (
            names(),
            option::of(names()),
            any::<Option<u64>>(),
            vec(job_ids(), 0..4)
        )
            .prop_map(|(queue, to, count, ids)| Question::Redrive(Redrive {
                queue,
                to,
                count,
                ids,
            })),
        (names(), any::<bool>()).prop_map(|(queue, full)| Question::QueueStat {
            queue,
            detail: if full { Detail::Full } else { Detail::Plain },
        }),
        queue_scans().prop_map(Question::QueueScan),
        queues_wanted().prop_map(Question::Queues),
        scans.prop_map(|((cursor, count, all), queue, states)| Question::JobScan {
            cursor,
            count,
            queue,
            states,
            reply: if all { ScanReply::All } else { ScanReply::Id },
        }),
    ]
}

fn queue_lists() -> BoxedStrategy<QueueList> {
    let orders = prop_oneof![
        Just(QueueOrder::Name),
        Just(QueueOrder::Ready),
        Just(QueueOrder::Age)
    ];
    (option::of(names()), orders, any::<u64>())
        .prop_map(|(pattern, order, count)| QueueList {
            pattern: pattern.map(|glob| glob.as_bytes().into()),
            order,
            count,
        })
        .boxed()
}

fn queues_wanted() -> BoxedStrategy<QueuesWanted> {
    let pages = (queue_lists(), any::<u64>(), option::of(names()));
    prop_oneof![
        queue_lists().prop_map(QueuesWanted::First),
        pages.prop_map(|(list, least, after)| QueuesWanted::Page { list, least, after }),
        vec(names(), 0..4).prop_map(QueuesWanted::Named),
    ]
    .boxed()
}

fn stamps() -> impl Strategy<Value = Stamp> {
    any::<(u32, u64)>().prop_map(|(start, created)| Stamp { start, created })
}

/// What some nodes have made.
fn made() -> impl Strategy<Value = Stamps> {
    let made = vec((node_ids(), stamps()), 0..4);
    made.prop_map(|made| {
        made.iter()
            .map(|(node, stamp)| (node.maker(), *stamp))
            .collect()
    })
}

fn queue_scans() -> impl Strategy<Value = QueueScan> {
    any::<(u64, Option<u64>, [Option<i64>; 3])>().prop_map(
        |(cursor, count, [min_len, max_len, import_rate])| QueueScan {
            cursor,
            count,
            min_len,
            max_len,
            import_rate,
        },
    )
}

fn depths() -> impl Strategy<Value = Depths> {
    any::<[u64; 7]>().prop_map(
        |[ready, active, delayed, restored, copies, dead, bytes]| Depths {
            ready,
            active,
            delayed,
            restored,
            copies,
            dead,
            bytes,
        },
    )
}

fn queue_depths() -> BoxedStrategy<QueueDepths> {
    (
        names(),
        depths(),
        option::of(spans()),
        any::<(u32, u64, u64, u64)>(),
        pauses(),
    )
        .prop_map(
            |(name, depths, restored_within, (oldest, consumers, jobs_in, jobs_out), pause)| {
                QueueDepths {
                    name,
                    depths,
                    oldest: Duration::from_millis(u64::from(oldest)),
                    restored_within,
                    consumers,
                    recent: Recent { jobs_in, jobs_out },
                    pause,
                }
            },
        )
        .boxed()
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<u64>().prop_map(Answer::Count),
        any::<u64>().prop_map(Answer::Purged),
        any::<u64>().prop_map(Answer::Redriven),
        vec((job_ids(), done()), 0..4).prop_map(Answer::Done),
        made().prop_map(Answer::Made),
        (vec(deliveries(), 0..4), any::<bool>())
            .prop_map(|(jobs, is_meta)| Answer::Peeked(jobs, is_meta)),
        option::of(queue_views()).prop_map(|view| Answer::QueueStat(view.map(Box::new))),
        (any::<u64>(), vec(names(), 0..4))
            .prop_map(|(cursor, names)| Answer::QueueNames(cursor, names)),
        (vec(queue_depths(), 0..4), depths(), any::<bool>()).prop_map(|(queues, total, more)| {
            Answer::Queues(QueuesView {
                queues,
                total,
                more,
            })
        }),
        (any::<u64>(), vec(job_ids(), 0..4)).prop_map(|(next, ids)| Answer::JobIds(next, ids)),
        (any::<u64>(), vec(job_views(), 0..4)).prop_map(|(next, jobs)| Answer::Jobs(next, jobs)),
    ]
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    // Without flow and scope, which no address of a node has.
    any::<SocketAddr>().prop_map(|address| SocketAddr::new(address.ip(), address.port()))
}

fn node_states() -> impl Strategy<Value = NodeState> {
    let known = (0..64_u16).prop_map(Features::only);
    let profiles = (
        (addresses(), option::of("[a-z.]{1,20}"), known, extras()),
        ("[a-z]{0,9}", "[0-9.]{1,9}"),
        any::<(bool, u64)>(),
    );
    let profiles = profiles.prop_map(
        |((client, name, features, extras), (zone, software), (leaving, wall_ms))| Profile {
            client,
            name,
            zone,
            software,
            leaving,
            wall_ms,
            features,
            extras,
        },
    );
    let claims = (node_ids(), addresses(), any::<(u64, u32, u32, u64)>());
    let claims = claims.prop_map(|(node, bus, (start, renewal, epoch, store))| Claim {
        node,
        start,
        renewal,
        epoch,
        store: StoreId(store),
        bus,
    });
    (profiles, vec(claims, 0..5), extras()).prop_map(|(profile, members, extras)| NodeState {
        profile,
        members,
        extras,
    })
}

fn messages() -> impl Strategy<Value = Message> {
    let of_id = prop_oneof![
        job_ids().prop_map(Message::GotJob),
        job_ids().prop_map(Message::Missing),
        vec(job_ids(), 0..4).prop_map(|ids| Message::Watch(ids.into())),
        vec((job_ids(), fates()), 0..4).prop_map(Message::Fates),
        (job_ids(), extras()).prop_map(|(id, extras)| Message::WillQueue { id, extras }),
        (job_ids(), extras()).prop_map(|(id, extras)| Message::DelJob { id, extras }),
        (job_ids(), extras()).prop_map(|(id, extras)| Message::Moved { id, extras }),
        (job_ids(), any::<u64>(), extras()).prop_map(|(id, delay_ms, extras)| Message::Enqueue {
            id,
            delay_ms,
            extras
        }),
        (job_ids(), any::<u64>(), extras()).prop_map(|(id, for_ms, extras)| Message::Working {
            id,
            for_ms,
            extras
        }),
        (job_ids(), any::<(u32, u32)>(), extras()).prop_map(|(id, (nacks, more), extras)| {
            Message::Queued {
                id,
                nacks,
                additional_deliveries: more,
                extras,
            }
        }),
    ];
    let of_holders =
        prop_oneof![
            (job_ids(), holders(), any::<u16>()).prop_map(|(id, holders, copies)| {
                Message::Holders {
                    id,
                    holders,
                    copies,
                }
            }),
            (job_ids(), holders(), any::<bool>(), extras()).prop_map(
                |(id, holders, withdrawn, extras)| {
                    Message::SetAck {
                        id,
                        holders,
                        withdrawn,
                        extras,
                    }
                }
            ),
            (job_ids(), any::<bool>(), holders())
                .prop_map(|(id, known, holders)| Message::GotAck { id, known, holders }),
        ];
    let of_queues = prop_oneof![
        (names(), any::<(u32, u32, u32)>()).prop_map(|(queue, (count, waiting, at_once))| {
            Message::NeedJobs {
                queue,
                count,
                waiting,
                at_once,
            }
        }),
        vec(settings(), 0..4).prop_map(|settings| Message::Settings(settings.into())),
        any::<(u64, bool)>()
            .prop_map(|(digest, answer)| Message::SettingsDigest { digest, answer }),
    ];
    let of_jobs = prop_oneof![
        copies().prop_map(|copy| Message::ReplJob(Box::new(copy))),
        vec(copies(), 1..4).prop_map(Message::YourJobs),
    ];
    let others = prop_oneof![
        (any::<(bool, bool, bool, u64)>(), stamps()).prop_map(
            |((leaving, stopping, full, load), made)| {
                Message::State(PeerState {
                    leaving,
                    stopping,
                    full,
                    load,
                    made,
                })
            }
        ),
        (any::<u64>(), questions())
            .prop_map(|(number, question)| Message::Ask { number, question }),
        (any::<u64>(), answers()).prop_map(|(number, answer)| Message::Answer { number, answer }),
    ];
    prop_oneof![of_id, of_holders, of_queues, of_jobs, others]
}

fn frames() -> impl Strategy<Value = Frame> {
    let notices = prop_oneof![
        any::<u64>().prop_map(Notice::Ping),
        any::<u64>().prop_map(Notice::Pong),
        node_states().prop_map(|state| Notice::Node(Box::new(state))),
        node_ids().prop_map(Notice::Forget),
    ];
    prop_oneof![
        1 => notices.prop_map(Frame::Notice),
        4 => messages().prop_map(Frame::Message),
    ]
}

/// Everything that is in the bytes, which must hold whole frames only.
fn decoded(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((frame, length)) = decode(bytes).expect("frames of our own") {
        frames.push(frame);
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty());
    frames
}

proptest! {
    #[test]
    fn every_frame_is_read_as_it_was_written(frames in vec(frames(), 0..6)) {
        let bytes: Vec<u8> = frames.iter().flat_map(encoded).collect();
        prop_assert_eq!(decoded(&bytes), frames);
    }

    #[test]
    fn a_frame_that_is_cut_off_is_waited_for(frame in frames(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&frame);
        prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Ok(None));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = decode(&framed(&bytes));
    }

    #[test]
    fn no_damage_panics(frame in frames(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encoded(&frame);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }

    #[test]
    fn what_a_newer_node_says_is_skipped(kind in KINDS.., fields: Vec<u8>, frame in frames()) {
        let mut payload = postcard::to_stdvec(&kind).expect("it fits");
        payload.extend_from_slice(&fields);
        let mut bytes = framed(&payload);
        bytes.extend_from_slice(&encoded(&frame));
        prop_assert_eq!(decoded(&bytes), [Frame::Unknown(kind), frame]);
    }
}

#[test]
fn the_length_of_a_frame_is_checked_before_its_bytes_come() {
    let mut bytes = (FRAME_MAX as u32 + 1).to_le_bytes();
    assert_eq!(decode(&bytes), Err(Invalid::TooLong(FRAME_MAX + 1)));
    bytes = (FRAME_MAX as u32).to_le_bytes();
    assert_eq!(decode(&bytes), Ok(None));
}

#[test]
fn a_list_of_half_an_id_is_invalid() {
    let holders = serde_bytes::ByteBuf::from(vec![7; 30]);
    let id = serde_bytes::ByteBuf::from(vec![7; 24]);
    let payload = postcard::to_stdvec(&(13_u32, &id, &holders)).expect("it fits");
    assert!(matches!(decode(&framed(&payload)), Err(Invalid::Fields(_))));
}

#[test]
fn bytes_behind_the_fields_are_invalid() {
    let mut payload = encoded(&Frame::Notice(Notice::Ping(5)))[4..].to_vec();
    payload.push(0);
    assert!(matches!(decode(&framed(&payload)), Err(Invalid::Fields(_))));
    assert!(matches!(decode(&framed(&[])), Err(Invalid::Fields(_))));
}

#[test]
fn many_jobs_travel_in_frames_of_bounded_size() {
    let copy = |number: u8| Copy {
        id: JobId::from_bytes([number; 24]),
        body: Body::new(&vec![number; BATCH_BYTES / 2]),
        ..Copy::sample()
    };
    let jobs: Vec<Copy> = (0..5).map(copy).collect();
    let mut bytes = Vec::new();
    encode(&Message::YourJobs(jobs.clone()), &mut bytes).expect("it fits");
    let frames = decoded(&bytes);
    assert!(frames.len() > 1);
    let arrived = frames.into_iter().flat_map(|frame| match frame {
        Frame::Message(Message::YourJobs(jobs)) => jobs,
        other => panic!("{other:?}"),
    });
    assert_eq!(arrived.collect::<Vec<_>>(), jobs);
}

#[test]
fn a_confirmation_takes_thirty_bytes() {
    let got = Message::GotJob(JobId::from_bytes([7; 24]));
    assert_eq!(encoded(&Frame::Message(got)).len(), 4 + 1 + 25);
}

#[test]
fn a_message_is_refused_for_the_field_that_it_needs() {
    let known = Extras::new([(Tag::META, &b"m"[..])]);
    let needs = Extras::new([(Tag::required(41), &b""[..])]);
    let copy = |number: u8, extras: &Extras| Copy {
        id: JobId::from_bytes([number; 24]),
        extras: extras.clone(),
        ..Copy::sample()
    };
    let mut jobs = Message::YourJobs(vec![copy(1, &needs), copy(2, &known), copy(3, &needs)]);
    assert_eq!(jobs.refuse_unknown(Features::only(41)), None);
    let refused = jobs.refuse_unknown(Features::KNOWN);
    assert_eq!(refused, Some(Tag::required(41)));
    assert_eq!(jobs, Message::YourJobs(vec![copy(2, &known)]));
    let mut ask = Message::WillQueue {
        id: JobId::from_bytes([1; 24]),
        extras: needs,
    };
    assert!(ask.refuse_unknown(Features::KNOWN).is_some());
}
