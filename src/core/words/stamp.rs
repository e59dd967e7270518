//! Which jobs somebody has heard of: for each node that makes jobs, how far it had come.
//!
//! The jobs of a node are numbered by its start and, within that, by their creation times, which rise strictly. A node
//! never goes back behind a stamp of its own, whatever its wall clock does, and also if it lost all it had: its starts
//! are counted beside the log.

use serde::{Deserialize, Serialize};

use crate::extras::{Extras, Tag};
use crate::id::{JobId, Maker};
use crate::limits;
use crate::register::Register;

/// How far a node had come with making jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Its start, as its jobs name it.
    pub start: u32,
    /// The creation time of the last job: unix milliseconds × 1 000 000 + a counter.
    pub created: u64,
}

/// Which node made a job, and in which of its starts; start 0 if neither id nor extras say so.
pub fn made_by(id: &JobId, extras: &Extras) -> (Maker, u32) {
    let made_by = extras.get(Tag::MADE_BY).and_then(|bytes| {
        let (maker, start) = bytes.split_first_chunk()?;
        Some((
            Maker::new(*maker),
            u32::from_be_bytes(start.try_into().ok()?),
        ))
    });
    made_by.unwrap_or_else(|| (id.maker(), id.start()))
}

/// Which node put a job into its queue, and in which of its starts: the one that made the job, unless it was moved.
pub fn entered_by(id: &JobId, extras: &Extras) -> (Maker, u32) {
    match Register::of(extras) {
        Some(register) => register.entered_by,
        None => made_by(id, extras),
    }
}

/// The value of [`Tag::MADE_BY`].
pub(crate) fn made_by_bytes(maker: Maker, start: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&maker.bytes());
    bytes[4..].copy_from_slice(&start.to_be_bytes());
    bytes
}

/// The stamps of nodes, at most one of each. Stamps are only ever merged, by the later one of each node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamps(Vec<(Maker, Stamp)>);

impl Stamps {
    /// Reads [`Stamps::text`]. None if it is anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut stamps = Stamps::default();
        let text = std::str::from_utf8(text).ok()?;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let mut parts = word.split('-');
            let maker = Maker::parse(parts.next()?.as_bytes())?;
            let start = parts.next()?.parse().ok()?;
            let created = parts.next()?.parse().ok()?;
            if parts.next().is_some() {
                return None;
            }
            stamps.note(maker, Stamp { start, created });
        }
        Some(stamps)
    }

    /// A word for each node, in order: `4d3c2b1a-2-1767226300319000000`, which is who, its start, and the creation time.
    pub fn text(&self) -> String {
        let words = self.0.iter().map(|(maker, stamp)| {
            let Stamp { start, created } = stamp;
            format!("{maker}-{start}-{created}")
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// A node has come this far, at least. What no clock says is left out, and of too many nodes the one with the least stamp.
    pub fn note(&mut self, maker: Maker, stamp: Stamp) {
        if stamp.created > limits::CREATED {
            return;
        }
        match self.0.binary_search_by_key(&maker, |&(maker, _)| maker) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(stamp),
            Err(at) => self.0.insert(at, (maker, stamp)),
        }
        if self.0.len() > limits::STAMPS {
            let all = self.0.iter().enumerate();
            let least = all.min_by_key(|(_, (maker, stamp))| (*stamp, *maker));
            if let Some(at) = least.map(|(at, _)| at) {
                self.0.remove(at);
            }
        }
    }

    /// A job is there that some node made.
    pub fn note_job(&mut self, id: &JobId, extras: &Extras, created: u64) {
        let (maker, start) = made_by(id, extras);
        if start > 0 {
            self.note(maker, Stamp { start, created });
        }
    }

    /// What both say.
    pub fn merge(&mut self, other: &Stamps) {
        for &(maker, stamp) in &other.0 {
            self.note(maker, stamp);
        }
    }

    /// Whether a job of this maker and start had been made. Without a start only the greatest creation time tells.
    pub fn cover(&self, (maker, start): (Maker, u32), created: u64) -> bool {
        if start == 0 {
            return created <= self.newest();
        }
        let known = self.0.binary_search_by_key(&maker, |&(maker, _)| maker);
        known.is_ok_and(|at| Stamp { start, created } <= self.0[at].1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest creation time.
    pub fn newest(&self) -> u64 {
        let all = self.0.iter().map(|(_, stamp)| stamp.created);
        all.max().unwrap_or(0)
    }

    /// All of them, in order of the nodes.
    pub fn iter(&self) -> impl Iterator<Item = (Maker, Stamp)> {
        self.0.iter().copied()
    }
}

impl FromIterator<(Maker, Stamp)> for Stamps {
    fn from_iter<T: IntoIterator<Item = (Maker, Stamp)>>(all: T) -> Self {
        let mut stamps = Stamps::default();
        for (maker, stamp) in all {
            stamps.note(maker, stamp);
        }
        stamps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Guarantee, NodeId};

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 20])
    }

    fn id(by: u8, start: u32) -> JobId {
        JobId::new(&node(by), [7; 14], start, 60, Guarantee::AtLeastOnce)
    }

    fn stamps(all: &[(u8, u32, u64)]) -> Stamps {
        let all = all.iter();
        let all = all.map(|&(by, start, created)| (node(by).maker(), Stamp { start, created }));
        all.collect()
    }

    #[test]
    fn a_job_is_covered_by_the_stamp_of_its_own_node_alone() {
        let known = stamps(&[(1, 3, 100), (2, 1, 900)]);
        assert!(known.cover((node(1).maker(), 3), 100));
        assert!(!known.cover((node(1).maker(), 3), 101));
        assert!(known.cover((node(1).maker(), 2), 800), "an earlier start");
        assert!(
            !known.cover((node(1).maker(), 4), 50),
            "the clock went back"
        );
        assert!(
            !known.cover((node(3).maker(), 1), 1),
            "nobody has heard of it"
        );
    }

    #[test]
    fn a_job_that_names_no_start_is_covered_by_the_greatest_time() {
        let known = stamps(&[(1, 3, 100), (2, 1, 900)]);
        assert!(known.cover((node(5).maker(), 0), 900));
        assert!(!known.cover((node(5).maker(), 0), 901));
        let mut none = Stamps::default();
        none.note_job(&id(5, 0), &Extras::NONE, 900);
        assert_eq!(none, Stamps::default());
    }

    #[test]
    fn the_text_says_it_all_and_nothing_else_is_taken() {
        let known = stamps(&[(0x4d, 2, 77), (1, u32::MAX, 1 << 63)]);
        assert_eq!(
            known.text(),
            "01010101-4294967295-9223372036854775808 4d4d4d4d-2-77"
        );
        assert_eq!(Stamps::parse(known.text().as_bytes()), Some(known));
        assert_eq!(Stamps::parse(b""), Some(Stamps::default()));
        let beyond = Stamps::parse(b"01010101-1-9223372036854775809");
        assert_eq!(beyond, Some(Stamps::default()), "no clock says that");
        for bad in ["x", "77", "01010101-1", "01010101-1-2-3"] {
            assert_eq!(Stamps::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn merging_in_any_order_makes_the_same(
            all in proptest::collection::vec((0..200_u8, 0..3_u32, 0..50_u64), 0..400),
            cut in 0..400_usize,
        ) {
            let cut = cut.min(all.len());
            let (mut one, mut other) = (stamps(&all[..cut]), stamps(&all[cut..]));
            let first = one.clone();
            one.merge(&other);
            other.merge(&first);
            proptest::prop_assert_eq!(&one, &other);
            proptest::prop_assert_eq!(one, stamps(&all));
        }
    }
}
