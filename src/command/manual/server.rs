//! The manual of the commands on the server as a whole.

use super::{Group, Manual, entry, sub};
use crate::Failure::{Parse, Server};
use crate::{ParseError, ServerError};

pub(crate) static BACKUP: Manual = Manual {
    failures: &[
        Server(ServerError::BackupInProgress),
        Server(ServerError::NoLog),
        Server(ServerError::BackupDirectory("not empty")),
    ],
    notes: &[
        "Disque does not have it.",
        "The directory is an absolute path on the node's machine, free or an empty folder. It appears there once the copy is \
         complete and on disk; until then the copy is made beside it, under a name that ends in .partial.",
        "The copy holds everything that was answered before the command. It counts as the log of a node that crashed: \
         jobs with RETRY 0 are not delivered from it.",
        "INFO persistence tells how far the copy is, and how the last one ended. `shoalmq storage backup` waits for that.",
    ],
    ..entry(
        Group::Server,
        "directory",
        "Copies the job log into a folder, in the background, while the node serves.",
        "simple string: Background backup started.",
    )
};

pub(crate) static BGREWRITEAOF: Manual = Manual {
    failures: &[Server(ServerError::RewriteInProgress)],
    ..entry(
        Group::Server,
        "",
        "Rewrites the job log in the background, so that it holds live jobs only.",
        "simple string: Background append only file rewriting started.",
    )
};

pub(crate) static COMMAND: Manual = Manual {
    failures: &[
        Parse(ParseError::CommandUsage(b"DOC")),
        Parse(ParseError::KeysOfUnknown),
        Parse(ParseError::NoKeys),
    ],
    notes: &[
        "A row has the ten elements of Redis 7: name, arity, flags (simple strings), first key, last key and step (0: no command \
         has keys), ACL categories (simple strings), tips and key specifications (none), and the rows of the subcommands. \
         In RESP3 flags, categories, tips and specifications are sets.",
        "INFO and DOCS also take the name of a subcommand: `config|get`.",
    ],
    subcommands: &[
        sub("COUNT", "", "Tells how many commands there are."),
        sub("DOCS", "[ name ... ]", "Documents these commands, or all."),
        sub(
            "GETKEYS",
            "command [ argument ... ]",
            "Always an error: no command has keys.",
        ),
        sub(
            "INFO",
            "[ name ... ]",
            "Tells the row of each of these commands, or of all; nil bulk for an unknown one.",
        ),
        sub(
            "LIST",
            "",
            "Lists the names of all commands and subcommands.",
        ),
    ],
    ..entry(
        Group::Server,
        "[ subcommand [ argument ... ] ]",
        "Tells about commands.",
        "alone, an array with a row for every command.",
    )
};

pub(crate) static CONFIG: Manual = Manual {
    failures: &[
        Parse(ParseError::ConfigUsage(b"SETT")),
        Parse(ParseError::ConfigArity(b"GET")),
        Server(ServerError::ConfigUnsupported {
            name: b"maxmemroy",
            advice: "did you mean maxmemory?",
        }),
        Server(ServerError::ConfigValue {
            name: b"maxclients",
            value: Some(b"many"),
            allowed: "a number from 1 to 2147483647",
        }),
        Server(ServerError::ConfigFolder("No such file or directory")),
        Server(ServerError::NoConfigFile),
    ],
    subcommands: &[
        sub(
            "GET",
            "pattern",
            "Tells the parameters that match a glob pattern: names and values in turn. A password is shown as `********`.",
        ),
        sub(
            "RESETSTAT",
            "",
            "Sets the statistics of INFO to zero. Answers OK.",
        ),
        sub(
            "REWRITE",
            "",
            "Writes what holds now into the configuration file. Answers OK.",
        ),
        sub(
            "SET",
            "name value",
            "Gives a parameter another value. Answers OK.",
        ),
    ],
    ..entry(
        Group::Server,
        "subcommand [ argument ... ]",
        "Reads and changes the configuration.",
        "depends on the subcommand.",
    )
};

