//! What is on its way to one peer: messages, encoded when they are sent, in order, each behind its gate.
//!
//! The task that holds the node puts messages in. The link's task takes out all of them, so that messages that queued up
//! during one write leave with the next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use shoalmq_core::message::Message;
use shoalmq_storage::journal::Position;
use tokio::sync::Notify;

use crate::bus::codec::{self, Notice, TooLong};
use crate::server::reading::{Access, Failed, Patience};

/// A buffer that grew past this is given back when it is empty.
const KEPT_BYTES: usize = 1 << 20;
/// Once this much is written, the rest moves to the front.
const MOVED_BYTES: usize = 1 << 20;

/// Shared by the owner of the node and the task of a link.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Queue>,
    /// Bytes that the task has taken and not yet written.
    taken: AtomicUsize,
    /// The longest message since nothing waited.
    longest: AtomicUsize,
    closed: AtomicBool,
    /// Something was put in, or the link must end.
    pub(super) arrived: Notify,
}

/// Why a message was not put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// As much is waiting as may.
    Full,
    /// It is a copy of a job, and too much is waiting: it is better offered again later.
    Behind,
    /// It fits no frame.
    TooLong(usize),
}

impl Outbox {
    /// Puts in a message that may leave once the log is on disk up to `gate`.
    ///
    /// Copies of jobs are not put in while more than `limit` bytes wait: the core asks for each until it is confirmed, so
    /// that a burst of them is slowed down instead of breaking the link. For all else there is room for as much again,
    /// beside the longest message, so that any job can be sent.
    pub(super) fn send(
        &self,
        mut message: Message,
        gate: Position,
        limit: usize,
        access: Option<Access>,
    ) -> Result<(), NotSent> {
        let mut waiting = self.waiting.lock();
        let before = waiting.bytes.len();
        let pending = waiting.pending() + self.taken.load(Ordering::Relaxed);
        let longest = if pending == 0 {
            0
        } else {
            self.longest.load(Ordering::Relaxed)
        };
        if pending > limit && matches!(message, Message::ReplJob(_)) {
            return Err(NotSent::Behind);
        }
        if pending > 2 * limit + longest {
            return Err(NotSent::Full);
        }
        let length = if let Some(access) = access {
            let lacking = message.unread_bodies();
            let length = lacking.iter().map(|(_, body)| body.len()).sum();
            waiting.put_unread(gate, length, message, access);
            length
        } else {
            waiting
                .put(gate, |bytes| codec::encode(&message, bytes))
                .map_err(|TooLong(length)| NotSent::TooLong(length))?;
            waiting.bytes.len() - before
        };
        self.longest.store(longest.max(length), Ordering::Relaxed);
        Ok(())
    }

    /// Puts in what the links themselves say.
    pub(super) fn send_notice(&self, notice: &Notice) {
        let sent = self
            .waiting
            .lock()
            .put(Position(0), |bytes| codec::encode_notice(notice, bytes));
        sent.expect("notices are short");
        self.arrived.notify_one();
    }

    /// Moves all that is waiting behind what `queue` holds.
    pub(super) fn take(&self, queue: &mut Queue) {
        queue.append(&mut self.waiting.lock());
        self.taken.store(queue.pending(), Ordering::Relaxed);
    }

    /// The link must end, whatever is waiting.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Bytes that wait to be written.
    pub(super) fn pending(&self) -> usize {
        self.waiting.lock().pending() + self.taken.load(Ordering::Relaxed)
    }
}

/// Frames in order, and from where on each gate holds them back.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    written: usize,
    /// Where a stretch begins, and how far the log must be on disk before it may leave. Both rise.
    gates: VecDeque<(usize, Position)>,
    /// Messages that lack bodies, and where they belong; in order.
    unread: VecDeque<Unread>,
    /// Bytes of the bodies that they lack.
    unread_bytes: usize,
}

/// A message that lacks bodies.
#[derive(Debug)]
pub(super) struct Unread {
    /// What was put in before it ends here.
    at: usize,
    length: usize,
    message: Message,
    access: Access,
}

