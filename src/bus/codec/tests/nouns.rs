//! Any ids, names, bodies, settings and copies of jobs.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use shoalmq_core::command::PauseState;
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::{JobId, NodeId, QueueName};
use shoalmq_core::job::{Body, JobState};
use shoalmq_core::message::{Copy, Holders};
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::stamp::{Stamp, Stamps};

pub(super) fn job_ids() -> impl Strategy<Value = JobId> {
    any::<[u8; 24]>().prop_map(JobId::from_bytes)
}

pub(super) fn node_ids() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::from_bytes)
}

pub(super) fn nodes() -> impl Strategy<Value = Vec<NodeId>> {
    vec(node_ids(), 0..6)
}

pub(super) fn holders() -> impl Strategy<Value = Holders> {
    nodes().prop_map(Holders::from)
}

pub(super) fn names() -> impl Strategy<Value = QueueName> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| QueueName::new(&bytes))
}

pub(super) fn bodies() -> impl Strategy<Value = Body> {
    vec(any::<u8>(), 0..300).prop_map(|bytes| Body::new(&bytes))
}

pub(super) fn spans() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

pub(super) fn pauses() -> impl Strategy<Value = PauseState> {
    any::<(bool, bool)>().prop_map(|(input, output)| PauseState { input, output })
}

pub(super) fn settings() -> impl Strategy<Value = Setting> {
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

pub(super) fn states() -> impl Strategy<Value = JobState> {
    prop_oneof![
        Just(JobState::WaitReplicas),
        Just(JobState::Active),
        Just(JobState::Queued),
        Just(JobState::Acked),
    ]
}

pub(super) fn extras() -> impl Strategy<Value = Extras> {
    let fields = btree_map(0..1_u16 << 15, vec(any::<u8>(), 0..40), 0..4);
    fields.prop_map(|fields| {
        let fields = fields.iter();
        Extras::new(fields.map(|(&number, value)| (Tag::optional(number), &value[..])))
    })
}

pub(super) fn copies() -> impl Strategy<Value = Copy> {
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

pub(super) fn stamps() -> impl Strategy<Value = Stamp> {
    any::<(u32, u64)>().prop_map(|(start, created)| Stamp { start, created })
}

/// What some nodes have made.
pub(super) fn made() -> impl Strategy<Value = Stamps> {
    let made = vec((node_ids(), stamps()), 0..4);
    made.prop_map(|made| {
        made.iter()
            .map(|(node, stamp)| (node.maker(), *stamp))
            .collect()
    })
}
