//! One client's connection: bytes in, commands in batches, bytes out in order.
//!
//! A read brings many commands; they run under one lock, and one write answers them. Replies that depend on the disk
//! leave once the log is there; commands go on meanwhile, and also behind an ADDJOB that waits for its copies. A command
//! that waits for a job keeps those behind it: they run once it is answered.
//!
//! This file is the loop that waits, reads and writes; `batch` runs the commands, `mail` takes in late answers.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use shoalmq_core::event::Event;
use shoalmq_core::id::JobId;
use shoalmq_storage::journal::Position;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::mailbox::UnreadPush;
use super::output::{KEPT_BYTES, Output};
use super::session::Session;
use crate::server::driver::Shared;
use crate::server::reading::UnreadReply;
use shoalmq_resp::{COMMAND_MAX, Decoded, Decoder};

mod batch;
mod mail;

/// How much one read asks for.
const READ_BYTES: usize = 16 << 10;

/// A client that has closed its side may be gone, or still read: this long after the last answer to its ADDJOBs it counts
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
    /// What the client subscribed to and is not read yet.
    pushes: Vec<UnreadPush>,
    /// Replies to commands that end subscriptions: they come after what is read.
    last: Vec<(u64, Vec<u8>)>,
    /// The core is to hear when the client has taken what it subscribed to.
    awaited: bool,
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
            pushes: Vec::new(),
            last: Vec::new(),
            awaited: false,
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
            self.tell_ready();
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
                    if self.session.mailbox.has_little() {
                        // Other connections that are ready may bring more for the same write.
                        tokio::task::yield_now().await;
                    }
                    self.take_mail();
                    self.read_bodies().await;
                    self.read_pushes().await;
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
