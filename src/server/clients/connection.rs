//! One client's connection: bytes in, commands in batches, bytes out in order.
//!
//! A read brings many commands; they run under one lock, and one write answers them. Replies that depend on the disk
//! leave once the log is there; commands go on meanwhile, and also behind an ADDJOB that waits for its copies. A command
//! that waits for a job keeps those behind it: they run once it is answered.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use shoalmq_core::event::Event;
use shoalmq_core::id::JobId;
use shoalmq_storage::journal::Position;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::execute::{Execution, Outcome, Prepared};
use super::output::{KEPT_BYTES, Output};
use super::session::{Replies, Session};
use crate::command::{reply, secrets};
use crate::resp::{COMMAND_MAX, Decoded, Decoder, Status, encode};
use crate::server::driver::{Driver, Shared};
use crate::server::metrics;
use crate::server::reading::UnreadReply;

/// One read asks for so much.
const READ_BYTES: usize = 16 << 10;

/// A client that has closed its side may be gone, or still read: so long after the last answer to its ADDJOBs it counts
/// as gone, and those that still wait for copies are dropped.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// A client's connection.
pub(super) struct Connection<S> {
    shared: Arc<Shared>,
    session: Session,
    stream: S,
    decoder: Decoder,
    input: BytesMut,
    output: Output,
    /// Commands that were decoded from `input` and not yet all run: the batch, and the next of it.
    batch: Option<(Decoded, usize)>,
    hold: Hold,
    /// Replies that lack bodies, and the jobs in those that are being read.
    unread: Vec<UnreadReply>,
    reading: Vec<JobId>,
    /// The client has closed its side, and counts as gone then, if it still waits for answers.
    ends_by: Option<Instant>,
    /// No more commands are taken; the connection ends when everything is written.
    closing: bool,
    released: watch::Receiver<Position>,
}

/// What the commands that came in wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    /// The answer to this command: a GETJOB.
    Answer(u64),
    /// The answers to those before them: too many, or all for a MONITOR.
    Answers,
    /// The end of CLIENT PAUSE.
    Pause(Instant),
    /// The end of the node.
    Stop,
}

/// Whether the other side has closed the connection, which the runtime may not have heard of yet.
fn is_gone(stream: &impl AsFd) -> bool {
    let mut byte = [0_u8; 1];
    let peeked = recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    match peeked {
        Ok((_, length)) => length == 0,
        Err(error) => error != Errno::AGAIN && error != Errno::INTR,
    }
}

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

/// What made a connection go on.
enum Woken {
    Read(io::Result<usize>),
    Mail,
    Released,
    Time,
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> Connection<S> {
    pub(super) fn new(shared: Arc<Shared>, session: Session, stream: S) -> Self {
        let released = shared.released.subscribe();
        Connection {
            shared,
            session,
            stream,
            decoder: Decoder::new(),
            input: BytesMut::new(),
            output: Output::default(),
            batch: None,
            hold: Hold::Nothing,
            unread: Vec::new(),
            reading: Vec::new(),
            ends_by: None,
            closing: false,
            released,
        }
    }

    /// Serves the client until either side ends the connection.
    pub(super) async fn serve(mut self) {
        let killed = Arc::clone(&self.session.mailbox);
        tokio::select! {
            biased;
            () = killed.ended.notified() => {}
            // Any error of a client's socket just ends its connection.
            _ = self.run() => {}
        }
        self.leave();
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            self.closing |= self.session.mailbox.is_closing();
            let more = self.execute_all();
            self.show_buffers();
            self.write().await?;
            if more && !self.output.is_full() {
                continue;
            }
            if let Some(end) = self.ends_by {
                let starved = self.hold == Hold::Nothing && !more;
                self.closing |= starved;
                let waits = matches!(self.hold, Hold::Answer(_)) || self.output.has_unseen();
                let late = self.output.unanswered() > 0 && end <= Instant::now();
                if late || !self.closing && waits {
                    return Ok(());
                }
            }
            if self.closing && self.output.is_done() && self.hold != Hold::Stop {
                return self.stream.shutdown().await;
            }
            match self.wait().await {
                Woken::Read(result) => self.take_input(result?),
                Woken::Mail => {
                    self.take_mail();
                    self.read_bodies().await;
                    self.ends_by = self.ends_by.map(|_| Instant::now() + HALF_CLOSED);
                    if self.output.has_unseen() && is_gone(&self.stream) {
                        return Ok(());
                    }
                }
                Woken::Released | Woken::Time => {}
            }
        }
    }

    fn take_input(&mut self, read: usize) {
        if self.closing {
            self.input.clear();
        }
        if read == 0 {
            // What the client sent before it closed its side is still answered.
            self.ends_by = Some(Instant::now() + HALF_CLOSED);
        }
    }

