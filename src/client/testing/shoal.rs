//! The real core in the process, on time that only moves when it is told to.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shoalmq_command::{Admin, Failure, Request as Parsed, reply, resolve};
use shoalmq_core::command::Reply;
use shoalmq_core::event::Event;
use shoalmq_core::id::{ClientId, NodeId, Ticket};
use shoalmq_core::log::{Policy, Reload};
use shoalmq_core::node::Settings;
use shoalmq_core::shell::{Boot, Disk, Left, Shell};
use shoalmq_core::time::{Now, Time, WallTime};
use shoalmq_resp::{Frame, Protocol, ReplyDecoder};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::error::Error;
use crate::id::JobId;
use crate::link::Request;
use crate::options::Options;
use crate::shoal::Shoal;
use crate::verbs::{Ending, endings, unexpected};
use crate::worker::{Report, Worker};

/// What the wall clock says at first: 2026-01-01.
const WALL: WallTime = WallTime(1_767_225_600_000);

/// A cluster of one node inside the process: the core that ships, without a socket or a file. Its time moves only by
/// [`advance`](Self::advance), so a test of an hour's retries takes no time.
///
/// It derefs to [`Shoal`], which also makes producers, consumers and workers; subscriptions need a [`TestServer`](super::TestServer).
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use shoalmq_client::testing::TestShoal;
/// use shoalmq_client::{Add, Ending, Job, JobCx};
///
/// #[derive(Serialize, Deserialize)]
/// struct Charge {
///     order: u32,
/// }
///
/// impl Job for Charge {
///     const QUEUE: &'static str = "charges";
///
///     fn options<'a>(&self, add: Add<'a>) -> Add<'a> {
///         add.max_deliver(3).backoff(Duration::from_secs(60), Duration::from_secs(60))
///     }
/// }
///
/// async fn charge(_: Charge, job: JobCx) -> Result<(), String> {
///     if job.deliveries() < 2 { Err("the bank sleeps".into()) } else { Ok(()) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), shoalmq_client::Error> {
/// let shoal = TestShoal::new().await?;
/// let worker = shoal.worker().job(charge);
/// let id = shoal.push(&Charge { order: 7 }).await?;
/// assert_eq!(shoal.drain(&worker).await?.counts.failed(), 1);
/// assert_eq!(shoal.ending(id)?, Ending::Pending(None));
/// shoal.advance(Duration::from_secs(90));
/// assert_eq!(shoal.drain(&worker).await?.counts.done(), 1);
/// assert_eq!(shoal.ending(id)?, Ending::Acked(None));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestShoal {
    shoal: Shoal,
    world: World,
}

impl TestShoal {
    /// A node without jobs. Fails only outside of tokio.
    pub async fn new() -> Result<Self, Error> {
        let world = World::new();
        let options = Options::new(["in-process"]).world(world.clone());
        let shoal = Shoal::connect_with(options).await?;
        Ok(TestShoal { shoal, world })
    }

    /// Lets time pass: delays, retries, waits and lives end.
    pub fn advance(&self, time: Duration) {
        self.world.lock().advance(time);
    }

    /// Runs a worker until nothing is ready in its queues and nothing is in its hands. What it waits for, [`advance`](Self::advance)
    /// brings. The counts are those of this call.
    pub async fn drain<S: Clone + Send + Sync + 'static>(
        &self,
        worker: &Worker<S>,
    ) -> Result<Report, Error> {
        let held = self.world.lock().held.len();
        worker.again().run_until(self.world.idle(held)).await
    }

    /// How a job ended, or that it has not.
    pub fn ending(&self, id: JobId) -> Result<Ending, Error> {
        let args = [
            b"WAITJOB".to_vec(),
            b"TIMEOUT".to_vec(),
            b"1".to_vec(),
            id.as_ref().to_vec(),
        ];
        let frame = self.world.lock().call_now(&args)?;
        let ends = endings(&frame).ok_or_else(|| unexpected(&frame))?;
        let first = ends.into_iter().next().map(|(_, ending)| ending);
        first.ok_or_else(|| unexpected(&frame))
    }
}

impl Deref for TestShoal {
    type Target = Shoal;

    fn deref(&self) -> &Shoal {
        &self.shoal
    }
}

/// Where links lead that stay in the process.
#[derive(Debug, Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    /// Something was asked or answered.
    changed: Arc<Notify>,
}

type Answer = oneshot::Sender<Result<Frame, Error>>;

#[derive(Debug)]
struct Inner {
    shell: Shell,
    disk: Disk,
    now: Now,
    clients: u64,
    tickets: u64,
    /// Who waits for what.
    waiting: HashMap<(ClientId, u64), (Answer, Kind)>,
    /// The jobs that were handed out and not yet given back.
    held: HashSet<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Other,
}

