//! A link to the cluster: one task that keeps a connection to some node, and the commands that go over it.
//!
//! Commands leave in the order in which they were given, as many as there are in one write, and are answered in that order. When the
//! connection breaks, what may be sent again is sent again over the next one, before anything newer; the rest ends as
//! [`Error::Unknown`].

use std::collections::VecDeque;
use std::time::Duration;

use shoalmq_resp::{Frame, encode};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::connection::{Connection, ConnectionError};
use crate::dialer::Dialer;
use crate::error::{Broken, Error};
use crate::id::JobId;
use crate::options::Options;
use crate::verbs::{Nack, count, deliveries};

/// Commands that may wait to be sent before their callers wait themselves.
const WAITING_MAX: usize = 16 << 10;
/// Commands that are written together.
const BATCH: usize = 512;
/// Commands without an answer on one connection.
const IN_FLIGHT_MAX: usize = 32 << 10;

/// Whether a command that was sent over a connection that broke may be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is as doing it once.
    Safe,
    /// Its caller hears that nobody knows.
    Never,
    /// The same, and it brings jobs: when nobody waits for them any more, they are given back.
    Jobs,
}

/// A command on its way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) encoded: Vec<u8>,
    repeat: Repeat,
    /// How long the server may take to answer beyond the usual.
    waits: Duration,
    /// Until when it may wait for a node; none for ever.
    give_up: Option<Instant>,
    pub(crate) answer: oneshot::Sender<Result<Frame, Error>>,
}

/// The door of a link. Copies are doors of the same one, and the link ends with the last.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    requests: mpsc::Sender<Request>,
    patience: Option<Duration>,
}

impl Link {
    /// Begins a link. It connects once it is asked for something.
    pub(crate) fn open(options: &Options, runtime: &Handle) -> Self {
        let (link, task) = Link::new(options, Some(options.patience), None);
        runtime.spawn(task.run_or_stay());
        link
    }

    /// Begins a link for commands that wait for jobs: for ever, if no node is there. What comes when nobody waits any more is given back
    /// over the other link. The task ends with the last door: the node is told that this side is closed, and so stops to wait.
    pub(crate) fn open_taking(
        options: &Options,
        gives_back: &Link,
        runtime: &Handle,
    ) -> (Self, JoinHandle<()>) {
        let (link, task) = Link::new(options, None, Some(gives_back.clone()));
        (link, runtime.spawn(task.run_or_stay()))
    }

    fn new(
        options: &Options,
        patience: Option<Duration>,
        gives_back: Option<Link>,
    ) -> (Self, Task) {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let task = Task {
            dialer: Dialer::new(options),
            gives_back,
            waiting,
            held: VecDeque::new(),
            in_flight: VecDeque::new(),
            unclaimed: Vec::new(),
        };
        (Link { requests, patience }, task)
    }

    /// Sends a command, and waits for its answer, which is no refusal.
    pub(crate) async fn call<A: AsRef<[u8]>>(
        &self,
        args: &[A],
        repeat: Repeat,
        waits: Duration,
    ) -> Result<Frame, Error> {
        let (request, answer) = Request::new(args, repeat, waits, self.give_up());
        self.requests.send(request).await.map_err(|_| Error::Gone)?;
        let frame = answer.await.map_err(|_| Error::Gone)??;
        match frame.as_error() {
            Some(text) => Err(Error::Refused(String::from_utf8_lossy(text).into_owned())),
            None => Ok(frame),
        }
    }

    /// Gives a job back that nobody has seen: at its place, at once, and not as an attempt that failed.
    pub(crate) async fn give_back(&self, id: JobId) -> Result<(), Error> {
        let enqueue: [&[u8]; 2] = [b"ENQUEUE", id.as_ref()];
        let queued = self.call(&enqueue, Repeat::Never, Duration::ZERO).await?;
        if count(&queued)? == 0 {
            // ENQUEUE is for nodes that hold the job; others pass a NACK on.
            Nack::new(self, id).await?;
        }
        Ok(())
    }

    /// Until when a command that is asked for now may wait for a node.
    fn give_up(&self) -> Option<Instant> {
        self.patience.map(|patience| Instant::now() + patience)
    }
}

