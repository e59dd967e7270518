//! A bench for several nodes: one clock, links that deliver in order after a latency, break, and come up again. Every
//! node's invariants are checked after every event.

use std::collections::{BTreeMap, VecDeque};

use crate::command::{AddJob, Command, Delivery, JobView, Nack, Reply, Wait};
use crate::event::{Event, PeerUp};
use crate::extras::Features;
use crate::id::{ClientId, JobId, NodeId, QueueName, StoreId, Ticket};
use crate::job::JobState;
use crate::log::{Policy, Reload};
use crate::message::Message;
use crate::node::{Node, Settings};
use crate::record::{Location, Record, Stream};
use crate::shell::{Boot, Disk, Left, Shell};
use crate::time::{Now, Time, WallTime};
use crate::topic::Push;

use super::bench::{SETTINGS, WALL, get_job};

/// One way, in milliseconds.
const LATENCY: u64 = 1;

/// One node and what is around it.
struct Seat {
    shell: Option<Shell>,
    disk: Disk,
    starts: u64,
    /// How far its wall clock is ahead, in milliseconds.
    ahead: i64,
    store: StoreId,
}

/// What is on its way.
enum Parcel {
    Message(Message),
    Up(PeerUp),
    Down,
}

/// What happened next.
enum Step {
    Parcel,
    Tick,
}

/// Some nodes that know each other.
pub(crate) struct Shoal {
    seats: Vec<Seat>,
    /// Links that are cut, from and to.
    cut: Vec<(usize, usize)>,
    /// By arrival: what goes from where to where.
    wire: BTreeMap<(u64, u64), (usize, usize, Parcel)>,
    /// Links that are up: from, to.
    up: Vec<(usize, usize)>,
    /// Nodes that stand still: nothing reaches them until they wake.
    hanging: Vec<usize>,
    parcels: u64,
    pub(crate) time: u64,
    replies: BTreeMap<(usize, Ticket), Reply>,
    tickets: u64,
    settings: Settings,
    /// All messages that were sent: from, to, what. For those who look.
    pub(crate) sent: VecDeque<(usize, usize, Message)>,
    /// What connections were told: at which node, which one, what.
    pub(crate) pushes: Vec<(usize, ClientId, Push)>,
}

impl Shoal {
    /// `count` nodes, all linked.
    pub(crate) fn new(count: usize) -> Self {
        Shoal::with(count, SETTINGS)
    }

    pub(crate) fn with(count: usize, settings: Settings) -> Self {
        let seats = (0..count).map(|seat| Seat {
            shell: None,
            disk: Disk::default(),
            starts: 0,
            ahead: 0,
            store: StoreId(seat as u64 + 1),
        });
        let mut shoal = Shoal {
            seats: seats.collect(),
            cut: Vec::new(),
            wire: BTreeMap::new(),
            up: Vec::new(),
            hanging: Vec::new(),
            parcels: 0,
            time: WALL,
            replies: BTreeMap::new(),
            tickets: 0,
            settings,
            sent: VecDeque::new(),
            pushes: Vec::new(),
        };
        for seat in 0..count {
            shoal.start(seat);
        }
        shoal.advance_ms(10);
        shoal
    }

    pub(crate) fn id(seat: usize) -> NodeId {
        NodeId::from_bytes([seat as u8 + 1; 20])
    }

    /// A node's wall clock is ahead of the others by this many milliseconds from now on.
    pub(crate) fn set_clock(&mut self, seat: usize, ahead: i64) {
        self.seats[seat].ahead = ahead;
    }

    fn wall(&self, seat: usize) -> WallTime {
        WallTime(self.time.saturating_add_signed(self.seats[seat].ahead))
    }

    fn seat_of(id: &NodeId) -> usize {
        usize::from(id.as_bytes()[0] - 1)
    }

    /// Starts a node from its log, and links it with all that run.
    pub(crate) fn start(&mut self, seat: usize) {
        assert!(self.seats[seat].shell.is_none(), "it is not running");
        let wall = self.wall(seat);
        let not_before = Time::from_millis(self.time);
        let it = &mut self.seats[seat];
        it.starts += 1;
        let boot = Boot {
            id: Shoal::id(seat),
            settings: self.settings,
            seed: [(seat as u8) << 4 | it.starts as u8; 32],
            generation: it.starts,
            wall,
            not_before,
            reload: Reload::Active,
            policy: Policy::Stalls,
            few: usize::MAX,
            bug: None,
        };
        let mut left = Vec::new();
        let shell = Shell::start(&boot, &mut it.disk, &mut left, |_| {});
        assert_eq!(shell.base(), not_before, "one timeline for all");
        it.disk.sync_now();
        it.shell = Some(shell);
        self.hear(seat, left);
        for other in 0..self.seats.len() {
            if other != seat {
                self.feed(seat, Event::PeerKnown(Shoal::id(other)));
                self.link(seat, other);
                self.link(other, seat);
            }
        }
    }

