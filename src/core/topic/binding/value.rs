//! What the cluster keeps of a binding: its options, who makes its jobs, and how far that has come.
//!
//! It is the value of a setting whose name is pattern and queue. All jobs of a binding are made by one member at a time, the
//! *maker*, in the order in which readers get the entries. A member that takes over raises the *term*; of two makers the
//! one of the higher term stays, of two in one term that of the lower node.
//!
//! How far the jobs have come is a [`Named`], merged as named cursors are. Of two bindings that were made alike in two parts
//! of a divided network the older one stays, with all that belongs to it.
//!
//! ```text
//! 1 byte    1, the format
//! varint    number
//! 4 bytes   home
//! varints   DELAY, RETRY, TTL, MAXLEN; REPLICATE, 0 for none
//! varint    term;  4 bytes  maker;  varint  stamp;  1 byte  what the maker waits for
//! rest      the progress, as a named cursor
//! ```
//!
//! Invariant: a value has one form in bytes, and merging knows no order between two values.

use std::cmp::Reverse;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::command::TopicRefusal;
use super::super::cursor::{Cursor, read_varint, write_varint};
use super::super::named::{Named, merge_decoded};
use super::super::origin::{Origin, OriginNode};
use crate::adding::default_retry;
use crate::command::{AddJob, DEFAULT_TTL};
use crate::id::{Guarantee, JobId};
use crate::limits;
use crate::refusal::Refusal;

const FORMAT: u8 = 1;

/// With what the jobs of a binding are added. They are fixed: two makers give a job the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Options {
    /// DELAY, in seconds.
    pub(super) delay: u32,
    /// RETRY, in seconds; never 0.
    pub(super) retry: u32,
    /// TTL, in seconds.
    pub(super) ttl: u32,
    /// REPLICATE; none for the default of the node that makes a job.
    pub(super) replicate: Option<u16>,
    /// MAXLEN: no jobs are made while the queue holds this many.
    pub(super) max_len: u64,
}

/// Why a binding makes no jobs at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitsFor {
    /// The queue takes no jobs: PAUSE.
    Pause,
    /// The queue holds as many jobs as MAXLEN says.
    Room,
    /// Too few nodes take copies.
    Copies,
    /// The node that makes the jobs is short of memory, or its log cannot be written.
    Node,
}

/// Who makes the jobs, and what that waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// Rises whenever a member takes over.
    pub(super) term: u64,
    pub(super) maker: OriginNode,
    /// Rises whenever the maker writes.
    pub(super) stamp: u64,
    pub(super) waits_for: Option<WaitsFor>,
}

/// A binding, as the cluster keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::topic) struct Binding {
    /// Which of the bindings of this pattern and queue: the wall clock at TBIND, so jobs of another one are other jobs.
    pub(super) number: u64,
    /// Where TBIND was given. The ids of its jobs begin as if that node had made them, also where another does.
    pub(super) home: OriginNode,
    pub(super) options: Options,
    pub(super) lease: Lease,
    pub(super) progress: Named,
}

impl Options {
    /// As they are given. Those that are not are resolved here, once for all jobs, but for REPLICATE.
    pub(super) fn of(add: &AddJob<'_>) -> Result<Self, Refusal> {
        let ttl = add.ttl.unwrap_or(DEFAULT_TTL);
        let options = Options {
            delay: add.delay.unwrap_or(0),
            retry: add.retry.unwrap_or_else(|| default_retry(ttl)),
            ttl,
            replicate: add.replicate,
            max_len: add.max_len.unwrap_or(limits::TOPIC_BINDING_JOBS),
        };
        if options.retry == 0 {
            return Err(TopicRefusal::BoundOnce.into());
        }
        if options.delay >= options.ttl {
            return Err(Refusal::DelayBeyondTtl);
        }
        Ok(options)
    }
}

impl Lease {
    fn rank(&self) -> (u64, Reverse<OriginNode>, u64, Option<WaitsFor>) {
        (self.term, Reverse(self.maker), self.stamp, self.waits_for)
    }
}

impl WaitsFor {
    const ALL: [WaitsFor; 4] = [
        WaitsFor::Pause,
        WaitsFor::Room,
        WaitsFor::Copies,
        WaitsFor::Node,
    ];

