//! What the server answers itself, and the parsers of those of its commands that concern the whole node.
//!
//! The commands that concern one connection are in `connection` and [`super::client`], COMMAND is in
//! [`super::introspect`].

use std::time::Duration;

use super::args::{self, is};
use super::client::Client;
use super::introspect::Commands;
use super::{ParseError, Parsed, Request};
use shoalmq_resp::Protocol;

/// A command that never reaches the core, its syntax checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin<'a> {
    /// PING: answer PONG, or this text.
    Ping(Option<&'a [u8]>),
    /// ECHO: answer this text.
    Echo(&'a [u8]),
    /// QUIT: answer OK, then close.
    Quit,
    /// SELECT 0: nothing to do, since there is only one database.
    Select,
    /// RESET: unauthenticate, leave MONITOR, speak RESP2, drop the name.
    Reset,
    /// AUTH: give the password.
    Auth(Credentials<'a>),
    /// HELLO without arguments: the nodes of the cluster, in Disque's form.
    Nodes,
    /// HELLO with a protocol: speak it from now on.
    Hello(Hello<'a>),
    /// CLIENT: what is known of connections, and what is done to them.
    Client(Client<'a>),
    /// COMMAND: what is known of commands.
    Commands(Commands<'a>),
    /// INFO: these sections, or the default ones when none is named.
    Info(Vec<&'a [u8]>),
    /// TIME: the wall clock.
    Time,
    /// MONITOR: see every command from now on.
    Monitor,
    /// CONFIG: read and change settings.
    Config(Config<'a>),
    /// SLOWLOG: the commands that took long.
    Slowlog(Slowlog),
    /// LATENCY: the events that took long.
    Latency(Latency<'a>),
    /// DEBUG: for tests.
    Debug(Debug<'a>),
    /// BGREWRITEAOF: rewrite the job log in the background.
    RewriteLog,
    /// BACKUP: copy the job log into this folder, in the background.
    Backup(&'a [u8]),
    /// SHUTDOWN: stop the node.
    Shutdown(Shutdown),
    /// CLUSTER: what is known of nodes, and what is done about them.
    Cluster(Cluster<'a>),
}

/// What a client says to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Who; `None` is the default user.
    pub user: Option<&'a [u8]>,
    /// The password.
    pub password: &'a [u8],
}

/// The arguments of HELLO with a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The version to speak.
    pub protocol: Protocol,
    /// AUTH: checked before anything else is done; without it a client must be authenticated already.
    pub auth: Option<Credentials<'a>>,
    /// SETNAME: a valid client name; empty takes the name away.
    pub name: Option<&'a [u8]>,
}

/// CONFIG and its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Config<'a> {
    /// GET: the parameters that match this glob pattern.
    Get(&'a [u8]),
    /// SET: give a parameter another value.
    Set {
        /// Which parameter, in any case.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// RESETSTAT: set the statistics to zero.
    ResetStat,
    /// REWRITE: write what holds into the configuration file.
    Rewrite,
}

/// SLOWLOG and its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowlog {
    /// GET: at most this many of the newest entries. The client's negative number means all.
    Get(u64),
    /// LEN: how many entries there are.
    Len,
    /// RESET: forget them.
    Reset,
}

/// LATENCY and its subcommands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Latency<'a> {
    /// LATEST: the newest and the worst of every event.
    Latest,
    /// HISTORY: the samples of one event.
    History(&'a [u8]),
    /// RESET: forget these events, or all when there are none.
    Reset(Vec<&'a [u8]>),
    /// GRAPH: the samples of one event, drawn.
    Graph(&'a [u8]),
    /// DOCTOR: advice.
    Doctor,
}

/// DEBUG and its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debug<'a> {
    /// FLUSHALL: forget all jobs and queues of this node.
    FlushAll,
    /// SLEEP: the whole node stands still for this long.
    Sleep(Duration),
    /// ERROR: answer this error line.
    Error(&'a [u8]),
    /// LOADAOF: read the job log again.
    LoadLog,
    /// RESTART: stop cleanly and start again, after this delay.
    Restart(Duration),
    /// CRASH-AND-RECOVER: start again without a clean stop, after this delay.
    CrashAndRecover(Duration),
    /// SEGFAULT, OOM, ASSERT: end the process at once.
    Crash(Crash),
    /// STRUCTSIZE: the sizes of the structures in memory.
    StructSize,
}

/// How DEBUG ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// By touching memory that is not its own.
    Segfault,
    /// By asking for more memory than there is.
    OutOfMemory,
    /// By an assertion that does not hold.
    Assert,
}

/// What SHUTDOWN does to the job log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Leave it as it is.
    KeepLog,
    /// REWRITE-AOF: rewrite it, even if logging is off.
    RewriteLog,
}

/// CLUSTER and its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster<'a> {
    /// MYID: this node's id.
    MyId,
    /// INFO: figures of the cluster.
    Info,
    /// NODES: a line per node.
    Nodes,
    /// LEAVING: whether this node leaves (`None`), or from now on does or does not.
    Leaving(Option<bool>),
    /// RESET: forget all other nodes, and all jobs and queues.
    Reset(Reset),
    /// MEET: join the cluster of this node.
    Meet {
        /// An IP address or a host name.
        host: &'a str,
        /// Its port for clients.
        port: u16,
        /// Its port for other nodes: 10000 more, unless it was named.
        bus: u16,
    },
    /// FORGET: the node with this id, 40 bytes, is no member any more.
    Forget(&'a [u8]),
    /// SAVECONFIG: write what is known of the cluster to disk.
    SaveConfig,
}

/// What CLUSTER RESET does to the node's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Keeps it.
    Soft,
    /// Takes a new one.
    Hard,
}

/// The entries of the slow log that GET returns when it names no number.
const DEFAULT_SLOWLOG_COUNT: u64 = 10;

/// `INFO [section ...]`: a bulk; an unknown section adds nothing to it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the table wants one type of all parsers"
)]
pub(super) fn info<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    Ok(Request::Admin(Admin::Info(args.to_vec())))
}

/// `TIME`: seconds and microseconds, two bulks.
pub(super) fn time<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    alone(args, "time", Admin::Time)
}

/// `MONITOR`: OK, then a simple string per command of any client.
pub(super) fn monitor<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    alone(args, "monitor", Admin::Monitor)
}

/// `BGREWRITEAOF`: a simple string. Refused while one is running.
pub(super) fn rewrite_log<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    alone(args, "bgrewriteaof", Admin::RewriteLog)
}

/// `BACKUP directory`: a simple string; the copy is made in the background. Refused while one is made, without a log on
/// disk, and for a directory that is not an absolute path, not empty, or in no folder.
pub(super) fn backup<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    match args {
        [directory] => Ok(Request::Admin(Admin::Backup(directory))),
        _ => Err(ParseError::WrongArity("backup")),
    }
}

fn alone<'a>(args: &[&'a [u8]], name: &'static str, admin: Admin<'a>) -> Parsed<'a> {
    if args.is_empty() {
        Ok(Request::Admin(admin))
    } else {
        Err(ParseError::WrongArity(name))
    }
}

