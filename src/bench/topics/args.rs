//! The flags of `shoalmq bench topics`.

use super::entries::HEAD_BYTES;
use crate::bench::BenchError;
use crate::cli::NodeArgs;
use clap::{ArgAction, ValueEnum};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

const EXAMPLES: &str = "\
Examples:
  shoalmq bench topics                                            all three phases, one channel, one reader
  shoalmq bench topics --channels 1000 --readers 4                entries of 1000 channels, each read by 4 readers
  shoalmq bench topics --phases publish -c 50 -P 1                50 publishers, one TPUB in flight each
  shoalmq bench topics --phases live -c 1 -P 1 --rate 1000 --read-at 10.0.0.2:7711
                                                                  how long entries take to a reader at another node";

/// Measures how fast a node takes entries of topics, hands them to readers, and reads them again.
#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true, args_override_self = true, after_help = EXAMPLES)]
pub struct TopicsArgs {
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    #[command(flatten)]
    pub(super) node: NodeArgs,

    /// What to measure, in this order
    #[arg(long, value_delimiter = ',', default_value = "publish,live,replay")]
    pub phases: Vec<TopicPhase>,

    /// Connections that publish
    #[arg(short, long, default_value = "16", value_name = "N")]
    pub connections: NonZeroUsize,

    /// TPUBs sent at once on a connection, before their replies are read
    #[arg(short = 'P', long, default_value = "16", value_name = "N")]
    pub pipeline: NonZeroUsize,

    /// Entries published in each of the phases publish and live; replay reads them all
    #[arg(short = 'n', long, default_value = "100000", value_name = "N")]
    pub entries: NonZeroU64,

    /// Bytes of an entry's body, at least 32: its head has the time of day and a number
    #[arg(short, long, default_value_t = 100, value_name = "BYTES")]
    pub size: usize,

    /// Connections that read; each gets every entry
    #[arg(short, long, default_value = "1", value_name = "N")]
    pub readers: NonZeroUsize,

    /// Entries asked for by one TREAD of the phase replay; a page has at most 1 MiB
    #[arg(long, default_value = "1000", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub page: u32,

    /// The channels NAME.0, NAME.1, …; no entries may be in NAME.*. What the run publishes is flushed at its end
    #[arg(long, default_value = "shoalmq-bench", value_name = "NAME", value_parser = name)]
    pub channel: String,

    /// Publish to this many channels in turn
    #[arg(long, default_value = "1", value_name = "N")]
    pub channels: NonZeroUsize,

    /// Copies of an entry, the node's own included [default: as many as a plain TPUB asks for]
    #[arg(long, value_name = "N")]
    pub replicate: Option<NonZeroU32>,

    /// Publish this many entries a second, all connections together [default: as many as the node takes]
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroU32>,

    /// Where the readers connect: another node of the cluster [default: the node that is published to]
    #[arg(long, value_name = "HOST:PORT", value_parser = place)]
    pub(super) read_at: Option<(String, u16)>,

    /// The process of the node that is published to, for its CPU time [default: asked of a node on this machine]
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,

    /// Print a JSON object per phase, on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicPhase {
    /// Publish entries.
    Publish,
    /// Publish entries while readers follow the channels.
    Live,
    /// Read from the first entry on what was published.
    Replay,
}

impl TopicPhase {
    /// The name, as the flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Live => "live",
            Self::Replay => "replay",
        }
    }
}

impl TopicsArgs {
    pub(super) fn check(&self) -> Result<(), BenchError> {
        if self.size < HEAD_BYTES {
            return Err(BenchError::Args(
                "--size is below 32, but the head of a body has 32 bytes: give a larger one",
            ));
        }
        if self.phases.first() == Some(&TopicPhase::Replay) {
            return Err(BenchError::Args(
                "replay reads what the run has published: put publish or live before it in --phases",
            ));
        }
        Ok(())
    }

    /// The node that readers connect to.
    pub(super) fn read_node(&self) -> NodeArgs {
        let mut node = self.node.clone();
        if let Some((host, port)) = &self.read_at {
            (node.host, node.port) = (host.clone(), *port);
        }
        node
    }
}

/// The longest number of a channel, and the point before it.
const NUMBER_BYTES: usize = 21;
/// A name and its number have at most 512 bytes, and the pattern escapes each of them at most once.
const NAME_BYTES: usize = (512 - NUMBER_BYTES) / 2;

fn name(value: &str) -> Result<String, String> {
    if value.is_empty() || value.len() > NAME_BYTES {
        return Err(format!("a name has 1 to {NAME_BYTES} bytes"));
    }
    Ok(value.to_owned())
}

fn place(value: &str) -> Result<(String, u16), String> {
    let form = "give a host and a port: localhost:7711, [::1]:7711";
    let (host, port) = value.rsplit_once(':').ok_or(form)?;
    let port = port.parse().map_err(|_| form)?;
    if host.is_empty() {
        return Err(form.to_owned());
    }
    Ok((host.to_owned(), port))
}
