//! The id of a record, and the hybrid clock that makes ids.
//!
//! A clock never gives the same id twice and never goes back. It follows the wall clock, and it moves past each clock that
//! a peer tells it, but for a peer whose clock is too far ahead: a wrong clock must not spread.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::origin::Origin;
use crate::time::WallTime;

/// A node takes over no clock that is further ahead of its own wall clock than this.
pub const AHEAD_MAX_MS: u64 = 60_000;

/// The id of a record, in the shape of a Redis Stream id: milliseconds, and a number that makes it unique.
///
/// The upper half of `seq` counts the ids of one millisecond, the lower half is a hash of the origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct EntryId {
    ms: u64,
    seq: u64,
}

impl EntryId {
    /// Lower than any id.
    pub const ZERO: EntryId = EntryId { ms: 0, seq: 0 };
    /// Higher than any id.
    pub const MAX: EntryId = EntryId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The id with these two parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        EntryId { ms, seq }
    }

    /// The highest id of a millisecond.
    pub const fn end_of(ms: u64) -> Self {
        EntryId { ms, seq: u64::MAX }
    }

    /// Its milliseconds since 1970, by the clock of its origin.
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// What tells it from the other ids of its millisecond.
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// The next lower id.
    #[must_use]
    pub const fn before(self) -> Self {
        match self.seq.checked_sub(1) {
            Some(seq) => EntryId { ms: self.ms, seq },
            None => EntryId::end_of(self.ms.saturating_sub(1)),
        }
    }

    /// The next higher id.
    #[must_use]
    pub const fn after(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => EntryId { ms: self.ms, seq },
            None => EntryId::new(self.ms.saturating_add(1), 0),
        }
    }

    /// Reads `ms-seq`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        Some(EntryId {
            ms: number(&text[..dash])?,
            seq: number(&text[dash + 1..])?,
        })
    }
}

/// Reads a decimal number that is written as a node writes it.
fn number(text: &[u8]) -> Option<u64> {
    let is_plain = text.first() != Some(&b'0') || text.len() == 1;
    let digits = is_plain && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = itoa::Buffer::new();
        f.write_str(digits.format(self.ms))?;
        f.write_str("-")?;
        f.write_str(digits.format(self.seq))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A peer's clock is more than [`AHEAD_MAX_MS`] ahead: the peer is set aside, and its clock is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock of the peer is {ms} ms ahead")]
pub struct ClockAhead {
    /// How far ahead of this node's wall clock.
    pub ms: u64,
}

/// The hybrid logical clock of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    ms: u64,
    counter: u32,
}

impl Clock {
    /// An id higher than all that this clock made, promised not to make, or heard.
    pub fn next(&mut self, wall: WallTime, origin: Origin) -> EntryId {
        self.step(wall);
        EntryId::new(
            self.ms,
            u64::from(self.counter) << 32 | u64::from(origin.hash()),
        )
    }

    /// Promises that no id at or below the returned one will be made.
    pub fn close(&mut self, wall: WallTime) -> EntryId {
        if wall.0 > self.ms {
            self.ms = wall.0;
            self.counter = 0;
        }
        self.reading()
    }

    /// What each write to a peer begins with: the highest id that this clock may have made or heard.
    pub fn reading(&self) -> EntryId {
        EntryId::new(self.ms, u64::from(self.counter) << 32 | u64::from(u32::MAX))
    }

    /// Moves past what a peer's write began with.
    pub fn meet(&mut self, wall: WallTime, peer: EntryId) -> Result<(), ClockAhead> {
        let ms = peer.ms.saturating_sub(wall.0);
        if ms > AHEAD_MAX_MS {
            return Err(ClockAhead { ms });
        }
        self.pass(peer);
        Ok(())
    }

    /// Moves past an id in any case: one of this node's own logs.
    pub fn pass(&mut self, id: EntryId) {
        let counter = (id.seq >> 32) as u32;
        if (id.ms, counter) > (self.ms, self.counter) {
            self.ms = id.ms;
            self.counter = counter;
        }
    }