impl Request {
    fn new<A: AsRef<[u8]>>(
        args: &[A],
        repeat: Repeat,
        waits: Duration,
        give_up: Option<Instant>,
    ) -> (Self, oneshot::Receiver<Result<Frame, Error>>) {
        let mut encoded = Vec::new();
        encode::command(&mut encoded, args);
        let (answer, receiver) = oneshot::channel();
        let request = Request {
            encoded,
            repeat,
            waits,
            give_up,
            answer,
        };
        (request, receiver)
    }
}

/// Why a connection is given up.
enum End {
    /// The last door is closed, and all is answered.
    Over,
    /// It broke.
    Broken(Broken),
    /// The node sends its clients to others.
    Elsewhere,
}

struct Task {
    dialer: Dialer,
    /// It takes jobs. Those that come for nobody when its connection ends are given back over the other one.
    gives_back: Option<Link>,
    waiting: mpsc::Receiver<Request>,
    /// What goes out first, over the next connection.
    held: VecDeque<Request>,
    in_flight: VecDeque<Request>,
    /// Jobs that came for somebody who does not wait any more.
    unclaimed: Vec<JobId>,
}

impl Task {
    /// Runs, or serves its doors inside the process where a test wants that.
    async fn run_or_stay(self) {
        #[cfg(feature = "testing")]
        if let Some(world) = self.dialer.world() {
            return world.serve(self.waiting).await;
        }
        self.run().await;
    }

    async fn run(mut self) {
        loop {
            if self.held.is_empty() {
                match self.waiting.recv().await {
                    Some(request) => self.held.push_back(request),
                    None => return,
                }
            }
            let Some((address, pause)) = self.dialer.next() else {
                self.refuse_all(|| Error::Unreachable("no address was given".to_owned()));
                continue;
            };
            if !self.pause(pause).await {
                return;
            }
            let end = match self.dialer.dial(&address).await {
                Ok(connection) => self.serve(connection).await,
                Err(broken) => End::Broken(broken),
            };
            self.settle_in_flight();
            match end {
                End::Over => return,
                End::Elsewhere => self.dialer.note_turned_away(&address),
                End::Broken(broken) => {
                    if let Some(text) = self.dialer.note_broken(&address, broken) {
                        self.refuse_all(|| Error::Denied(text.clone()));
                    }
                }
            }
            self.refuse_late();
        }
    }

