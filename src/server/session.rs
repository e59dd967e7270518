//! What the server knows of one connection.

use std::sync::Arc;
use std::time::Instant;

use shoalmq_core::id::{ClientId, Ticket};

use super::mailbox::Mailbox;
use crate::resp::Protocol;

/// Which commands are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replies {
    /// All.
    On,
    /// None, until CLIENT REPLY ON.
    Off,
    /// All but the next.
    SkipNext,
}

/// What a connection's commands depend on. Owned by the connection's task.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: ClientId,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) protocol: Protocol,
    /// It gave the password.
    pub(crate) authenticated: bool,
    pub(crate) replies: Replies,
    next_number: u64,
}

impl Session {
    pub(crate) fn new(id: ClientId, mailbox: Arc<Mailbox>) -> Self {
        Session {
            id,
            mailbox,
            protocol: Protocol::Resp2,
            authenticated: false,
            replies: Replies::On,
            next_number: 0,
        }
    }

    /// The ticket of the next command.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next_number += 1;
        Ticket {
            client: self.id,
            number: self.next_number,
        }
    }
}

/// What others may see of a connection: a line of CLIENT LIST.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) fd: i32,
    pub(crate) name: Vec<u8>,
    pub(crate) since: Instant,
    pub(crate) last_seen: Instant,
    pub(crate) last_command: &'static str,
    pub(crate) protocol: Protocol,
    /// How many of its commands wait for their answers.
    pub(crate) unanswered: usize,
    pub(crate) monitor: bool,
    /// Since when more is unread than the soft limit of `client-output-buffer-limit`.
    pub(crate) unread_since: Option<Instant>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Peer {
    /// Leaves a command that waits unanswered, and orders the connection to end. Returns whether the connection has not been
    /// told yet that there is mail.
    pub(crate) fn hang_up(&mut self, number: u64) -> bool {
        self.unanswered -= 1;
        self.mailbox.hang_up(number)
    }
}
