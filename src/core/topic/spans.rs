//! A set of record numbers as ranges.

use std::ops::RangeInclusive;

/// Numbers from 1 on, as ranges that neither overlap nor touch, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// Adds the numbers of a range; an empty one adds nothing.
    pub fn insert(&mut self, range: RangeInclusive<u64>) {
        let (mut from, mut to) = (*range.start(), *range.end());
        if from > to {
            return;
        }
        // Most often the newest number follows the last one.
        if let Some(last) = self.0.last_mut()
            && last.0 <= from
            && from <= last.1.saturating_add(1)
        {
            last.1 = last.1.max(to);
            return;
        }
        let first = self
            .0
            .partition_point(|span| span.1.saturating_add(1) < from);
        let end = self
            .0
            .partition_point(|span| span.0 <= to.saturating_add(1));
        if first < end {
            from = from.min(self.0[first].0);
            to = to.max(self.0[end - 1].1);
        }
        self.0.splice(first..end, [(from, to)]);
    }

    /// Takes the numbers of a range out.
    pub fn remove(&mut self, range: RangeInclusive<u64>) {
        let (from, to) = (*range.start(), *range.end());
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for &(low, high) in &self.0 {
            if high < from || low > to {
                left.push((low, high));
                continue;
            }
            if low < from {
                left.push((low, from - 1));
            }
            if high > to {
                left.push((to + 1, high));
            }
        }
        self.0 = left;
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: u64) -> bool {
        self.end_of_run(number).is_some()
    }

    /// The last number of the range that holds `number`.
    pub fn end_of_run(&self, number: u64) -> Option<u64> {
        let at = self.0.partition_point(|span| span.1 < number);
        let span = self.0.get(at)?;
        (span.0 <= number).then_some(span.1)
    }

    /// How many numbers from 1 on are in it without a gap.
    pub fn prefix(&self) -> u64 {
        self.end_of_run(1).unwrap_or(0)
    }

    /// The highest number, or 0.
    pub fn last(&self) -> u64 {
        self.0.last().map_or(0, |span| span.1)
    }

    /// The first number from `from` on that is in it.
    pub fn next(&self, from: u64) -> Option<u64> {
        let at = self.0.partition_point(|span| span.1 < from);
        self.0.get(at).map(|span| span.0.max(from))
    }

    /// The first number from `from` on that is not in it.
    pub fn first_outside(&self, from: u64) -> u64 {
        self.end_of_run(from)
            .map_or(from, |end| end.saturating_add(1))
    }

    /// The first range from `first` to `last` of which no number is in it.
    pub fn gap(&self, first: u64, last: u64) -> Option<RangeInclusive<u64>> {
        let from = self.first_outside(first);
        let next = self.next(from);
        let to = next.map_or(last, |next| (next - 1).min(last));
        (from <= last).then_some(from..=to)
    }

    /// Whether all numbers of a range are in it.
    pub fn covers(&self, range: &RangeInclusive<u64>) -> bool {
        let end = self.end_of_run(*range.start());
        end.is_some_and(|end| end >= *range.end())
    }

    /// Its ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.0.iter().map(|&(from, to)| from..=to)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut spans = Spans::default();
        spans.insert(5..=6);
        spans.insert(1..=2);
        assert_eq!((spans.prefix(), spans.last()), (2, 6));
        spans.insert(3..=4);
        assert_eq!(spans.iter().collect::<Vec<_>>(), [1..=6]);
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range")]
        spans.insert(9..=8);
        assert_eq!(spans.last(), 6);
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(steps in proptest::collection::vec((any::<bool>(), 1_u64..30, 0_u64..6), 0..30)) {
            let (mut spans, mut model) = (Spans::default(), BTreeSet::new());
            for (adds, from, length) in steps {
                let range = from..=from + length;
                if adds {
                    spans.insert(range.clone());
                    model.extend(range);
                } else {
                    spans.remove(range.clone());
                    model.retain(|number| !range.contains(number));
                }
                let all: Vec<u64> = spans.iter().flatten().collect();
                prop_assert_eq!(&all, &model.iter().copied().collect::<Vec<_>>());
                let ranges: Vec<_> = spans.iter().collect();
                prop_assert!(ranges.windows(2).all(|two| two[0].end() + 1 < *two[1].start()));
                for number in 1..40 {
                    prop_assert_eq!(spans.contains(number), model.contains(&number));
                    prop_assert_eq!(spans.next(number), model.range(number..).next().copied());
                    let gap = |from: &u64| (*from..40).take_while(|other| !model.contains(other));
                    let from = (number..40).find(|from| !model.contains(from));
                    let to = from.as_ref().and_then(|from| gap(from).last());
                    prop_assert_eq!(spans.gap(number, 39), from.zip(to).map(|(from, to)| from..=to));
                }
            }
        }
    }
}
