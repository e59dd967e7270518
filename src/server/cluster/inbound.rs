//! Links that other nodes dialled: taking them in, and reading them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use shoalmq_core::extras::Features;
use shoalmq_core::id::NodeId;
use shoalmq_core::message::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::dial::{HANDSHAKE, ShakeError, shake};
use super::refusals::Reason;
use crate::bus::codec::{self, Frame, Invalid, Notice};
use crate::bus::handshake::{Handshake, Proven};
use crate::server::clock;
use crate::server::driver::{Driver, Shared};

/// Connections that may be in their handshake at once: as if every possible node dialled twice. When one more comes, the
/// oldest goes: a node's handshake takes milliseconds, so a connection that takes longer is not a node.
const UNPROVEN_MAX: usize = 128;
/// Bytes that one read asks for.
const READ_BYTES: usize = 64 << 10;
/// A buffer that grew past this is given back when it is empty.
const KEPT_BYTES: usize = 1 << 20;
/// How often, at least, a node that is busy with what it got says that it lives.
const BUSY_PONG: Duration = Duration::from_millis(100);
/// A dialler sends a ping at least every second. A dialler that is silent for this long has gone without a word.
const SILENCE: Duration = Duration::from_secs(30);
/// Accepting fails when files run out: a moment later there may be some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The link on which a member speaks. Dropping it ends the reading.
#[derive(Debug)]
pub(super) struct Inbound {
    number: u64,
    /// The generation of the process at the other end.
    pub(super) start: u64,
    end: Arc<Notify>,
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.end.notify_one();
    }
}

/// Connections that have not proven themselves, the oldest first.
#[derive(Debug, Default)]
struct Lobby {
    waiting: VecDeque<(u64, IpAddr, AbortHandle)>,
    next: u64,
}