    /// Waits before the next attempt, and refuses meanwhile what waits no longer. False: nobody wants anything any more.
    async fn pause(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            let gives_up = self.held.iter().filter_map(|request| request.give_up).min();
            tokio::select! {
                () = tokio::time::sleep_until(gives_up.map_or(until, |at| at.min(until))) => {}
                request = self.waiting.recv(), if self.held.len() < WAITING_MAX => match request {
                    Some(request) => self.held.push_back(request),
                    None if self.held.is_empty() => return false,
                    None => tokio::time::sleep_until(until).await,
                },
            }
            self.refuse_late();
        }
        true
    }

    /// Sends and receives, until the connection ends.
    async fn serve(&mut self, mut connection: Connection) -> End {
        for request in std::mem::take(&mut self.held) {
            self.send(&mut connection, request);
        }
        let mut batch = Vec::with_capacity(BATCH);
        let (mut is_open, mut goes) = (true, false);
        let mut due = self.next_due();
        loop {
            if self.in_flight.is_empty() && (goes || !is_open) {
                return if goes { End::Elsewhere } else { End::Over };
            }
            if !is_open && self.gives_back.is_some() {
                self.finish(connection).await;
                return End::Over;
            }
            let takes = is_open && !goes && self.in_flight.len() < IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                frame = connection.receive() => {
                    let mut next = frame.map(Some);
                    loop {
                        match next {
                            Ok(Some(frame)) => goes |= self.take_answer(frame),
                            Ok(None) => break,
                            Err(error) => return End::Broken(error.into()),
                        }
                        next = connection.decoded();
                    }
                    self.give_back(&mut connection);
                    due = self.next_due();
                }
                count = self.waiting.recv_many(&mut batch, BATCH), if takes => {
                    is_open = count > 0;
                    let was_idle = self.in_flight.is_empty();
                    for request in batch.drain(..) {
                        self.send(&mut connection, request);
                    }
                    if was_idle {
                        due = self.next_due();
                    }
                }
                () = sleep_until(due) => {
                    let silent = ConnectionError::Silent(self.dialer.answer_timeout());
                    return End::Broken(Broken::Connection(silent));
                }
            }
        }
    }

    /// Nobody waits for jobs any more: says so, and gives back what was on its way.
    async fn finish(&mut self, mut connection: Connection) {
        let timeout = self.dialer.answer_timeout();
        let ended = async {
            connection.finish().await?;
            loop {
                let frame = connection.receive().await?;
                self.take_answer(frame);
            }
        };
        // It ends as the node closes its side, or does not.
        let _: Result<Result<(), ConnectionError>, _> = tokio::time::timeout(timeout, ended).await;
        if let Some(other) = &self.gives_back {
            for id in std::mem::take(&mut self.unclaimed) {
                if let Err(error) = other.give_back(id).await {
                    tracing::warn!(%id, %error, "a job may not be given back before its retry");
                }
            }
        }
    }

    /// By when the oldest command has to be answered.
    fn next_due(&self) -> Option<Instant> {
        let oldest = self.in_flight.front()?;
        Instant::now().checked_add(self.dialer.answer_timeout().saturating_add(oldest.waits))
    }

    fn send(&mut self, connection: &mut Connection, request: Request) {
        connection.send_encoded(&request.encoded);
        self.in_flight.push_back(request);
    }

    /// Gives back what was handed out to somebody who did not wait for it.
    fn give_back(&mut self, connection: &mut Connection) {
        if self.unclaimed.is_empty() {
            return;
        }
        let ids = std::mem::take(&mut self.unclaimed);
        // Nobody has seen them: no attempt failed.
        let mut args: Vec<&[u8]> = vec![b"ENQUEUE"];
        args.extend(ids.iter().map(AsRef::as_ref));
        let (request, _) = Request::new(&args, Repeat::Never, Duration::ZERO, None);
        self.send(connection, request);
    }

    /// The oldest command is answered. True if the node turned it away, and it is to go to another one.
    fn take_answer(&mut self, frame: Frame) -> bool {
        let Some(request) = self.in_flight.pop_front() else {
            return false;
        };
        let is_away = frame.as_error().is_some_and(turns_away);
        if is_away {
            self.held.push_back(request);
            return true;
        }
        self.dialer.note_answered();
        if let Err(Ok(frame)) = request.answer.send(Ok(frame))
            && request.repeat == Repeat::Jobs
            && let Ok(jobs) = deliveries(frame)
        {
            self.unclaimed.extend(jobs.iter().map(|job| job.id));
        }
        false
    }

    /// The connection is over: what may be sent again waits for the next one.
    fn settle_in_flight(&mut self) {
        let turned_away = std::mem::take(&mut self.held);
        for request in self.in_flight.drain(..) {
            match request.repeat {
                Repeat::Safe => self.held.push_back(request),
                Repeat::Never | Repeat::Jobs => {
                    let _ = request.answer.send(Err(Error::Unknown));
                }
            }
        }
        self.held.extend(turned_away);
    }

    /// Refuses what has waited long enough for a node.
    fn refuse_late(&mut self) {
        let now = Instant::now();
        for request in std::mem::take(&mut self.held) {
            if request.give_up.is_some_and(|at| at <= now) {
                let _ = request
                    .answer
                    .send(Err(Error::Unreachable(self.dialer.last_error().to_owned())));
            } else if request.repeat != Repeat::Jobs || !request.answer.is_closed() {
                self.held.push_back(request);
            }
        }
    }

    fn refuse_all(&mut self, error: impl Fn() -> Error) {
        for request in self.held.drain(..) {
            let _ = request.answer.send(Err(error()));
        }
    }
}

/// Whether a node that leaves or reads its log refused a command, of which it has done nothing: another node may take it.
pub(crate) fn turns_away(refusal: &[u8]) -> bool {
    refusal.starts_with(b"LEAVING ")
        || refusal.starts_with(b"LOADING ")
        || refusal.starts_with(b"NOREPL ") && refusal.ends_with(b"I'm leaving the cluster")
}

/// Waits until then, or for ever.
pub(crate) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
