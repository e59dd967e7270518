//! The simulator: many real cores and memberships in one thread, in virtual time, from one seed.
//!
//! ```text
//! cargo test -p shoalmq-simulation                                           a few seeds
//! cargo test --profile simulation -p shoalmq-simulation -- --seeds 0..3000   many, optimized
//! cargo test --profile simulation -p shoalmq-simulation -- --seed 4711       one; if it fails, the life of the job
//! cargo test --profile simulation -p shoalmq-simulation -- --seed 4711 --trace          all that happens in it
//! cargo test --profile simulation -p shoalmq-simulation --features planted-bugs -- --bug all --seeds 0..300
//! ```
//!
//! A run is a cluster that comes up (`cluster`, `host`, `shell`, `gates`: what the server does around a core), clients (`workload`, `dealing`, `keeping`),
//! topics (`topics`), faults (`faults`, `network`), and what must hold (`checker`, `copies`, `withdrawals`, `healing`, `settings`). Then all heals, consumers drain every node, and
//! nothing may be left. The same seed gives the same course of events, which the fingerprint of a run proves.

use std::process::ExitCode;

use crate::options::Options;
use crate::run::Telling;

mod checker;
mod client;
mod cluster;
mod copies;
mod dealing;
mod dice;
mod explaining;
mod failing;
mod faults;
mod gates;
mod hangups;
mod healing;
mod host;
mod keeping;
mod keys;
mod links;
mod lives;
mod membership;
mod moves;
mod network;
mod options;
mod outcomes;
mod places;
mod plan;
mod purging;
mod run;
mod schedule;
mod settings;
mod shell;
mod summary;
mod sums;
mod topics;
mod trace;
mod waits;
mod withdrawals;
mod workload;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n\n{}", options::USAGE);
            return ExitCode::FAILURE;
        }
    };
    run::tell_of_panics();
    if options.hunt {
        run::hunt(&options)
    } else if let Some(seed) = options.trace {
        let bug = options.bugs.first().map(|&(bug, _)| bug);
        run::show(&options, seed, bug, Telling::Everything)
    } else {
        run::run_all(&options)
    }
}