/// Takes links in until the task is dropped.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let lobby = Arc::new(Mutex::new(Lobby::default()));
    loop {
        match listener.accept().await {
            Ok((stream, address)) => enter(&shared, &lobby, stream, address),
            Err(error) => {
                warn!(%error, "cannot take a link");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn enter(shared: &Arc<Shared>, lobby: &Arc<Mutex<Lobby>>, stream: TcpStream, address: SocketAddr) {
    let ip = address.ip().to_canonical();
    if shared.driver.lock().is_protected_from(ip) {
        return;
    }
    // Held until it is in: the task may be over before this goes on.
    let mut waiting = lobby.lock();
    let number = waiting.next;
    waiting.next += 1;
    let task = tokio::spawn(serve(
        Arc::clone(shared),
        Arc::clone(lobby),
        number,
        stream,
        address,
    ));
    waiting.waiting.push_back((number, ip, task.abort_handle()));
    if waiting.waiting.len() > UNPROVEN_MAX
        && let Some((_, ip, oldest)) = waiting.waiting.pop_front()
    {
        oldest.abort();
        drop(waiting);
        let refusals = &mut shared.driver.lock().cluster.refusals;
        refusals.note(
            ip,
            Reason::Crowded,
            &"too many connections that prove nothing",
        );
    }
}

async fn serve(
    shared: Arc<Shared>,
    lobby: Arc<Mutex<Lobby>>,
    number: u64,
    mut stream: TcpStream,
    address: SocketAddr,
) {
    let mut input = BytesMut::new();
    let shaken = welcome(&shared, &mut stream, &mut input).await;
    lobby
        .lock()
        .waiting
        .retain(|(waiting, ..)| *waiting != number);
    let (handshake, proven) = match shaken {
        Ok(shaken) => shaken,
        Err(error) => {
            shared.driver.lock().note_failed(address.ip(), &error);
            return;
        }
    };
    let Some((number, end)) = shared.act(|driver| driver.admit(address.ip(), &proven)) else {
        return;
    };
    let reader = Reader {
        shared: Arc::clone(&shared),
        from: proven.hello.claim.node,
        number,
        input,
        messages: Vec::new(),
        notices: Vec::new(),
    };
    let read = async {
        timeout(HANDSHAKE, stream.write_all(&handshake.welcome(&proven))).await??;
        reader.run(stream).await
    };
    let ended = tokio::select! {
        ended = read => ended,
        () = end.notified() => Ok(()),
    };
    debug!(from = %proven.hello.claim.node, ?ended, "an inbound link ended");
    if let Err(Gone::Invalid(invalid)) = &ended {
        let refusals = &mut shared.driver.lock().cluster.refusals;
        refusals.note(address.ip(), Reason::Malformed, invalid);
    }
    shared.act(|driver| driver.inbound_ended(&proven.hello.claim.node, number));
}

async fn welcome(
    shared: &Shared,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Result<(Handshake, Proven), ShakeError> {
    stream.set_nodelay(true)?;
    let (key, hello) = {
        let driver = shared.driver.lock();
        (driver.cluster.key(), driver.own_hello())
    };
    let (Some(key), Some(hello)) = (key, hello) else {
        return Err(ShakeError::Closed);
    };
    let handshake = Handshake::answer(&key, clock::entropy(), &hello);
    shake(stream, handshake, Vec::new(), input).await
}

impl Driver {
    /// Whether protected mode turns away connections from this address. Counts the refusal.
    pub(super) fn is_protected_from(&mut self, ip: IpAddr) -> bool {
        let refused =
            self.config.protected_mode && self.config.cluster_secret.is_none() && !ip.is_loopback();
        if refused {
            self.cluster.refusals.note(
                ip,
                Reason::Protected,
                &"set cluster-secret on all nodes to let other machines in",
            );
        }
        refused
    }

    fn note_failed(&mut self, ip: IpAddr, error: &ShakeError) {
        let reason = match error {
            ShakeError::Refused(refused) => Reason::from(*refused),
            ShakeError::Late => Reason::Handshake,
            // A node that went away, a probe of the port, a clone of this node: nothing to see.
            ShakeError::Closed | ShakeError::Io(_) | ShakeError::Another(_) => return,
        };
        self.cluster.refusals.note(ip, reason, error);
    }

    /// Lets a proven node in, if it is a member, and not an older process of one. What it says is taken until a newer link
    /// of it comes.
    fn admit(&mut self, ip: IpAddr, proven: &Proven) -> Option<(u64, Arc<Notify>)> {
        let claim = &proven.hello.claim;
        // Before all else: it may be a copy of this very node.
        self.seen(claim);
        let known = self.cluster.member_start(&claim.node);
        let reason = match known {
            None => Some(Reason::Stranger),
            Some(start) if start > claim.start => Some(Reason::Outdated),
            Some(_) => None,
        };
        let former = self
            .cluster
            .inbound
            .get(&claim.node)
            .map(|inbound| inbound.start);
        let reason = reason.or((former > Some(claim.start)).then_some(Reason::Outdated));
        if let Some(reason) = reason {
            self.cluster.refusals.note(ip, reason, &claim.node);
            return None;
        }
        // Our own link to the process that this one replaced leads nowhere.
        self.end_links_before(&claim.node, claim.start);
        self.cluster
            .members
            .get_mut(&claim.node)?
            .meet(&proven.hello);
        if self.loading.is_some() {
            // It tries again, and finds the jobs that it will ask about.
            self.cluster.answer_time(&proven.hello);
            return None;
        }
        let number = self.cluster.next_inbound;
        self.cluster.next_inbound += 1;
        let end = Arc::new(Notify::new());
        let inbound = Inbound {
            number,
            start: claim.start,
            end: Arc::clone(&end),
        };
        self.cluster.inbound.insert(claim.node, inbound);
        self.judge(&claim.node);
        Some((number, end))
    }

    /// A link that was taken in is over.
    fn inbound_ended(&mut self, node: &NodeId, number: u64) {
        let inbound = self.cluster.inbound.get(node);
        if inbound.is_some_and(|inbound| inbound.number == number) {
            self.cluster.inbound.remove(node);
            self.judge(node);
        }
    }

    /// Leaves out what this node would have to understand to act on it, and does not.
    fn refuse_unknown(
        &mut self,
        from: &NodeId,
        messages: &mut Vec<Message>,
        notices: &mut Vec<Notice>,
    ) {
        let mut refused = None;
        messages.retain_mut(|message| {
            let Some(tag) = message.refuse_unknown(Features::KNOWN) else {
                return true;
            };
            refused = Some(tag);
            matches!(message, Message::YourJobs(jobs) if !jobs.is_empty())
        });
        notices.retain(|notice| {
            let tag = notice.unknown_to(Features::KNOWN);
            refused = refused.or(tag);
            tag.is_none()
        });
        if let (Some(tag), Some(member)) = (refused, self.cluster.members.get(from)) {
            let address = member.bus.ip();
            let detail = format_args!("{from} sent field {tag}, which this version does not know");
            self.cluster.refusals.note(address, Reason::Newer, &detail);
        }
    }

    /// Takes what a link brought. False when the link is not the newest of its node, or nothing is taken any more.
    fn receive(
        &mut self,
        from: NodeId,
        number: u64,
        messages: &mut Vec<Message>,
        notices: &mut Vec<Notice>,
    ) -> bool {
        let inbound = self.cluster.inbound.get(&from);
        if inbound.is_none_or(|inbound| inbound.number != number) {
            return false;
        }
        self.cluster.messages_received += messages.len() as u64;
        self.refuse_unknown(&from, messages, notices);
        if self.health.refuses_jobs() {
            // No copy may be promised that cannot be written. Peers look elsewhere when no answer comes.
            messages.retain(|message| !matches!(message, Message::ReplJob(_)));
        }
        self.feed_messages(from, messages.drain(..));
        for notice in notices.drain(..) {
            match notice {
                Notice::Node(state) => self.note_state(from, &state),
                Notice::Forget(id) => self.note_forget(from, id),
                // Pings are answered by who reads them; nobody asked for a pong here.
                Notice::Ping(_) | Notice::Pong(_) => {}
            }
        }
        true
    }
}

/// Why an inbound link ended.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("the peer closed it")]
    Closed,
    #[error("a newer link took its place")]
    Replaced,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the peer is silent")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// The reading end of a link.
struct Reader {
    shared: Arc<Shared>,
    from: NodeId,
    number: u64,
    input: BytesMut,
    messages: Vec<Message>,
    notices: Vec<Notice>,
}

impl Reader {
    async fn run(mut self, mut stream: TcpStream) -> Result<(), Gone> {
        let (mut last_ping, mut said) = (0, Instant::now());
        let mut reply = Vec::new();
        loop {
            let ping = self.decode()?;
            if !(self.messages.is_empty() && self.notices.is_empty()) {
                let (from, number) = (self.from, self.number);
                let (messages, notices) = (&mut self.messages, &mut self.notices);
                if !self
                    .shared
                    .act(|driver| driver.receive(from, number, messages, notices))
                {
                    return Err(Gone::Replaced);
                }
            }
            last_ping = ping.unwrap_or(last_ping);
            if ping.is_some() || said.elapsed() > BUSY_PONG {
                said = Instant::now();
                codec::encode_notice(&Notice::Pong(last_ping), &mut reply)
                    .expect("a pong is short");
                timeout(SILENCE, stream.write_all(&reply)).await??;
                reply.clear();
            }
            if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
                self.input = BytesMut::new();
            }
            self.input.reserve(READ_BYTES);
            if timeout(SILENCE, stream.read_buf(&mut self.input)).await?? == 0 {
                return Err(Gone::Closed);
            }
        }
    }

    /// Takes all whole frames out of what has come in. Returns the number of the last ping.
    fn decode(&mut self) -> Result<Option<u64>, Invalid> {
        let mut ping = None;
        let mut at = 0;
        while let Some((frame, length)) = codec::decode(&self.input[at..])? {
            at += length;
            match frame {
                Frame::Message(message) => self.messages.push(message),
                Frame::Notice(Notice::Ping(number)) => ping = Some(number),
                Frame::Notice(notice) => self.notices.push(notice),
                // A newer node says it: nothing here depends on it.
                Frame::Unknown(kind) => debug!(from = %self.from, kind, "skipped"),
            }
        }
        self.input.advance(at);
        Ok(ping)
    }
}
