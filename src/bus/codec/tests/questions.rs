//! Any questions about the whole cluster, and any answers.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use shoalmq_core::command::{
    Answer, CopyView, Delivery, Detail, Done, Errand, EventView, Forward, HeldBy, JobView,
    Question, QueueList, QueueOrder, QueueScan, QueueView, QueueWaits, QueuesWanted, Redrive,
    Report, ScanReply, Standing,
};
use shoalmq_core::id::ClientId;
use shoalmq_core::outcome::Outcome;
use shoalmq_core::telling::{Depths, QueueDepths, QueuesView, Recent};

use super::nouns::*;

pub(super) fn deliveries() -> impl Strategy<Value = Delivery> {
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

pub(super) fn queue_views() -> impl Strategy<Value = QueueView> {
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

pub(super) fn job_views() -> impl Strategy<Value = JobView> {
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

pub(super) fn forwards() -> impl Strategy<Value = Forward> {
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

pub(super) fn done() -> impl Strategy<Value = Done> {
    prop_oneof![
        Just(Done::Holds),
        any::<u64>().prop_map(Done::Count),
        Just(Done::TooLate),
    ]
}

pub(super) fn questions() -> impl Strategy<Value = Question> {
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
        job_ids().prop_map(Question::Explain),
        scans.prop_map(|((cursor, count, all), queue, states)| Question::JobScan {
            cursor,
            count,
            queue,
            states,
            reply: if all { ScanReply::All } else { ScanReply::Id },
        }),
    ]
}

pub(super) fn queue_lists() -> BoxedStrategy<QueueList> {
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

pub(super) fn queues_wanted() -> BoxedStrategy<QueuesWanted> {
    let pages = (queue_lists(), any::<u64>(), option::of(names()));
    prop_oneof![
        queue_lists().prop_map(QueuesWanted::First),
        pages.prop_map(|(list, least, after)| QueuesWanted::Page { list, least, after }),
        vec(names(), 0..4).prop_map(QueuesWanted::Named),
    ]
    .boxed()
}

pub(super) fn queue_scans() -> impl Strategy<Value = QueueScan> {
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

pub(super) fn depths() -> impl Strategy<Value = Depths> {
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

pub(super) fn queue_depths() -> BoxedStrategy<QueueDepths> {
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

fn standings() -> impl Strategy<Value = Standing> {
    prop_oneof![
        Just(Standing::Unknown),
        Just(Standing::Withdrawn),
        outcomes().prop_map(Standing::Ended),
        Just(Standing::Copy),
        Just(Standing::Restored),
        Just(Standing::WaitReplicas),
        Just(Standing::Delayed),
        Just(Standing::Active),
        Just(Standing::Queued),
        Just(Standing::Dead),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Expired),
        Just(Outcome::Deleted),
        Just(Outcome::Acked),
    ]
}

/// What nodes know of a job, within the bounds of what is taken from a peer.
pub(super) fn reports() -> BoxedStrategy<Report> {
    let ranks = (any::<(u32, bool, u64)>(), node_ids())
        .prop_map(|((version, is_dead, stamp), node)| (version, is_dead, stamp, node));
    let copies = (
        standings(),
        option::of(names()),
        option::of(ranks),
        any::<bool>(),
        "[a-z ]{0,20}",
        option::of(spans()),
    )
        .prop_map(
            |(standing, queue, rank, has_turn, next, next_in)| CopyView {
                standing,
                queue,
                rank,
                has_turn,
                next,
                next_in,
            },
        );
    let holders =
        (any::<(u64, u64)>(), vec(any::<u8>(), 0..20)).prop_map(|((client, since_ms), name)| {
            HeldBy {
                client: ClientId(client),
                name,
                since_ms,
            }
        });
    let events =
        (any::<u64>(), "[a-z ]{0,20}", "\\PC{0,40}").prop_map(|(at_ms, event, detail)| EventView {
            at_ms,
            event,
            detail,
        });
    (
        (option::of(copies), option::of(outcomes()), "\\PC{0,80}"),
        option::of(holders),
        option::of(vec(any::<u8>(), 0..40)),
        vec(events, 0..4),
    )
        .prop_map(|((copy, outcome, why), held_by, progress, events)| Report {
            copy,
            outcome,
            why,
            held_by,
            progress,
            events,
        })
        .boxed()
}

pub(super) fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<u64>().prop_map(Answer::Count),
        any::<u64>().prop_map(Answer::Purged),
        any::<u64>().prop_map(Answer::Redriven),
        vec((job_ids(), done()), 0..4).prop_map(Answer::Done),
        made().prop_map(Answer::Made),
        reports().prop_map(|report| Answer::Report(Box::new(report))),
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
