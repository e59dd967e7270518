//! Replies on their way out: in the order of the commands, whenever their answers come.
//!
//! Commands that are answered later leave a slot; replies behind it are held until it is filled. What has left no open
//! slot before it is ready, and leaves as far as the log is on disk (its gate).

use std::collections::VecDeque;

use shoalmq_core::id::JobId;
use shoalmq_storage::journal::Position;

/// Buffers that grew past this are given back when they are empty.
pub(super) const KEPT_BYTES: usize = 256 << 10;
/// Bytes of replies that are enough for one write: further commands run after it.
pub(super) const WRITE_BYTES: usize = 1 << 20;
/// Commands of one connection that may wait for their answers: further ones run when fewer wait. Deep enough that the way
/// to another node does not hold up a producer; each costs some 100 bytes here and a timer in the core.
pub(super) const UNANSWERED_MAX: usize = 1024;

/// Replies of one connection.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Replies with no open slot before them; those below `written` have left.
    ready: Vec<u8>,
    written: usize,
    /// Ends of stretches of `ready`, and how far the log must be on disk before they may leave.
    gates: VecDeque<(usize, Position)>,
    /// Ends in `ready` of late answers that hand out jobs, while they have not left.
    unseen: VecDeque<(usize, Vec<JobId>)>,
    /// Commands without an answer, and those behind them that were answered late; by number.
    slots: VecDeque<Slot>,
    /// What the commands between the slots were answered at once; those below `moved` are in `ready` already.
    held: Vec<u8>,
    moved: usize,
    /// What was held before `held[0]`, ever: ends in slots are counted from there.
    base: usize,
}

/// A command that is answered later.
#[derive(Debug)]
struct Slot {
    number: u64,
    audience: Audience,
    answer: Option<Answer>,
    /// Replies to the commands behind it are held up to here, and wait for this position of the log.
    end: usize,
    gate: Position,
}

/// Whether the client wants to see a reply: CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Client,
    Nobody,
}

/// The place of a reply that is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of its command's ticket.
    pub(super) number: u64,
    pub(super) audience: Audience,
    /// Where it belongs among the bytes of [`Output::tail`].
    pub(super) at: usize,
}

/// A late answer that others before it hold back.
#[derive(Debug)]
struct Answer {
    bytes: Vec<u8>,
    gate: Position,
    jobs: Vec<JobId>,
}

impl Output {
    /// Where the replies of a batch are written; [`Output::finish`] must follow.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// Ends a batch whose replies depend on `gate`, with places left open for those to come.
    pub(super) fn finish(&mut self, open: &[Place], gate: Position, released: Position) {
        let (base, end) = (self.base, self.base + self.held.len());
        let touched = self.slots.len().saturating_sub(1);
        for place in open {
            self.close_stretch(base + place.at, gate, released);
            self.slots.push_back(Slot {
                number: place.number,
                audience: place.audience,
                answer: None,
                end: base + place.at,
                gate: Position(0),
            });
        }
        self.close_stretch(end, gate, released);
        for slot in self.slots.range_mut(touched..) {
            slot.gate = slot.gate.max(gate);
        }
    }

    /// What was written up to `end` stands behind the last slot; without one it is ready.
    fn close_stretch(&mut self, end: usize, gate: Position, released: Position) {
        match self.slots.back_mut() {
            Some(slot) => slot.end = end,
            // The usual case: nothing is late, and nothing is copied.
            None if self.ready.is_empty() && end == self.base + self.held.len() => {
                std::mem::swap(&mut self.ready, &mut self.held);
                self.base = end;
                self.close_gate(gate, released);
            }
            None => self.move_held(end, gate, released),
        }
    }

    /// Fills the slot of a command with its answer, which hands out `jobs` and may leave when the log is on disk up to
    /// `gate`.
    pub(super) fn answer(
        &mut self,
        number: u64,
        bytes: &[u8],
        gate: Position,
        jobs: Vec<JobId>,
        released: Position,
    ) {
        let found = self.slots.binary_search_by_key(&number, |slot| slot.number);
        match found.expect("a command that is answered late has a slot, and is answered once") {
            0 => self.give(bytes, gate, jobs, released),
            index => {
                self.slots[index].answer = Some(Answer {
                    bytes: bytes.to_vec(),
                    gate,
                    jobs,
                });
                return;
            }
        }
        while let Some(answer) = self.slots.front_mut().and_then(|slot| slot.answer.take()) {
            self.give(&answer.bytes, answer.gate, answer.jobs, released);
        }
    }

