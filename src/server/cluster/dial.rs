//! The task of one member: dials it for as long as it is a member, and writes what waits for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use shoalmq_core::id::NodeId;
use shoalmq_storage::journal::Position;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use super::outbox::{Outbox, Queue};
use super::refusals::Reason;
use crate::bus::codec::{self, Frame, Invalid, Notice};
use crate::bus::handshake::{self, Handshake, Hello, Key, Proven, Refused};
use crate::server::clock;
use crate::server::driver::{Driver, Shared};

/// Between two tries to dial; up to a quarter more, so that nodes that lost each other do not all dial at once.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A link that held for this long was a good one: the node dials again at once.
const HELD: Duration = Duration::from_secs(5);
/// A handshake takes a round trip and a half; a node under load may take its time.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// Between two pings, a tenth of `cluster-node-timeout` within these bounds.
const PING: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The most bytes of one write, so that pings get in between.
const WRITE_BYTES: usize = 1 << 20;
/// More than any pong.
const PONG_BYTES: usize = 256;

/// Why a handshake came to nothing.
#[derive(Debug, Error)]
pub(super) enum ShakeError {
    #[error("it took too long")]
    Late,
    #[error("it closed the connection")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("another node is there: {0}")]
    Another(NodeId),
}

/// What a dial needs.
struct Plan {
    address: SocketAddr,
    name: Option<String>,
    hello: Hello,
    key: Key,
    patience: Duration,
}

/// Keeps the link to a member up, until the task is aborted.
pub(super) async fn keep_linked(shared: Arc<Shared>, id: NodeId, hurry: Arc<Notify>) {
    let mut pause = PAUSE.0;
    loop {
        let Some(plan) = plan(&shared, &id) else {
            return;
        };
        let began = Instant::now();
        if let Err(error) = dial(&shared, &id, plan).await {
            debug!(peer = %id, %error, "no link");
        }
        if began.elapsed() > HELD {
            pause = PAUSE.0;
        }
        let [byte] = clock::entropy();
        let jitter = pause * u32::from(byte) / 1024;
        tokio::select! {
            () = tokio::time::sleep(pause + jitter) => pause = (pause * 2).min(PAUSE.1),
            () = hurry.notified() => pause = PAUSE.0,
        }
    }
}

fn plan(shared: &Shared, id: &NodeId) -> Option<Plan> {
    let driver = shared.driver.lock();
    let member = driver.cluster.members.get(id)?;
    Some(Plan {
        address: member.bus,
        name: member.name.clone(),
        hello: driver.own_hello()?,
        key: driver.cluster.key()?,
        patience: driver
            .config
            .cluster_node_timeout
            .clamp(Duration::from_secs(1), HANDSHAKE),
    })
}

/// Dials a member, and serves the link until it breaks.
async fn dial(shared: &Arc<Shared>, id: &NodeId, plan: Plan) -> Result<(), ShakeError> {
    let mut stream = connect(&plan).await?;
    stream.set_nodelay(true)?;
    let address = stream.peer_addr()?;
    let mut out = Vec::new();
    let handshake = Handshake::dial(&plan.key, clock::entropy(), &plan.hello, &mut out);
    let mut input = BytesMut::new();
    let proven = shake(&mut stream, handshake, out, &mut input).await;
    let (_, proven) = proven.inspect_err(|error| {
        if let ShakeError::Refused(refused) = error {
            let reason = Reason::from(*refused);
            let refusals = &mut shared.driver.lock().cluster.refusals;
            refusals.note(address.ip(), reason, refused);
        }
    })?;
    let node = proven.hello.claim.node;
    if node != *id {
        return Err(ShakeError::Another(node));
    }
    let Some(outbox) = shared.act(|driver| driver.link_up(id, &proven.hello)) else {
        return Ok(());
    };
    let link = Writer {
        shared: Arc::clone(shared),
        id: *id,
        outbox: Arc::clone(&outbox),
        released: shared.released.subscribe(),
        queue: Queue::default(),
        pledged: 0,
        ping: Vec::new(),
        pinging: false,
    };
    let ended = link.run(stream, input).await;
    debug!(peer = %id, ?ended, "the link ended");
    shared.act(|driver| {
        if driver.cluster.is_current(id, &outbox) {
            driver.link_down(id);
        }
    });
    Ok(())
}

/// Connects to the address of a member; to one that its name has, if that fails.
async fn connect(plan: &Plan) -> io::Result<TcpStream> {
    let first = try_connect(plan.address, plan.patience).await;
    let (Err(error), Some(name)) = (&first, &plan.name) else {
        return first;
    };
    debug!(address = %plan.address, %error, name, "dialling by name");
    let found = timeout(
        plan.patience,
        lookup_host((name.as_str(), plan.address.port())),
    )
    .await??;
    for address in found.filter(|address| *address != plan.address) {
        if let Ok(stream) = try_connect(address, plan.patience).await {
            return Ok(stream);
        }
    }
    first
}

async fn try_connect(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    timeout(patience, TcpStream::connect(address)).await?
}

