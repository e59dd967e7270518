//! What a connection's commands depend on: protocol, password, which replies are wanted.

use std::sync::Arc;

use shoalmq_core::id::{ClientId, Ticket};

use super::mailbox::Mailbox;
use shoalmq_resp::Protocol;

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
    /// How many subscriptions it has. In RESP2, one that has any takes few commands.
    pub(crate) subscriptions: u64,
    next_number: u64,
}

impl Session {
    pub(super) fn new(id: ClientId, mailbox: Arc<Mailbox>) -> Self {
        Session {
            id,
            mailbox,
            protocol: Protocol::Resp2,
            authenticated: false,
            replies: Replies::On,
            subscriptions: 0,
            next_number: 0,
        }
    }

    /// Whether it takes only what belongs to subscriptions, because its protocol cannot tell replies from what it is told.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscriptions > 0 && self.protocol == Protocol::Resp2
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