impl Unread {
    /// Reads what it lacks. Waits for the disk.
    pub(super) fn read(&mut self) -> Vec<Failed> {
        let unread = self.message.unread_bodies();
        self.access.read(unread, Patience::default())
    }
}

impl Queue {
    fn put_unread(&mut self, gate: Position, length: usize, message: Message, access: Access) {
        self.put(gate, |_| Ok(())).expect("nothing fits");
        self.unread_bytes += length;
        self.unread.push_back(Unread {
            at: self.bytes.len(),
            length,
            message,
            access,
        });
    }

    /// The next message, if it lacks bodies, its gate is open, and all before it is written; [`Queue::fill`] follows.
    pub(super) fn take_unread(&mut self, released: Position) -> Option<Unread> {
        let next = self.unread.front()?.at;
        let open =
            self.open_to(released) == next && self.gates.front().is_none_or(|gate| gate.0 > next);
        if !open || self.written < next {
            return None;
        }
        let unread = self.unread.pop_front()?;
        self.unread_bytes -= unread.length;
        Some(unread)
    }

    /// Puts what was read, as far as it was, in its place.
    pub(super) fn fill(&mut self, mut unread: Unread) -> Result<(), TooLong> {
        let mut frames = Vec::new();
        if unread.message.drop_unread() {
            codec::encode(&unread.message, &mut frames)?;
        }
        let (at, length) = (unread.at, frames.len());
        self.bytes.splice(at..at, frames);
        for later in &mut self.unread {
            later.at += length;
        }
        for (start, _) in &mut self.gates {
            *start += length;
        }
        Ok(())
    }

    fn put(
        &mut self,
        gate: Position,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
    ) -> Result<(), TooLong> {
        let start = self.bytes.len();
        encode(&mut self.bytes)?;
        // What is behind an equal or a later gate waits anyway.
        if gate > self.gates.back().map_or(Position(0), |&(_, last)| last) {
            self.gates.push_back((start, gate));
        }
        Ok(())
    }

    fn append(&mut self, other: &mut Queue) {
        if self.pending() == 0 {
            self.bytes.clear();
            self.gates.clear();
            self.unread.clear();
            self.written = 0;
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
            std::mem::swap(self, other);
            return;
        }
        if self.written >= MOVED_BYTES {
            self.bytes.drain(..self.written);
            for (start, _) in &mut self.gates {
                *start = start.saturating_sub(self.written);
            }
            for unread in &mut self.unread {
                unread.at -= self.written;
            }
            self.written = 0;
        }
        let before = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let moved = other.unread.drain(..).map(|unread| Unread {
            at: before + unread.at,
            ..unread
        });
        self.unread.extend(moved);
        self.unread_bytes += std::mem::take(&mut other.unread_bytes);
        let last = self.gates.back().map_or(Position(0), |&(_, last)| last);
        let gates = other.gates.drain(..).filter(|&(_, gate)| gate > last);
        self.gates
            .extend(gates.map(|(start, gate)| (before + start, gate)));
    }

    /// Up to where bytes may leave now: the end of a frame.
    pub(super) fn open_to(&mut self, released: Position) -> usize {
        let end = self.unread.front().map_or(self.bytes.len(), |next| next.at);
        while let Some(&(start, gate)) = self.gates.front() {
            if gate > released {
                return start.min(end);
            }
            // What lies behind an unread message waits for it, gate or not.
            if start > end {
                break;
            }
            self.gates.pop_front();
        }
        end
    }

    pub(super) fn written(&self) -> usize {
        self.written
    }

    pub(super) fn bytes_to(&self, end: usize) -> &[u8] {
        &self.bytes[self.written..end]
    }

    pub(super) fn advance(&mut self, written: usize) {
        self.written += written;
    }

    pub(super) fn pending(&self) -> usize {
        self.bytes.len() - self.written + self.unread_bytes
    }
}

