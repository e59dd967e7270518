//! What others have for a connection: replies that came late, lines of MONITOR, the order to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use shoalmq_core::command::Reply;
use shoalmq_core::id::JobId;
use shoalmq_core::topic::Push;
use shoalmq_storage::journal::Position;
use tokio::sync::Notify;

use crate::command::reply;
use crate::server::reading::{Access, UnreadReply};
use shoalmq_resp::Protocol;

/// A monitor that does not read is cut off at this many unread bytes: its lines come at the pace of all others.
const UNREAD_MAX: usize = 64 << 20;

/// When fewer bytes than this have come for a subscriber, its connection lets others that are ready go first.
const LITTLE: usize = 1 << 10;

/// Shared by a connection's task and the tasks that have something for it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    /// What the connection's own buffers hold.
    pub(crate) buffers: Buffers,
    /// Something came in.
    pub(crate) arrived: Notify,
    /// The connection ends once its replies have left.
    closes: AtomicBool,
    /// The connection must end.
    pub(super) ended: Notify,
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
    pub(super) fn set(&self, input: usize, input_free: usize, output: usize) {
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
pub(super) struct Letters {
    /// Late replies, one after the other, and where each ends.
    pub(super) replies: Vec<u8>,
    pub(super) answers: Vec<Answered>,
    /// Late replies that lack bodies.
    pub(super) unread: Vec<UnreadReply>,
    /// Lines of MONITOR, and what the client subscribed to.
    pub(super) lines: Vec<u8>,
    /// What it subscribed to, after those lines: some of it has to be read first.
    pub(super) pushes: Vec<UnreadPush>,
    /// Replies to commands that end subscriptions, by number: they come after all that.
    pub(super) last: Vec<(u64, Vec<u8>)>,
    /// The core is to hear when all this has left.
    pub(super) awaited: bool,
    /// The connection has been told, or is about to be, that something is here.
    announced: bool,
}

/// What a client subscribed to, and the way to it if it has to be read first.
#[derive(Debug)]
pub(crate) struct UnreadPush {
    pub(crate) push: Push,
    pub(crate) protocol: Protocol,
    pub(crate) access: Option<Arc<Access>>,
}

/// A command that is answered.
#[derive(Debug)]
pub(super) struct Answered {
    /// The number of its ticket.
    pub(super) number: u64,
    /// Its reply ends here in [`Letters::replies`].
    pub(super) end: usize,
    /// It may leave when the log is on disk up to here.
    pub(super) gate: Position,
    /// The jobs that it hands out.
    pub(super) jobs: Vec<JobId>,
}

/// What became of a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted {
    /// Its size.
    pub(crate) bytes: usize,
    /// The connection has not been told yet that there is mail.
    pub(crate) is_first: bool,
}

impl Letters {
    fn answer(
        &mut self,
        number: u64,
        gate: Position,
        jobs: Vec<JobId>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Posted {
        let start = self.replies.len();
        write(&mut self.replies);
        let end = self.replies.len();
        self.answers.push(Answered {
            number,
            end,
            gate,
            jobs,
        });
        Posted {
            bytes: end - start,
            is_first: !std::mem::replace(&mut self.announced, true),
        }
    }

    fn unread(&self) -> usize {
        self.replies.len() + self.lines.len()
    }
}

impl Mailbox {
    /// Puts in the reply to a command that was not answered at once. A caller with many replies tells the connection
    /// once, after the last.
    pub(crate) fn answer(
        &self,
        number: u64,
        gate: Position,
        protocol: Protocol,
        reply: &Reply,
    ) -> Posted {
        self.letters
            .lock()
            .answer(number, gate, reply.delivered(), |replies| {
                reply::encode(reply, protocol, replies);
            })
    }

