//! What can be set: names, secret, the time within which a death is known; and what follows from that for SWIM.

use std::fmt;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{PeriodicParams, Timer};

use crate::Identity;
use crate::packet;

/// Bounds of the pause between two probes: below, a busy machine would look dead; above, a long
/// `node_timeout` would probe too rarely to tell loss from death.
const PROBE_PERIOD: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));
/// News goes out at least this often while there is any.
const GOSSIP_PERIOD_MAX: Duration = Duration::from_millis(200);

/// The secret that the nodes of a cluster share. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Secret(bytes.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What can be set, also while running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Directive `cluster-name`: packets of other names are dropped.
    pub cluster_name: String,
    /// Directive `cluster-secret`: without one, packets are guarded against accidents only.
    pub secret: Option<Secret>,
    /// Directive `cluster-node-timeout`: a death is known to all within this time. Default 3 s; below 500 ms
    /// the timers no longer shrink.
    pub node_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            cluster_name: "shoalmq".to_owned(),
            secret: None,
            node_timeout: Duration::from_secs(3),
        }
    }
}

/// What `node_timeout` means for SWIM.
///
/// ```text
/// death ─► the next probe of it: 1 period, rarely 4 ─► unanswered: 1 ─► suspicion ─► news reach all: 1
/// ```
///
/// Suspicion is what 6 periods leave of the timeout, so that the bound holds even when the dead node comes late in
/// everybody's round of probes: of 800 simulated deaths among 7 nodes, 4 were known later, by a tenth or so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) probe_period: Duration,
    pub(crate) probe_rtt: Duration,
    pub(crate) suspicion: Duration,
    pub(crate) gossip_period: Duration,
}

impl Timing {
    pub(crate) fn new(node_timeout: Duration) -> Self {
        let (shortest, longest) = PROBE_PERIOD;
        let probe_period = (node_timeout / 10).clamp(shortest, longest);
        Timing {
            probe_period,
            probe_rtt: probe_period / 3,
            suspicion: node_timeout
                .saturating_sub(probe_period * 6)
                .max(probe_period * 4),
            gossip_period: probe_period.min(GOSSIP_PERIOD_MAX),
        }
    }

    /// When a timer of foca fires. Foca reads these two periods nowhere else, and refuses to change them while it
    /// runs; so they are replaced here.
    pub(crate) fn delay(&self, timer: &Timer<Identity>, wanted: Duration) -> Duration {
        match timer {
            Timer::ProbeRandomMember(_) => self.probe_period,
            Timer::SendIndirectProbe { .. } => self.probe_rtt,
            Timer::ChangeSuspectToDown { .. }
            | Timer::PeriodicAnnounce(_)
            | Timer::PeriodicAnnounceDown(_)
            | Timer::PeriodicGossip(_)
            | Timer::RemoveDown(_) => wanted,
        }
    }

    /// The configuration for foca; `first` holds what it does not let change.
    pub(crate) fn foca(&self, first: &Timing) -> foca::Config {
        let every = |frequency, members| {
            Some(PeriodicParams {
                frequency,
                num_members: members,
            })
        };
        foca::Config {
            probe_period: first.probe_period,
            probe_rtt: first.probe_rtt,
            num_indirect_probes: THREE,
            max_transmissions: NonZeroU8::new(12).expect("not zero"),
            suspect_to_down_after: self.suspicion,
            // Only FORGET removes a member: then it is done by hand.
            remove_down_after: None,
            max_packet_size: NonZeroUsize::new(packet::LONGEST_FOCA).expect("not zero"),
            notify_down_members: true,
            periodic_announce: every(Duration::from_secs(10), NonZeroUsize::MIN),
            periodic_announce_to_down_members: every(Duration::from_secs(5), TWO),
            periodic_gossip: every(self.gossip_period, THREE),
        }
    }
}

const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
const THREE: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicion_is_what_six_probes_leave() {
        let timing = Timing::new(Duration::from_secs(3));
        assert_eq!(timing.probe_period, Duration::from_millis(300));
        assert_eq!(timing.suspicion, Duration::from_millis(1200));
        let slow = Timing::new(Duration::from_mins(1));
        assert_eq!(slow.probe_period, Duration::from_secs(3));
        assert_eq!(slow.suspicion, Duration::from_secs(42));
        let fast = Timing::new(Duration::ZERO);
        assert_eq!(fast.probe_period, Duration::from_millis(50));
        assert_eq!(fast.suspicion, Duration::from_millis(200));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let settings = Settings {
            secret: Some(Secret::new(b"hunter2")),
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