    /// The process is gone, with all links.
    pub(crate) fn kill(&mut self, seat: usize) {
        self.seats[seat].shell = None;
        for other in 0..self.seats.len() {
            self.unlink(seat, other);
            self.unlink(other, seat);
        }
    }

    /// A clean stop.
    pub(crate) fn stop(&mut self, seat: usize) {
        self.feed(seat, Event::Stop);
        while self.node(seat).is_stopping() {
            self.feed(seat, Event::Stop);
        }
        self.kill(seat);
    }

    /// The disk is empty: the next start is one with another store.
    pub(crate) fn wipe(&mut self, seat: usize) {
        assert!(self.seats[seat].shell.is_none(), "it is not running");
        self.seats[seat].disk.wipe();
        self.seats[seat].store.0 += 100;
    }

    /// Records of a node go to a new segment.
    pub(crate) fn roll(&mut self, seat: usize) {
        let segment = self.seats[seat].disk.roll(Stream::Jobs);
        self.feed(seat, Event::SegmentStarted(Stream::Jobs, segment));
    }

    /// What is in a node's log.
    pub(crate) fn log(&self, seat: usize) -> impl DoubleEndedIterator<Item = (Location, &Record)> {
        self.seats[seat].disk.records()
    }

    /// What was recorded of this job never got to the disk.
    pub(crate) fn lose_records(&mut self, seat: usize, id: JobId) {
        assert!(self.seats[seat].shell.is_none(), "it is not running");
        self.seats[seat].disk.lose(|record| match record {
            Record::Added(job) => job.id == id,
            Record::Holders { id: other, .. } => *other == id,
            _ => false,
        });
    }

