//! A row per command: name, arity, flags, parser, and what users read of it.

use super::args::is;
use super::manual::{self, Manual};
use super::queue::{FULL, GLOBAL, WITHMETA};
use super::{Failure, ParseError, Parser, ServerError};
use super::{admin, client, cluster, config, connection, introspect, job, queue, topic};
use crate::suggestion;

/// How many commands there are.
pub const COUNT: usize = 64;

/// A command, as the table knows it.
#[derive(Debug)]
pub struct CommandSpec {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Its place in the table.
    pub index: CommandIndex,
    /// How many arguments it takes, its name counted: exactly this number; at least its opposite when negative; any when
    /// 0.
    pub arity: i8,
    /// What must hold before it is run.
    pub flags: Flags,
    /// Reads its arguments, the name left out.
    pub parse: Parser,
    /// What users read of it.
    pub manual: &'static Manual,
}

impl CommandSpec {
    /// Whether this number of arguments, its name counted, can be right.
    #[inline]
    pub fn accepts(&self, arguments: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        arguments == wanted || (self.arity <= 0 && arguments > wanted)
    }
}

/// The place of a command in the table: dense from 0, for arrays of figures per command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandIndex(pub u8);

/// Facts about a command: those that COMMAND tells, and those for the server alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// May change jobs or queues.
    pub const WRITE: Flags = Flags(1);
    /// Refused with OOM while memory is full.
    pub const DENYOOM: Flags = Flags(1 << 1);
    /// For operators.
    pub const ADMIN: Flags = Flags(1 << 2);
    /// Served while the node still reads its log.
    pub const LOADING: Flags = Flags(1 << 3);
    /// Its cost does not grow with what the node holds.
    pub const FAST: Flags = Flags(1 << 4);
    /// Refused with MISCONF while the log cannot be written. Not told by COMMAND.
    pub const MISCONF: Flags = Flags(1 << 5);
    /// Served before AUTH; HELLO only if it carries the password, which the server checks. Not told by COMMAND.
    pub const NO_AUTH: Flags = Flags(1 << 6);
    /// Takes GLOBAL as one more argument than its arity says, at the end. Not told by COMMAND.
    pub const GLOBAL: Flags = Flags(1 << 8);
    /// The same of FULL. Not told by COMMAND.
    pub const FULL: Flags = Flags(1 << 9);
    /// The same of WITHMETA. Not told by COMMAND.
    pub const META: Flags = Flags(1 << 12);
    /// Takes options behind what its arity says, which is Disque's. Not told by COMMAND.
    pub const OPTIONS: Flags = Flags(1 << 13);
    /// Taken on a connection that has subscriptions, in RESP2 too. Not told by COMMAND.
    pub const PUBSUB: Flags = Flags(1 << 10);
    /// Makes subscriptions: what they bring may come at any time. Not told by COMMAND.
    pub const SUBSCRIBES: Flags = Flags(1 << 11);
    /// Neither `write` nor `readonly`.
    const NEITHER: Flags = Flags(1 << 7);
    const NONE: Flags = Flags(0);

    /// Whether all of `flags` are among these.
    #[inline]
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The names that COMMAND tells, in Redis' order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let kind = if self.contains(Flags::WRITE) {
            Some("write")
        } else if self.contains(Flags::NEITHER) {
            None
        } else {
            Some("readonly")
        };
        let rest = [
            (Flags::DENYOOM, "denyoom"),
            (Flags::ADMIN, "admin"),
            (Flags::LOADING, "loading"),
            (Flags::FAST, "fast"),
        ];
        kind.into_iter().chain(
            rest.into_iter()
                .filter_map(move |(flag, name)| self.contains(flag).then_some(name)),
        )
    }

    /// The ACL categories that follow from them, in Redis' order and by its rules.
    pub fn categories(self) -> impl Iterator<Item = &'static str> {
        let fast = self.contains(Flags::FAST);
        let admin = self.contains(Flags::ADMIN);
        let read = !self.contains(Flags::WRITE) && !self.contains(Flags::NEITHER);
        [
            (read, "@read"),
            (self.contains(Flags::WRITE), "@write"),
            (admin, "@admin"),
            (fast, "@fast"),
            (!fast, "@slow"),
            (admin, "@dangerous"),
        ]
        .into_iter()
        .filter_map(|(applies, name)| applies.then_some(name))
    }

    const fn and(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
}

/// Every command, in the order of their names.
pub fn all() -> &'static [CommandSpec; COUNT] {
    &TABLE
}

/// Finds a command by its name, in any case.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    let key = key(name)?;
    KEYS.binary_search(&key).ok().map(|index| &TABLE[index])
}

/// The command that a name is probably a slip of, in capitals.
pub fn closest(name: &[u8]) -> Option<String> {
    let meant = suggestion::closest(name, TABLE.iter().map(|spec| spec.name));
    meant.map(str::to_ascii_uppercase)
}