    /// Makes ready the first slot's answer, and what is held behind it alone.
    fn give(&mut self, bytes: &[u8], gate: Position, jobs: Vec<JobId>, released: Position) {
        let slot = self.slots.pop_front().expect("it is the first slot's");
        if slot.audience == Audience::Client {
            self.ready.extend_from_slice(bytes);
            if !jobs.is_empty() {
                self.unseen.push_back((self.ready.len(), jobs));
            }
            self.close_gate(gate, released);
        }
        self.move_held(slot.end, slot.gate, released);
    }

    /// Adds bytes that answer no command; they may stand between any two replies.
    pub(super) fn interject(&mut self, bytes: &[u8]) {
        self.ready.extend_from_slice(bytes);
    }

    /// Makes ready what is held up to `end`.
    fn move_held(&mut self, end: usize, gate: Position, released: Position) {
        let end = end - self.base;
        if end == self.moved {
            return;
        }
        self.ready.extend_from_slice(&self.held[self.moved..end]);
        self.moved = end;
        self.close_gate(gate, released);
        if self.moved == self.held.len() {
            empty(&mut self.held);
        } else if self.moved >= KEPT_BYTES {
            self.held.drain(..self.moved);
        } else {
            return;
        }
        self.base += self.moved;
        self.moved = 0;
    }

    /// All that is ready and not yet behind a gate depends on this position.
    fn close_gate(&mut self, position: Position, released: Position) {
        let end = self.ready.len();
        match self.gates.back_mut() {
            // It cannot leave before what stands before it anyway.
            Some((last, before)) if position <= *before => *last = end,
            Some((last, _)) if *last == end => {}
            None if self.written == end => {}
            _ if position > released => self.gates.push_back((end, position)),
            _ => {}
        }
    }

    /// The bytes that may leave now.
    pub(super) fn leaving(&mut self, released: Position) -> &[u8] {
        let mut open = self.written;
        while let Some(&(end, position)) = self.gates.front() {
            if position > released {
                return &self.ready[self.written..open];
            }
            open = end;
            self.gates.pop_front();
        }
        &self.ready[self.written..]
    }

    /// `written` more bytes have left.
    pub(super) fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some((end, _)) = self.unseen.front()
            && *end <= self.written
        {
            self.unseen.pop_front();
        }
        if self.written == self.ready.len() {
            empty(&mut self.ready);
            self.gates.clear();
            self.written = 0;
        } else if self.written >= WRITE_BYTES {
            self.ready.drain(..self.written);
            let gates = self.gates.iter_mut().map(|(end, _)| end);
            let ends = gates.chain(self.unseen.iter_mut().map(|(end, _)| end));
            ends.for_each(|end| *end -= self.written);
            self.written = 0;
        }
    }

    /// Whether something waits for the disk or for the client.
    pub(super) fn is_ready(&self) -> bool {
        self.written < self.ready.len()
    }

    /// Whether everything is answered and has left.
    pub(super) fn is_done(&self) -> bool {
        !self.is_ready() && self.slots.is_empty()
    }

    /// Bytes that wait to leave.
    pub(super) fn pending(&self) -> usize {
        self.ready.len() - self.written + self.held.len() - self.moved
    }

    /// Commands without an answer, and those behind them that are answered late too.
    pub(super) fn unanswered(&self) -> usize {
        self.slots.len()
    }

    /// Whether this command still has to be answered.
    pub(super) fn waits_for(&self, number: u64) -> bool {
        let found = self.slots.binary_search_by_key(&number, |slot| slot.number);
        found.is_ok_and(|index| self.slots[index].answer.is_none())
    }

    /// Whether replies take up too much for more commands to run.
    pub(super) fn is_full(&self) -> bool {
        self.pending() >= WRITE_BYTES || self.slots.len() >= UNANSWERED_MAX
    }

    /// Whether late answers hand out jobs that have not left yet.
    pub(super) fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// The jobs of late answers that have not left.
    pub(super) fn take_unseen(&mut self) -> Vec<JobId> {
        let ready = std::mem::take(&mut self.unseen).into_iter();
        let mut unseen: Vec<JobId> = ready.flat_map(|(_, jobs)| jobs).collect();
        for slot in &mut self.slots {
            unseen.extend(
                slot.answer
                    .take()
                    .into_iter()
                    .flat_map(|answer| answer.jobs),
            );
        }
        unseen
    }
}

/// Empties a buffer, and gives it back when it grew large.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT_BYTES {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests;
