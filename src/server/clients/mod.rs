//! Clients: from a connection that is taken in to the last reply that leaves.
//!
//! `listener` takes a connection in, if `registry` lets it (`maxclients`, protected mode). Then `connection` serves it in
//! a task of its own. A read brings many commands. They are parsed before `connection` takes the lock of the node; under
//! the lock, `execute` runs one after the other: each passes the checks (password, memory, disk, loading), then goes to
//! the core or to `admin`. `session` is what commands depend on, such as the protocol and whether the password was given.
//!
//! `output` keeps the replies in the order of the commands. A command that has to wait leaves a slot there, and its answer
//! comes through the `mailbox`, which other tasks also use for lines of MONITOR and the order to end. A reply leaves once
//! the log is on disk up to its gate. When the connection ends, jobs that the client has not seen go back to their queues.
//!
//! Invariants: replies leave in the order of their commands; every command that is answered late is answered once; a
//! client is in the registry for as long as its connection lives.

mod connection;
mod execute;
mod listener;
mod mailbox;
mod output;
mod registry;
mod session;

pub(super) use execute::{Execution, Outcome};
pub(super) use listener::Listeners;
pub(super) use mailbox::Mailbox;
pub(super) use registry::Client;
pub(super) use session::{Replies, Session};