/// Finds the command that `args` begin with, and checks their number.
pub fn resolve<'a>(args: &[&'a [u8]]) -> Result<&'static CommandSpec, Failure<'a>> {
    let name = args.first().copied().unwrap_or_default();
    let spec = lookup(name).ok_or(ServerError::UnknownCommand(name))?;
    let is_extra = |word: &&&[u8]| {
        spec.flags.contains(Flags::GLOBAL) && is(word, GLOBAL)
            || spec.flags.contains(Flags::FULL) && is(word, FULL)
            || spec.flags.contains(Flags::META) && is(word, WITHMETA)
    };
    let extra = || args.iter().rev().take(2).take_while(is_extra).count();
    let accepts_without = |extra: usize| spec.accepts(args.len() - extra);
    let least = usize::from(spec.arity.unsigned_abs());
    let has_options = spec.flags.contains(Flags::OPTIONS) && args.len() > least;
    if has_options || accepts_without(0) || (1..=extra()).any(accepts_without) {
        Ok(spec)
    } else {
        Err(ParseError::WrongArity(spec.name).into())
    }
}

/// The name as one number, so that comparing two is one step and their order is that of the names.
///
/// All names are letters, at most 16, and in ASCII only letters become lower-case letters by setting bit 5.
const fn key(name: &[u8]) -> Option<u128> {
    const BYTES: usize = size_of::<u128>();
    if name.is_empty() || name.len() > BYTES {
        return None;
    }
    let mut key = 0;
    let mut at = 0;
    while at < name.len() {
        key = key << 8 | (name[at] | 0x20) as u128;
        at += 1;
    }
    Some(key << (8 * (BYTES - name.len())))
}

static KEYS: [u128; COUNT] = keys();

const fn keys() -> [u128; COUNT] {
    let mut keys = [0; COUNT];
    let mut at = 0;
    while at < COUNT {
        keys[at] = key(ROWS[at].name.as_bytes()).expect("a name has 1 to 16 letters");
        assert!(
            at == 0 || keys[at - 1] < keys[at],
            "the rows are in the order of their names"
        );
        at += 1;
    }
    keys
}

static TABLE: [CommandSpec; COUNT] = numbered(ROWS);

const fn numbered(mut rows: [CommandSpec; COUNT]) -> [CommandSpec; COUNT] {
    let mut at = 0;
    while at < COUNT {
        rows[at].index = CommandIndex(at as u8);
        at += 1;
    }
    rows
}

const fn row(
    name: &'static str,
    arity: i8,
    flags: Flags,
    parse: Parser,
    manual: &'static Manual,
) -> CommandSpec {
    CommandSpec {
        name,
        index: CommandIndex(0),
        arity,
        flags,
        parse,
        manual,
    }
}

const READ: Flags = Flags::NONE;
const READ_FAST: Flags = Flags::FAST;
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
/// For commands that make jobs or queue them: they need memory and a log.
const GROW: Flags = WRITE_FAST.and(Flags::DENYOOM).and(Flags::MISCONF);
const ADMIN: Flags = Flags::ADMIN;
const ALWAYS: Flags = Flags::LOADING;
const PUBSUB: Flags = READ_FAST.and(Flags::PUBSUB);
const SUBSCRIBES: Flags = PUBSUB.and(Flags::SUBSCRIBES);
const OPEN: Flags = Flags::LOADING.and(Flags::FAST).and(Flags::NO_AUTH);

