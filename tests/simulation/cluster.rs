//! The whole: all machines, the network between them, the clients, and the one clock that moves them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;

use shoalmq_core::command::{Command, JobScan, Reply, ScanReply};
use shoalmq_core::id::{JobId, NodeId, StoreId};
use shoalmq_core::shell::{Disk, Left};
use shoalmq_core::time::Time;
use shoalmq_gossip::Memory;

use crate::checker::{Checker, EMPTY_WITHIN, Violation};
use crate::dice::Dice;
use crate::faults::Faults;
use crate::healing;
use crate::host::{Host, WallClock};
use crate::network::{KEEP_ALIVE_EVERY, Network};
use crate::plan::Plan;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND, Schedule};
use crate::topics;
use crate::trace::{Detail, Trace};
use crate::workload::{WARM_UP, Workload};

/// More happenings than this in one virtual second are a storm.
const STORM: u64 = 60_000;

/// Everything that is simulated.
pub(crate) struct Cluster {
    pub(crate) plan: Plan,
    pub(crate) now: Micros,
    pub(crate) schedule: Schedule,
    pub(crate) hosts: Vec<Host>,
    pub(crate) network: Network,
    pub(crate) workload: Workload,
    pub(crate) topics: topics::Clients,
    pub(crate) faults: Faults,
    pub(crate) slow_disks: BTreeSet<HostIndex>,
    /// Since when two nodes have had links with each other, if they have; the smaller number first.
    pub(crate) calm_since: BTreeMap<(HostIndex, HostIndex), Micros>,
    pub(crate) checker: Checker,
    pub(crate) trace: Trace,
    /// Events that cores were fed.
    pub(crate) events: u64,
    /// Empty between events.
    pub(crate) left: Vec<Left>,
    pub(crate) dice: Dice,
    pub(crate) network_dice: Dice,
    pub(crate) disk_dice: Dice,
    pub(crate) client_dice: Dice,
    pub(crate) fault_dice: Dice,
    pub(crate) setting_dice: Dice,
    pub(crate) topic_dice: Dice,
    pub(crate) fail_dice: Dice,
    pub(crate) wait_dice: Dice,
    pub(crate) key_dice: Dice,
    /// The second that is counted, and the happenings in it.
    pace: (u64, u64),
    addresses: u16,
}

impl Cluster {
    pub(crate) fn new(plan: Plan, detail: Detail) -> Self {
        let mut dice = Dice::new(plan.seed.wrapping_add(1 << 32));
        let mut cluster = Cluster {
            now: 0,
            schedule: Schedule::default(),
            hosts: Vec::new(),
            network: Network::new(plan.hosts),
            workload: Workload::default(),
            topics: topics::Clients::default(),
            faults: Faults::default(),
            slow_disks: BTreeSet::new(),
            calm_since: BTreeMap::new(),
            checker: Checker::new(&plan),
            trace: Trace::new(detail),
            events: 0,
            left: Vec::new(),
            network_dice: dice.fork(),
            disk_dice: dice.fork(),
            client_dice: dice.fork(),
            fault_dice: dice.fork(),
            setting_dice: dice.fork(),
            topic_dice: Dice::new(plan.seed.wrapping_add(2 << 32)),
            fail_dice: Dice::new(plan.seed.wrapping_add(3 << 32)),
            wait_dice: Dice::new(plan.seed.wrapping_add(6 << 32)),
            key_dice: Dice::new(plan.seed.wrapping_add(8 << 32)),
            dice,
            pace: (0, 0),
            addresses: 0,
            plan,
        };
        for _ in 0..cluster.plan.hosts {
            let host = cluster.new_host();
            cluster.checker.lore.nodes.push(host.id);
            cluster.hosts.push(host);
        }
        cluster
    }

    fn new_host(&mut self) -> Host {
        let ahead = self.dice.below(self.plan.clocks_apart + 1).cast_signed();
        Host {
            id: NodeId::from_bytes(self.dice.bytes()),
            zone: self.dice.below(self.plan.zones),
            address: self.new_address(),
            generation: 0,
            store: StoreId(0),
            disk: Disk::default(),
            memory: Memory::default(),
            timeline: Time::ZERO,
            clock: WallClock::ahead(ahead),
            boots: 0,
            process: None,
            inbox: None,
            removed: false,
        }
    }