    /// The same for a command that the core does not know, and whose reply waits for nothing.
    pub(crate) fn answer_bytes(&self, number: u64, reply: &[u8]) -> Posted {
        let write = |replies: &mut Vec<u8>| replies.extend_from_slice(reply);
        let mut letters = self.letters.lock();
        letters.answer(number, Position(0), Vec::new(), write)
    }

    /// Puts in a reply that lacks bodies. Returns whether the connection has not been told yet that there is mail.
    pub(crate) fn answer_unread(&self, reply: UnreadReply) -> bool {
        let mut letters = self.letters.lock();
        letters.unread.push(reply);
        !std::mem::replace(&mut letters.announced, true)
    }

    /// Puts in what the client subscribed to. Some of it may have to be read first; what comes later stays behind it.
    pub(crate) fn tell(
        &self,
        push: Push,
        protocol: Protocol,
        access: Option<Arc<Access>>,
    ) -> Posted {
        let mut letters = self.letters.lock();
        let before = letters.lines.len();
        if push.told.unread().is_none() && letters.pushes.is_empty() {
            reply::encode_push(&push, protocol, &mut letters.lines);
        } else {
            letters.pushes.push(UnreadPush {
                push,
                protocol,
                access,
            });
        }
        Posted {
            bytes: letters.lines.len() - before,
            is_first: !std::mem::replace(&mut letters.announced, true),
        }
    }

    /// Whether there is something that the client subscribed to.
    pub(super) fn has_pushes(&self) -> bool {
        let letters = self.letters.lock();
        !letters.lines.is_empty() || !letters.pushes.is_empty()
    }

    /// Whether there is something that the client subscribed to, too little for a write of its own.
    pub(super) fn has_little(&self) -> bool {
        let lines = self.letters.lock().lines.len();
        (1..LITTLE).contains(&lines)
    }

    /// Puts in the reply to a command that ends subscriptions, behind all that these brought.
    pub(super) fn answer_last(&self, number: u64, reply: Vec<u8>) {
        let mut letters = self.letters.lock();
        letters.last.push((number, reply));
        letters.announced = true;
    }

    /// The core is to hear when all that came in has left. Returns whether the connection has not been told yet that there
    /// is mail.
    pub(crate) fn await_reader(&self) -> bool {
        let mut letters = self.letters.lock();
        letters.awaited = true;
        !std::mem::replace(&mut letters.announced, true)
    }

    /// Puts in a line that answers no command.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut letters = self.letters.lock();
        letters.lines.extend_from_slice(line);
        letters.announced = true;
        let unread = letters.unread();
        drop(letters);
        if unread > UNREAD_MAX {
            self.kill();
        } else {
            self.arrived.notify_one();
        }
    }

    /// Takes what has come in.
    pub(super) fn take(&self) -> Letters {
        std::mem::take(&mut self.letters.lock())
    }

    /// Drops the lines that were not taken yet.
    pub(crate) fn drop_lines(&self) {
        let mut letters = self.letters.lock();
        letters.lines.clear();
        letters.pushes.clear();
    }

    /// Bytes that wait to be taken.
    pub(crate) fn unread(&self) -> usize {
        self.letters.lock().unread()
    }

    /// Orders the connection to end once the replies to the commands that it ran have left. It runs no more of them.
    pub(crate) fn close(&self) {
        self.closes.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    /// Does the same, and leaves this command unanswered. Returns whether the connection has not been told yet that there
    /// is mail.
    pub(crate) fn hang_up(&self, number: u64) -> bool {
        self.closes.store(true, Ordering::Release);
        let mut letters = self.letters.lock();
        let end = letters.replies.len();
        letters.answers.push(Answered {
            number,
            end,
            gate: Position(0),
            jobs: Vec::new(),
        });
        !std::mem::replace(&mut letters.announced, true)
    }

    /// Whether it is to.
    pub(super) fn is_closing(&self) -> bool {
        self.closes.load(Ordering::Acquire)
    }

    /// Orders the connection to end without another word.
    pub(crate) fn kill(&self) {
        self.ended.notify_one();
    }
}