/// Goes through a handshake until the other side has proven itself. `input` keeps what came behind it.
pub(super) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mut handshake: Handshake,
    mut out: Vec<u8>,
    input: &mut BytesMut,
) -> Result<(Handshake, Proven), ShakeError> {
    let steps = async {
        loop {
            stream.write_all(&out).await?;
            out.clear();
            input.reserve(handshake::INPUT_MAX);
            if stream.read_buf(input).await? == 0 {
                return Err(ShakeError::Closed);
            }
            let (read, proven) = handshake.advance(input, &mut out)?;
            input.advance(read);
            if let Some(proven) = proven {
                return Ok(proven);
            }
            if input.len() > handshake::INPUT_MAX {
                return Err(Refused::TooLong.into());
            }
        }
    };
    let proven = timeout(HANDSHAKE, steps)
        .await
        .map_err(|_| ShakeError::Late)??;
    Ok((handshake, proven))
}

/// Why a link ended.
#[derive(Debug, Error)]
enum Broken {
    #[error("it was closed here")]
    Dropped,
    #[error("the peer closed it")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("the peer says what no dialled side says")]
    Nonsense,
}

/// The writing end of a link.
struct Writer {
    shared: Arc<Shared>,
    id: NodeId,
    outbox: Arc<Outbox>,
    released: watch::Receiver<Position>,
    queue: Queue,
    /// Up to where the queue is being written: the end of a frame.
    pledged: usize,
    /// A ping: it passes what waits for the disk, between two frames.
    ping: Vec<u8>,
    /// A part of the ping is written: the rest of it comes before all else.
    pinging: bool,
}

/// What made a link go on.
enum Woken {
    Wrote(io::Result<usize>),
    Read(io::Result<usize>),
    Arrived,
    Released,
    Tick,
}

impl Writer {
    async fn run(mut self, stream: TcpStream, mut input: BytesMut) -> Result<(), Broken> {
        let (mut read, mut write) = stream.into_split();
        let mut ticks = interval(self.ping_every());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.outbox.is_closed() {
                return Err(Broken::Dropped);
            }
            self.hear(&mut input)?;
            self.outbox.take(&mut self.queue);
            self.read_bodies().await;
            let gated = self.pledge();
            input.reserve(PONG_BYTES);
            let frames = self.queue.bytes_to(self.pledged);
            let pings = frames.is_empty() || self.pinging;
            let bytes = if pings {
                &self.ping
            } else {
                &frames[..frames.len().min(WRITE_BYTES)]
            };
            let woken = tokio::select! {
                biased;
                result = write.write(bytes), if !bytes.is_empty() => Woken::Wrote(result),
                result = read.read_buf(&mut input) => Woken::Read(result),
                () = self.outbox.arrived.notified() => Woken::Arrived,
                _ = self.released.changed(), if gated => Woken::Released,
                _ = ticks.tick() => Woken::Tick,
            };
            match woken {
                Woken::Wrote(result) if pings => {
                    drop(self.ping.drain(..result?));
                    self.pinging = !self.ping.is_empty();
                }
                Woken::Wrote(result) => self.queue.advance(result?),
                Woken::Read(result) => {
                    if result? == 0 {
                        return Err(Broken::Closed);
                    }
                }
                Woken::Arrived | Woken::Released => {}
                Woken::Tick => self.add_ping(),
            }
        }
    }

    /// Reads the bodies that the next message lacks, if it is its turn.
    async fn read_bodies(&mut self) {
        let released = *self.released.borrow();
        while let Some(mut unread) = self.queue.take_unread(released) {
            let read = tokio::task::spawn_blocking(move || {
                let failed = unread.read();
                (unread, failed)
            });
            let (read, failed) = read.await.expect("a panic ends the process");
            if !failed.is_empty() {
                let give_up = |driver: &mut Driver| driver.give_up_bodies(failed, Vec::new());
                self.shared.act(give_up);
            }
            if let Err(error) = self.queue.fill(read) {
                warn!(peer = %self.id, %error, "a message was not sent");
            }
        }
    }

    /// Decides what to write next. Returns whether something waits for the disk.
    fn pledge(&mut self) -> bool {
        if self.queue.written() >= self.pledged || self.queue.written() == 0 {
            let released = *self.released.borrow_and_update();
            self.pledged = self.queue.open_to(released);
        }
        self.queue.written() + self.queue.pending() > self.pledged
    }

    fn add_ping(&mut self) {
        let number = self.shared.driver.lock().cluster.ping(&self.id);
        if let Some(number) = number
            && self.ping.is_empty()
        {
            codec::encode_notice(&Notice::Ping(number), &mut self.ping).expect("a ping is short");
        }
    }

    fn ping_every(&self) -> Duration {
        let timeout = self.shared.driver.lock().config.cluster_node_timeout;
        (timeout / 10).clamp(PING.0, PING.1)
    }

    /// Reads what the other end says: that it lives.
    fn hear(&self, input: &mut BytesMut) -> Result<(), Broken> {
        while let Some((frame, length)) = codec::decode(input)? {
            input.advance(length);
            match frame {
                Frame::Notice(Notice::Pong(number)) => {
                    self.shared.driver.lock().cluster.heard(&self.id, number);
                }
                Frame::Unknown(_) => {}
                Frame::Message(_) | Frame::Notice(_) => return Err(Broken::Nonsense),
            }
        }
        if input.len() > PONG_BYTES {
            return Err(Broken::Nonsense);
        }
        Ok(())
    }
}
