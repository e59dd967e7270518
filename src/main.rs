//! The `shoalmq` binary: flags in, exit code out.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shoalmq::config::{self, Config, Sources};
use shoalmq::{bench, cli, probe, server, storage_tools};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A job queue that does not lose work, spoken to by any Redis or Disque client.
#[derive(Debug, Parser)]
#[command(name = "shoalmq", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node: `shoalmq server [CONF] [--directive value]...`; `shoalmq server --help` explains every directive.
    #[command(disable_help_flag = true)]
    Server {
        /// A configuration file (`-` reads standard input), then directives as flags.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CONF | --directive value"
        )]
        args: Vec<OsString>,
    },
    /// Talk to a node: one command, or a prompt with history and help.
    Cli(cli::Args),
    /// Measure a node.
    Bench(bench::Args),
    /// Ask a node whether it is well.
    Health(probe::HealthArgs),
    /// Let a node hand over its jobs before it is stopped.
    Drain(probe::DrainArgs),
    /// Look after the job log of a node.
    Storage(storage_tools::Args),
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Server { args } => server(args),
        Command::Cli(args) => run(cli::run(args, cli::of_all_commands())),
        Command::Bench(args) => run(bench::run(args)),
        Command::Health(args) => run(probe::health(args)),
        Command::Drain(args) => run(probe::drain(args)),
        Command::Storage(args) => storage_tools::run(args),
    }
}

/// Runs a client's work to its end.
fn run(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("shoalmq: start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

fn server(args: Vec<OsString>) -> ExitCode {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{}", config::help());
        return ExitCode::SUCCESS;
    }
    let loaded = Sources::from_args(args, std::env::vars_os())
        .and_then(|sources| Ok((Config::load(sources.clone())?, sources)));
    match loaded {
        Ok((loaded, sources)) => server::run(loaded, sources),
        Err(error) => {
            eprintln!("shoalmq: {error}");
            ExitCode::from(2)
        }
    }
}