/// `SHUTDOWN [REWRITE-AOF]`: no answer; the connection just closes. Refused when the node cannot stop without loss.
pub(super) fn shutdown<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let shutdown = match *args {
        [] => Shutdown::KeepLog,
        [word] if is(word, "REWRITE-AOF") => Shutdown::RewriteLog,
        [word] => return Err(ParseError::Near(word, "shutdown")),
        _ => return Err(ParseError::Syntax),
    };
    Ok(Request::Admin(Admin::Shutdown(shutdown)))
}

/// `CONFIG GET pattern | SET name value | RESETSTAT | REWRITE`: a flat array of names and values, or OK.
pub(super) fn config<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[subcommand, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("config"));
    };
    let named = |name| is(subcommand, name);
    let config = match *rest {
        [pattern] if named("GET") => Config::Get(pattern),
        [name, value] if named("SET") => Config::Set { name, value },
        [] if named("RESETSTAT") => Config::ResetStat,
        [] if named("REWRITE") => Config::Rewrite,
        _ if ["GET", "SET", "RESETSTAT", "REWRITE"]
            .into_iter()
            .any(named) =>
        {
            return Err(ParseError::ConfigArity(subcommand));
        }
        _ => return Err(ParseError::ConfigUsage(subcommand)),
    };
    Ok(Request::Admin(Admin::Config(config)))
}

