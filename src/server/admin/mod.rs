//! What the server answers itself: the core never hears of these commands.

#![expect(
    clippy::unnecessary_wraps,
    reason = "the arms of one match have one type, whether or not they can refuse"
)]

mod auth;
mod client;
mod cluster;
pub(super) mod config;
mod debug;
mod info;
mod latency;
pub(super) mod monitor;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::clients::{Execution, Outcome};
use super::clock;
use super::driver::Stop;
use crate::command::admin::{Admin, Shutdown};
use crate::command::{Failure, ServerError, introspect};
use crate::server::persistence::NoBackup;
use shoalmq_resp::encode;

/// What an admin command comes to: its reply is written, or it is refused.
type Answer = Result<(), Failure<'static>>;

/// Runs one admin command, and writes its reply.
pub(super) fn run(execution: &mut Execution<'_>, command: &Admin<'_>) -> Outcome {
    let answer = match command {
        Admin::Quit => {
            encode::simple(execution.out, b"OK");
            return Outcome::Close;
        }
        Admin::Shutdown(how) => return shutdown(execution, *how),
        Admin::Debug(debug) => return debug::run(execution, debug),
        Admin::Client(client) => return client::run(execution, client),
        Admin::Cluster(command) => return cluster::run(execution, command),
        Admin::Ping(text) if execution.session.is_subscribed() => {
            encode::array(execution.out, 2);
            encode::bulk(execution.out, b"pong");
            encode::bulk(execution.out, text.unwrap_or_default());
            Ok(())
        }
        Admin::Ping(None) => {
            encode::simple(execution.out, b"PONG");
            Ok(())
        }
        Admin::Ping(Some(text)) | Admin::Echo(text) => {
            encode::bulk(execution.out, text);
            Ok(())
        }
        Admin::Select => ok(execution),
        Admin::Reset => auth::reset(execution),
        Admin::Auth(credentials) => auth::auth(execution, credentials),
        Admin::Nodes => cluster::hello_nodes(execution),
        Admin::Hello(hello) => auth::hello(execution, hello),
        Admin::Commands(commands) => {
            introspect::encode(commands, execution.session.protocol, execution.out);
            Ok(())
        }
        Admin::Info(sections) => info::info(execution, sections),
        Admin::Time => time(execution),
        Admin::Monitor => monitor::start(execution),
        Admin::Config(command) => config::run(execution, command),
        Admin::Slowlog(command) => latency::slowlog(execution, *command),
        Admin::Latency(command) => latency::latency(execution, command),
        Admin::RewriteLog => rewrite_log(execution),
        Admin::Backup(directory) => backup(execution, directory),
    };
    if let Err(failure) = answer {
        failure.encode(execution.out);
    }
    Outcome::Done
}

fn ok(execution: &mut Execution<'_>) -> Answer {
    encode::simple(execution.out, b"OK");
    Ok(())
}

fn time(execution: &mut Execution<'_>) -> Answer {
    let now = clock::since_epoch();
    encode::array(execution.out, 2);
    encode::bulk_integer(execution.out, now.as_secs());
    encode::bulk_integer(execution.out, u64::from(now.subsec_micros()));
    Ok(())
}

fn rewrite_log(execution: &mut Execution<'_>) -> Answer {
    if !execution.driver.rewrite_log() {
        return Err(ServerError::RewriteInProgress.into());
    }
    encode::simple(
        execution.out,
        b"Background append only file rewriting started",
    );
    Ok(())
}

fn backup(execution: &mut Execution<'_>, directory: &[u8]) -> Answer {
    let path = Path::new(OsStr::from_bytes(directory));
    let (shared, usable) = (execution.shared, execution.usable);
    match execution.driver.start_backup(shared, path, usable) {
        Ok(()) => {
            encode::simple(execution.out, b"Background backup started");
            Ok(())
        }
        Err(NoBackup::Running) => Err(ServerError::BackupInProgress.into()),
        Err(NoBackup::NoLog) => Err(ServerError::NoLog.into()),
        Err(NoBackup::Directory(reason)) => Err(ServerError::BackupDirectory(reason).into()),
    }
}

/// No answer: the connection just closes once the node has stopped.
fn shutdown(execution: &mut Execution<'_>, how: Shutdown) -> Outcome {
    if how == Shutdown::RewriteLog
        && let Err(reason) = execution.driver.write_whole_log(execution.shared)
    {
        tracing::error!(reason, "SHUTDOWN REWRITE-AOF");
        Failure::from(ServerError::CannotShutDown).encode(execution.out);
        return Outcome::Done;
    }
    tracing::info!(client = execution.session.id.0, "SHUTDOWN");
    execution.shared.stop.send_replace(Some(Stop::Exit));
    Outcome::Silent
}