impl World {
    fn new() -> Self {
        let boot = Boot {
            id: NodeId::from_bytes([7; 20]),
            settings: Settings::default(),
            seed: [7; 32],
            generation: 1,
            wall: WALL,
            not_before: Time::ZERO,
            reload: Reload::Active,
            policy: Policy::Stalls,
            few: 0,
            bug: None,
        };
        let mut disk = Disk::default();
        let shell = Shell::start(&boot, &mut disk, &mut Vec::new(), |_| {});
        let now = Now {
            time: shell.base(),
            wall: WALL,
        };
        let inner = Inner {
            shell,
            disk,
            now,
            clients: 0,
            tickets: 0,
            waiting: HashMap::new(),
            held: HashSet::new(),
        };
        World {
            inner: Arc::new(Mutex::new(inner)),
            changed: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a link, until its last door is closed.
    pub(crate) async fn serve(self, mut requests: mpsc::Receiver<Request>) {
        let client = self.lock().connect();
        while let Some(request) = requests.recv().await {
            self.lock().ask(client, &request.encoded, request.answer);
            self.changed.notify_waiters();
        }
        self.lock().settle(Event::Disconnected(client));
        self.changed.notify_waiters();
    }

    /// The time inside.
    pub(crate) fn now(&self) -> Duration {
        self.lock().now.time.since(Time::ZERO)
    }

    /// Waits until a client waits for jobs, and no more jobs are held than these.
    async fn idle(&self, held: usize) {
        loop {
            let changed = self.changed.notified();
            {
                let inner = self.lock();
                let waits = inner
                    .waiting
                    .values()
                    .any(|(answer, kind)| *kind == Kind::Get && !answer.is_closed());
                if waits && inner.held.len() <= held {
                    return;
                }
            }
            changed.await;
        }
    }
}

impl Inner {
    fn connect(&mut self) -> ClientId {
        self.clients += 1;
        ClientId(self.clients)
    }

    fn advance(&mut self, time: Duration) {
        let target = self.now.time + time;
        loop {
            let deadline = self.shell.node().deadline();
            if deadline > target {
                break;
            }
            self.pass_to(deadline.max(self.now.time));
            self.settle(Event::Tick);
        }
        self.pass_to(target);
    }

    fn pass_to(&mut self, time: Time) {
        let passed = time.since(self.now.time).as_millis() as u64;
        self.now = Now {
            time,
            wall: WallTime(self.now.wall.0 + passed),
        };
    }

    /// Asks, and lets a millisecond pass if there is no answer without it.
    fn call_now(&mut self, args: &[Vec<u8>]) -> Result<Frame, Error> {
        let mut encoded = Vec::new();
        shoalmq_resp::encode::command(&mut encoded, args);
        let (answer, mut answered) = oneshot::channel();
        let client = self.connect();
        self.ask(client, &encoded, answer);
        if let Ok(frame) = answered.try_recv() {
            return frame;
        }
        self.advance(Duration::from_millis(1));
        answered.try_recv().unwrap_or(Err(Error::Gone))
    }

    fn ask(&mut self, client: ClientId, encoded: &[u8], answer: Answer) {
        let Ok(Some(Frame::Array(words))) = ReplyDecoder::default().decode(&mut &encoded[..])
        else {
            let _ = answer.send(Err(Error::Unexpected("no command".to_owned())));
            return;
        };
        let args: Vec<&[u8]> = words.iter().filter_map(Frame::as_bytes).collect();
        let name = args
            .first()
            .map(|name| name.to_ascii_uppercase())
            .unwrap_or_default();
        if matches!(&name[..], b"ACKJOB" | b"NACK" | b"ENQUEUE" | b"DELJOB") {
            for id in &args[1..] {
                self.held.remove(*id);
            }
        }
        let parsed =
            resolve(&args).and_then(|spec| (spec.parse)(&args[1..]).map_err(Failure::from));
        let command = match parsed {
            Ok(Parsed::Core(command)) => command,
            Ok(Parsed::Admin(Admin::Ping(_))) => {
                let _ = answer.send(Ok(Frame::Simple(b"PONG".to_vec())));
                return;
            }
            Ok(Parsed::Admin(_)) => {
                let name = String::from_utf8_lossy(&name);
                let text = format!(
                    "ERR a TestShoal has no server, which is what answers {name}: use a TestServer"
                );
                let _ = answer.send(Ok(Frame::Error(text.into())));
                return;
            }
            Err(failure) => {
                let mut out = Vec::new();
                failure.encode(&mut out);
                let _ = answer.send(decoded(&out));
                return;
            }
        };
        self.tickets += 1;
        let kind = if name == b"GETJOB" {
            Kind::Get
        } else {
            Kind::Other
        };
        self.waiting.insert((client, self.tickets), (answer, kind));
        let ticket = Ticket {
            client,
            number: self.tickets,
        };
        self.settle(Event::Command(ticket, command));
        // What takes several steps goes on at once.
        self.advance(Duration::ZERO);
    }

    /// Tells the node of something, and those who wait what it answers.
    fn settle(&mut self, event: Event<'_>) {
        let mut left = Vec::new();
        self.shell
            .settle(&mut self.disk, self.now, event, &mut left);
        for one in left {
            let Left::Reply(ticket, reply, _) = one else {
                continue;
            };
            let Some((answer, _)) = self.waiting.remove(&(ticket.client, ticket.number)) else {
                continue;
            };
            let delivered: Vec<_> = match &reply {
                Reply::Delivered(jobs, _) => jobs.iter().map(|job| job.id).collect(),
                _ => Vec::new(),
            };
            let mut out = Vec::new();
            reply::encode(&reply, Protocol::Resp2, &mut out);
            if answer.send(decoded(&out)).is_ok() {
                self.held
                    .extend(delivered.iter().map(|id| id.text().to_vec()));
            } else if !delivered.is_empty() {
                // Who asked does not wait any more.
                self.settle(Event::Undelivered(delivered));
            }
        }
    }
}

fn decoded(encoded: &[u8]) -> Result<Frame, Error> {
    let reply = ReplyDecoder::default().decode(&mut &encoded[..]);
    let reply = reply.map_err(|error| Error::Unexpected(error.to_string()))?;
    reply.ok_or_else(|| Error::Unexpected("half an answer".to_owned()))
}