    /// The word in TBINDINGS.
    pub fn word(self) -> &'static str {
        match self {
            WaitsFor::Pause => "pause",
            WaitsFor::Room => "maxlen",
            WaitsFor::Copies => "copies",
            WaitsFor::Node => "node",
        }
    }

    fn byte(waits: Option<WaitsFor>) -> u8 {
        let place = waits.and_then(|waits| WaitsFor::ALL.iter().position(|one| *one == waits));
        place.map_or(0, |place| place as u8 + 1)
    }

    /// Of a byte that stands for none, too.
    fn of_byte(byte: u8) -> Option<WaitsFor> {
        let place = usize::from(byte).checked_sub(1)?;
        WaitsFor::ALL.get(place).copied()
    }
}

impl Binding {
    /// A binding that is given at this node, in this millisecond.
    pub(super) fn begin(
        number: u64,
        home: OriginNode,
        options: Options,
        pattern: &[u8],
        start: Cursor,
    ) -> Self {
        Binding {
            number,
            home,
            options,
            lease: Lease {
                term: 1,
                maker: home,
                stamp: 0,
                waits_for: None,
            },
            progress: Named::begin(vec![Arc::from(pattern)], start),
        }
    }

    /// The id of the job that it makes of an entry: every maker gives it the same.
    pub(super) fn job_of(&self, origin: Origin, number: u64) -> JobId {
        let mut hash = Sha256::new();
        hash.update(self.number.to_be_bytes());
        hash.update(self.home.bits().to_be_bytes());
        hash.update(origin.node().bits().to_be_bytes());
        hash.update(origin.start().to_be_bytes());
        hash.update(number.to_be_bytes());
        let mut part = [0; 14];
        part.copy_from_slice(&hash.finalize()[..14]);
        let guarantee = Guarantee::of_retry(self.options.retry);
        JobId::derived(self.home.maker(), part, self.options.ttl, guarantee)
    }

    /// Whether another value is of the same binding, which has come as far.
    pub(super) fn is_where(&self, other: &Binding) -> bool {
        (self.number, self.home) == (other.number, other.home)
            && self.progress.cursor == other.progress.cursor
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        write_varint(&mut bytes, u128::from(self.number));
        bytes.extend_from_slice(&self.home.bits().to_be_bytes());
        let Options {
            delay,
            retry,
            ttl,
            replicate,
            max_len,
        } = self.options;
        for option in [delay, retry, ttl] {
            write_varint(&mut bytes, u128::from(option));
        }
        write_varint(&mut bytes, u128::from(max_len));
        write_varint(&mut bytes, u128::from(replicate.unwrap_or(0)));
        write_varint(&mut bytes, u128::from(self.lease.term));
        bytes.extend_from_slice(&self.lease.maker.bits().to_be_bytes());
        write_varint(&mut bytes, u128::from(self.lease.stamp));
        bytes.push(WaitsFor::byte(self.lease.waits_for));
        bytes.extend_from_slice(&self.progress.encode());
        bytes
    }

    /// Reads what [`Binding::encode`] wrote; none of what a newer node may have written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&FORMAT, mut rest) = bytes.split_first()? else {
            return None;
        };
        let rest = &mut rest;
        let number = number(rest)?;
        let home = node(rest)?;
        let mut seconds = || u32::try_from(read_varint(rest)?).ok();
        let (delay, retry, ttl) = (seconds()?, seconds()?, seconds()?);
        let max_len = self::number(rest)?;
        let replicate = u16::try_from(read_varint(rest)?).ok()?;
        let options = Options {
            delay,
            retry,
            ttl,
            replicate: (replicate > 0).then_some(replicate),
            max_len,
        };
        let (term, maker, stamp) = (self::number(rest)?, node(rest)?, self::number(rest)?);
        let (&waits, tail) = rest.split_first()?;
        let binding = Binding {
            number,
            home,
            options,
            lease: Lease {
                term,
                maker,
                stamp,
                waits_for: WaitsFor::of_byte(waits),
            },
            progress: Named::decode(tail)?,
        };
        (binding.encode() == bytes).then_some(binding)
    }

    /// What either says.
    fn merge(self, other: Binding) -> Binding {
        let key = |binding: &Binding| (binding.number, binding.home, binding.options);
        if key(&self) != key(&other) {
            return if key(&self) < key(&other) {
                self
            } else {
                other
            };
        }
        let lease = if self.lease.rank() >= other.lease.rank() {
            self.lease
        } else {
            other.lease
        };
        Binding {
            lease,
            progress: self.progress.merge(other.progress),
            ..self
        }
    }
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    u64::try_from(read_varint(bytes)?).ok()
}

