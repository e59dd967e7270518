//! What others have for a connection: replies that came late, lines of MONITOR, the order to end.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use shoalmq_core::command::Reply;
use shoalmq_core::id::JobId;
use shoalmq_storage::journal::Position;
use tokio::sync::Notify;

use crate::command::reply;
use crate::resp::Protocol;

/// A monitor that does not read is cut off at this many unread bytes: its lines come at the pace of all others.
const UNREAD_MAX: usize = 64 << 20;

/// Shared by a connection's task and whoever has something for it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    /// What the connection's own buffers hold.
    pub(crate) buffers: Buffers,
    /// Something came in.
    pub(crate) arrived: Notify,
    /// The connection must end.
    pub(crate) ended: Notify,
}

/// How much a connection's buffers hold: written by its task, read by those who look after all of them.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    input: AtomicUsize,
    input_free: AtomicUsize,
    output: AtomicUsize,
}

impl Buffers {
    /// Notes bytes received and not yet worked on, free bytes behind them, and bytes to be sent.
    pub(crate) fn set(&self, input: usize, input_free: usize, output: usize) {
        self.input.store(input, Ordering::Relaxed);
        self.input_free.store(input_free, Ordering::Relaxed);
        self.output.store(output, Ordering::Relaxed);
    }

    pub(crate) fn input(&self) -> usize {
        self.input.load(Ordering::Relaxed)
    }

    pub(crate) fn input_free(&self) -> usize {
        self.input_free.load(Ordering::Relaxed)
    }

    pub(crate) fn output(&self) -> usize {
        self.output.load(Ordering::Relaxed)
    }
}

/// What has come in.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Encoded replies and lines, in order.
    pub(crate) bytes: Vec<u8>,
    /// They may leave when the log is on disk up to here.
    pub(crate) gate: Position,
    /// The command that the client was waiting for is answered.
    pub(crate) answered: bool,
    /// The jobs that the answer hands out.
    pub(crate) jobs: Vec<JobId>,
}

impl Mailbox {
    /// Puts in the reply to the command that the client waits for.
    pub(crate) fn answer(&self, gate: Position, protocol: Protocol, reply: &Reply) {
        let mut letters = self.letters.lock();
        reply::encode(reply, protocol, &mut letters.bytes);
        if let Reply::Delivered(jobs, _) = reply {
            letters.jobs.extend(jobs.iter().map(|job| job.id));
        }
        letters.gate = letters.gate.max(gate);
        letters.answered = true;
        drop(letters);
        self.arrived.notify_one();
    }

    /// Puts in a line that answers no command.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut letters = self.letters.lock();
        letters.bytes.extend_from_slice(line);
        let unread = letters.bytes.len();
        drop(letters);
        if unread > UNREAD_MAX {
            self.kill();
        } else {
            self.arrived.notify_one();
        }
    }

    /// Takes what has come in.
    pub(crate) fn take(&self) -> Letters {
        std::mem::take(&mut self.letters.lock())
    }

    /// Bytes that wait to be taken.
    pub(crate) fn unread(&self) -> usize {
        self.letters.lock().bytes.len()
    }

    /// Orders the connection to end without another word.
    pub(crate) fn kill(&self) {
        self.ended.notify_one();
    }
}
