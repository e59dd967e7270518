//! All clients that are connected: who may come in, what others see of each, and who has to go.

use std::num::NonZeroU64;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use shoalmq_core::id::ClientId;
use tracing::warn;

use super::mailbox::Mailbox;
use super::session::Session;
use crate::command::ServerError;
use crate::server::driver::{Driver, Shared};
use shoalmq_resp::Protocol;

/// What others may see of a connection: a line of CLIENT LIST.
#[derive(Debug)]
pub(crate) struct Client {
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
    /// How many subscriptions it has.
    pub(crate) subscriptions: u64,
    /// Since when more is unread than the soft limit of `client-output-buffer-limit`.
    pub(crate) unread_since: Option<Instant>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Client {
    /// Leaves a command that waits unanswered, and orders the connection to end. Returns whether the connection has not been
    /// told yet that there is mail.
    pub(crate) fn hang_up(&mut self, number: u64) -> bool {
        self.unanswered -= 1;
        self.mailbox.hang_up(number)
    }
}

/// From where a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This machine.
    Here,
    /// Any other.
    Elsewhere,
}

/// Gives a connection its number, unless it may not come in. A node that has let its clients go takes no others, and has
/// nothing to say to them.
pub(super) fn register(
    shared: &Shared,
    address: String,
    fd: RawFd,
    origin: Origin,
) -> Result<Session, Option<ServerError<'static>>> {
    let mut driver = shared.driver.lock();
    let driver = &mut *driver;
    if driver.is_closed {
        return Err(None);
    }
    driver.stats.connections += 1;
    let refusal = if driver.clients.len() >= driver.config.maxclients.get() as usize {
        Some(ServerError::TooManyClients)
    } else if origin == Origin::Elsewhere
        && driver.config.protected_mode
        && driver.config.requirepass.is_none()
    {
        Some(ServerError::Protected)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        driver.stats.rejected += 1;
        return Err(Some(refusal));
    }
    let id = driver.next_client();
    let mailbox = Arc::new(Mailbox::default());
    let now = Instant::now();
    let client = Client {
        address,
        fd,
        name: Vec::new(),
        since: now,
        last_seen: now,
        last_command: "NULL",
        protocol: Protocol::Resp2,
        unanswered: 0,
        monitor: false,
        subscriptions: 0,
        unread_since: None,
        mailbox: Arc::clone(&mailbox),
    };
    driver.clients.insert(id, client);
    Ok(Session::new(id, mailbox))
}

impl Driver {
    /// Keeps what others may see of a connection up to date, after a batch.
    pub(super) fn note_batch(&mut self, session: &Session, command: &'static str) {
        let Some(client) = self.clients.get_mut(&session.id) else {
            return;
        };
        client.last_seen = Instant::now();
        client.last_command = command;
        client.protocol = session.protocol;
        client.subscriptions = session.subscriptions;
    }

    /// Ends connections that have been idle for longer than `timeout`; those that wait or have subscriptions are not idle.
    pub(crate) fn close_idle(&self) {
        let Some(timeout) = self.config.timeout else {
            return;
        };
        for client in self.clients.values() {
            let is_told = client.monitor || client.subscriptions > 0;
            if client.unanswered == 0 && !is_told && client.last_seen.elapsed() > timeout {
                client.mailbox.kill();
            }
        }
    }

    /// What the buffers of all connections hold.
    pub(crate) fn buffered_bytes(&self) -> u64 {
        let held = |client: &Client| {
            let buffers = &client.mailbox.buffers;
            (buffers.input() + buffers.output() + client.mailbox.unread()) as u64
        };
        self.clients.values().map(held).sum()
    }

    /// Whether any client waits for an answer, or has one that has not left yet.
    pub(crate) fn has_unsent(&self) -> bool {
        let unsent = |client: &Client| {
            client.unanswered > 0 || client.mailbox.buffers.output() + client.mailbox.unread() > 0
        };
        self.clients.values().any(unsent)
    }

    /// Ends connections whose clients leave too many replies unread: `client-output-buffer-limit`.
    pub(crate) fn close_unread(&mut self) {
        let limit = &self.config.client_output_buffer_limit;
        if limit.hard.is_none() && limit.soft.is_none() {
            return;
        }
        let above =
            |bytes: u64, limit: Option<NonZeroU64>| limit.is_some_and(|limit| bytes > limit.get());
        for client in self.clients.values_mut() {
            let unread = (client.mailbox.buffers.output() + client.mailbox.unread()) as u64;
            if !above(unread, limit.soft) {
                client.unread_since = None;
            }
            let too_long = above(unread, limit.soft)
                && client
                    .unread_since
                    .get_or_insert_with(Instant::now)
                    .elapsed()
                    >= limit.soft_time;
            if too_long || above(unread, limit.hard) {
                warn!(
                    address = client.address,
                    unread, "a client does not read its replies: closed"
                );
                client.mailbox.kill();
            }
        }
    }

    /// A connection is over.
    pub(super) fn forget_client(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.monitors.remove(&id);
    }
}