fn node(bytes: &mut &[u8]) -> Option<OriginNode> {
    let (node, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(OriginNode::new(u32::from_be_bytes(*node)))
}

/// The name of the setting: the length of the pattern, the pattern, and the queue.
pub(super) fn name_of(pattern: &[u8], queue: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(2 + pattern.len() + queue.len());
    write_varint(&mut name, pattern.len() as u128);
    name.extend_from_slice(pattern);
    name.extend_from_slice(queue);
    name
}

/// Pattern and queue of a setting's name.
pub(super) fn parts_of(mut name: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(read_varint(&mut name)?).ok()?;
    name.split_at_checked(length)
}

/// Of two values of one version, what all nodes keep.
pub(crate) fn merge_values(one: &Arc<[u8]>, other: &Arc<[u8]>) -> Arc<[u8]> {
    merge_decoded((one, other), Binding::decode, |one, other| {
        one.merge(other).encode()
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::id::EntryId;
    use super::*;
    use proptest::prelude::*;

    fn options(delay: u32) -> Options {
        Options {
            delay,
            retry: 300,
            ttl: 86_400,
            replicate: (delay > 0).then_some(3),
            max_len: 10_000,
        }
    }

    fn bindings() -> impl Strategy<Value = Binding> {
        let lease = (0_u64..3, 0_u32..3, 0_u64..3, 0_u8..5);
        let commits = prop::collection::vec((0_u32..3, 0_u64..4, 0_u64..9), 0..3);
        (0_u64..2, 0_u32..2, 0_u32..2, lease, commits).prop_map(
            |(number, home, delay, lease, commits)| {
                let home = OriginNode::new(home);
                let mut binding =
                    Binding::begin(number, home, options(delay), b"o.*", Cursor::default());
                let (term, maker, stamp, waits) = lease;
                binding.lease = Lease {
                    term,
                    maker: OriginNode::new(maker),
                    stamp,
                    waits_for: WaitsFor::of_byte(waits),
                };
                for (node, ms, id) in commits {
                    let cursor =
                        Cursor::new(EntryId::new(id, 0), super::super::super::Cut::default());
                    let progress = &mut binding.progress;
                    progress.commit(OriginNode::new(node), ms, cursor);
                }
                binding
            },
        )
    }

    #[test]
    fn a_job_has_one_id_at_every_maker_and_another_for_another_binding() {
        let home = OriginNode::new(7);
        let one = Binding::begin(5, home, options(0), b"*", Cursor::default());
        let mut taken_over = one.clone();
        taken_over.lease.maker = OriginNode::new(9);
        let origin = Origin::new(OriginNode::new(3), 4);
        assert_eq!(one.job_of(origin, 1), taken_over.job_of(origin, 1));
        assert_ne!(one.job_of(origin, 1), one.job_of(origin, 2));
        let again = Binding::begin(6, home, options(0), b"*", Cursor::default());
        assert_ne!(one.job_of(origin, 1), again.job_of(origin, 1));
        assert_eq!(one.job_of(origin, 1).guarantee(), Guarantee::AtLeastOnce);
        // The format of ids that are on disk.
        let text = one.job_of(origin, 1).to_string();
        assert_eq!(text, "D-00000007-/aoonrfadFWLCq8R4gwAAAAA-05a1");
    }

    #[test]
    fn pattern_and_queue_come_back_from_the_name() {
        for (pattern, queue) in [(&b"a.*"[..], &b"q"[..]), (b"", b""), (&[b'x'; 512], b"*")] {
            assert_eq!(parts_of(&name_of(pattern, queue)), Some((pattern, queue)));
        }
        assert_eq!(parts_of(b"\x05ab"), None);
    }

    proptest! {
        #[test]
        fn any_value_survives_its_bytes(binding in bindings()) {
            prop_assert_eq!(Binding::decode(&binding.encode()), Some(binding));
        }

        #[test]
        fn merging_knows_no_order(one in bindings(), other in bindings(), third in bindings()) {
            let both = one.clone().merge(other.clone());
            prop_assert_eq!(&both, &other.clone().merge(one.clone()));
            prop_assert_eq!(both.clone().merge(both.clone()), both.clone());
            let all = both.clone().merge(third.clone());
            prop_assert_eq!(all.lease, one.clone().merge(other.clone().merge(third)).lease);
            prop_assert_eq!(both.clone().merge(one).merge(other), both);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Binding::decode(&bytes);
        }
    }
}
