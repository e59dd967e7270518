//! The manual of the commands on one connection.

use super::{Group, Manual, entry, sub};
use crate::Failure::{Parse, Server};
use crate::{ParseError, ServerError};

pub(crate) static AUTH: Manual = Manual {
    failures: &[
        Server(ServerError::NoPasswordSet),
        Server(ServerError::WrongPassword),
    ],
    notes: &[
        "There is one user, `default`. While no password is set, AUTH with this user takes any password, and AUTH with a \
         password alone is refused.",
        "A wrong password also takes away an authentication already held.",
    ],
    ..entry(
        Group::Connection,
        "[ user ] password",
        "Authenticates the connection.",
        "simple string: OK.",
    )
};

pub(crate) static CLIENT: Manual = Manual {
    failures: &[
        Parse(ParseError::ClientUsage(b"GTNAME")),
        Parse(ParseError::ClientName),
        Parse(ParseError::ClientType(b"x")),
        Parse(ParseError::Near(b"SKIPM", "client")),
        Parse(ParseError::NoValue(b"ID")),
        Parse(ParseError::NotInteger),
        Parse(ParseError::TimeoutNotInteger),
        Parse(ParseError::TimeoutNegative),
        Server(ServerError::NoSuchClient),
    ],
    subcommands: &[
        sub(
            "GETNAME",
            "",
            "Tells the name of this connection; nil bulk when it has none.",
        ),
        sub("ID", "", "Tells the number of this connection."),
        sub("INFO", "", "Tells the line of this connection in the list."),
        sub(
            "KILL",
            "< ip:port | [ ID id ] [ ADDR ip:port ] [ TYPE NORMAL ] [ SKIPME < YES | NO > ] >",
            "Ends the connection of an address and answers OK, or all that pass the filters and answers their number.",
        ),
        sub(
            "LIST",
            "",
            "Lists the connections, as a bulk with a line for each.",
        ),
        sub(
            "NO-EVICT",
            "< ON | OFF >",
            "Answers OK, for clients that ask: there is nothing to switch.",
        ),
        sub(
            "NO-TOUCH",
            "< ON | OFF >",
            "Answers OK, for clients that ask: there is nothing to switch.",
        ),
        sub(
            "PAUSE",
            "ms",
            "Lets the commands of all clients wait this long. Answers OK.",
        ),
        sub(
            "REPLY",
            "< ON | OFF | SKIP >",
            "Switches the answers to this connection. ON answers OK, OFF and SKIP nothing.",
        ),
        sub(
            "SETINFO",
            "< LIB-NAME name | LIB-VER version >",
            "Tells what library the client uses. Answers OK.",
        ),
        sub(
            "SETNAME",
            "name",
            "Names this connection; an empty name takes it away. Answers OK.",
        ),
    ],
    ..entry(
        Group::Connection,
        "subcommand [ argument ... ]",
        "Tells about connections, and acts on them.",
        "depends on the subcommand.",
    )
};

pub(crate) static ECHO: Manual = entry(
    Group::Connection,
    "text",
    "Answers a text.",
    "bulk: the text.",
);

pub(crate) static HELLO: Manual = Manual {
    failures: &[
        Parse(ParseError::ProtocolVersion),
        Parse(ParseError::ClientName),
        Server(ServerError::WrongPassword),
    ],
    notes: &[
        "With a protocol it may come before AUTH, if it carries the password itself. `SETNAME` names the connection, as \
         CLIENT SETNAME does.",
        "In RESP3 every nil is `_`, and COMMAND answers sets and maps; SHOW, QSTAT and the other arrays stay as they are.",
    ],
    ..entry(
        Group::Connection,
        "[ < 2 | 3 > [ AUTH user password ] [ SETNAME name ] ]",
        "Tells the nodes of the cluster, or switches the connection to a version of RESP.",
        "without arguments an array: 1, the own node's id, then for each node an array of id, address, port and priority \
         (1 is good, higher is worse), all bulks. With a protocol a map (RESP2: flat array): server, version, proto, id, mode, \
         role, modules.",
    )
};

pub(crate) static PING: Manual = entry(
    Group::Connection,
    "[ text ]",
    "Tells that the server is there.",
    "simple string: PONG; or the text, as a bulk.",
);

pub(crate) static QUIT: Manual = entry(
    Group::Connection,
    "",
    "Closes the connection; what was pipelined behind it is dropped.",
    "simple string: OK.",
);

pub(crate) static RESET: Manual = entry(
    Group::Connection,
    "",
    "Makes the connection as it was at first: not authenticated, RESP2, no name, no MONITOR.",
    "simple string: RESET.",
);

pub(crate) static SELECT: Manual = Manual {
    failures: &[
        Parse(ParseError::DatabaseIndex),
        Parse(ParseError::NotInteger),
    ],
    ..entry(
        Group::Connection,
        "0",
        "Answers OK, for clients that ask: there is one database.",
        "simple string: OK.",
    )
};
