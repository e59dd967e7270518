//! Policies: what can be set for a queue by its name, or for all queues whose names begin alike.
//!
//! A policy is one row of the table in `Policy::row`, one setting of the cluster for each pattern that it is set on. What
//! a policy means is where it is used: the room `adding`, for those that stand in for an option of ADDJOB.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::setting::SettingKind;

/// The end of a pattern that means every queue whose name begins with the rest of it.
pub const PREFIX_MARK: u8 = b'*';

/// Whether a pattern names no single queue, but the beginning of names.
pub fn is_prefix(pattern: &[u8]) -> bool {
    pattern.ends_with(&[PREFIX_MARK])
}

/// The arguments of QCONFIG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueConfig<'a> {
    /// Tell all policies.
    All,
    /// Tell what applies to the queue of this name; or what is set on this prefix.
    Of(&'a [u8]),
    /// Change policies of a queue or a prefix, all at once.
    Change {
        /// The name of a queue; or the beginning of names, with `*` behind it.
        pattern: &'a [u8],
        /// Each policy once, with a value that it can have; none to remove it.
        changes: Vec<(Policy, Option<Vec<u8>>)>,
    },
}

/// Policies with their values, in the order of [`Policy::ALL`].
pub type Policies = Vec<(Policy, Arc<[u8]>)>;

/// What QCONFIG can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// RETRY of ADDJOB.
    Retry,
    /// TTL of ADDJOB.
    Ttl,
    /// DELAY of ADDJOB.
    Delay,
    /// REPLICATE of ADDJOB.
    Replicate,
    /// MAXLEN of ADDJOB.
    MaxLen,
    /// PRIORITY of ADDJOB.
    Priority,
    /// KEEP of ADDJOB.
    Keep,
    /// MAXDELIVER of ADDJOB.
    MaxDeliver,
    /// DEAD of ADDJOB.
    DeadQueue,
    /// BACKOFF of ADDJOB.
    Backoff,
    /// How long a dead letter lives.
    DeadTtl,
    /// PAUSE in BCAST.
    PauseIn,
    /// PAUSE out BCAST.
    PauseOut,
}

/// How long a job waits after NACK: the nth time `base` · 2^(n−1) seconds, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first NACK, in seconds.
    pub base: u32,
    /// At most, in seconds.
    pub max: u32,
}

impl Backoff {
    /// The longest wait: a week, in seconds.
    pub const MOST: u32 = 604_800;

    /// These two, if both are between 1 and [`Backoff::MOST`], and base is not above max.
    pub fn new(base: u64, max: u64) -> Option<Self> {
        let is_in = 1 <= base && base <= max && max <= u64::from(Backoff::MOST);
        is_in.then_some(Backoff {
            base: base as u32,
            max: max as u32,
        })
    }

    /// Reads `base:max`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (base, max) = std::str::from_utf8(text).ok()?.split_once(':')?;
        Backoff::new(base.parse().ok()?, max.parse().ok()?)
    }

    /// As a job carries it.
    pub fn encode(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.base.to_le_bytes());
        bytes[4..].copy_from_slice(&self.max.to_le_bytes());
        bytes
    }

    /// Reads [`Backoff::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (base, max) = bytes.split_first_chunk()?;
        let max = u32::from_le_bytes(max.try_into().ok()?);
        Backoff::new(u32::from_le_bytes(*base).into(), max.into())
    }
}

/// Where a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It stands in for an option when a job is added. Its value is a number.
    Adding,
    /// It counts when a job fails. Its value is a number, the name of a queue, or a backoff.
    Failing,
    /// It pauses the queue of exactly this name. Its value is yes or no.
    Pausing,
}

/// The table's row of one policy.
struct Row {
    name: &'static str,
    kind: SettingKind,
    used: Use,
    /// The numbers that it can be, if it is one.
    numbers: Option<RangeInclusive<u64>>,
}

const fn adding(name: &'static str, kind: SettingKind, numbers: RangeInclusive<u64>) -> Row {
    Row {
        name,
        kind,
        used: Use::Adding,
        numbers: Some(numbers),
    }
}

const fn failing(
    name: &'static str,
    kind: SettingKind,
    numbers: Option<RangeInclusive<u64>>,
) -> Row {
    Row {
        name,
        kind,
        used: Use::Failing,
        numbers,
    }
}

const fn pausing(name: &'static str, kind: SettingKind) -> Row {
    Row {
        name,
        kind,
        used: Use::Pausing,
        numbers: None,
    }
}

const SECONDS: u64 = u32::MAX as u64;
/// The longest KEEP: a week, in seconds.
pub const KEEP_MOST: u64 = 604_800;

