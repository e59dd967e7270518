//! The command line.

use std::ops::Range;

/// How to call the simulator.
pub(crate) const USAGE: &str = "\
--seeds A..B   run these seeds; 0..200 unless told otherwise
--seed N       run this one
--hosts N      so many nodes, whatever the seed says
--trace        with --seed: tell all that happens
--keep-going   do not stop at the first seed that fails";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seeds: Range<u64>,
    /// Tell all of this seed.
    pub(crate) trace: Option<u64>,
    pub(crate) keep_going: bool,
    /// Nodes, whatever the seed says.
    pub(crate) hosts: Option<usize>,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut arguments = arguments;
        let mut options = Options {
            seeds: 0..200,
            trace: None,
            keep_going: false,
            hosts: None,
        };
        let mut trace = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--seeds" => {
                    let text = value()?;
                    let range = text
                        .split_once("..")
                        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
                    options.seeds = range.ok_or(format!("{text} is no range of seeds"))?;
                }
                "--seed" => {
                    let text = value()?;
                    let seed: u64 = text.parse().map_err(|_| format!("{text} is no seed"))?;
                    options.seeds = seed..seed + 1;
                }
                "--hosts" => {
                    let text = value()?;
                    let hosts = text.parse().ok().filter(|hosts| (1..=7).contains(hosts));
                    options.hosts = Some(hosts.ok_or(format!("{text} is not 1 to 7 nodes"))?);
                }
                "--trace" => trace = true,
                "--keep-going" => options.keep_going = true,
                // What cargo adds for its own harness.
                "--nocapture" | "--quiet" | "-q" => {}
                other => return Err(format!("unknown option {other}")),
            }
        }
        options.trace = trace.then_some(options.seeds.start);
        Ok(options)
    }
}