// AUTH and HELLO take more arguments than Disque's, which is what their arity says. The parsers know their upper bounds.
#[rustfmt::skip]
const ROWS: [CommandSpec; COUNT] = [
    row("ackjob", -1, WRITE_FAST, job::ack_job, &manual::ACKJOB),
    row("addjob", -4, GROW, job::add_job, &manual::ADDJOB),
    row("auth", -2, OPEN, connection::auth, &manual::AUTH),
    row("backup", 2, ADMIN, admin::backup, &manual::BACKUP),
    row("bgrewriteaof", 1, ADMIN, admin::rewrite_log, &manual::BGREWRITEAOF),
    row("client", -2, ADMIN, client::client, &manual::CLIENT),
    row("cluster", -2, ADMIN, cluster::cluster, &manual::CLUSTER),
    row("command", 0, ALWAYS, introspect::command, &manual::COMMAND),
    row("config", -2, ADMIN, admin::config, &manual::CONFIG),
    row("debug", -2, ADMIN.and(Flags::NEITHER), admin::debug, &manual::DEBUG),
    row("deljob", -1, WRITE_FAST, job::del_job, &manual::DELJOB),
    row("dequeue", -1, WRITE_FAST, job::dequeue, &manual::DEQUEUE),
    row("echo", 2, READ_FAST, connection::echo, &manual::ECHO),
    row("enqueue", -1, GROW, job::enqueue, &manual::ENQUEUE),
    row("explain", 2, READ, job::explain, &manual::EXPLAIN),
    row("fastack", -1, WRITE_FAST, job::fast_ack, &manual::FASTACK),
    row("getjob", -2, WRITE_FAST, job::get_job, &manual::GETJOB),
    row("hello", -1, READ_FAST.and(Flags::NO_AUTH), connection::hello, &manual::HELLO),
    row("info", -1, ALWAYS, admin::info, &manual::INFO),
    row("jscan", -1, READ, queue::job_scan, &manual::JSCAN),
    row("latency", -2, ADMIN.and(Flags::LOADING), admin::latency, &manual::LATENCY),
    row("loadjob", 2, Flags::WRITE, job::load_job, &manual::LOADJOB),
    row("monitor", 1, ADMIN, admin::monitor, &manual::MONITOR),
    row("nack", -1, GROW, job::nack, &manual::NACK),
    row("pause", -3, READ_FAST, queue::pause, &manual::PAUSE),
    row("ping", -1, PUBSUB, connection::ping, &manual::PING),
    row("promote", -2, WRITE_FAST, job::promote, &manual::PROMOTE),
    row("psubscribe", -2, SUBSCRIBES, topic::pattern_subscribe, &manual::PSUBSCRIBE),
    row("publish", 3, GROW, topic::publish_unwatched, &manual::PUBLISH),
    row("pubsub", -2, READ_FAST, topic::pubsub, &manual::PUBSUB),
    row("punsubscribe", -1, PUBSUB, topic::pattern_unsubscribe, &manual::PUNSUBSCRIBE),
    row("qconfig", -1, Flags::WRITE, config::config, &manual::QCONFIG),
    row("qlen", 2, READ_FAST.and(Flags::GLOBAL), queue::length, &manual::QLEN),
    row("qlist", -1, READ, queue::list, &manual::QLIST),
    row("qpeek", 3, READ.and(Flags::GLOBAL).and(Flags::META), queue::peek, &manual::QPEEK),
    row("qpurge", 2, Flags::WRITE, queue::purge, &manual::QPURGE),
    row("qscan", -1, READ, queue::queue_scan, &manual::QSCAN),
    row("qstat", 2, READ_FAST.and(Flags::GLOBAL).and(Flags::FULL), queue::stat, &manual::QSTAT),
    row("quit", -1, OPEN.and(Flags::PUBSUB), connection::quit, &manual::QUIT),
    row("redrive", -2, GROW, queue::redrive, &manual::REDRIVE),
    row("reset", 1, OPEN.and(Flags::PUBSUB), connection::reset, &manual::RESET),
    row("select", 2, READ_FAST.and(Flags::LOADING), connection::select, &manual::SELECT),
    row("show", 2, READ_FAST, job::show, &manual::SHOW),
    row("shutdown", -1, ADMIN.and(Flags::LOADING), admin::shutdown, &manual::SHUTDOWN),
    row("slowlog", -2, READ, admin::slowlog, &manual::SLOWLOG),
    row("subscribe", -2, SUBSCRIBES, topic::subscribe, &manual::SUBSCRIBE),
    row("tbind", -3, Flags::WRITE, topic::bind, &manual::TBIND),
    row("tbindings", 1, READ, topic::bindings, &manual::TBINDINGS),
    row("tcommit", 3, Flags::WRITE.and(Flags::PUBSUB), topic::commit, &manual::TCOMMIT),
    row("tcursor", -1, Flags::WRITE, topic::cursor, &manual::TCURSOR),
    row("tflush", 4, Flags::WRITE, topic::flush, &manual::TFLUSH),
    row("time", 1, READ_FAST, admin::time, &manual::TIME),
    row("tlen", 2, READ_FAST, topic::length, &manual::TLEN),
    row("tpub", -3, GROW, topic::publish, &manual::TPUB),
    row("tread", -1, READ, topic::read, &manual::TREAD),
    row("tretain", -1, Flags::WRITE, topic::retain, &manual::TRETAIN),
    row("tscan", -2, READ, topic::scan, &manual::TSCAN),
    row("tstat", 2, READ_FAST, topic::stat, &manual::TSTAT),
    row("tsub", -1, SUBSCRIBES, topic::follow, &manual::TSUB),
    row("tunbind", 3, Flags::WRITE, topic::unbind, &manual::TUNBIND),
    row("tunsub", -1, PUBSUB, topic::unfollow, &manual::TUNSUB),
    row("unsubscribe", -1, PUBSUB, topic::unsubscribe, &manual::UNSUBSCRIBE),
    row("waitjob", -2, READ, job::wait_job, &manual::WAITJOB),
    row("working", 2, WRITE_FAST.and(Flags::OPTIONS), job::working, &manual::WORKING),
];

#[cfg(test)]
mod tests;
