//! One client's connection: bytes in, commands in batches, bytes out in order.
//!
//! A read brings many commands; they run under one lock, and one write answers them. Replies that depend on the disk
//! leave once the log is there (their gate); commands go on meanwhile. A command that waits for a job keeps
//! those behind it: they run once it is answered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use shoalmq_core::event::Event;
use shoalmq_core::id::JobId;
use shoalmq_storage::journal::Position;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::driver::Shared;
use super::execute::{Execution, Outcome, Prepared};
use super::session::{Replies, Session};
use crate::resp::{COMMAND_MAX, Decoded, Decoder, Status, encode};

/// One read asks for so much.
const READ_BYTES: usize = 16 << 10;
/// Buffers that grew past this are given back when they are empty.
const KEPT_BYTES: usize = 256 << 10;
/// So many bytes of replies are enough for one write: what is behind runs after it.
const WRITE_BYTES: usize = 1 << 20;

/// A client's connection.
pub(crate) struct Connection<S> {
    shared: Arc<Shared>,
    session: Session,
    stream: S,
    decoder: Decoder,
    input: BytesMut,
    output: Output,
    /// Commands that were decoded from `input` and not yet all run: the batch, and the next of it.
    batch: Option<(Decoded, usize)>,
    blocked: bool,
    /// Jobs of an answer that came by mail, while it is not written.
    unseen: Vec<JobId>,
    /// No more commands are taken; the connection ends when everything is written.
    closing: bool,
    released: watch::Receiver<Position>,
}

/// Replies on their way out.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Ends of stretches, and how far the log must be on disk before they may leave.
    gates: VecDeque<(usize, Position)>,
}

impl Output {
    /// All that is not yet behind a gate depends on this position.
    fn close_gate(&mut self, position: Position, released: Position) {
        if position > released
            && self
                .gates
                .back()
                .is_none_or(|&(end, _)| end < self.bytes.len())
        {
            self.gates.push_back((self.bytes.len(), position));
        }
    }

    /// The bytes that may leave now.
    fn ready(&mut self, released: Position) -> &[u8] {
        let mut open = self.written;
        while let Some(&(end, position)) = self.gates.front() {
            if position > released {
                return &self.bytes[self.written..open];
            }
            open = end;
            self.gates.pop_front();
        }
        &self.bytes[self.written..]
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.written >= WRITE_BYTES {
            self.bytes.drain(..self.written);
            self.gates
                .iter_mut()
                .for_each(|(end, _)| *end -= self.written);
            self.written = 0;
        }
    }

    fn pending(&self) -> usize {
        self.bytes.len() - self.written
    }
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

/// What made a connection go on.
enum Woken {
    Read(io::Result<usize>),
    Mail,
    Released,
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> Connection<S> {
    pub(crate) fn new(shared: Arc<Shared>, session: Session, stream: S) -> Self {
        let released = shared.released.subscribe();
        Connection {
            shared,
            session,
            stream,
            decoder: Decoder::new(),
            input: BytesMut::new(),
            output: Output::default(),
            batch: None,
            blocked: false,
            unseen: Vec::new(),
            closing: false,
            released,
        }
    }

    /// Serves the client until either side ends the connection.
    pub(crate) async fn serve(mut self) {
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
            let more = self.execute_all().await;
            self.show_buffers();
            self.write().await?;
            if self.closing && self.output.pending() == 0 {
                return self.stream.shutdown().await;
            }
            if more && self.output.pending() < WRITE_BYTES {
                continue;
            }
            match self.wait().await {
                Woken::Read(result) => {
                    if result? == 0 {
                        if self.blocked || !self.unseen.is_empty() {
                            return Ok(());
                        }
                        // What the client sent before it closed its side is still answered.
                        self.closing = true;
                    }
                }
                Woken::Mail => {
                    self.take_mail();
                    if !self.unseen.is_empty() && is_gone(&self.stream) {
                        return Ok(());
                    }
                }
                Woken::Released => {}
            }
        }
    }

