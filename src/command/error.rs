//! The one place where an error becomes a RESP error: the texts are protocol, clients compare them.
//!
//! What is wrong with the protocol itself is told by `resp`. Three kinds meet here: what a parser finds ([`ParseError`]), what the core refuses ([`Refusal`]), and what the
//! server says of itself ([`ServerError`]). Each text is written once, in a `match` that names every variant.

use shoalmq_core::command::Refusal;
use shoalmq_core::meta;
use shoalmq_core::policy::Policy;
use shoalmq_core::topic::Misread;

use super::topic::TopicError;
use super::{REDACTED, table};
use shoalmq_resp::encode;

mod advice;
mod topic;

use advice::{advice, did_you_mean};

/// Of each name or word of a client at most this many bytes are repeated in an error.
const QUOTED_MAX: usize = 128;
/// No error line is longer.
const LINE_MAX: usize = 1024;

/// What is wrong with the arguments of a command. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError<'a> {
    /// A word too many.
    Syntax,
    /// This word is no option or subcommand of this command, or a subcommand with the wrong arguments.
    Near(&'a [u8], &'static str),
    /// This option stands last, without its value.
    NoValue(&'a [u8]),
    /// GETJOB: FROM and its queues are missing.
    NoQueue,
    /// Too few or too many arguments for this command.
    WrongArity(&'static str),
    /// Not the form of a job id.
    InvalidJobId,
    /// ADDJOB: REPLICATE is not a number from 1 to 65535.
    Replicate,
    /// ADDJOB: TTL is not a number above 0.
    Ttl,
    /// ADDJOB: RETRY is not a number, or negative.
    Retry,
    /// ADDJOB: DELAY is not a number, or negative.
    Delay,
    /// ADDJOB: MAXLEN is not a number above 0.
    MaxLen,
    /// ADDJOB: PRIORITY is not a number from 0 to 255.
    Priority,
    /// ADDJOB: MAXDELIVER is not a number from 1 to 65535.
    MaxDeliver,
    /// ADDJOB: DEAD is no other queue.
    Dead,
    /// ADDJOB: BACKOFF is out of its bounds.
    Backoff,
    /// QCONFIG: the same, and as one word.
    BackoffPolicy,
    /// QCONFIG: dead-ttl is not a number above 0.
    DeadTtl,
    /// KEEP is not a number of seconds up to a week.
    Keep,
    /// ADDJOB: the key of DEDUP is empty or too long.
    DedupKey,
    /// ADDJOB: WINDOW is no number of seconds.
    Window,
    /// ADDJOB: WINDOW without DEDUP.
    WindowAlone,
    /// WORKING: PROGRESS is too long.
    Progress,
    /// WAITJOB: too many ids.
    TooManyIds,
    /// NACK: DEAD with DELAY or TO.
    DeadExcludes,
    /// ADDJOB: META is too much, or has a name of ours.
    Meta(meta::Refused),
    /// A command on topics.
    Topic(TopicError<'a>),
    /// QCONFIG: there is no policy of this name.
    UnknownPolicy(&'a [u8]),
    /// QCONFIG: this policy is either yes or no.
    PolicyYesNo(Policy),
    /// QCONFIG: this policy is set on a prefix, and cannot be.
    PolicyOfQueue(Policy),
    /// GETJOB: COUNT is not a number above 0.
    Count,
    /// A timeout is not a number.
    TimeoutNotInteger,
    /// A timeout is negative.
    TimeoutNegative,
    /// A number was expected.
    NotInteger,
    /// A number, with a fraction or not, was expected.
    NotFloat,
    /// This word is neither a cursor nor an option of this scan, or an option without its value.
    CursorOrOption(&'a [u8], &'static str),
    /// JSCAN: no such job state.
    JobState,
    /// QLIST: no such order.
    ListOrder,
    /// JSCAN: REPLY is neither `id` nor `all`.
    ScanReply,
    /// LOADJOB: never for clients.
    LoadJob,
    /// CLUSTER: no such subcommand, or its arguments are too few or too many.
    ClusterUsage(&'a [u8]),
    /// CLUSTER LEAVING: neither `yes` nor `no`.
    LeavingAnswer,
    /// CLUSTER MEET: the port is not a number.
    MeetPort(&'a [u8]),
    /// CLUSTER MEET: this host and port cannot be a node's.
    MeetAddress(&'a [u8], &'a [u8]),
    /// CLUSTER FORGET: not the length of a node id.
    NodeId,
    /// COMMAND: no such subcommand.
    CommandUsage(&'a [u8]),
    /// COMMAND GETKEYS: no such command.
    KeysOfUnknown,
    /// COMMAND GETKEYS: no command has keys.
    NoKeys,
    /// CONFIG: arguments too few or too many for this subcommand, named as the client did.
    ConfigArity(&'a [u8]),
    /// CONFIG: no such subcommand.
    ConfigUsage(&'a [u8]),
    /// CLIENT: no such subcommand, or its arguments are too few or too many.
    ClientUsage(&'a [u8]),
    /// A client name with a space or a special character.
    ClientName,
    /// CLIENT KILL: no such type of clients.
    ClientType(&'a [u8]),
    /// SLOWLOG: no such subcommand, or its arguments are too few or too many.
    SlowlogUsage(&'a [u8]),
    /// DEBUG: no such subcommand, or its arguments are too few or too many.
    DebugUsage(&'a [u8]),
    /// HELLO: neither RESP2 nor RESP3.
    ProtocolVersion,
    /// SELECT: there is only database 0.
    DatabaseIndex,
}

/// What the server answers instead of running a command, or when an admin command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerError<'a> {
    /// No such command; its name as the client wrote it.
    UnknownCommand(&'a [u8]),
    /// A password is set, and the client has not given it.
    NotAuthenticated,
    /// AUTH with a password alone: there is none.
    NoPasswordSet,
    /// AUTH, HELLO: not the password, or another user than `default`.
    WrongPassword,
    /// Memory is full, and the command would need more.
    OutOfMemory,
    /// The job log cannot be written, for this reason; adds are refused until it can.
    LogUnwritable(&'a str),
    /// The disk has only its reserve left, as this says; adds are refused until there is more.
    DiskShort(&'a str),
    /// This node keeps no topics; the addresses of nodes that do, separated by commas.
    NoTopics(&'a str),
    /// The node still reads its log.
    Loading,
    /// Protected mode: the client is not on this host, and there is no password.
    Protected,
    /// The connection has subscriptions, and its protocol allows no such command beside them.
    Subscribed(&'static str),
    /// `maxclients` are connected.
    TooManyClients,
    /// CLUSTER FORGET: no node has this id.
    UnknownNode(&'a [u8]),
    /// CLUSTER FORGET: that is this node.
    ForgetSelf,
    /// CONFIG SET: no such parameter, or not one to be set at run time.
    ConfigUnsupported {
        /// Which parameter.
        name: &'a [u8],
        /// What to do instead.
        advice: &'a str,
    },
    /// CONFIG SET: this parameter cannot have this value.
    ConfigValue {
        /// Which parameter.
        name: &'a [u8],
        /// The refused value; `None` if it must not be shown.
        value: Option<&'a [u8]>,
        /// The values that it can have, in words.
        allowed: &'a str,
    },
    /// CLUSTER MEET: this name has no address, for this reason.
    MeetName {
        /// The name.
        host: &'a str,
        /// The port, as the client gave it.
        port: u16,
        /// Why.
        reason: &'a str,
    },
    /// CONFIG SET dir: the folder cannot be entered, for this reason.
    ConfigFolder(&'a str),
    /// CONFIG REWRITE: the node was started without a file.
    NoConfigFile,
    /// CONFIG REWRITE: the file cannot be written, for this reason.
    ConfigRewrite(&'a str),
    /// CLIENT KILL: nobody has this address.
    NoSuchClient,
    /// LATENCY GRAPH: no samples of this event.
    NoSamples(&'a [u8]),
    /// BGREWRITEAOF: one is running.
    RewriteInProgress,
    /// BACKUP: one is being made.
    BackupInProgress,
    /// BACKUP: nothing is on disk.
    NoLog,
    /// BACKUP: this directory cannot be used, for this reason.
    BackupDirectory(&'a str),
    /// DEBUG LOADAOF: the log cannot be read.
    LogUnreadable,
    /// SHUTDOWN: the node cannot stop without loss.
    CannotShutDown,
    /// DEBUG ERROR: the very text that the client asked for.
    Verbatim(&'a [u8]),
}

/// Any of the reasons why a command is answered by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<'a> {
    /// Its arguments are wrong.
    Parse(ParseError<'a>),
    /// The core refuses it.
    Refused(Refusal),
    /// The server refuses it, or failed.
    Server(ServerError<'a>),
}

impl<'a> From<ParseError<'a>> for Failure<'a> {
    fn from(error: ParseError<'a>) -> Self {
        Failure::Parse(error)
    }
}

impl From<Refusal> for Failure<'_> {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl<'a> From<ServerError<'a>> for Failure<'a> {
    fn from(error: ServerError<'a>) -> Self {
        Failure::Server(error)
    }
}

/// Appends the error for a reader of a name that wants other patterns than the name has.
pub(super) fn encode_misread(misread: &Misread, out: &mut Vec<u8>) {
    let mut line = Vec::with_capacity(128);
    topic::write_misread(misread, &mut line);
    encode::error(out, &line);
}

impl Failure<'_> {
    /// Appends the error as RESP, the same in both versions of the protocol.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut line = Vec::with_capacity(128);
        self.write_line(&mut line);
        encode::error(out, &line);
    }

    /// The error line without its `-` and line end; bytes that are not UTF-8 are replaced.
    pub fn line(&self) -> String {
        let mut line = Vec::new();
        self.write_line(&mut line);
        String::from_utf8_lossy(&line).into_owned()
    }

    fn write_line(&self, line: &mut Vec<u8>) {
        match self {
            Failure::Parse(error) => write_parse_error(error, line),
            Failure::Refused(refusal) => write_refusal(*refusal, line),
            Failure::Server(error) => write_server_error(error, line),
        }
    }
}

fn join(line: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        let room = LINE_MAX.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// What an error repeats of a client's word: its start, without control characters, which could steer a terminal.
fn shown(word: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    for chunk in word[..word.len().min(QUOTED_MAX)].utf8_chunks() {
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let valid: String = chunk.valid().chars().map(visible).collect();
        shown.extend_from_slice(valid.as_bytes());
        shown.extend_from_slice(chunk.invalid());
    }
    if word.len() > QUOTED_MAX {
        shown.extend_from_slice(b"...");
    }
    shown
}

#[expect(clippy::too_many_lines, reason = "one arm an error")]
fn write_parse_error(error: &ParseError<'_>, line: &mut Vec<u8>) {
    let parts: &[&[u8]] = match *error {
        ParseError::Syntax => &[b"ERR syntax error"],
        ParseError::Near(word, command) => &[
            b"ERR syntax error near '",
            &shown(word),
            b"'",
            &advice(word, command, ": "),
        ],
        ParseError::NoValue(option) => &[
            b"ERR syntax error near '",
            &shown(option),
            b"': its value is missing",
        ],
        ParseError::NoQueue => &[b"ERR syntax error: FROM and a queue are missing"],
        ParseError::WrongArity(name) => &[
            b"ERR wrong number of arguments for '",
            name.as_bytes(),
            b"' command",
        ],
        ParseError::InvalidJobId => &[b"BADID Invalid Job ID format."],
        ParseError::Replicate => &[b"ERR REPLICATE must be between 1 and 65535"],
        ParseError::Ttl => &[b"ERR TTL must be a number > 0"],
        ParseError::Retry => &[b"ERR RETRY time must be a non negative number"],
        ParseError::Delay => &[b"ERR DELAY time must be a non negative number"],
        ParseError::MaxLen => &[b"ERR MAXLEN must be a positive number"],
        ParseError::Priority => &[b"ERR PRIORITY must be between 0 and 255"],
        ParseError::MaxDeliver => &[b"ERR MAXDELIVER must be between 1 and 65535"],
        ParseError::Dead => &[b"ERR DEAD must name another queue"],
        ParseError::Backoff => {
            &[b"ERR BACKOFF needs base and max between 1 and 604800 seconds, base not above max"]
        }
        ParseError::BackoffPolicy => &[
            b"ERR BACKOFF needs base and max between 1 and 604800 seconds, base not above max: \
              write base:max",
        ],
        ParseError::DeadTtl => &[b"ERR dead-ttl must be a number > 0"],
        ParseError::Keep => &[b"ERR KEEP must be between 1 and 604800"],
        ParseError::DedupKey => &[b"ERR DEDUP keys have 1 to 256 bytes"],
        ParseError::Window => &[b"ERR WINDOW must be a non negative number"],
        ParseError::WindowAlone => &[b"ERR WINDOW needs DEDUP"],
        ParseError::Progress => &[b"ERR PROGRESS has at most 1024 bytes"],
        ParseError::TooManyIds => &[b"ERR WAITJOB takes at most 1000 ids"],
        ParseError::DeadExcludes => &[b"ERR DEAD excludes DELAY and TO"],
        ParseError::Meta(meta::Refused::TooMuch) => {
            &[b"ERR META takes at most 16 pairs of 4096 bytes in all"]
        }
        ParseError::Meta(meta::Refused::Reserved) => {
            &[b"ERR META names must not begin with 'shoal.'"]
        }
        ParseError::Topic(error) => return topic::write_parse_error(&error, line),
        ParseError::UnknownPolicy(name) => &[
            b"ERR unknown policy '",
            &shown(name),
            b"': one of ",
            &Policy::ALL.map(Policy::name).join(", ").into_bytes(),
        ],
        ParseError::PolicyYesNo(policy) => {
            &[b"ERR ", policy.name().as_bytes(), b" must be yes or no"]
        }
        ParseError::PolicyOfQueue(policy) => &[
            b"ERR ",
            policy.name().as_bytes(),
            b" takes the name of a queue, not a prefix",
        ],
        ParseError::Count => &[b"ERR COUNT must be a number greater than zero"],
        ParseError::TimeoutNotInteger => &[b"ERR timeout is not an integer or out of range"],
        ParseError::TimeoutNegative => &[b"ERR timeout is negative"],
        ParseError::NotInteger => &[b"ERR value is not an integer or out of range"],
        ParseError::NotFloat => &[b"ERR value is not a valid float"],
        ParseError::CursorOrOption(word, scan) => &[
            b"ERR invalid cursor or option name near '",
            &shown(word),
            b"'",
            &advice(word, scan, ": "),
        ],
        ParseError::JobState => {
            &[b"ERR Invalid job state name, try wait-repl, active, queued or acked"]
        }
        ParseError::ListOrder => &[b"ERR SORT must be name, ready or age"],
        ParseError::ScanReply => &[b"ERR Invalid REPLY type, try ID or ALL"],
        ParseError::LoadJob => &[b"ERR LOADJOB is a special command only processed from AOF"],
        ParseError::ClusterUsage(subcommand) => &[
            b"ERR Wrong CLUSTER subcommand or number of arguments",
            &advice(subcommand, "cluster", ": "),
        ],
        ParseError::LeavingAnswer => {
            &[b"ERR Wrong argument for CLUSTER LEAVING. Use 'yes' or 'no'"]
        }
        ParseError::MeetPort(port) => &[b"ERR Invalid TCP port specified: ", &shown(port)],
        ParseError::MeetAddress(host, port) => &[
            b"ERR Invalid node address specified: ",
            &shown(host),
            b":",
            &shown(port),
        ],
        ParseError::NodeId => &[b"ERR Invalid node identifier"],
        ParseError::CommandUsage(subcommand) => &[
            b"ERR Unknown subcommand or wrong number of arguments.",
            &advice(subcommand, "command", " "),
        ],
        ParseError::KeysOfUnknown => &[b"ERR Invalid command specified"],
        ParseError::NoKeys => &[b"ERR The command has no key arguments"],
        ParseError::ConfigArity(subcommand) => &[
            b"ERR Wrong number of arguments for CONFIG ",
            &shown(subcommand),
            &advice(subcommand, "config", ": "),
        ],
        ParseError::ConfigUsage(subcommand) => &[
            b"ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE",
            &advice(subcommand, "config", ": "),
        ],
        ParseError::ClientUsage(subcommand) => &[
            b"ERR Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | \
               SETNAME connection-name)",
            &advice(subcommand, "client", ": "),
        ],
        ParseError::ClientName => &[b"ERR Client names cannot contain spaces, newlines or \
               special characters."],
        ParseError::ClientType(name) => &[b"ERR Unknown client type '", &shown(name), b"'"],
        ParseError::SlowlogUsage(subcommand) => &[
            b"ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN.",
            &advice(subcommand, "slowlog", " "),
        ],
        ParseError::DebugUsage(subcommand) => &[
            b"ERR Unknown DEBUG subcommand or wrong number of arguments for '",
            &shown(subcommand),
            b"'",
            &advice(subcommand, "debug", ": "),
        ],
        ParseError::ProtocolVersion => &[b"NOPROTO unsupported protocol version"],
        ParseError::DatabaseIndex => &[b"ERR DB index is out of range"],
    };
    join(line, parts);
}

fn write_refusal(refusal: Refusal, line: &mut Vec<u8>) {
    line.extend_from_slice(refusal_line(refusal).as_bytes());
    if let Refusal::ByPolicy(_, policies) = refusal {
        line.extend_from_slice(format!(" (QCONFIG: {policies})").as_bytes());
    }
    if let Refusal::ResultTooLarge(most) = refusal {
        line.extend_from_slice(format!(" ({most})").as_bytes());
    }
    if let Refusal::Topic(refusal) = refusal {
        topic::write_figures(refusal, line);
    }
}

fn refusal_line(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::ByPolicy(refusal, _) => refusal_line(*refusal),
        // Two spaces: so Disque says it, and clients compare it.
        Refusal::RetryZeroNeedsOneReplica => {
            "ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)"
        }
        Refusal::DelayBeyondTtl => {
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered"
        }
        Refusal::TooFewNodes => {
            "NOREPL Not enough reachable nodes for the requested replication level"
        }
        Refusal::TooFewNodesLeaving => {
            "NOREPL Not enough reachable nodes for the requested replication level, since I'm unable \
             to hold a copy of the message for the following reason: I'm leaving the cluster"
        }
        Refusal::TooFewNodesMemory => {
            "NOREPL Not enough reachable nodes for the requested replication level, since I'm unable \
             to hold a copy of the message for the following reason: I'm out of memory"
        }
        Refusal::ReplicationTimeout => {
            "NOREPL Timeout reached before replicating to the requested number of nodes"
        }
        Refusal::RemovedWhileReplicating => {
            "NOREPL job removed (expired?) before the requested replication level was achieved"
        }
        Refusal::QueueTooLong => "MAXLEN Queue is already longer than the specified MAXLEN count",
        Refusal::QueuePaused => "PAUSED Queue paused in input, try later",
        Refusal::Topic(refusal) => topic::refusal(refusal),
        Refusal::TooManySettings => "ERR too many settings",
        Refusal::ResultTooLarge(_) => "ERR RESULT is larger than result-max-size",
        Refusal::Leaving => {
            "LEAVING This node is leaving the cluster, please connect to a different one"
        }
        Refusal::NeedsRetry => "ERR MAXDELIVER, DEAD, BACKOFF and DEDUP need RETRY > 0",
        Refusal::UnknownJob => "NOJOB Job not known in the context of this node.",
        Refusal::TooLateToPostpone => {
            "TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next \
             delivery."
        }
    }
}

const PROTECTED: &str = "DENIED ShoalMQ is running in protected mode, because no password is set and \
    protected mode is on: only clients on the same host are served. To serve others, do one of these: \
    1) set a password with 'requirepass' in the configuration file, or with CONFIG SET requirepass from \
    the same host; \
    2) where nobody but trusted clients can reach this port, switch the mode off with 'protected-mode no' \
    in the configuration file, with --protected-mode no, or with CONFIG SET protected-mode no from the \
    same host.";

fn write_server_error(error: &ServerError<'_>, line: &mut Vec<u8>) {
    let parts: &[&[u8]] = match *error {
        ServerError::UnknownCommand(name) => &[
            b"ERR unknown command '",
            &shown(name),
            b"'",
            &did_you_mean(table::closest(name).as_deref(), ": "),
        ],
        ServerError::NotAuthenticated => &[b"NOAUTH Authentication required."],
        ServerError::NoPasswordSet => &[
            b"ERR AUTH <password> called without any password configured for the default user. \
              Are you sure your configuration is correct?",
        ],
        ServerError::WrongPassword => {
            &[b"WRONGPASS invalid username-password pair or user is disabled."]
        }
        ServerError::Subscribed(name) => &[
            b"ERR Can't execute '",
            name.as_bytes(),
            b"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / TSUB / TUNSUB / TCOMMIT / PING / QUIT / RESET are allowed in this context",
        ],
        ServerError::OutOfMemory => &[b"OOM command not allowed when used memory > 'maxmemory'."],
        ServerError::LogUnwritable(reason) => &[
            b"MISCONF Errors writing to the AOF file: ",
            reason.as_bytes(),
        ],
        ServerError::DiskShort(shortage) => &[b"MISCONF No job is taken: ", shortage.as_bytes()],
        ServerError::NoTopics(addresses) => {
            &[topic::NOT_SERVED.as_bytes(), b": ", addresses.as_bytes()]
        }
        ServerError::Loading => &[b"LOADING Disque is loading the dataset in memory"],
        ServerError::Protected => &[PROTECTED.as_bytes()],
        ServerError::TooManyClients => &[b"ERR max number of clients reached"],
        ServerError::UnknownNode(id) => &[b"ERR Unknown node ", &shown(id)],
        ServerError::ForgetSelf => &[b"ERR I tried hard but I can't forget myself..."],
        ServerError::ConfigUnsupported { name, advice } => &[
            b"ERR Unsupported CONFIG parameter: ",
            &shown(name),
            b": ",
            advice.as_bytes(),
        ],
        ServerError::ConfigValue {
            name,
            value,
            allowed,
        } => &[
            b"ERR Invalid argument '",
            &value.map_or_else(|| REDACTED.to_vec(), shown),
            b"' for CONFIG SET '",
            &shown(name),
            b"': it must be ",
            allowed.as_bytes(),
        ],
        ServerError::MeetName { host, port, reason } => &[
            b"ERR Invalid node address specified: ",
            host.as_bytes(),
            &format!(":{port}: ").into_bytes(),
            reason.as_bytes(),
        ],
        ServerError::ConfigFolder(reason) => &[b"ERR Changing directory: ", reason.as_bytes()],
        ServerError::NoConfigFile => &[b"ERR The server is running without a config file"],
        ServerError::ConfigRewrite(reason) => &[b"ERR Rewriting config file: ", reason.as_bytes()],
        ServerError::NoSuchClient => &[b"ERR No such client"],
        ServerError::NoSamples(event) => {
            &[b"ERR No samples available for event '", &shown(event), b"'"]
        }
        ServerError::RewriteInProgress => {
            &[b"ERR Background append only file rewriting already in progress"]
        }
        ServerError::BackupInProgress => &[b"ERR A backup is already in progress"],
        ServerError::NoLog => {
            &[b"ERR There is no job log on disk: appendonly is no, or storage is memory"]
        }
        ServerError::BackupDirectory(reason) => &[
            b"ERR The directory cannot take a backup: ",
            reason.as_bytes(),
        ],
        ServerError::LogUnreadable => &[b"ERR"],
        ServerError::CannotShutDown => &[b"ERR Errors trying to SHUTDOWN. Check logs."],
        ServerError::Verbatim(text) => &[text],
    };
    join(line, parts);
}

#[cfg(test)]
mod tests;
