//! What goes wrong, and how it ends.

use std::collections::BTreeMap;

use shoalmq_core::event::Event;
use shoalmq_core::log::Position;

use crate::client::Step;
use crate::cluster::Cluster;
use crate::copies::jobs_on;
use crate::lives::registers_on;
use crate::plan::Meeting;
use crate::schedule::{Happening, HostIndex, MS, SECOND};
use crate::workload::WARM_UP;

/// One fault.
pub(crate) type FaultId = u64;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// kill -9 of one node, which comes back.
    Crash,
    /// kill -9 of several nodes at once, up to all.
    CrashMany,
    /// A clean stop and a start.
    Stop,
    /// A node comes back empty.
    Wipe,
    /// SIGSTOP, then SIGCONT.
    Pause,
    /// Two halves that do not hear each other.
    Halves,
    /// One node that hears nobody.
    Isolate,
    /// One way between two nodes is cut.
    OneWay,
    /// A way that is cut and mended again and again.
    Flap,
    /// Links break, and the nodes connect again.
    Reset,
    /// A wall clock jumps.
    Clock,
    /// CLUSTER LEAVING, taken back later.
    Leaving,
    /// A disk that takes long.
    SlowDisk,
    /// A node dies for good, and is forgotten.
    Remove,
}

impl Kind {
    pub(crate) const ALL: [Kind; 14] = [
        Kind::Crash,
        Kind::CrashMany,
        Kind::Stop,
        Kind::Wipe,
        Kind::Pause,
        Kind::Halves,
        Kind::Isolate,
        Kind::OneWay,
        Kind::Flap,
        Kind::Reset,
        Kind::Clock,
        Kind::Leaving,
        Kind::SlowDisk,
        Kind::Remove,
    ];
}

/// All faults that last.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: BTreeMap<FaultId, Fault>,
    begun: u64,
    over: bool,
    removed: bool,
}

/// One fault that lasts.
#[derive(Debug)]
struct Fault {
    kind: Kind,
    host: HostIndex,
    /// Ways that are cut, or would be if it did not flap.
    cuts: Vec<(HostIndex, HostIndex)>,
    /// Cuts and mends that are left: cut while it is even.
    flaps: u64,
}

impl Cluster {
    pub(crate) fn begin_faults(&mut self) {
        if !self.plan.is_quiet() {
            self.at(WARM_UP, Happening::FaultBegins);
        }
    }

    pub(crate) fn fault_begins(&mut self) {
        if self.faults.over {
            return;
        }
        let wait = self.fault_dice.wait(self.plan.fault_every);
        self.after(wait, Happening::FaultBegins);
        let kind = self.fault_dice.pick(&self.plan.faults);
        let host = self.fault_dice.below(self.hosts.len() as u64) as usize;
        let now = self.now;
        self.trace.note(now, host, || format!("fault: {kind:?}"));
        match kind {
            Kind::Crash => self.crash_for_a_while(host),
            Kind::CrashMany => self.crash_many(),
            Kind::Stop => self.begin_stop(host),
            Kind::Wipe => self.wipe(host),
            Kind::Remove => self.remove(host),
            Kind::Clock => self.jump(host),
            Kind::Reset => self.reset_links(host),
            Kind::Pause => self.pause(host),
            Kind::Leaving => self.set_leaving(host, true),
            Kind::SlowDisk => {
                self.slow_disks.insert(host);
            }
            Kind::Halves | Kind::Isolate | Kind::OneWay | Kind::Flap => {}
        }
        let lasts = matches!(
            kind,
            Kind::Pause
                | Kind::Leaving
                | Kind::SlowDisk
                | Kind::Halves
                | Kind::Isolate
                | Kind::OneWay
                | Kind::Flap
        );
        if lasts {
            let cuts = self.choose_cuts(kind, host);
            for &(from, to) in &cuts {
                self.set_cut(from, to, true);
            }
            let flaps = if kind == Kind::Flap {
                2 * self.fault_dice.between(2, 15)
            } else {
                0
            };
            self.faults.begun += 1;
            let id = self.faults.begun;
            let fault = Fault {
                kind,
                host,
                cuts,
                flaps,
            };
            self.faults.active.insert(id, fault);
            let lasts = if flaps > 0 { 200 * MS } else { self.how_long() };
            self.after(lasts, Happening::FaultEnds(id));
            if kind != Kind::Leaving {
                for _ in 0..5 {
                    let wait = self.fault_dice.below(800 * MS);
                    self.after(wait, Happening::Client(Step::Insist));
                }
            }
        }
    }

