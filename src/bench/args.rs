//! The flags of `shoalmq bench`.

use super::BenchError;
use super::job::STAMP_BYTES;
use super::topics::TopicsArgs;
use crate::cli::NodeArgs;
use clap::{ArgAction, ValueEnum};
use std::num::{NonZeroU64, NonZeroUsize};

/// Measures how fast a node takes and hands out jobs, and at what cost.
#[derive(Clone, Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    args_override_self = true,
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    #[command(subcommand)]
    pub(super) of: Option<Of>,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    #[command(flatten)]
    pub(super) node: NodeArgs,

    /// What to measure, in this order
    #[arg(long, value_delimiter = ',', default_value = "produce,consume")]
    pub phases: Vec<Phase>,

    /// Connections; in end-to-end one half adds jobs and the other takes them
    #[arg(short, long, default_value = "16", value_name = "N")]
    pub connections: NonZeroUsize,

    /// Commands sent at once on a connection, before their replies are read
    #[arg(short = 'P', long, default_value = "16", value_name = "N")]
    pub pipeline: NonZeroUsize,

    /// Jobs of each phase
    #[arg(short = 'n', long, default_value = "100000", value_name = "N")]
    pub jobs: NonZeroU64,

    /// Bytes of a job's body; end-to-end needs 16 for the time of day
    #[arg(short, long, default_value_t = 100, value_name = "BYTES")]
    pub size: usize,

    /// Jobs asked for by one GETJOB, and acknowledged by one ACKJOB
    #[arg(long, default_value = "16", value_name = "N")]
    pub count: NonZeroUsize,

    /// The queue; no node may hold jobs of it. What the run adds is deleted at its end
    #[arg(short, long, default_value = "shoalmq-bench", value_name = "NAME")]
    pub queue: String,

    /// Spread the jobs over this many queues: NAME-0, NAME-1, …
    #[arg(long, default_value = "1", value_name = "N")]
    pub queues: NonZeroUsize,

    /// Copies of a job, the node's own included [default: the node's default]
    #[arg(long, value_name = "N")]
    pub replicate: Option<u16>,

    /// Seconds after which a job that is not acknowledged is delivered again; 0: never [default: the
    /// node's default]
    #[arg(long, value_name = "SECONDS")]
    pub retry: Option<u32>,

    /// Do not wait for the copies
    #[arg(long = "async")]
    pub asynchronous: bool,

    /// The node's process, for its CPU time [default: asked of a node on this machine]
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,

    /// Print a JSON object per phase, on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// What is measured instead of jobs.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Of {
    /// Measure topics: publish entries, follow them live, read them again
    Topics(Box<TopicsArgs>),
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Add jobs.
    Produce,
    /// Take and acknowledge jobs.
    Consume,
    /// Both at once.
    EndToEnd,
}

impl Phase {
    /// The name, as the flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::EndToEnd => "end-to-end",
        }
    }
}

impl Args {
    pub(super) fn check(&self) -> Result<(), BenchError> {
        if self.phases.contains(&Phase::EndToEnd) {
            if self.size < STAMP_BYTES {
                return Err(BenchError::Args("end-to-end needs a --size of at least 16"));
            }
            if self.connections.get() < 2 {
                return Err(BenchError::Args(
                    "end-to-end needs at least 2 --connections",
                ));
            }
        }
        Ok(())
    }
}
