//! What a seed means: how large the cluster is, what its disks promise, how its network behaves, and what goes wrong.

use std::time::Duration;

use shoalmq_core::log;
use shoalmq_core::planted::Bug;

use crate::dice::Dice;
use crate::failing::FailingPlan;
use crate::faults::Kind;
use crate::keys::KeysPlan;
use crate::outcomes::WaitingPlan;
use crate::schedule::{MS, Micros, SECOND};
use crate::topics::plan::TopicPlan;

/// When the log is on disk: `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Nobody hears of what is not on disk.
    Always,
    /// Once a second.
    EverySecond,
    /// Now and then.
    Sometimes,
}

impl Policy {
    /// No disk of the simulation fails to write.
    pub(crate) fn gates(self) -> log::Policy {
        match self {
            Policy::Always => log::Policy::Always,
            Policy::EverySecond | Policy::Sometimes => log::Policy::Stalls,
        }
    }
}

/// How nodes find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// `cluster-join`: a name that leads to all of them, wherever they are now.
    Seeds,
    /// CLUSTER MEET, once. No node moves.
    Meet,
}

/// All that a run is made of, drawn from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) hosts: usize,
    pub(crate) zones: u64,
    pub(crate) meeting: Meeting,
    pub(crate) policy: Policy,
    /// How long a sync takes at most.
    pub(crate) sync: Micros,
    /// One way between two nodes, at least; and how much longer it may take.
    pub(crate) latency: Micros,
    pub(crate) jitter: Micros,
    /// Datagrams that are lost, and that come twice, in percent.
    pub(crate) loss: u64,
    pub(crate) duplicated: u64,
    /// `cluster-node-timeout`: a link that does not answer for this long is closed.
    pub(crate) node_timeout: Micros,
    /// What goes wrong; nothing in a quiet run.
    pub(crate) faults: Vec<Kind>,
    /// Between two faults, on average.
    pub(crate) fault_every: Micros,
    /// How long clients add jobs and things go wrong.
    pub(crate) trouble: Micros,
    /// Between two ADDJOBs, on average.
    pub(crate) add_every: Micros,
    pub(crate) queues: u64,
    pub(crate) consumers: usize,
    pub(crate) heal_delay: Duration,
    pub(crate) leaving_grace: Duration,
    /// A bug that every node has.
    pub(crate) bug: Option<Bug>,
    /// Records in a segment of the log.
    pub(crate) segment: u64,
    /// `maxmemory`; 0 is no bound. With little, bodies leave memory.
    pub(crate) memory: u64,
    /// How far apart the wall clocks are, in milliseconds, at most.
    pub(crate) clocks_apart: u64,
    /// Jobs that fail, if there are any.
    pub(crate) failing: Option<FailingPlan>,
    /// What clients do about the ends of jobs, if anything.
    pub(crate) waiting: Option<WaitingPlan>,
    /// Keys of DEDUP, if jobs have any.
    pub(crate) keys: Option<KeysPlan>,
    /// Topics, if there are any.
    pub(crate) topics: Option<TopicPlan>,
}

impl Plan {
    /// What this seed means, with `hosts` nodes if given. Every fifth run is quiet: nothing goes wrong.
    pub(crate) fn new(seed: u64, hosts: Option<usize>) -> Self {
        let mut dice = Dice::new(seed);
        let far = dice.percent(15);
        let policies = [
            (50, Policy::Always),
            (40, Policy::EverySecond),
            (10, Policy::Sometimes),
        ];
        let mut faults = Vec::new();
        if !seed.is_multiple_of(5) {
            let mut kinds = Kind::ALL;
            dice.shuffle(&mut kinds);
            let several = dice.weighted(&[(30, 1), (30, 2), (20, 4), (20, kinds.len())]);
            faults.extend_from_slice(&kinds[..several]);
        }
        let drawn = dice.between(3, 7) as usize;
        let hosts = hosts.unwrap_or(drawn);
        let clocks_apart = dice.weighted(&[(50, 0), (10, 1000), (40, 3_600_000)]);
        // Where clocks are an hour apart or jump, nearly all entries are late, and readers are not sure to be done in time.
        let is_sane = clocks_apart <= 1000 && !faults.contains(&Kind::Clock);
        let topics = TopicPlan::new(seed, hosts).filter(|_| is_sane);
        Plan {
            seed,
            hosts,
            zones: dice.between(1, 3),
            meeting: dice.weighted(&[(60, Meeting::Seeds), (40, Meeting::Meet)]),
            policy: dice.weighted(&policies),
            sync: dice.pick(&[2 * MS, 10 * MS, 50 * MS]),
            latency: if far { 15 * MS } else { 100 },
            jitter: if far { 20 * MS } else { 400 },
            loss: dice.pick(&[0, 1, 5, 20]),
            duplicated: dice.pick(&[0, 2]),
            node_timeout: dice.between(1000, 4000) * MS,
            faults,
            fault_every: dice.between(500, 6000) * MS,
            trouble: dice.between(10, 30) * SECOND,
            add_every: dice.between(20, 150) * MS,
            queues: dice.between(1, 4),
            consumers: dice.between(1, 2 * hosts as u64) as usize,
            heal_delay: Duration::from_secs(dice.pick(&[2, 8, 60])),
            leaving_grace: Duration::from_secs(dice.pick(&[1, 5])),
            bug: None,
            segment: dice.between(50, 2000),
            memory: dice.weighted(&[(60, 0), (20, 60_000), (20, 200_000)]),
            clocks_apart,
            failing: FailingPlan::new(seed),
            waiting: WaitingPlan::new(seed),
            keys: KeysPlan::new(seed),
            topics,
        }
    }

    /// Nothing goes wrong.
    pub(crate) fn is_quiet(&self) -> bool {
        self.faults.is_empty()
    }

    /// Nothing goes wrong, but that nodes stop cleanly and start again.
    pub(crate) fn stops_at_most(&self) -> bool {
        self.faults.iter().all(|&kind| kind == Kind::Stop)
    }

    /// The wall clocks say nearly the same, always.
    pub(crate) fn clocks_agree(&self) -> bool {
        self.clocks_apart <= 1000 && self.clocks_stay()
    }

    /// No wall clock jumps.
    pub(crate) fn clocks_stay(&self) -> bool {
        !self.faults.contains(&Kind::Clock)
    }
}