impl Policy {
    /// All of them, in the order in which they are told.
    pub const ALL: [Policy; 13] = [
        Policy::Retry,
        Policy::Ttl,
        Policy::Delay,
        Policy::Replicate,
        Policy::MaxLen,
        Policy::Priority,
        Policy::Keep,
        Policy::MaxDeliver,
        Policy::DeadQueue,
        Policy::Backoff,
        Policy::DeadTtl,
        Policy::PauseIn,
        Policy::PauseOut,
    ];

    const fn row(self) -> Row {
        match self {
            Policy::Retry => adding("retry", SettingKind::RETRY, 0..=SECONDS),
            Policy::Ttl => adding("ttl", SettingKind::TTL, 1..=SECONDS),
            Policy::Delay => adding("delay", SettingKind::DELAY, 0..=SECONDS),
            Policy::Replicate => adding("replicate", SettingKind::REPLICATE, 1..=u16::MAX as u64),
            Policy::MaxLen => adding("maxlen", SettingKind::MAX_LEN, 1..=u64::MAX),
            Policy::Priority => adding("priority", SettingKind::PRIORITY, 0..=u8::MAX as u64),
            Policy::Keep => adding("keep", SettingKind::KEEP, 1..=KEEP_MOST),
            Policy::MaxDeliver => failing(
                "max-deliver",
                SettingKind::MAX_DELIVER,
                Some(1..=u16::MAX as u64),
            ),
            Policy::DeadQueue => failing("dead-queue", SettingKind::DEAD_QUEUE, None),
            Policy::Backoff => failing("backoff", SettingKind::BACKOFF, None),
            Policy::DeadTtl => failing("dead-ttl", SettingKind::DEAD_TTL, Some(1..=SECONDS)),
            Policy::PauseIn => pausing("pause-in", SettingKind::PAUSE_IN),
            Policy::PauseOut => pausing("pause-out", SettingKind::PAUSE_OUT),
        }
    }

    /// Its name in QCONFIG.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of setting that it is.
    pub fn kind(self) -> SettingKind {
        self.row().kind
    }

    /// Where it counts.
    pub fn used(self) -> Use {
        self.row().used
    }

    /// The policy of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Policy> {
        let mut all = Policy::ALL.into_iter();
        all.find(|policy| name.eq_ignore_ascii_case(policy.name().as_bytes()))
    }

    /// The policy that settings of this kind are of.
    pub fn of_kind(kind: SettingKind) -> Option<Policy> {
        Policy::ALL.into_iter().find(|policy| policy.kind() == kind)
    }

    /// What a value means that is a number; none if this policy cannot have it. Another node may have written anything.
    pub fn number(self, value: &[u8]) -> Option<u64> {
        let number = std::str::from_utf8(value).ok()?.parse().ok()?;
        let numbers = self.row().numbers?;
        numbers.contains(&number).then_some(number)
    }
}

/// Some of the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicySet(u16);

impl PolicySet {
    /// These.
    pub const fn of(policies: &[Policy]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < policies.len() {
            set |= 1 << policies[at] as u16;
            at += 1;
        }
        PolicySet(set)
    }

    /// One more.
    pub fn insert(&mut self, policy: Policy) {
        self.0 |= PolicySet::of(&[policy]).0;
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: PolicySet) -> Self {
        PolicySet(self.0 & other.0)
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Their names, with commas between them.
impl fmt::Display for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_in = |policy: &Policy| !self.and(PolicySet::of(&[*policy])).is_empty();
        for (at, policy) in Policy::ALL.into_iter().filter(is_in).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", policy.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_known_by_its_name_and_by_its_kind() {
        for policy in Policy::ALL {
            let name = policy.name().to_ascii_uppercase();
            assert_eq!(Policy::named(name.as_bytes()), Some(policy));
            assert_eq!(Policy::of_kind(policy.kind()), Some(policy));
        }
        assert_eq!(Policy::named(b"prio"), None);
        assert_eq!(Policy::of_kind(SettingKind(255)), None);
    }

    #[test]
    fn numbers_out_of_bounds_are_none() {
        let cases: [(Policy, &[u8], Option<u64>); 8] = [
            (Policy::Retry, b"0", Some(0)),
            (Policy::Retry, b"4294967296", None),
            (Policy::Ttl, b"0", None),
            (Policy::Replicate, b"65536", None),
            (Policy::MaxLen, b"18446744073709551615", Some(u64::MAX)),
            (Policy::MaxLen, b"-1", None),
            (Policy::Delay, b"\xff", None),
            (Policy::PauseIn, b"1", None),
        ];
        for (policy, value, number) in cases {
            assert_eq!(policy.number(value), number, "{policy:?} {value:?}");
        }
    }

    #[test]
    fn a_set_is_told_in_the_order_of_the_table() {
        let set = PolicySet::of(&[Policy::Delay, Policy::Ttl]);
        assert_eq!(set.to_string(), "ttl, delay");
        assert!(set.and(PolicySet::of(&[Policy::Retry])).is_empty());
    }
}