#[cfg(test)]
mod tests {
    use shoalmq_core::id::JobId;
    use shoalmq_core::job::Body;
    use shoalmq_core::message::Copy;

    use super::*;
    use crate::bus::codec::Frame;

    const LIMIT: usize = 1 << 20;

    fn got(number: u8) -> Message {
        Message::GotJob(JobId::from_bytes([number; 24]))
    }

    fn leaving(queue: &mut Queue, released: u64) -> Vec<Message> {
        let end = queue.open_to(Position(released));
        let mut bytes = queue.bytes_to(end).to_vec();
        queue.advance(bytes.len());
        let mut messages = Vec::new();
        while let Some((frame, length)) = codec::decode(&bytes).expect("frames of our own") {
            let Frame::Message(message) = frame else {
                panic!("{frame:?}");
            };
            messages.push(message);
            bytes.drain(..length);
        }
        assert!(bytes.is_empty(), "whole frames");
        messages
    }

    #[test]
    fn a_gate_holds_back_its_message_and_those_behind_it_but_not_those_before() {
        let outbox = Outbox::default();
        for (number, gate) in [(1, 0), (2, 5), (3, 0), (4, 3), (5, 7)] {
            let sent = outbox.send(got(number), Position(gate), LIMIT, None);
            assert_eq!(sent, Ok(()));
        }
        let mut queue = Queue::default();
        outbox.take(&mut queue);
        assert_eq!(leaving(&mut queue, 4), [got(1)]);
        assert_eq!(leaving(&mut queue, 4), []);
        assert_eq!(leaving(&mut queue, 6), [got(2), got(3), got(4)]);
        assert_eq!(leaving(&mut queue, 7), [got(5)]);
    }

    #[test]
    fn what_comes_later_keeps_its_gate_behind_what_is_left() {
        let outbox = Outbox::default();
        let mut queue = Queue::default();
        outbox.send(got(1), Position(5), LIMIT, None).expect("room");
        outbox.take(&mut queue);
        outbox.send(got(2), Position(0), LIMIT, None).expect("room");
        outbox.send(got(3), Position(9), LIMIT, None).expect("room");
        outbox.take(&mut queue);
        assert_eq!(leaving(&mut queue, 4), []);
        assert_eq!(leaving(&mut queue, 5), [got(1), got(2)]);
        assert_eq!(leaving(&mut queue, 9), [got(3)]);
    }

    fn copy(number: u8, length: usize) -> Message {
        Message::ReplJob(Box::new(Copy {
            id: JobId::from_bytes([number; 24]),
            body: Body::new(&vec![number; length]),
            ..Copy::sample()
        }))
    }

    #[test]
    fn copies_wait_for_room_while_much_is_on_its_way_what_was_taken_included() {
        let outbox = Outbox::default();
        let open = Position(0);
        assert_eq!(
            outbox.send(copy(1, 5000), open, 1000, None),
            Ok(()),
            "any job"
        );
        let mut queue = Queue::default();
        outbox.take(&mut queue);
        let behind = Err(NotSent::Behind);
        assert_eq!(outbox.send(copy(2, 1), open, 1000, None), behind);
        assert_eq!(outbox.send(got(1), open, 1000, None), Ok(()));
        outbox.take(&mut queue);
        assert_eq!(leaving(&mut queue, 0), [copy(1, 5000), got(1)]);
        outbox.take(&mut queue);
        assert_eq!(outbox.send(copy(2, 1), open, 1000, None), Ok(()));
    }

    #[test]
    fn an_outbox_is_full_when_a_peer_takes_nothing() {
        let outbox = Outbox::default();
        let sent = |_: &u8| outbox.send(got(1), Position(0), 100, None) == Ok(());
        let fits = (0..100).take_while(sent).count();
        assert_eq!(fits, 8, "230 bytes are not yet too much, 240 are");
        assert_eq!(
            outbox.send(got(2), Position(0), 100, None),
            Err(NotSent::Full)
        );
    }
}
