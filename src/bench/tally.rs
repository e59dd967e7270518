//! What one connection measured, and the sum over all.

use hdrhistogram::Histogram;
use shoalmq_client::ConnectionError;
use std::time::Duration;

/// Counts and latencies. Kept by one connection, added up at the end.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// In microseconds.
    pub(super) latency: Histogram<u64>,
    /// Jobs added or acknowledged; entries published or read.
    pub(super) done: u64,
    /// Wrong replies and lost connections.
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency = Histogram::new(3).expect("three digits are a valid precision");
        Self {
            latency,
            done: 0,
            errors: 0,
            first_error: None,
        }
    }

    pub(super) fn took(&mut self, latency: Duration) {
        // Not `saturating_record`: that one does not resize.
        let micros = (latency.as_micros() as u64).max(1);
        self.latency
            .record(micros)
            .expect("a histogram that resizes takes any value");
    }

    pub(super) fn fail(&mut self, error: impl Into<String>) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.into());
    }

    /// The tally of a worker that ended so: what it measured until then counts.
    pub(super) fn ended(mut self, result: Result<(), ConnectionError>) -> Self {
        if let Err(error) = result {
            self.fail(error.to_string());
        }
        self
    }

    pub(super) fn add(&mut self, other: Self) {
        self.latency
            .add(other.latency)
            .expect("histograms that resize take any value");
        self.done += other.done;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_short_and_long_latencies() {
        let (mut sum, mut part) = (Tally::new(), Tally::new());
        part.took(Duration::ZERO);
        part.took(Duration::from_hours(1));
        part.fail("first");
        sum.add(part.clone());
        sum.add(part);
        assert_eq!((sum.latency.len(), sum.latency.min()), (4, 1));
        assert!(sum.latency.max() >= 3_600_000_000);
        assert_eq!((sum.errors, sum.first_error.as_deref()), (2, Some("first")));
    }
}