    fn how_long(&mut self) -> u64 {
        let dice = &mut self.fault_dice;
        let (short, long) = (dice.between(50, 1500), dice.between(1500, 12_000));
        dice.pick(&[short, long]) * MS
    }

    fn choose_cuts(&mut self, kind: Kind, host: HostIndex) -> Vec<(HostIndex, HostIndex)> {
        let hosts = self.hosts.len();
        let dice = &mut self.fault_dice;
        let other = (host + dice.between(1, (hosts as u64 - 1).max(1)) as usize) % hosts;
        let sides: Vec<bool> = (0..hosts)
            .map(|index| match kind {
                Kind::Halves => dice.percent(50),
                Kind::Isolate => index == host,
                _ => false,
            })
            .collect();
        match kind {
            _ if hosts == 1 => Vec::new(),
            Kind::Halves | Kind::Isolate => {
                let ways = (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to)));
                ways.filter(|&(from, to)| sides[from] != sides[to])
                    .collect()
            }
            Kind::OneWay => vec![(host, other)],
            Kind::Flap => vec![(host, other), (other, host)],
            _ => Vec::new(),
        }
    }

    pub(crate) fn fault_ends(&mut self, id: FaultId) {
        let Some(mut fault) = self.faults.active.remove(&id) else {
            return;
        };
        if fault.flaps > 1 {
            fault.flaps -= 1;
            let cut = fault.flaps.is_multiple_of(2);
            for &(from, to) in &fault.cuts {
                self.set_cut(from, to, cut);
            }
            let next = self.fault_dice.between(20, 800) * MS;
            self.after(next, Happening::FaultEnds(id));
            self.faults.active.insert(id, fault);
            return;
        }
        let (now, kind) = (self.now, fault.kind);
        self.trace
            .note(now, fault.host, || format!("ends: {kind:?}"));
        for &(from, to) in fault.cuts.iter().filter(|_| fault.flaps == 0) {
            self.set_cut(from, to, false);
        }
        match fault.kind {
            Kind::Pause => self.resume(fault.host),
            Kind::Leaving => self.set_leaving(fault.host, false),
            Kind::SlowDisk => {
                self.slow_disks.remove(&fault.host);
            }
            _ => {}
        }
    }

    /// Everything heals: ways are open, nodes run.
    pub(crate) fn end_faults(&mut self) {
        self.faults.over = true;
        for mut fault in std::mem::take(&mut self.faults.active).into_values() {
            if fault.flaps > 0 && fault.flaps.is_multiple_of(2) || fault.flaps == 0 {
                for (from, to) in fault.cuts.drain(..) {
                    self.set_cut(from, to, false);
                }
            }
            match fault.kind {
                Kind::Pause => self.resume(fault.host),
                Kind::Leaving => self.set_leaving(fault.host, false),
                _ => {}
            }
        }
        self.slow_disks.clear();
        for index in 0..self.hosts.len() {
            if self.hosts[index].process.is_none() {
                self.start(index);
            }
        }
    }

    fn crash_for_a_while(&mut self, host: HostIndex) {
        self.crash(host);
        let away = self.how_long();
        self.after(away, Happening::Start(host));
    }

    fn crash_many(&mut self) {
        let hosts = self.hosts.len();
        let dice = &mut self.fault_dice;
        let many = dice.pick(&[hosts.div_ceil(2) - 1, hosts / 2 + 1, hosts]);
        let mut all: Vec<HostIndex> = (0..hosts).collect();
        dice.shuffle(&mut all);
        for &host in &all[..many] {
            self.crash_for_a_while(host);
        }
    }

    fn wipe(&mut self, host: HostIndex) {
        self.crash(host);
        self.hosts[host].disk.wipe();
        self.checker.destroyed(self.now, host);
        self.checker.topics.destroyed(host);
        let away = self.how_long();
        self.after(away, Happening::Start(host));
    }

    /// kill -9.
    fn crash(&mut self, host: HostIndex) {
        if self.hosts[host].process.is_none() {
            return;
        }
        let now = self.now;
        self.trace.note(now, host, || "is killed".to_owned());
        self.end_process(host);
        let (jobs, topics) = self.hosts[host].crash_disk(&mut self.disk_dice);
        let survived = jobs_on(&self.hosts[host].disk);
        let registers = registers_on(&self.hosts[host].disk);
        let now = self.now;
        self.checker.crashed(now, host, &survived, &registers);
        self.checker.topics.crashed(host, topics, &survived);
        self.hosts[host].clock.settle(jobs);
        if self.plan.meeting == Meeting::Seeds && self.fault_dice.percent(20) {
            self.hosts[host].address = self.new_address();
        }
    }

    fn end_process(&mut self, host: HostIndex) {
        self.drop_links_of(host);
        self.hosts[host].inbox = None;
        if let Some(process) = self.hosts[host].process.take() {
            self.checker.count(&process.shell.node().counters());
        }
        self.drop_clients_of(host);
        self.checker.topics.ended(host);
    }

    fn remove(&mut self, host: HostIndex) {
        if self.faults.removed || self.hosts.len() < 4 {
            return;
        }
        self.faults.removed = true;
        self.crash(host);
        self.hosts[host].removed = true;
        self.hosts[host].disk.wipe();
        self.checker.destroyed(self.now, host);
        self.checker.topics.destroyed(host);
        for other in (0..self.hosts.len()).filter(|&other| other != host) {
            let wait = self.fault_dice.between(2000, 4000) * MS;
            self.after(wait, Happening::Forget(other, host));
        }
    }

    fn jump(&mut self, host: HostIndex) {
        if self.hosts[host].process.is_none() {
            return;
        }
        let dice = &mut self.fault_dice;
        let by = dice.pick(&[3_000, 60_000, 3_600_000, 86_400_000]) + dice.below(1000);
        let by = i64::try_from(by).expect("a day or so");
        let by = if dice.percent(50) { by } else { -by };
        let given = self.hosts[host].disk.given();
        self.hosts[host].clock.jump(by, given);
    }

    fn reset_links(&mut self, host: HostIndex) {
        for other in 0..self.hosts.len() {
            if self.fault_dice.percent(50) && !self.hosts[host].is_paused() {
                self.close_link(host, other);
            }
            if self.fault_dice.percent(50) && !self.hosts[other].is_paused() {
                self.close_link(other, host);
            }
        }
    }

    fn pause(&mut self, host: HostIndex) {
        if self.hosts[host].serves() && !self.hosts[host].is_paused() {
            self.hosts[host].inbox = Some(Vec::new());
        }
    }

    fn set_leaving(&mut self, host: HostIndex, leaving: bool) {
        if self.hosts[host].serves() && !self.hosts[host].is_paused() {
            self.feed(host, Event::Leaving(leaving));
        }
    }

    /// SHUTDOWN: what is queued goes to others first, for a while.
    fn begin_stop(&mut self, host: HostIndex) {
        if !self.hosts[host].serves() || self.hosts[host].is_paused() {
            return;
        }
        let until = self.now + self.fault_dice.between(1, 10) * SECOND;
        if let Some(process) = &mut self.hosts[host].process {
            process.stops = Some(until);
            let boot = process.boot;
            self.close_clients_of(host);
            self.feed(host, Event::HandOver);
            self.after(20 * MS, Happening::Stopping(host, boot));
        }
    }

    /// A stop goes on, or through.
    pub(crate) fn stopping(&mut self, host: HostIndex, boot: u32) {
        let Some(process) = &self.hosts[host].process else {
            return;
        };
        let late = process.stops.is_some_and(|until| until <= self.now);
        if process.boot != boot {
            return;
        }
        if process.shell.node().handing_over() > 0 && !late {
            return self.after(20 * MS, Happening::Stopping(host, boot));
        }
        loop {
            self.feed(host, Event::Stop);
            let process = self.hosts[host].process.as_ref();
            if !process.is_some_and(|process| process.shell.node().is_stopping()) {
                break;
            }
        }
        let now = self.now;
        self.trace.note(now, host, || "has stopped".to_owned());
        self.hosts[host].disk.sync_now();
        self.gossip(host, shoalmq_gossip::Event::Leave);
        let runs = |&other: &HostIndex| self.hosts[other].process.is_some();
        let running: Vec<HostIndex> = (0..self.hosts.len()).filter(runs).collect();
        self.checker.topics.stops(host, &running);
        self.end_process(host);
        self.hosts[host].clock.settle(Position(u64::MAX));
        let away = if self.faults.over {
            100 * MS
        } else {
            self.how_long()
        };
        self.after(away, Happening::Start(host));
    }
}
