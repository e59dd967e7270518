//! Membership at work: packets in and out, its timer, and the file of members.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use shoalmq_core::id::NodeId;
use shoalmq_core::time::Time;
use shoalmq_gossip::Reason as Dropped;
use shoalmq_gossip::{Damaged, Event as Gossip, Identity, Membership, Memory, Secret, Settings};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

use super::address::{self, Own};
use super::{Cluster, Sockets, inbound};
use crate::bus::handshake::{Key, Refused};
use crate::config::Config;
use crate::server::clock::{self, Clock};
use crate::server::driver::{Driver, Shared};

const FILE: &str = "members.conf";
/// Room for the longest packet, and one byte to tell a longer one.
const PACKET: usize = 2048;
/// Between two tellings of this node's state to all peers.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Why the remembered members cannot be had.
#[derive(Debug, Error)]
pub(crate) enum MembersError {
    #[error("read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}; restore it, or remove it and introduce the node to its cluster again", path.display())]
    Damaged { path: PathBuf, source: Damaged },
    #[error("write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Membership, and what it works with.
pub(super) struct Running {
    pub(super) membership: Membership,
    /// A clock of its own: the core's clock may start over once the log is read.
    pub(super) clock: Clock,
    pub(super) shared: Weak<Shared>,
    key: Key,
    pub(super) own: Own,
    pub(super) bus_port: u16,
    sockets: Arc<[UdpSocket]>,
    /// What the file of members is to hold.
    remembered: watch::Sender<Memory>,
    /// The timer is due earlier than it was.
    sooner: Arc<Notify>,
    armed: Time,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("me", &self.membership.me())
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Sends a datagram, or not: gossip expects loss.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let fits = |socket: &&UdpSocket| {
            socket
                .local_addr()
                .is_ok_and(|local| local.is_ipv4() == to.is_ipv4())
        };
        // A socket on loopback reaches no other machine: one of them may.
        let sent = self
            .sockets
            .iter()
            .filter(fits)
            .any(|socket| socket.try_send_to(bytes, to).is_ok());
        if !sent {
            debug!(%to, "a packet could not be sent");
        }
    }

    /// Notes when the timer is due next.
    pub(super) fn arm(&mut self) {
        let deadline = self.membership.deadline();
        if deadline < self.armed {
            self.armed = deadline;
            self.sooner.notify_one();
        }
    }

    /// Has the file of members written again.
    pub(super) fn remember(&self) {
        self.remembered.send_replace(self.membership.memory());
    }
}

impl Cluster {
    /// What the nodes of this cluster prove to each other that they know.
    pub(super) fn key(&self) -> Option<Key> {
        Some(self.running.as_ref()?.key.clone())
    }

    /// The newest generation of a member that membership knows.
    pub(super) fn member_start(&self, id: &NodeId) -> Option<u64> {
        let member = self.running.as_ref()?.membership.member(*id)?;
        Some(member.identity.start)
    }
}

/// Whether there may be other nodes: members that are remembered, or seeds.
pub(super) fn knows_others(config: &Config) -> Result<bool, MembersError> {
    let memory = recall(&config.dir.join(FILE))?;
    Ok(!memory.members.is_empty() || !config.cluster_join.is_empty())
}

impl Driver {
    /// The members that are remembered, for a core that begins before membership does: a core that knows of nobody takes
    /// itself for alone.
    pub(crate) fn recall_members(&mut self) -> Result<(), MembersError> {
        let memory = recall(&self.config.dir.join(FILE))?;
        let members = memory.members.iter();
        let found = members.filter(|member| !member.addresses.is_empty());
        self.cluster.recalled = found.map(|member| member.node).collect();
        Ok(())
    }
}

/// Opens the doors for other nodes, and begins to look for them: once the log is read, so that what they say can be
/// taken.
pub(crate) fn open(shared: &Arc<Shared>, sockets: Sockets) -> Result<(), MembersError> {
    let config = shared.driver.lock().config.clone();
    let path = config.dir.join(FILE);
    let memory = recall(&path)?;
    let own = Own::of(&config);
    let ip = address::first_ip(&own, &memory);
    let gossip: Arc<[UdpSocket]> = sockets.gossip.into();
    let (remembered, to_write) = watch::channel(memory.clone());
    {
        let mut driver = shared.driver.lock();
        let me = Identity {
            node: driver.node.id(),
            start: driver.identity.generation,
            renewal: 0,
            epoch: memory.epoch,
            store: driver.identity.store,
            bus: SocketAddr::new(ip, sockets.port),
        };
        let clock = Clock::starting_at(Time::from_millis(clock::wall().0));
        let now = clock.now().time;
        let membership = Membership::new(me, settings(&config), memory, clock::entropy(), now);
        let members: Vec<Identity> = membership.members().map(|member| member.identity).collect();
        let secret = config.cluster_secret.as_ref();
        driver.cluster.running = Some(Running {
            membership,
            clock,
            shared: Arc::downgrade(shared),
            key: Key::new(
                config.cluster_name.as_bytes(),
                secret.map_or(b"", |secret| secret.as_str().as_bytes()),
            ),
            own: own.clone(),
            bus_port: sockets.port,
            sockets: Arc::clone(&gossip),
            remembered,
            sooner: Arc::default(),
            armed: Time::NEVER,
        });
        driver.note_own_ip(ip);
        driver.cluster.recalled.clear();
        for identity in &members {
            driver.join(identity);
        }
        driver.forget_barred();
        // Those that were to be met before anybody could be.
        driver.cluster.meeting_until.clear();
        for bus in std::mem::take(&mut driver.cluster.meeting) {
            driver.meet(bus);
        }
        info!(address = %me.bus, cluster = config.cluster_name, known = members.len(), "open to other nodes");
    }
    for listener in sockets.links {
        tokio::spawn(inbound::accept(Arc::clone(shared), listener));
    }
    for at in 0..gossip.len() {
        tokio::spawn(receive(Arc::clone(shared), Arc::clone(&gossip), at));
    }
    tokio::spawn(ticker(Arc::clone(shared)));
    tokio::spawn(tell(Arc::clone(shared)));
    tokio::spawn(write_members(path, to_write));
    if !config.cluster_join.is_empty() {
        let seeds = address::look_for_seeds(Arc::clone(shared), config.cluster_join, sockets.port);
        tokio::spawn(seeds);
    }
    if let Own::Name(name) = own {
        tokio::spawn(address::look_for_own_name(Arc::clone(shared), name));
    }
    Ok(())
}

