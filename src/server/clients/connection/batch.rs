//! The commands that one read brought: parsed before the lock is taken, run under one lock, and held back while one of
//! them waits.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::{Connection, Hold};
use crate::config::secrets;
use crate::server::clients::execute::{Execution, Outcome, Prepared};
use crate::server::clients::output::KEPT_BYTES;
use crate::server::clients::session::Replies;
use crate::server::metrics;
use shoalmq_resp::{Decoded, Decoder, Status, encode};

/// Parses commands of a batch, before the lock is taken.
fn prepare<'a>(decoder: &'a Decoder, input: &'a [u8], commands: Range<usize>) -> Vec<Prepared<'a>> {
    let mut args = Vec::new();
    let prepare = |index| {
        decoder.args(index, input, &mut args);
        Prepared::new(&args)
    };
    commands.map(prepare).collect()
}

/// The arguments of a command as MONITOR and SLOWLOG show them: without secrets.
fn shown_arguments(decoder: &Decoder, input: &[u8], index: usize) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    decoder.args(index, input, &mut args);
    let mut args: Vec<_> = args.iter().map(|arg| arg.to_vec()).collect();
    secrets::redact(&mut args);
    args
}

impl<S> Connection<S> {
    /// Runs what has come in. Returns whether it stopped because there is enough to write first.
    pub(super) fn execute_all(&mut self) -> bool {
        while self.may_run() && self.has_commands() {
            if self.output.is_full() {
                return true;
            }
            self.execute();
        }
        false
    }

    /// Whether nothing holds commands back any more.
    fn may_run(&mut self) -> bool {
        let over = match self.hold {
            Hold::Nothing => true,
            Hold::Answer(number) => !self.output.waits_for(number),
            Hold::Answers => self.output.unanswered() == 0,
            Hold::Pause(until) => until <= Instant::now(),
            Hold::Stop => false,
        };
        if over {
            self.hold = Hold::Nothing;
        }
        over && !self.closing
    }

    /// Whether there may be a command to run, decoding what has come in if need be.
    fn has_commands(&mut self) -> bool {
        if self.batch.is_none() {
            let decoded = self.decoder.decode(&self.input);
            let nothing =
                decoded.commands == 0 && decoded.consumed == 0 && decoded.status == Status::Starved;
            self.batch = (!nothing).then_some((decoded, 0));
        }
        self.batch.is_some()
    }

    /// Runs the commands of the batch under one lock.
    fn execute(&mut self) {
        let Some((decoded, next)) = self.batch.take() else {
            return;
        };
        let prepared = prepare(&self.decoder, &self.input, next..decoded.commands);
        let shared = Arc::clone(&self.shared);
        let mut driver = shared.driver.lock();
        let clock = Instant::now();
        if driver.is_closed {
            self.batch = Some((decoded, next));
            self.closing = true;
            return;
        }
        if let Some(until) = driver.paused_until.filter(|&until| until > clock) {
            self.batch = Some((decoded, next));
            self.hold = Hold::Pause(until);
            return;
        }
        let unanswered = self.output.unanswered();
        let out = self.output.tail();
        let before = out.len();
        let session = &mut self.session;
        let mut execution = Execution::new(&shared, &mut driver, session, out, clock, unanswered);
        let arguments = |index| shown_arguments(&self.decoder, &self.input, index);
        let (open, end) = execution.run(next, prepared, arguments);
        let (command, gate) = (execution.command, execution.gate);
        let sooner = driver.settle();
        self.finish_batch(decoded, end);
        driver.stats.input_bytes.total += decoded.consumed as u64;
        driver.stats.output_bytes.total += (self.output.tail().len() - before) as u64;
        driver.note_batch(&self.session, command);
        drop(driver);
        if sooner {
            shared.tick_sooner.notify_one();
        }
        self.output.finish(&open, gate, *self.released.borrow());
    }

    /// Drops what was run from the input, or keeps the rest of a batch behind a command that waits.
    fn finish_batch(&mut self, decoded: Decoded, end: Option<(Outcome, usize)>) {
        let kept = match end {
            Some((Outcome::Blocked(place), index)) => {
                self.hold = Hold::Answer(place.number);
                Some(index + 1)
            }
            Some((Outcome::Waits, index)) => {
                self.hold = Hold::Answers;
                Some(index)
            }
            // The client that stops the node sees its connection end after all others.
            Some((Outcome::Silent, index)) => {
                self.hold = Hold::Stop;
                Some(index + 1)
            }
            Some((Outcome::Close, _)) => {
                self.closing = true;
                None
            }
            Some((Outcome::Done | Outcome::Late(_), _)) | None => None,
        };
        if let Some(next) = kept.filter(|&next| next < decoded.commands) {
            self.batch = Some((decoded, next));
            return;
        }
        self.input.advance(decoded.consumed);
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = BytesMut::new();
        }
        if let Status::Broken(error) = decoded.status
            && !self.closing
        {
            if self.session.replies == Replies::On {
                metrics::note_protocol_error();
                encode::protocol_error(self.output.tail(), error);
            }
            self.closing = true;
        }
    }
}