    /// Runs what has come in. Returns whether it stopped because there is enough to write first.
    fn execute_all(&mut self) -> bool {
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
        let (open, end) = execution.run(next, &prepared, arguments);
        let (command, gate) = (execution.command, execution.gate);
        drop(prepared);
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

    fn take_mail(&mut self) {
        let letters = self.session.mailbox.take();
        let released = *self.released.borrow();
        let mut start = 0;
        for answered in letters.answers {
            let reply = &letters.replies[start..answered.end];
            start = answered.end;
            let (number, gate) = (answered.number, answered.gate);
            self.output
                .answer(number, reply, gate, answered.jobs, released);
        }
        self.unread = letters.unread;
        if self.session.replies == Replies::On {
            self.output.interject(&letters.lines);
        }
    }

    /// Completes the replies that lack bodies.
    async fn read_bodies(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let mut unread = std::mem::take(&mut self.unread);
        self.reading = unread.iter().flat_map(UnreadReply::jobs).collect();
        let read = tokio::task::spawn_blocking(move || {
            let (mut failed, mut undelivered) = (Vec::new(), Vec::new());
            for reply in &mut unread {
                let missing = reply.read();
                if reply.jobs().next().is_some() {
                    undelivered.extend(missing.iter().map(|failed| failed.id));
                }
                failed.extend(missing);
            }
            (unread, failed, undelivered)
        });
        let (read, failed, undelivered) = read.await.expect("a panic ends the process");
        self.reading.clear();
        if !failed.is_empty() {
            let give_up = |driver: &mut Driver| driver.give_up_bodies(failed, undelivered);
            self.shared.act(give_up);
        }
        let mut bytes = Vec::new();
        for UnreadReply {
            ticket,
            protocol,
            reply,
            gate,
            ..
        } in read
        {
            match reply.into_read() {
                Ok(reply) => {
                    bytes.clear();
                    reply::encode(&reply, protocol, &mut bytes);
                    let jobs = reply.delivered();
                    let released = *self.released.borrow();
                    self.output
                        .answer(ticket.number, &bytes, gate, jobs, released);
                }
                Err(again) => self.shared.act(|driver| driver.feed_again(ticket, again)),
            }
        }
    }

    /// Writes what may leave.
    async fn write(&mut self) -> io::Result<()> {
        loop {
            let released = *self.released.borrow_and_update();
            let leaving = self.output.leaving(released);
            if leaving.is_empty() {
                return Ok(());
            }
            let written = self.stream.write(leaving).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.advance(written);
        }
    }

    /// Waits for bytes, mail, the disk, or a time.
    async fn wait(&mut self) -> Woken {
        let gated = self.output.is_ready();
        // With replies that cannot leave, commands enough to go on with are all that is taken in.
        let room = if self.output.is_full() {
            KEPT_BYTES
        } else {
            COMMAND_MAX + READ_BYTES
        };
        let reads = self.ends_by.is_none() && self.input.len() < room;
        if self.input.capacity() - self.input.len() < READ_BYTES / 4 {
            self.input.reserve(READ_BYTES.max(self.decoder.wanted()));
        }
        self.show_buffers();
        let pause = match self.hold {
            Hold::Pause(until) => Some(until),
            _ => None,
        };
        let ends_by = self.ends_by.filter(|_| self.output.unanswered() > 0);
        let until = [pause, ends_by].into_iter().flatten().min();
        let alarm = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.session.mailbox.arrived.notified() => Woken::Mail,
            _ = self.released.changed(), if gated => Woken::Released,
            read = self.stream.read_buf(&mut self.input), if reads => Woken::Read(read),
            () = alarm => Woken::Time,
        }
    }

    /// Shows what the buffers hold.
    fn show_buffers(&self) {
        let (input, room) = (self.input.len(), self.input.capacity());
        let buffers = &self.session.mailbox.buffers;
        buffers.set(input, room - input, self.output.pending());
    }

    /// The connection is over: the client waits for nothing, and takes no job with it.
    fn leave(&mut self) {
        let mut driver = self.shared.driver.lock();
        driver.feed(Event::Disconnected(self.session.id));
        let mut unseen = self.output.take_unseen();
        let letters = self.session.mailbox.take();
        unseen.extend(
            letters
                .answers
                .into_iter()
                .flat_map(|answered| answered.jobs),
        );
        let waiting = self.unread.iter().chain(&letters.unread);
        unseen.extend(waiting.flat_map(UnreadReply::jobs));
        unseen.append(&mut self.reading);
        if !unseen.is_empty() {
            driver.feed(Event::Undelivered(unseen));
        }
        driver.forget_client(self.session.id);
        let sooner = driver.settle();
        drop(driver);
        if sooner {
            self.shared.tick_sooner.notify_one();
        }
        self.shared.client_left.notify_one();
    }
}
