//! Which nodes there are, and which one is tried next.

use std::time::Duration;

use shoalmq_resp::Frame;

/// The shortest and the longest pause between two rounds over all nodes.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// From this priority on HELLO says that a node is leaving or cannot be reached.
const PRIORITY_BAD: i64 = 10;

/// The nodes that a client knows: those that its user named, and what HELLO said last.
#[derive(Debug)]
pub(crate) struct Nodes {
    seeds: Vec<String>,
    told: Vec<String>,
    /// Where in the list the next attempt goes.
    next: usize,
    /// Rounds since a node last answered a command.
    rounds: u32,
}

impl Nodes {
    pub(crate) fn new(seeds: Vec<String>) -> Self {
        Nodes {
            seeds,
            told: Vec::new(),
            next: 0,
            rounds: 0,
        }
    }

    /// Where to try next, and how long to wait before.
    pub(crate) fn next(&mut self) -> Option<(String, Duration)> {
        let all = self.seeds.len() + self.told.len();
        let pause = if self.next > 0 && self.next.is_multiple_of(all.max(1)) {
            self.rounds += 1;
            jittered(
                PAUSE_MIN
                    .saturating_mul(1 << self.rounds.min(10))
                    .min(PAUSE_MAX),
            )
        } else {
            Duration::ZERO
        };
        let at = self.next.checked_rem(all)?;
        self.next += 1;
        let address = self.seeds.iter().chain(&self.told).nth(at)?;
        Some((address.clone(), pause))
    }

    /// A node answered: the pauses begin with the shortest one again.
    pub(crate) fn answered(&mut self) {
        self.rounds = 0;
    }

    /// Learns from the answer to HELLO. Nodes that are leaving or away come last.
    pub(crate) fn learn(&mut self, hello: &Frame) {
        let nodes = hello.as_array().unwrap_or_default().iter().skip(2);
        let mut told: Vec<(bool, String)> = nodes.filter_map(node).collect();
        told.sort_by_key(|(is_bad, _)| *is_bad);
        let told = told.into_iter().map(|(_, address)| address);
        self.told = told
            .filter(|address| !self.seeds.contains(address))
            .collect();
    }
}

/// One node of HELLO: id, host, port, priority.
fn node(frame: &Frame) -> Option<(bool, String)> {
    let [_, host, port, priority] = frame.as_array()? else {
        return None;
    };
    let (host, port) = (host.as_str()?, port.as_str()?);
    let is_bad = priority.as_str()?.parse::<i64>().ok()? >= PRIORITY_BAD;
    let address = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    (!host.is_empty()).then_some((is_bad, address))
}

/// Between half of it and one and a half, so that many clients do not come at once.
fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX));
    pause.mul_f64(0.5 + share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Frame {
        Frame::Bulk(text.as_bytes().to_vec())
    }

    fn row(host: &str, priority: &str) -> Frame {
        Frame::Array(vec![bulk("id"), bulk(host), bulk("7711"), bulk(priority)])
    }

    #[test]
    fn nodes_that_leave_come_last_and_seeds_first() {
        let mut nodes = Nodes::new(vec!["seed:7711".to_owned()]);
        let hello = vec![
            Frame::Integer(1),
            bulk("id"),
            row("leaving", "100"),
            row("seed", "1"),
            row("::1", "1"),
        ];
        nodes.learn(&Frame::Array(hello));
        let tried: Vec<String> = (0..3).map(|_| nodes.next().expect("some").0).collect();
        assert_eq!(tried, ["seed:7711", "[::1]:7711", "leaving:7711"]);
    }

    #[test]
    fn a_round_without_success_is_followed_by_a_longer_pause() {
        let mut nodes = Nodes::new(vec!["a:1".to_owned(), "b:1".to_owned()]);
        let pauses: Vec<Duration> = (0..41).map(|_| nodes.next().expect("some").1).collect();
        assert_eq!(pauses[..2], [Duration::ZERO; 2]);
        assert!(pauses[2] > Duration::ZERO && pauses[3] == Duration::ZERO);
        assert!(pauses[40] >= PAUSE_MAX / 2 && pauses[40] <= PAUSE_MAX * 3 / 2);
    }
}
