//! `shoalmq cli`: commands to a node, one from the shell's command line or many at a prompt.
//!
//! It reads and feels like redis-cli: replies are numbered and quoted for eyes at a terminal, and left
//! raw for programs. A command is never repeated by itself, because nobody can tell whether one whose
//! connection broke was carried out.

mod date;
mod explained;
mod format;
mod help;
mod node;
mod prompt;
mod publish;
mod session;
mod table;
mod tail;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;
use thiserror::Error;

use shoalmq_client::ConnectionError;
use shoalmq_resp::Frame;

pub use help::{CommandHelp, of_all_commands};
pub(crate) use node::{LoginArgs, NodeArgs};

use format::{Format, Shape};
use help::Catalogue;
use session::{Session, Target};

/// What the CLI does beside sending commands.
const OWN: &str = "\
Queues:
  queues [QLIST options]          the queues of the cluster as a table: MATCH GLOB,
                                  SORT name|ready|age, COUNT N, LOCAL; with -r -1 -i 2
                                  again every 2 seconds
  explain ID                      where a job is, why it is not being delivered, and what
                                  happened to it

Topics:
  tail PATTERN... [--from START]  print entries as they come, until Ctrl-C; START is a
                                  cursor, an id, unix milliseconds, 0 or $ (the default)
  publish CHANNEL BODY|- [TPUB options]
                                  publish BODY, or each line of the standard input, and
                                  print the ids; PUBLISH in capitals is sent as it is";

/// Talk to a node, as redis-cli does: one command, or a prompt without one.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_flag = true, after_help = OWN)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// Speak RESP3.
    #[arg(short = '3')]
    resp3: bool,
    /// Print replies raw, as is done anyway when the output is no terminal.
    #[arg(long, conflicts_with_all = ["no_raw", "json"])]
    raw: bool,
    /// Print replies for people, even when the output is no terminal.
    #[arg(long, conflicts_with = "json")]
    no_raw: bool,
    /// Print replies as JSON, one line each.
    #[arg(long)]
    json: bool,
    /// Append the standard input to the command, as its last argument.
    #[arg(short = 'x', requires = "command")]
    stdin: bool,
    /// Run the command this many times; -1 is for ever.
    #[arg(
        short = 'r',
        default_value_t = 1,
        allow_negative_numbers = true,
        value_name = "TIMES"
    )]
    repeat: i64,
    /// Seconds to wait between repetitions.
    #[arg(short = 'i', default_value = "0", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Why the CLI cannot go on.
#[derive(Debug, Error)]
enum CliError {
    /// The node is not there, or no longer.
    #[error(transparent)]
    Node(#[from] ConnectionError),
    /// The terminal, or the standard input or output, failed.
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Runs the CLI to its end. `commands` is what the prompt helps with.
///
/// Fails when the node cannot be reached, or answers an error to a command that was not typed at the
/// prompt.
pub async fn run(args: Args, commands: Vec<CommandHelp>) -> ExitCode {
    if args
        .command
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case("help"))
    {
        let about: Vec<_> = args.command[1..]
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        println!("{}", Catalogue::new(commands).help(&about.join(" ")));
        return ExitCode::SUCCESS;
    }
    let own = args.command.first().and_then(|word| word.to_str());
    let done = match (own, io::stdin().is_terminal()) {
        (Some("tail"), _) => tail::run(args).await,
        (Some("publish"), _) => publish::run(args).await,
        (Some("queues"), _) => once(args.with_command("QLIST")).await,
        (Some("explain"), _) => once(args.with_command("EXPLAIN")).await,
        _ if !args.command.is_empty() => once(args).await,
        (_, true) => prompt::run(args.format(), Session::new(args.target()), commands).await,
        (_, false) => lines(args).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shoalmq cli: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn target(&self) -> Target {
        self.node.target(self.resp3)
    }

    /// The same with this command, and the options that were given.
    fn with_command(mut self, command: &str) -> Self {
        self.command[0] = command.into();
        self
    }

    fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else if self.raw || !(self.no_raw || io::stdout().is_terminal()) {
            Format::Raw
        } else {
            Format::Human
        }
    }
}

/// Runs the command of the command line, as often as it was asked for.
async fn once(args: Args) -> Result<ExitCode, CliError> {
    let format = args.format();
    let mut session = Session::new(args.target());
    let mut words: Vec<Vec<u8>> = args.command.into_iter().map(OsString::into_vec).collect();
    if args.stdin {
        let mut last = Vec::new();
        io::stdin().read_to_end(&mut last)?;
        words.push(last);
    }
    let mut round = 0;
    while args.repeat < 0 || round < args.repeat {
        if round > 0 {
            tokio::time::sleep(args.interval).await;
        }
        round += 1;
        if !perform(&mut session, &words, format).await? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the commands that come line by line from a program or a file.
async fn lines(args: Args) -> Result<ExitCode, CliError> {
    let format = args.format();
    let mut session = Session::new(args.target());
    let mut code = ExitCode::SUCCESS;
    for line in io::stdin().lines() {
        let done = match session::split(line?.as_bytes()) {
            Ok(words) if words.is_empty() => true,
            Ok(words) => perform(&mut session, &words, format).await?,
            Err(error) => {
                eprintln!("shoalmq cli: {error}");
                false
            }
        };
        if !done {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Runs one command and prints its reply; `false` if that is an error.
async fn perform(
    session: &mut Session,
    words: &[Vec<u8>],
    format: Format,
) -> Result<bool, CliError> {
    let Some(reply) = session.execute(words).await? else {
        return Ok(true);
    };
    if reply.as_error().is_some() {
        let text = format::render(&reply, Shape::Plain, format);
        eprintln!("{}", String::from_utf8_lossy(&text));
        return Ok(false);
    }
    print(&reply, Shape::of(words), format)?;
    if session::is_monitor(words) {
        watch(session, format).await?;
    }
    Ok(true)
}

/// Prints what a monitoring connection is sent, until it breaks or the caller drops this.
async fn watch(session: &mut Session, format: Format) -> Result<(), CliError> {
    loop {
        print(&session.receive().await?, Shape::Plain, format)?;
    }
}

fn print(reply: &Frame, shape: Shape, format: Format) -> io::Result<()> {
    let mut text = format::render(reply, shape, format);
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&text)?;
    stdout.flush()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