    /// An address that no machine ever had.
    pub(crate) fn new_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        SocketAddr::from(([10, 0, 0, 1], 10_000 + self.addresses))
    }

    /// The machine with this id.
    pub(crate) fn host_of(&self, id: &NodeId) -> HostIndex {
        let found = self.hosts.iter().position(|host| host.id == *id);
        found.expect("nodes only know each other")
    }

    pub(crate) fn at(&mut self, at: Micros, happening: Happening) {
        self.schedule.add(at, happening);
    }

    pub(crate) fn after(&mut self, wait: Micros, happening: Happening) {
        self.schedule.add(self.now + wait, happening);
    }

    /// Runs everything: a cluster comes up, trouble, peace, and the end.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        for index in 0..self.hosts.len() {
            let wait = self.dice.below(200 * MS);
            self.after(wait, Happening::Start(index));
        }
        self.after(KEEP_ALIVE_EVERY, Happening::KeepAlive);
        self.after(SECOND, Happening::Seeds);
        self.after(SECOND, Happening::Members);
        self.begin_workload();
        self.begin_faults();
        self.run_until(WARM_UP - 1)?;
        let pairs = self.hosts.len() * (self.hosts.len() - 1) / 2;
        self.checker.met(self.calm_since.len() == pairs);
        self.run_until(self.plan.trouble)?;
        self.end_faults();
        self.check_places()?;
        if let Some(calm) = healing::calm(&self.plan) {
            self.run_until(self.now + calm)?;
            self.check_copies();
        }
        self.end_workload();
        let healed = self.now;
        self.checker.healed(healed);
        loop {
            self.run_until(self.now + SECOND)?;
            let late = self.now - healed;
            let is_read = self.check_topics(late)?;
            if is_read && self.is_empty() && self.agrees_on_settings() && late >= 5 * SECOND {
                break;
            }
            self.checker.check_drain(self.now, healed)?;
            if late > EMPTY_WITHIN {
                let (leftovers, job) = self.leftovers();
                let what = if self.is_empty() {
                    "nodes do not agree on the settings at the end".to_owned()
                } else {
                    format!("nodes are not empty at the end:{leftovers}")
                };
                return Err(Violation { what, job });
            }
        }
        self.check_settings();
        self.check_sums()?;
        for host in &self.hosts {
            if let Some(process) = &host.process {
                self.checker.count(&process.shell.node().counters());
            }
        }
        self.checker.check_end(self.now)
    }

    pub(crate) fn run_until(&mut self, end: Micros) -> Result<(), Violation> {
        while let Some((at, happening)) = self.schedule.next(end) {
            self.now = at;
            self.check_pace();
            self.happen(happening);
            if let Some(violation) = self.checker.take_violation() {
                return Err(violation);
            }
        }
        self.now = end;
        Ok(())
    }

    fn check_pace(&mut self) {
        let second = self.now / SECOND;
        let (counted, happenings) = self.pace;
        self.pace = if counted == second {
            (second, happenings + 1)
        } else {
            (second, 0)
        };
        if happenings == STORM {
            let what = format!("more than {STORM} happenings in one second: a storm");
            self.checker.violate(None, what);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(index, boot) => self.tick(index, boot),
            Happening::GossipTick(index, boot) => self.gossip_tick(index, boot),
            Happening::Pump(from, to) => self.pump(from, to),
            Happening::Dial(from, to, boot) => self.dial(from, to, boot),
            Happening::Handshake(from, to, boot, there) => self.handshake(from, to, boot, there),
            Happening::Reset(from, to, incarnation) => self.reset(from, to, incarnation),
            Happening::KeepAlive => self.keep_alive(),
            Happening::Synced(index, boot) => self.synced(index, boot),
            Happening::SyncDue(index, boot) => self.sync_due(index, boot),
            Happening::Datagram(to, bytes) => self.datagram(to, bytes),
            Happening::Members => self.tell_all_members(),
            Happening::Seeds => self.seeds(),
            Happening::Client(step) => self.client(step),
            Happening::Unseen(index, boot, jobs) => self.unseen(index, boot, jobs),
            Happening::FaultBegins => self.fault_begins(),
            Happening::FaultEnds(id) => self.fault_ends(id),
            Happening::Start(index) => self.start(index),
            Happening::Stopping(index, boot) => self.stopping(index, boot),
            Happening::Forget(index, forgotten) => self.forget_member(index, forgotten),
        }
    }

    /// No node holds anything of any job.
    fn is_empty(&self) -> bool {
        self.hosts.iter().filter(|host| !host.removed).all(|host| {
            let process = host.process.as_ref();
            process.is_some_and(|process| process.shell.node().job_count() == 0)
        })
    }

    /// Nodes that know each other know the same settings.
    fn agrees_on_settings(&self) -> bool {
        let digest = |host: HostIndex| {
            let process = self.hosts[host].process.as_ref();
            process.map(|process| process.shell.node().settings_digest())
        };
        (0..self.hosts.len()).all(|one| {
            let mut others = (0..self.hosts.len()).filter(|&other| self.knows(one, other));
            others.all(|other| digest(one) == digest(other))
        })
    }

    /// What nodes still hold.
    fn leftovers(&mut self) -> (String, Option<JobId>) {
        let (mut text, mut first) = (String::new(), None);
        for index in 0..self.hosts.len() {
            let now = self.hosts[index].now(self.now);
            let Some(process) = &mut self.hosts[index].process else {
                continue;
            };
            let scan = Command::JobScan(JobScan {
                cursor: 0,
                count: None,
                queue: None,
                states: Vec::new(),
                reply: ScanReply::All,
            });
            let Some(Reply::Jobs(_, jobs)) = process.shell.ask(now, scan) else {
                continue;
            };
            for job in jobs {
                first.get_or_insert(job.id);
                write!(text, "\nn{index}: {job:?}").expect("writing to a string does not fail");
            }
        }
        (text, first)
    }
}
