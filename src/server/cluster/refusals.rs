//! Who was turned away at the doors for other nodes, and why: counted, and told to the operator now and then.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::bus::handshake::Refused;

/// How long a warning about an address silences further ones about it.
const WARN_EVERY: Duration = Duration::from_mins(1);
/// Addresses to remember for that: more than nodes and their mistaken neighbours have.
const ADDRESSES: usize = 256;

/// Why somebody is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// It comes from another machine, and there is no secret: protected mode.
    Protected,
    /// It does not speak the protocol, or only for too long.
    Handshake,
    /// It speaks no version of the protocol that this node does.
    Version,
    /// It belongs to another cluster.
    Cluster,
    /// It does not hold the secret.
    Secret,
    /// It is no member, or no longer.
    Stranger,
    /// A newer process of the same node was met.
    Outdated,
    /// It was dropped to let others in, before it had proven itself.
    Crowded,
    /// Its frames make no sense.
    Malformed,
    /// What it says holds a field that this node would have to understand.
    Newer,
}

impl Reason {
    const ALL: [Reason; 10] = [
        Reason::Protected,
        Reason::Handshake,
        Reason::Version,
        Reason::Cluster,
        Reason::Secret,
        Reason::Stranger,
        Reason::Outdated,
        Reason::Crowded,
        Reason::Malformed,
        Reason::Newer,
    ];

    /// Its name in figures.
    fn name(self) -> &'static str {
        match self {
            Reason::Protected => "protected",
            Reason::Handshake => "handshake",
            Reason::Version => "version",
            Reason::Cluster => "cluster",
            Reason::Secret => "secret",
            Reason::Stranger => "stranger",
            Reason::Outdated => "outdated",
            Reason::Crowded => "crowded",
            Reason::Malformed => "malformed",
            Reason::Newer => "newer",
        }
    }

    /// Whether an operator should look: nodes that just started, or are on their way out, are turned away as well.
    fn is_news(self) -> bool {
        match self {
            Reason::Protected
            | Reason::Handshake
            | Reason::Version
            | Reason::Cluster
            | Reason::Secret
            | Reason::Crowded
            | Reason::Malformed
            | Reason::Newer => true,
            Reason::Stranger | Reason::Outdated => false,
        }
    }
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Magic | Refused::TooLong | Refused::Malformed => Reason::Handshake,
            Refused::Version { .. } => Reason::Version,
            Refused::Cluster => Reason::Cluster,
            Refused::Secret => Reason::Secret,
            Refused::Extra(_) => Reason::Newer,
        }
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: BTreeMap<Reason, u64>,
    warned: BTreeMap<IpAddr, Instant>,
}

impl Refusals {
    /// Somebody was turned away.
    pub(super) fn note(&mut self, address: IpAddr, reason: Reason, detail: &dyn std::fmt::Display) {
        *self.counts.entry(reason).or_default() += 1;
        if !reason.is_news() {
            return;
        }
        let now = Instant::now();
        self.warned
            .retain(|_, at| now.duration_since(*at) < WARN_EVERY);
        if self.warned.contains_key(&address) || self.warned.len() >= ADDRESSES {
            return;
        }
        self.warned.insert(address, now);
        let refused = if reason == Reason::Newer {
            "refused a part of what a newer node says"
        } else {
            "not taken for a node of this cluster"
        };
        warn!(%address, reason = reason.name(), "{refused}: {detail}");
    }

    /// How often for which reason.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |reason| self.counts.get(&reason).copied().unwrap_or(0);
        Reason::ALL
            .into_iter()
            .map(move |reason| (reason.name(), count(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_warned_of_once_a_minute() {
        let mut refusals = Refusals::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..3 {
            refusals.note(address, Reason::Secret, &"");
        }
        refusals.note(address, Reason::Stranger, &"");
        let counts = refusals.counts().filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.collect();
        assert_eq!(counts, [("secret", 3), ("stranger", 1)]);
        assert_eq!(refusals.warned.len(), 1);
    }
}