    /// Cuts both links between two nodes; what is on its way is lost.
    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.cut_one_way(from, to);
        }
    }

    /// Cuts the link over which one node speaks to another.
    pub(crate) fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cut.push((from, to));
        self.unlink(from, to);
    }

    /// Mends all links.
    pub(crate) fn mend(&mut self) {
        for (from, to) in std::mem::take(&mut self.cut) {
            self.link(from, to);
        }
    }

    /// The process stands still: its links are up, but it does nothing.
    pub(crate) fn hang(&mut self, seat: usize) {
        self.hanging.push(seat);
    }

    /// It goes on, and finds what has arrived meanwhile.
    pub(crate) fn wake(&mut self, seat: usize) {
        self.hanging.retain(|&other| other != seat);
    }

    fn link(&mut self, from: usize, to: usize) {
        let both = self.seats[from].shell.is_some() && self.seats[to].shell.is_some();
        if both && !self.cut.contains(&(from, to)) && !self.up.contains(&(from, to)) {
            self.up.push((from, to));
            let up = PeerUp {
                id: Shoal::id(to),
                store: self.seats[to].store,
                restarted: self.seats[to].starts > 1,
                same_zone: false,
                zone: 0,
                features: Features::KNOWN,
            };
            self.post(to, from, Parcel::Up(up));
        }
    }

    fn unlink(&mut self, from: usize, to: usize) {
        self.wire
            .retain(|_, (sender, receiver, parcel)| match parcel {
                Parcel::Message(_) => (*sender, *receiver) != (from, to),
                Parcel::Up(_) | Parcel::Down => (*receiver, *sender) != (from, to),
            });
        let before = self.up.len();
        self.up.retain(|&link| link != (from, to));
        if self.up.len() < before && self.seats[from].shell.is_some() {
            self.post(to, from, Parcel::Down);
        }
    }

    fn post(&mut self, from: usize, to: usize, parcel: Parcel) {
        self.parcels += 1;
        let key = (self.time + LATENCY, self.parcels);
        self.wire.insert(key, (from, to, parcel));
    }

    pub(crate) fn node(&self, seat: usize) -> &Node {
        let shell = self.seats[seat].shell.as_ref();
        shell.expect("it is running").node()
    }

    pub(crate) fn feed(&mut self, seat: usize, event: Event<'_>) {
        let now = Now {
            time: Time::from_millis(self.time),
            wall: self.wall(seat),
        };
        let Seat { shell, disk, .. } = &mut self.seats[seat];
        let shell = shell.as_mut().expect("it is running");
        let mut left = Vec::new();
        shell.settle(disk, now, event, &mut left);
        self.hear(seat, left);
    }

    fn hear(&mut self, seat: usize, left: Vec<Left>) {
        for left in left {
            match left {
                Left::Send(to, message, _) => {
                    let to = Shoal::seat_of(&to);
                    if self.up.contains(&(seat, to)) {
                        self.sent.push_back((seat, to, message.clone()));
                        self.post(seat, to, Parcel::Message(message));
                    }
                }
                Left::Push(client, push) => self.pushes.push((seat, client, *push)),
                Left::AwaitReader(client) => panic!("{client:?} reads: no topics here"),
                Left::Reply(ticket, reply, _) => {
                    let before = self.replies.insert((seat, ticket), reply);
                    assert_eq!(before, None, "{ticket:?} is answered once");
                }
            }
        }
    }

    /// Time goes on: parcels arrive, nodes tick at their deadlines.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        let end = self.time + ms;
        let (mut stuck, mut before) = (0, self.time);
        while self.step(end).is_some() {
            stuck = if self.time > before { 0 } else { stuck + 1 };
            before = self.time;
            assert!(stuck < 100_000, "time goes on");
        }
        self.time = end;
    }

    /// Time goes on until `count` parcels have arrived, but for at most a second.
    pub(crate) fn advance_parcels(&mut self, mut count: usize) {
        let end = self.time + 1000;
        while count > 0 {
            match self.step(end) {
                Some(Step::Parcel) => count -= 1,
                Some(Step::Tick) => {}
                None => return,
            }
        }
    }

    /// The next thing that happens until `end`, if any.
    fn step(&mut self, end: u64) -> Option<Step> {
        let awake = |&(_, &(_, to, _)): &(&(u64, u64), &(usize, usize, Parcel))| {
            !self.hanging.contains(&to)
        };
        let parcel = self.wire.iter().find(awake).map(|(&key, _)| key);
        let ticks = self.seats.iter().enumerate().filter_map(|(seat, it)| {
            let node = it.shell.as_ref()?.node();
            if self.hanging.contains(&seat) {
                return None;
            }
            Some((node.deadline().as_millis().max(self.time), seat))
        });
        let tick = ticks.min();
        // What came while a node hung is late.
        let parcel = parcel.map(|key| (key.0.max(self.time), key));
        let arrival = parcel.map(|(at, _)| at);
        let next = arrival.into_iter().chain(tick.map(|(at, _)| at)).min();
        self.time = next.filter(|&next| next <= end)?;
        if let Some((_, key)) = parcel.filter(|&(at, _)| at == self.time) {
            self.deliver(key);
            Some(Step::Parcel)
        } else {
            let (_, seat) = tick.expect("the first thing to happen is a parcel or a tick");
            self.feed(seat, Event::Tick);
            Some(Step::Tick)
        }
    }

    pub(crate) fn advance(&mut self, secs: u64) {
        self.advance_ms(secs * 1000);
    }

    fn deliver(&mut self, key: (u64, u64)) {
        let (from, to, parcel) = self.wire.remove(&key).expect("a parcel is due");
        if self.seats[to].shell.is_none() {
            return;
        }
        match parcel {
            Parcel::Message(message) => {
                self.feed(to, Event::Message(Shoal::id(from), message));
            }
            Parcel::Up(up) => self.feed(to, Event::PeerUp(up)),
            Parcel::Down => self.feed(to, Event::PeerDown(Shoal::id(from))),
        }
    }

    /// Sends a command to a node, which may answer later.
    pub(crate) fn send(&mut self, seat: usize, client: u64, command: Command<'_>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            client: ClientId(client),
            number: self.tickets,
        };
        self.feed(seat, Event::Command(ticket, command));
        ticket
    }

    pub(crate) fn answer(&self, seat: usize, ticket: Ticket) -> Option<&Reply> {
        self.replies.get(&(seat, ticket))
    }

    /// Sends a command and lets some time pass for its answer.
    pub(crate) fn run(&mut self, seat: usize, command: Command<'_>) -> Reply {
        let ticket = self.send(seat, 1, command);
        if self.answer(seat, ticket).is_none() {
            self.advance_ms(20 * LATENCY);
        }
        let reply = self.answer(seat, ticket);
        reply.expect("this command is answered soon").clone()
    }

    pub(crate) fn add(&mut self, seat: usize, add: AddJob<'_>) -> JobId {
        match self.run(seat, Command::AddJob(add)) {
            Reply::Added(id) => id,
            other => panic!("{other:?} answers no ADDJOB"),
        }
    }

    /// GETJOB NOHANG.
    pub(crate) fn get(&mut self, seat: usize, queue: &str, count: u64) -> Vec<Delivery> {
        match self.run(seat, Command::GetJob(get_job(&[queue], count, Wait::No))) {
            Reply::Delivered(taken, _) => taken,
            Reply::NothingToDeliver => Vec::new(),
            other => panic!("{other:?} answers no GETJOB"),
        }
    }

    /// GETJOB that waits.
    pub(crate) fn wait(&mut self, seat: usize, client: u64, queue: &str) -> Ticket {
        self.send(
            seat,
            client,
            Command::GetJob(get_job(&[queue], 1, Wait::Forever)),
        )
    }

    /// What a waiting GETJOB got, if anything.
    pub(crate) fn got(&self, seat: usize, ticket: Ticket) -> Option<JobId> {
        match self.answer(seat, ticket)? {
            Reply::Delivered(taken, _) => Some(taken[0].id),
            other => panic!("{other:?} is no delivery"),
        }
    }

    /// What a command that counts answers.
    pub(crate) fn count(&mut self, seat: usize, command: Command<'_>) -> u64 {
        match self.run(seat, command) {
            Reply::Count(count) => count,
            other => panic!("{other:?} is no count"),
        }
    }

    /// A client gives a job back at a node, to wait for some seconds.
    pub(crate) fn nack_for(&mut self, seat: usize, id: JobId, secs: u32) {
        let nack = Nack {
            ids: vec![id],
            delay: Some(secs),
            ..Nack::default()
        };
        assert_eq!(self.count(seat, Command::Nack(nack)), 1);
    }

    pub(crate) fn ack(&mut self, seat: usize, id: JobId) -> u64 {
        self.count(seat, Command::ack(vec![id]))
    }

    pub(crate) fn show(&mut self, seat: usize, id: JobId) -> Option<JobView> {
        match self.run(seat, Command::Show(Some(id))) {
            Reply::Shown(view) => view.map(|view| *view),
            other => panic!("{other:?} answers no SHOW"),
        }
    }

    /// The state of a job at every node; none where it is not known or the node is down.
    pub(crate) fn states(&mut self, id: JobId) -> Vec<Option<JobState>> {
        let state = |shoal: &mut Shoal, seat: usize| {
            shoal.seats[seat].shell.as_ref()?;
            shoal.show(seat, id).map(|view| view.state)
        };
        (0..self.seats.len())
            .map(|seat| state(self, seat))
            .collect()
    }

    /// The nodes at which the job is queued.
    pub(crate) fn queued(&mut self, id: JobId) -> Vec<usize> {
        let states = self.states(id).into_iter().enumerate();
        states
            .filter(|(_, state)| *state == Some(JobState::Queued))
            .map(|(seat, _)| seat)
            .collect()
    }

    /// The queue that a job is in, as this node knows it.
    pub(crate) fn queue_of(&self, seat: usize, id: JobId) -> Option<&[u8]> {
        self.node(seat).queue_of(&id).map(QueueName::as_bytes)
    }

    /// The nodes that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        let seats = 0..self.seats.len();
        seats
            .filter(|&seat| self.seats[seat].shell.is_some())
            .collect()
    }

    /// Jobs of any state at all nodes that run.
    pub(crate) fn jobs(&self) -> usize {
        let shells = self.seats.iter().filter_map(|seat| seat.shell.as_ref());
        shells.map(|shell| shell.node().job_count()).sum()
    }
}

#[test]
fn nodes_learn_of_each_other() {
    let shoal = Shoal::new(3);
    for seat in 0..3 {
        assert_eq!(shoal.node(seat).peers.cluster_size(), 3);
        assert_eq!(shoal.node(seat).peers.reachable().len(), 2);
    }
}
