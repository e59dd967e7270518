//! `shoalmq storage`: what an operator does with a job log, on the data folder of a stopped node, or with a running one.
//!
//! | command | does | node |
//! |---|---|---|
//! | `check` | counts what is there, finds damage; changes nothing | stopped |
//! | `dump` | prints every record as a line of JSON; changes nothing | stopped |
//! | `convert` | rewrites the log for another backend | stopped |
//! | `backup` | has the node copy its log | running |
//!
//! Results go to the standard output, all else to standard error; a progress bar only to a terminal.

use std::error::Error;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::{Subcommand, ValueEnum};
use shoalmq_core::record::Stream;
use shoalmq_storage::StorageKind;
use shoalmq_storage::backend::sled::panic_is_caught;
use shoalmq_storage::fault::Fault;
use thiserror::Error;

mod backup;
mod census;
mod check;
mod convert;
mod dump;
mod folder;
mod progress;
mod topics;
mod verdict;

/// Look after the job log of a node.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Check the log of a stopped node: what it holds, and whether any of it is damaged. Changes nothing.
    ///
    /// Exit code 0: sound; 1: damaged; 2: there is nothing to check, or it cannot be read.
    Check(check::Args),
    /// Print every record of a stopped node's log as one line of JSON. Changes nothing.
    ///
    /// Exit code 0: all of it was printed; 1: the log is damaged, and what can be read was printed; 2: there is no log,
    /// or it cannot be read.
    Dump(dump::Args),
    /// Rewrite the log of a stopped node for another backend.
    ///
    /// The new log takes its place only once it is complete and was compared; the old one is kept beside it.
    /// Exit code 0: done; 1: the log is damaged, nothing was changed; 2: there is no log, or it cannot be read or written.
    Convert(convert::Args),
    /// Have a running node copy its log into a folder on its machine, while it serves.
    ///
    /// The copy holds everything that was answered before. The folder appears once it is complete.
    /// Exit code 0: done; 1: the node refused, or failed; 2: it cannot be reached.
    Backup(backup::Args),
}

/// Where the log is, and where it is copied to.
#[derive(Debug, Clone, clap::Args)]
struct ReadArgs {
    /// The data folder of the node: its `dir`.
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Where the copy goes that is read, and removed at the end: opening a log can change its files. It takes as much
    /// space as the log; by default it goes to the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

/// The backends that have files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Disk {
    /// The default backend.
    Sled,
    /// Segment files of its own.
    Log,
}

impl Disk {
    const ALL: [Disk; 2] = [Disk::Sled, Disk::Log];

    fn kind(self) -> StorageKind {
        match self {
            Disk::Sled => StorageKind::Sled,
            Disk::Log => StorageKind::Log,
        }
    }

    /// Its name, which is that of its folder of jobs.
    fn name(self) -> &'static str {
        self.folder(Stream::Jobs)
    }

    /// The name of the folder of a stream.
    fn folder(self, stream: Stream) -> &'static str {
        let folder = self.kind().folder(stream);
        folder.expect("both kinds have folders")
    }
}

/// Why a tool cannot do its work.
#[derive(Debug, Error)]
enum ToolError {
    #[error("there is no job log in {}: name the data folder of a node", .0.display())]
    NoLog(PathBuf),
    #[error("{} holds more than one job log ({names}); move away what the node does not use", dir.display())]
    ManyLogs { names: String, dir: PathBuf },
    #[error("a node runs on {}; stop it first", .0.display())]
    Locked(PathBuf),
    #[error("the job log is kept by {0} already")]
    SameKind(&'static str),
    #[error("{} is in the way, and holds something else than the log that is to be converted; move it away", .0.display())]
    InTheWay(PathBuf),
    #[error("what was written to {} is not what was read; nothing was changed", .0.display())]
    Miswritten(PathBuf),
    #[error("{act} {}: {source}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("write to the standard output: {0}")]
    Output(#[source] std::io::Error),
    #[error("{}", describe(.0))]
    Fault(#[from] Fault),
}

impl ToolError {
    fn io(act: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> ToolError {
        let path = path.to_owned();
        move |source| ToolError::Io { act, path, source }
    }
}

/// What a tool found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Sound,
    Damaged,
}

/// Runs a tool to its end.
pub fn run(args: Args) -> ExitCode {
    quiet_panics();
    let (name, done) = match args.command {
        Command::Check(args) => ("check", check::run(&args)),
        Command::Dump(args) => ("dump", dump::run(&args)),
        Command::Convert(args) => ("convert", convert::run(&args)),
        Command::Backup(args) => return backup::run(&args),
    };
    match done {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Damaged) => ExitCode::from(1),
        Err(error) => {
            eprintln!("shoalmq storage {name}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Sled panics on damaged files: where that is caught it becomes a fault, which is told in plain words.
fn quiet_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let of_sled = |name: &str| name.starts_with("sled");
        if !panic_is_caught() && !thread::current().name().is_some_and(of_sled) {
            default(panic);
        }
    }));
}

/// An error with its causes, on one line.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
