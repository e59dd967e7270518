//! How many things happened in the last seconds: imports of a queue, jobs that go in and out.

use crate::time::Time;

/// Seconds that the figures of a queue look back.
const TRAFFIC_SECONDS: usize = 10;

/// Which way a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Into its queue: it was added, came from another queue, or was put back.
    In,
    /// Out of it, to a client.
    Out,
}

/// What went in and out of a queue lately.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    jobs_in: Rate<TRAFFIC_SECONDS>,
    jobs_out: Rate<TRAFFIC_SECONDS>,
}

impl Traffic {
    /// A job goes this way now.
    pub(crate) fn add(&mut self, now: Time, way: Way) {
        match way {
            Way::In => self.jobs_in.add(now, 1),
            Way::Out => self.jobs_out.add(now, 1),
        }
    }

    pub(crate) fn recent(&self, now: Time) -> Recent {
        Recent {
            jobs_in: self.jobs_in.recent(now),
            jobs_out: self.jobs_out.recent(now),
        }
    }
}

/// Jobs that went in and out of a queue in the last 10 seconds. Those that only went from node to node do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// Added, moved here from another queue, or put back.
    pub jobs_in: u64,
    /// Handed out to clients.
    pub jobs_out: u64,
}

impl Recent {
    /// Jobs in a second, rounded up.
    pub fn in_per_second(self) -> u64 {
        self.jobs_in.div_ceil(TRAFFIC_SECONDS as u64)
    }

    /// Jobs out a second, rounded up.
    pub fn out_per_second(self) -> u64 {
        self.jobs_out.div_ceil(TRAFFIC_SECONDS as u64)
    }

    pub(super) fn merge(&mut self, other: Recent) {
        self.jobs_in = self.jobs_in.saturating_add(other.jobs_in);
        self.jobs_out = self.jobs_out.saturating_add(other.jobs_out);
    }
}

/// Counts of each of the last `SECONDS` seconds. It takes no upkeep: old counts go when new ones come, or when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rate<const SECONDS: usize> {
    second: u64,
    counts: [u32; SECONDS],
}

impl<const SECONDS: usize> Default for Rate<SECONDS> {
    fn default() -> Self {
        Rate {
            second: 0,
            counts: [0; SECONDS],
        }
    }
}

impl<const SECONDS: usize> Rate<SECONDS> {
    /// Counts what happens now.
    pub(crate) fn add(&mut self, now: Time, count: u64) {
        let second = now.as_millis() / 1000;
        if second != self.second {
            for passed in (self.second + 1..=second).take(SECONDS) {
                self.counts[place::<SECONDS>(passed)] = 0;
            }
            self.second = second;
        }
        let counted = &mut self.counts[place::<SECONDS>(second)];
        *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// How many it was in the last seconds, the one that runs included.
    pub(crate) fn recent(&self, now: Time) -> u64 {
        let second = now.as_millis() / 1000;
        let span = SECONDS as u64;
        let recent = (self.second.saturating_sub(span - 1)..=self.second)
            .filter(|&counted| counted + span > second);
        recent
            .map(|counted| u64::from(self.counts[place::<SECONDS>(counted)]))
            .sum()
    }

    /// The same per second, rounded up: what happens at all is not told as nothing.
    pub(crate) fn per_second(&self, now: Time) -> u64 {
        self.recent(now).div_ceil(SECONDS as u64)
    }
}

fn place<const SECONDS: usize>(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rate_fades_with_its_last_second() {
        let mut rate = Rate::<10>::default();
        rate.add(Time::from_millis(5_000), 3);
        rate.add(Time::from_millis(5_999), 4);
        rate.add(Time::from_millis(9_000), 5);
        let recent = |ms| rate.recent(Time::from_millis(ms));
        assert_eq!(recent(9_000), 12);
        assert_eq!(recent(14_999), 12);
        assert_eq!(recent(15_000), 5);
        assert_eq!(recent(19_000), 0);
        assert_eq!(rate.per_second(Time::from_millis(9_000)), 2, "rounded up");
    }

    proptest! {
        #[test]
        fn a_rate_agrees_with_a_list(steps in prop::collection::vec((0..15_000_u64, 0..9_u64), 1..40)) {
            let (mut rate, mut ms, mut list) = (Rate::<10>::default(), 0, Vec::new());
            for (pause, count) in steps {
                ms += pause;
                rate.add(Time::from_millis(ms), count);
                list.push((ms / 1000, count));
                let recent = list.iter().filter(|(second, _)| second + 10 > ms / 1000);
                let sum: u64 = recent.map(|(_, count)| count).sum();
                prop_assert_eq!(rate.recent(Time::from_millis(ms)), sum);
            }
        }
    }
}