pub(crate) static DEBUG: Manual = Manual {
    failures: &[
        Parse(ParseError::DebugUsage(b"FLUSHAL")),
        Parse(ParseError::NotFloat),
        Parse(ParseError::NotInteger),
        Server(ServerError::LogUnreadable),
    ],
    subcommands: &[
        sub("ASSERT", "", "Ends the process by a failed assertion."),
        sub(
            "CRASH-AND-RECOVER",
            "[ ms ]",
            "Starts the server again without a clean stop.",
        ),
        sub("ERROR", "text", "Answers this error line."),
        sub(
            "FLUSHALL",
            "",
            "Forgets all jobs and queues of this node. Answers OK.",
        ),
        sub("LOADAOF", "", "Reads the job log again. Answers OK."),
        sub("OOM", "", "Ends the process for lack of memory."),
        sub(
            "RESTART",
            "[ ms ]",
            "Stops the server cleanly and starts it again.",
        ),
        sub("SEGFAULT", "", "Ends the process by a bad memory access."),
        sub(
            "SLEEP",
            "seconds",
            "Lets the whole server stand still, fractions allowed. Answers OK.",
        ),
        sub(
            "STRUCTSIZE",
            "",
            "Tells the sizes of the structures in memory.",
        ),
    ],
    ..entry(
        Group::Server,
        "subcommand [ argument ... ]",
        "Does what tests need.",
        "depends on the subcommand.",
    )
};

pub(crate) static INFO: Manual = Manual {
    notes: &[
        "`redis_version` in Server is the version of Redis whose protocol the server speaks, for clients that look at it; \
         `shoalmq_version` is the server's own, and `disque_version` the same for clients of Disque.",
        "`role` in Replication is always `master`: every node takes writes.",
        "`Jobs` has `registered_jobs`, all that this node holds, and how many of them are ready, active, delayed, copies and \
         restored, as QSTAT FULL counts them; `restored_requeue_within_seconds` is 0 when no restored job waits.",
    ],
    ..entry(
        Group::Server,
        "[ section ... ]",
        "Tells figures of the server.",
        "bulk: `# Section` headers and `name:value` lines; an unknown section adds nothing. `all` has Commandstats and \
         Replication besides.",
    )
};

pub(crate) static LATENCY: Manual = Manual {
    failures: &[
        Parse(ParseError::Near(b"HISTORY", "latency")),
        Parse(ParseError::Near(b"LATST", "latency")),
        Server(ServerError::NoSamples(b"x")),
    ],
    subcommands: &[
        sub("DOCTOR", "", "Gives advice, as a bulk."),
        sub(
            "GRAPH",
            "event",
            "Draws the samples of an event, as a bulk.",
        ),
        sub(
            "HISTORY",
            "event",
            "Tells the samples of an event: unix time and milliseconds.",
        ),
        sub(
            "LATEST",
            "",
            "Tells of every event: name, unix time, last and worst milliseconds.",
        ),
        sub(
            "RESET",
            "[ event ... ]",
            "Forgets these events, or all, and answers their number.",
        ),
    ],
    ..entry(
        Group::Server,
        "subcommand [ argument ... ]",
        "Tells of the events that took long.",
        "depends on the subcommand.",
    )
};

pub(crate) static MONITOR: Manual = Manual {
    notes: &["A password is shown as `(redacted)`, in the slow log too."],
    ..entry(
        Group::Server,
        "",
        "Shows every command that the server runs from now on.",
        "simple string: OK; then one per command: time, client address and quoted arguments.",
    )
};

pub(crate) static SHUTDOWN: Manual = Manual {
    failures: &[
        Parse(ParseError::Near(b"REWRITE-AFO", "shutdown")),
        Server(ServerError::CannotShutDown),
    ],
    notes: &[
        "First the jobs that are queued here go to other nodes, if there are any, and clients that wait for jobs are \
         disconnected; all within `shutdown-timeout`.",
    ],
    ..entry(
        Group::Server,
        "[ REWRITE-AOF ]",
        "Stops the server; `REWRITE-AOF` rewrites the job log first, even if logging is off.",
        "none: the connection closes.",
    )
};

pub(crate) static SLOWLOG: Manual = Manual {
    failures: &[
        Parse(ParseError::SlowlogUsage(b"RESTE")),
        Parse(ParseError::NotInteger),
    ],
    subcommands: &[
        sub(
            "GET",
            "[ count ]",
            "Tells the newest entries, 10 by default, all when negative: number, unix time, microseconds, arguments.",
        ),
        sub("LEN", "", "Tells how many entries there are."),
        sub("RESET", "", "Forgets them. Answers OK."),
    ],
    ..entry(
        Group::Server,
        "subcommand [ argument ... ]",
        "Tells of the commands that took long.",
        "depends on the subcommand.",
    )
};

pub(crate) static TIME: Manual = entry(
    Group::Server,
    "",
    "Tells the time of the server.",
    "array of two bulks: unix seconds, and microseconds.",
);