/// `SLOWLOG GET [count] | LEN | RESET`: entries, a number, or OK.
pub(super) fn slowlog<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[subcommand, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("slowlog"));
    };
    let named = |name| is(subcommand, name);
    let slowlog = match *rest {
        [] if named("LEN") => Slowlog::Len,
        [] if named("RESET") => Slowlog::Reset,
        [] if named("GET") => Slowlog::Get(DEFAULT_SLOWLOG_COUNT),
        [count] if named("GET") => {
            Slowlog::Get(u64::try_from(args::any_integer(count)?).unwrap_or(u64::MAX))
        }
        _ => return Err(ParseError::SlowlogUsage(subcommand)),
    };
    Ok(Request::Admin(Admin::Slowlog(slowlog)))
}

/// `LATENCY LATEST | HISTORY event | RESET [event ...] | GRAPH event | DOCTOR`: samples, a number, or a text.
pub(super) fn latency<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[subcommand, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("latency"));
    };
    let named = |name| is(subcommand, name);
    let latency = match *rest {
        [] if named("LATEST") => Latency::Latest,
        [] if named("DOCTOR") => Latency::Doctor,
        [event] if named("HISTORY") => Latency::History(event),
        [event] if named("GRAPH") => Latency::Graph(event),
        ref events if named("RESET") => Latency::Reset(events.to_vec()),
        _ => return Err(ParseError::Near(subcommand, "latency")),
    };
    Ok(Request::Admin(Admin::Latency(latency)))
}

/// `DEBUG subcommand [argument]`: OK, or what was asked for.
pub(super) fn debug<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[subcommand, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("debug"));
    };
    let named = |name| is(subcommand, name);
    let debug = match *rest {
        [] if named("FLUSHALL") => Debug::FlushAll,
        [] if named("LOADAOF") => Debug::LoadLog,
        [] if named("STRUCTSIZE") => Debug::StructSize,
        [] if named("SEGFAULT") => Debug::Crash(Crash::Segfault),
        [] if named("OOM") => Debug::Crash(Crash::OutOfMemory),
        [] if named("ASSERT") => Debug::Crash(Crash::Assert),
        [] if named("RESTART") => Debug::Restart(Duration::ZERO),
        [] if named("CRASH-AND-RECOVER") => Debug::CrashAndRecover(Duration::ZERO),
        [ms] if named("RESTART") => Debug::Restart(delay(ms)?),
        [ms] if named("CRASH-AND-RECOVER") => Debug::CrashAndRecover(delay(ms)?),
        [seconds] if named("SLEEP") => Debug::Sleep(fraction(seconds)?),
        [text] if named("ERROR") => Debug::Error(text),
        _ => return Err(ParseError::DebugUsage(subcommand)),
    };
    Ok(Request::Admin(Admin::Debug(debug)))
}

fn delay(ms: &[u8]) -> Result<Duration, ParseError<'_>> {
    Ok(Duration::from_millis(
        u64::try_from(args::any_integer(ms)?).unwrap_or(0),
    ))
}

/// Seconds with a fraction; what no `Duration` can hold is refused.
fn fraction(seconds: &[u8]) -> Result<Duration, ParseError<'_>> {
    std::str::from_utf8(seconds)
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or(ParseError::NotFloat)
}

#[cfg(test)]
mod tests;