    fn step(&mut self, wall: WallTime) {
        if wall.0 > self.ms {
            self.ms = wall.0;
            self.counter = 0;
        } else if let Some(counter) = self.counter.checked_add(1) {
            self.counter = counter;
        } else {
            self.ms += 1;
            self.counter = 0;
        }
    }
}

/// Whether a node's wall clock is wrong: more than [`AHEAD_MAX_MS`] from the median of the members' clocks, its own
/// included. Of an even number the lower of the two middle ones counts, so of two nodes the one ahead is wrong.
pub fn is_wrong(own: WallTime, others: impl Iterator<Item = WallTime>) -> bool {
    let mut all: Vec<u64> = others.map(|wall| wall.0).collect();
    if all.is_empty() {
        return false;
    }
    all.push(own.0);
    all.sort_unstable();
    let median = all[(all.len() - 1) / 2];
    own.0.abs_diff(median) > AHEAD_MAX_MS
}

#[cfg(test)]
mod tests {
    use super::super::origin::OriginNode;
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: Origin = Origin::new(OriginNode::new(7), 1);

    #[test]
    fn ids_rise_whatever_the_wall_clock_does() {
        let mut clock = Clock::default();
        let mut last = EntryId::ZERO;
        for wall in [5, 5, 9, 3, 3, 0, 10] {
            let id = clock.next(WallTime(wall), ORIGIN);
            assert!(id > last, "{id} after {last}");
            last = id;
        }
        assert_eq!(last.ms(), 10);
    }

    #[test]
    fn nothing_is_made_at_or_below_a_promise() {
        let mut clock = Clock::default();
        let promised = clock.close(WallTime(50));
        assert!(clock.next(WallTime(50), ORIGIN) > promised);
        let promised = clock.close(WallTime(20));
        assert!(clock.next(WallTime(20), ORIGIN) > promised);
    }

    #[test]
    fn the_clock_moves_past_a_peer_within_bounds() {
        let mut clock = Clock::default();
        let peer = EntryId::new(1000 + AHEAD_MAX_MS, 3 << 32);
        assert_eq!(clock.meet(WallTime(1000), peer), Ok(()));
        assert!(clock.next(WallTime(1000), ORIGIN) > peer);
    }

    #[test]
    fn a_clock_of_2100_does_not_spread() {
        let mut clock = Clock::default();
        let wall = WallTime(1_790_000_000_000);
        let peer = EntryId::new(4_102_444_800_000, 0);
        assert!(clock.meet(wall, peer).is_err());
        assert_eq!(clock.next(wall, ORIGIN).ms(), wall.0);
    }

    #[test]
    fn the_wrong_one_of_two_clocks_is_the_one_ahead() {
        let (low, high) = (WallTime(0), WallTime(AHEAD_MAX_MS + 1));
        let is_wrong = |own, others: &[WallTime]| is_wrong(own, others.iter().copied());
        assert!(is_wrong(high, &[low]) && !is_wrong(low, &[high]));
        assert!(!is_wrong(WallTime(AHEAD_MAX_MS), &[low]));
        assert!(is_wrong(low, &[high, high]) && !is_wrong(high, &[low, high]));
        assert!(!is_wrong(low, &[]));
    }

    #[test]
    fn the_next_lower_id_may_be_of_the_millisecond_before() {
        assert_eq!(EntryId::new(5, 3).before(), EntryId::new(5, 2));
        assert_eq!(EntryId::new(5, 0).before(), EntryId::end_of(4));
    }

    #[test]
    fn only_what_a_node_writes_is_an_id() {
        for wrong in [
            "",
            "-",
            "5",
            "5-",
            "-5",
            "05-1",
            "5-01",
            "5-1-1",
            "+5-1",
            "5-18446744073709551616",
        ] {
            assert_eq!(EntryId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_id_survives_its_text(ms: u64, seq: u64) {
            let id = EntryId::new(ms, seq);
            prop_assert_eq!(EntryId::parse(id.to_string().as_bytes()), Some(id));
        }
    }
}
