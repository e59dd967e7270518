//! Telling: everything that only looks.
//!
//! `inspect` answers SHOW, QLEN, QSTAT, QPEEK and the scans for this node; `global`, `scanning` and `listing` ask all nodes. `account`
//! says how much memory the node uses and how full it is; `tally` and `counters` count what happened, for the metrics;
//! `shares` says what each job counts for, `depths` how many jobs the queues have, and `rate` how
//! many went in and out lately. Nothing here changes a job.

mod account;
mod answers;
mod counters;
mod depths;
mod forwarding;
mod global;
mod inspect;
mod invariants;
mod listing;
mod merging;
mod rate;
mod scanning;
mod shares;
pub(crate) mod sizes;
mod tally;

pub use counters::Counters;
pub use depths::{QueueDepths, QueuesView};
pub(crate) use global::{Asker, Gatherings};
pub(crate) use invariants::check;
pub use rate::Recent;
pub(crate) use rate::{Rate, Traffic, Way};
pub use shares::Depths;
pub(crate) use shares::Share;
pub use tally::{COPY_MILLIS, Histogram, JOB_MILLIS, QueueMetrics, Reason, Tally, WAIT_MICROS};
pub(crate) use tally::{Tallies, TallyKey, millis};
