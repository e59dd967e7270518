//! Three nodes, the links between them, and their disks. Nothing happens by itself: the history says what is next.
//!
//! All nodes read one clock, but each ticks only when it is told to, perhaps long after its deadline. MOVED, QUEUED,
//! WORKING, WILLQUEUE and SETACK stay on the wire until the history delivers or drops them; all other messages arrive
//! at once. Replies and messages wait for the disk as under `appendfsync always`.

use std::collections::BTreeMap;

use crate::agenda::Timer;
use crate::command::{Command, Reply};
use crate::event::Event;
use crate::id::{ClientId, JobId, Ticket};
use crate::job::JobKey;
use crate::log::{Policy, Reload};
use crate::message::Message;
use crate::node::{Node, Settings, Sync, TopicMember};
use crate::planted::Bug;
use crate::register::{Rank, Register};
use crate::shell::{Boot, Disk, Left, Shell};
use crate::tests::bench::{SETTINGS, WALL};
use crate::tests::shoal::Shoal;
use crate::time::{Now, Time, WallTime};

/// How many nodes there are.
pub(super) const SEATS: usize = 3;

const EXPLORED: Settings = Settings {
    sync: Sync::First,
    topics: TopicMember::No,
    ..SETTINGS
};

/// One node and what is around it.
struct Seat {
    shell: Option<Shell>,
    disk: Disk,
    /// How often it was started.
    starts: u64,
    /// What has left the node since its disk was synced last.
    held: Vec<Left>,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: Message,
}

impl Parcel {
    /// Whether the history says when it arrives, and if.
    pub(super) fn is_loose(&self) -> bool {
        matches!(
            self.message,
            Message::Moved { .. }
                | Message::Queued { .. }
                | Message::Working { .. }
                | Message::WillQueue { .. }
                | Message::SetAck { .. }
        )
    }
}

/// What clients and disks know of a job, whatever its holders say later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// A client was told that it is acked.
    pub(super) acked: bool,
    /// How often clients got it, by the version of its register.
    pub(super) handed_out: BTreeMap<u32, u16>,
    /// The highest register that was ever on a disk.
    pub(super) highest: Option<Rank>,
}

pub(super) struct World {
    seats: Vec<Seat>,
    /// In the order of sending.
    pub(super) wire: Vec<Parcel>,
    /// No link to or from this node is up.
    pub(super) away: Option<usize>,
    pub(super) time: u64,
    pub(super) jobs: Vec<(JobId, Known)>,
    acks: BTreeMap<Ticket, JobId>,
    replies: BTreeMap<Ticket, Reply>,
    tickets: u64,
    bug: Option<Bug>,
}

impl World {
    pub(super) fn new(bug: Option<Bug>) -> Self {
        let seat = || Seat {
            shell: None,
            disk: Disk::default(),
            starts: 0,
            held: Vec::new(),
        };
        let mut world = World {
            seats: std::iter::repeat_with(seat).take(SEATS).collect(),
            wire: Vec::new(),
            away: None,
            time: WALL,
            jobs: Vec::new(),
            acks: BTreeMap::new(),
            replies: BTreeMap::new(),
            tickets: 0,
            bug,
        };
        for seat in 0..SEATS {
            world.start(seat);
        }
        world
    }

    /// Whether something waits for the disk of a node before it leaves.
    pub(super) fn has_held(&self, seat: usize) -> bool {
        !self.seats[seat].held.is_empty()
    }