fn settings(config: &Config) -> Settings {
    Settings {
        cluster_name: config.cluster_name.clone(),
        secret: config
            .cluster_secret
            .as_ref()
            .map(|secret| Secret::new(secret.as_str().as_bytes())),
        node_timeout: config.cluster_node_timeout,
    }
}

impl Driver {
    /// CONFIG SET cluster-node-timeout.
    pub(crate) fn configure_membership(&mut self) {
        let settings = settings(&self.config);
        self.gossip(Gossip::Configured(settings));
    }

    /// A packet came. Gossip from strangers counts the same way as refused links: a wrong secret shows here first.
    fn hear_gossip(&mut self, from: IpAddr, packet: Vec<u8>) {
        let turned_away = |driver: &Driver| {
            let stats = driver.cluster.running.as_ref()?.membership.stats();
            Some([Dropped::Cluster, Dropped::Seal].map(|reason| stats.dropped(reason)))
        };
        let before = turned_away(self);
        self.gossip(Gossip::Packet(packet));
        let (Some(before), Some(after)) = (before, turned_away(self)) else {
            return;
        };
        for (at, refused) in [Refused::Cluster, Refused::Secret].into_iter().enumerate() {
            if after[at] > before[at] {
                self.cluster.refusals.note(from, refused.into(), &refused);
            }
        }
    }

    /// Runs the timer of membership if it is due. Returns when the next one is.
    fn tick_gossip(&mut self) -> Option<std::time::Instant> {
        let running = self.cluster.running.as_ref()?;
        if running.membership.deadline() <= running.clock.now().time {
            self.gossip(Gossip::Tick);
        }
        let running = self.cluster.running.as_mut()?;
        running.armed = running.membership.deadline();
        running.clock.instant(running.armed)
    }

    /// Leaves quietly: no more links, no more gossip.
    pub(crate) fn leave_cluster(&mut self) {
        self.gossip(Gossip::Leave);
        self.cluster.running = None;
        self.cluster.links.clear();
        self.cluster.inbound.clear();
    }
}

/// Reads the file of members; a new node draws its epoch, and writes it down.
fn recall(path: &Path) -> Result<Memory, MembersError> {
    match fs::read_to_string(path) {
        Ok(text) => text.parse().map_err(|source| MembersError::Damaged {
            path: path.to_path_buf(),
            source,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let memory = Memory {
                epoch: u32::from_le_bytes(clock::entropy()),
                ..Memory::default()
            };
            save(path, &memory).map_err(|source| MembersError::Write {
                path: path.to_path_buf(),
                source,
            })?;
            Ok(memory)
        }
        Err(source) => Err(MembersError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Replaces the file, so that a crash leaves either the old or the new one.
fn save(path: &Path, memory: &Memory) -> io::Result<()> {
    let temporary = path.with_extension("conf.new");
    let mut file = File::create(&temporary)?;
    file.write_all(memory.to_string().as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes the file of members whenever they change. A disk that is full is tried again with the next change.
async fn write_members(path: PathBuf, mut memory: watch::Receiver<Memory>) {
    while memory.changed().await.is_ok() {
        let (latest, at) = (memory.borrow_and_update().clone(), path.clone());
        let saved = tokio::task::spawn_blocking(move || save(&at, &latest)).await;
        if let Err(error) = saved.expect("a panic ends the process") {
            warn!(path = %path.display(), %error, "the members cannot be written down");
            tokio::time::sleep(TELL_EVERY).await;
        }
    }
}

async fn receive(shared: Arc<Shared>, sockets: Arc<[UdpSocket]>, at: usize) {
    let mut packet = vec![0; PACKET];
    loop {
        match sockets[at].recv_from(&mut packet).await {
            Ok((length, from)) => {
                let bytes = packet[..length].to_vec();
                let from = from.ip().to_canonical();
                shared.act(|driver| {
                    if !driver.is_protected_from(from) {
                        driver.hear_gossip(from, bytes);
                    }
                });
            }
            // What a former packet met: nobody listens there.
            Err(error) => debug!(%error, "gossip"),
        }
    }
}

async fn ticker(shared: Arc<Shared>) {
    loop {
        let next = shared.act(|driver| {
            let next = driver.tick_gossip();
            let running = driver.cluster.running.as_ref()?;
            Some((next, Arc::clone(&running.sooner)))
        });
        // The node leaves.
        let Some((next, sooner)) = next else {
            return;
        };
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = sooner.notified() => {}
        }
    }
}

async fn tell(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(TELL_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        shared.act(Driver::tell_peers);
    }
}
