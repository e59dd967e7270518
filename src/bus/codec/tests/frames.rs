//! Any frames.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use shoalmq_core::dedup::{KeyName, KeyNews, KeyStand, KeyedJob};
use shoalmq_core::extras::Features;
use shoalmq_core::id::StoreId;
use shoalmq_core::message::{Message, PeerState};
use shoalmq_core::outcome::{Fate, Outcome};

use super::nouns::*;
use super::questions::{answers, questions};
use crate::bus::codec::{Frame, NodeState, Notice};
use crate::bus::{Claim, Profile};

pub(super) fn fates() -> impl Strategy<Value = Fate> {
    let ranks = || {
        option::of((any::<(u32, bool, u64)>(), node_ids())).prop_map(|rank| {
            rank.map(|((version, dead, stamp), node)| (version, dead, stamp, node))
        })
    };
    let outcomes = prop_oneof![
        Just(Outcome::Acked),
        Just(Outcome::Deleted),
        Just(Outcome::Expired),
        Just(Outcome::Duplicate)
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

fn key_names() -> impl Strategy<Value = KeyName> {
    (vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..9))
        .prop_map(|(queue, key)| KeyName::new(&queue, &key))
}

fn keyed_jobs() -> impl Strategy<Value = KeyedJob> {
    let stands = prop_oneof![
        Just(KeyStand::Pending),
        Just(KeyStand::Live),
        Just(KeyStand::Given),
        any::<u64>().prop_map(KeyStand::Dead),
        any::<u64>().prop_map(KeyStand::Over),
    ];
    (job_ids(), any::<u64>(), stands).prop_map(|(id, created, stand)| KeyedJob {
        id,
        created,
        stand,
    })
}

fn key_news() -> impl Strategy<Value = KeyNews> {
    let ids = || vec(job_ids(), 0..4);
    let numbers = any::<u64>;
    prop_oneof![
        (numbers(), key_names()).prop_map(|(number, name)| KeyNews::Claim(number, name)),
        numbers().prop_map(KeyNews::Granted),
        (numbers(), key_names()).prop_map(|(number, name)| KeyNews::Release(number, name)),
        (numbers(), key_names(), ids())
            .prop_map(|(number, name, ids)| KeyNews::Look(number, name, ids)),
        (numbers(), vec(keyed_jobs(), 0..4), ids())
            .prop_map(|(number, jobs, over)| KeyNews::Found(number, jobs, over)),
        vec((key_names(), keyed_jobs()), 0..4).prop_map(KeyNews::Added),
    ]
}

pub(super) fn addresses() -> impl Strategy<Value = SocketAddr> {
    // Without flow and scope, which no address of a node has.
    any::<SocketAddr>().prop_map(|address| SocketAddr::new(address.ip(), address.port()))
}

pub(super) fn node_states() -> impl Strategy<Value = NodeState> {
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

pub(super) fn messages() -> impl Strategy<Value = Message> {
    let of_id = prop_oneof![
        job_ids().prop_map(Message::GotJob),
        job_ids().prop_map(Message::Missing),
        vec(job_ids(), 0..4).prop_map(|ids| Message::Watch(ids.into())),
        vec((job_ids(), fates()), 0..4).prop_map(Message::Fates),
        key_news().prop_map(|news| Message::Key(Box::new(news))),
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
        (any::<(bool, bool, bool, bool, u64)>(), stamps()).prop_map(
            |((leaving, stopping, full, syncs, load), made)| {
                Message::State(PeerState {
                    leaving,
                    stopping,
                    full,
                    syncs,
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

pub(super) fn frames() -> impl Strategy<Value = Frame> {
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