    /// Runs what has come in. Returns whether it stopped because there is enough to write first.
    async fn execute_all(&mut self) -> bool {
        while !self.blocked && !self.closing && self.has_commands() {
            if self.output.pending() >= WRITE_BYTES {
                return true;
            }
            if let Some(until) = self.execute() {
                tokio::time::sleep_until(until.into()).await;
            }
        }
        false
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

    /// Runs the commands of the batch. Returns until when to wait first, when all clients are paused.
    fn execute(&mut self) -> Option<Instant> {
        let (decoded, next) = self.batch.take()?;
        let mut args = Vec::new();
        let prepared: Vec<Prepared<'_>> = (next..decoded.commands)
            .map(|index| {
                self.decoder.args(index, &self.input, &mut args);
                Prepared::new(&args)
            })
            .collect();
        let shared = Arc::clone(&self.shared);
        let mut driver = shared.driver.lock();
        let clock = Instant::now();
        if let Some(until) = driver.paused_until.filter(|&until| until > clock) {
            self.batch = Some((decoded, next));
            return Some(until);
        }
        let now = driver.clock.now();
        let before = self.output.bytes.len();
        let mut execution = Execution {
            shared: &shared,
            driver: &mut driver,
            session: &mut self.session,
            now,
            out: &mut self.output.bytes,
            clock,
            gate: Position(0),
            command: "NULL",
        };
        let mut end = None;
        for (index, command) in (next..).zip(&prepared) {
            let (batch, bytes) = (&self.decoder, &self.input);
            let arguments = || {
                let mut args = Vec::new();
                batch.args(index, bytes, &mut args);
                args.iter().map(|arg| arg.to_vec()).collect()
            };
            match execution.run(command, arguments) {
                Outcome::Done => {}
                stopped => {
                    end = Some((stopped, index + 1));
                    break;
                }
            }
        }
        let (command, gate) = (execution.command, execution.gate);
        drop(prepared);
        let sooner = driver.settle();
        self.finish_batch(decoded, end);
        driver.stats.input_bytes.total += decoded.consumed as u64;
        driver.stats.output_bytes.total += (self.output.bytes.len() - before) as u64;
        driver.note_batch(&self.session, command, self.blocked);
        drop(driver);
        if sooner {
            shared.tick_sooner.notify_one();
        }
        self.output.close_gate(gate, *self.released.borrow());
        None
    }

    /// Drops what was run from the input, or keeps the rest of a batch behind a command that waits.
    fn finish_batch(&mut self, decoded: Decoded, end: Option<(Outcome, usize)>) {
        match end {
            // A node that stops ends all connections: this one just waits for it.
            Some((Outcome::Blocked | Outcome::Silent, next)) => {
                self.blocked = true;
                if next < decoded.commands {
                    self.batch = Some((decoded, next));
                    return;
                }
            }
            Some((Outcome::Close, _)) => self.closing = true,
            Some((Outcome::Done, _)) | None => {}
        }
        self.input.advance(decoded.consumed);
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = BytesMut::new();
        }
        if let Status::Broken(error) = decoded.status
            && !self.closing
        {
            if self.session.replies == Replies::On {
                encode::protocol_error(&mut self.output.bytes, error);
            }
            self.closing = true;
        }
    }

    fn take_mail(&mut self) {
        let letters = self.session.mailbox.take();
        if letters.answered {
            self.blocked = false;
        }
        if self.session.replies == Replies::On {
            self.output.bytes.extend_from_slice(&letters.bytes);
            self.unseen = letters.jobs;
            self.output
                .close_gate(letters.gate, *self.released.borrow());
        }
    }

    /// Writes what may leave.
    async fn write(&mut self) -> io::Result<()> {
        loop {
            let released = *self.released.borrow_and_update();
            let ready = self.output.ready(released);
            if ready.is_empty() {
                return Ok(());
            }
            let written = self.stream.write(ready).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.advance(written);
            if self.output.pending() == 0 {
                self.unseen.clear();
            }
        }
    }

    /// Waits for bytes, mail, or the disk.
    async fn wait(&mut self) -> Woken {
        let gated = self.output.pending() > 0;
        let full = self.closing || self.input.len() >= COMMAND_MAX + READ_BYTES;
        if self.input.capacity() - self.input.len() < READ_BYTES / 4 {
            self.input.reserve(READ_BYTES.max(self.decoder.wanted()));
        }
        self.show_buffers();
        tokio::select! {
            () = self.session.mailbox.arrived.notified() => Woken::Mail,
            _ = self.released.changed(), if gated => Woken::Released,
            read = self.stream.read_buf(&mut self.input), if !full => Woken::Read(read),
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
        let mut unseen = std::mem::take(&mut self.unseen);
        unseen.append(&mut self.session.mailbox.take().jobs);
        if !unseen.is_empty() {
            driver.feed(Event::Undelivered(unseen));
        }
        driver.forget_peer(self.session.id);
        driver.settle();
        drop(driver);
        self.shared.client_left.notify_one();
    }
}