    pub(super) fn is_running(&self, seat: usize) -> bool {
        self.seats[seat].shell.is_some()
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SEATS).filter(|&seat| self.is_running(seat))
    }

    /// Whether it was started again.
    pub(super) fn was_restarted(&self, seat: usize) -> bool {
        self.seats[seat].starts > 1
    }

    pub(super) fn node(&self, seat: usize) -> &Node {
        let shell = self.seats[seat].shell.as_ref();
        shell.expect("it is running").node()
    }

    /// A job as a node has it.
    pub(super) fn find(&self, seat: usize, job: usize) -> Option<JobKey> {
        self.node(seat).jobs.find(&self.jobs[job].0)
    }

    fn now(&self) -> Now {
        Now {
            time: Time::from_millis(self.time),
            wall: WallTime(self.time),
        }
    }

    /// Something happens to a node. What it records is not on its disk yet.
    pub(super) fn feed(&mut self, seat: usize, event: Event<'_>) {
        let now = self.now();
        let Seat {
            shell, disk, held, ..
        } = &mut self.seats[seat];
        let shell = shell.as_mut().expect("it is running");
        shell.feed(disk, now, event, held, |_| {});
        let owed = shell.take_owed(disk);
        owed.tell(|event| self.feed(seat, event));
    }

    /// The same, and its disk is synced.
    pub(super) fn feed_synced(&mut self, seat: usize, event: Event<'_>) {
        self.feed(seat, event);
        self.sync(seat);
    }

    /// What a node has recorded is on disk. What waited for that leaves.
    pub(super) fn sync(&mut self, seat: usize) {
        let Seat {
            shell, disk, held, ..
        } = &mut self.seats[seat];
        let shell = shell.as_mut().expect("it is running");
        disk.sync_now();
        shell.synced(disk);
        let left = std::mem::take(held);
        let owed = shell.take_owed(disk);
        owed.tell(|event| self.feed(seat, event));
        for left in left {
            self.hear(seat, left);
        }
        self.note_registers(seat);
        assert!(self.seats[seat].held.is_empty(), "a sync owes nothing more");
    }

    fn note_registers(&mut self, seat: usize) {
        for job in 0..self.jobs.len() {
            if let Some(key) = self.find(seat, job) {
                let rank = self.node(seat).register_of(key).map(|it| it.rank());
                let known = &mut self.jobs[job].1;
                known.highest = known.highest.max(rank);
            }
        }
    }

    fn hear(&mut self, seat: usize, left: Left) {
        match left {
            Left::Send(to, message, _) => {
                let to = usize::from(to.as_bytes()[0] - 1);
                if self.is_linked(seat, to) {
                    self.wire.push(Parcel {
                        from: seat,
                        to,
                        message,
                    });
                }
            }
            Left::Reply(ticket, reply, _) => self.note_reply(ticket, reply),
            Left::Push(..) | Left::AwaitReader(_) => panic!("no topics here"),
        }
    }

    fn note_reply(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(id) = self.acks.get(&ticket).copied() {
            self.known(&id).acked = true;
        }
        if let Reply::Delivered(deliveries, _) = &reply {
            for delivery in deliveries {
                let register = Register::of(&delivery.extras);
                let version = register.map_or(0, |register| register.version);
                let known = self.known(&delivery.id);
                *known.handed_out.entry(version).or_default() += 1;
            }
        }
        self.replies.insert(ticket, reply);
    }

    fn known(&mut self, id: &JobId) -> &mut Known {
        let found = self.jobs.iter_mut().find(|(other, _)| other == id);
        &mut found.expect("the job was added here").1
    }

    /// The process starts from its disk, and is linked with all that it can reach.
    pub(super) fn start(&mut self, seat: usize) {
        // What an older link carried never comes after what a newer one does.
        self.wire.retain(|parcel| parcel.from != seat);
        let not_before = Time::from_millis(self.time);
        let it = &mut self.seats[seat];
        it.starts += 1;
        let boot = Boot {
            id: Shoal::id(seat),
            settings: EXPLORED,
            seed: [(seat as u8) << 4 | it.starts as u8; 32],
            generation: it.starts,
            wall: WallTime(self.time),
            not_before,
            reload: Reload::Active,
            policy: Policy::Always,
            few: usize::MAX,
            bug: self.bug,
        };
        let shell = Shell::start(&boot, &mut it.disk, &mut it.held, |_| {});
        it.shell = Some(shell);
        self.sync(seat);
        for other in (0..SEATS).filter(|&other| other != seat) {
            self.feed_synced(seat, Event::PeerKnown(Shoal::id(other)));
            self.link(seat, other);
        }
        self.settle();
    }

    /// The process is gone: killed, or with the machine that it ran on, and with it all that is not on its disk.
    pub(super) fn crash(&mut self, seat: usize) {
        let it = &mut self.seats[seat];
        let synced = it.disk.synced();
        let held = std::mem::take(&mut it.held);
        let open = held.into_iter().filter(|left| match left {
            Left::Send(_, _, gate) | Left::Reply(_, _, gate) => *gate <= synced,
            Left::Push(..) | Left::AwaitReader(_) => false,
        });
        for left in open.collect::<Vec<Left>>() {
            self.hear(seat, left);
        }
        let it = &mut self.seats[seat];
        it.disk.crash(synced);
        let linked: Vec<usize> = (0..SEATS)
            .filter(|&other| self.is_linked(seat, other))
            .collect();
        self.seats[seat].shell = None;
        self.wire.retain(|parcel| parcel.to != seat);
        for other in linked {
            self.feed_synced(other, Event::PeerDown(Shoal::id(seat)));
        }
        self.settle();
    }

    /// A message arrives. What the receiver records is not on its disk yet.
    pub(super) fn deliver(&mut self, index: usize) -> usize {
        let Parcel { from, to, message } = self.wire.remove(index);
        self.feed(to, Event::Message(Shoal::id(from), message));
        to
    }

    /// Everything that nobody chooses: other messages arrive, and passes that go on at once do so.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let tight = self.wire.iter().position(|parcel| !parcel.is_loose());
            let stepping = self.running().find(|&seat| self.goes_on(seat));
            if let Some(index) = tight {
                let to = self.deliver(index);
                self.sync(to);
            } else if let Some(seat) = stepping {
                self.feed_synced(seat, Event::Tick);
            } else {
                return;
            }
        }
        panic!("the nodes come to rest");
    }

    fn goes_on(&self, seat: usize) -> bool {
        let (now, agenda) = (Time::from_millis(self.time), &self.node(seat).agenda);
        let passes = [Timer::Redriving, Timer::Agreement, Timer::Collection];
        passes
            .into_iter()
            .any(|timer| agenda.holds_timer(now, timer))
    }

    /// All messages arrive in order, nodes tick on time.
    pub(super) fn run_ms(&mut self, ms: u64) {
        let end = self.time + ms;
        for _ in 0..100_000 {
            self.settle();
            if !self.wire.is_empty() {
                let to = self.deliver(0);
                self.sync(to);
                continue;
            }
            let deadline = |seat: usize| self.node(seat).deadline().as_millis().max(self.time);
            let next = self.running().map(|seat| (deadline(seat), seat)).min();
            let Some((when, seat)) = next.filter(|&(when, _)| when <= end) else {
                self.time = end;
                return;
            };
            self.time = when;
            self.feed_synced(seat, Event::Tick);
        }
        panic!("time goes on");
    }

    /// A client of a node asks for something.
    pub(super) fn send(&mut self, seat: usize, command: Command<'_>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            client: ClientId(1),
            number: self.tickets,
        };
        if let Command::AckJob(ids, None) = &command {
            self.acks.extend(ids.first().map(|&id| (ticket, id)));
        }
        self.feed(seat, Event::Command(ticket, command));
        ticket
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<&Reply> {
        self.replies.get(&ticket)
    }
}
