//! A bench for one node in a shell: it owns the clocks and ticks exactly at the node's deadlines. Its disk takes no time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::command::{
    AddJob, Command, Delivery, Detail, GetJob, JobView, Pause, PauseState, QueueView, QueueWaits,
    Refusal, Reply, Told, Wait,
};
use crate::event::Event;
use crate::id::{ClientId, JobId, NodeId, Ticket};
use crate::job::{Beside, Body, Ending, Job, JobState, Links, Stand};
use crate::log::{Policy, Reload};
use crate::node::{Eviction, Log, MemoryPolicy, Node, Settings};
use crate::queue::QueueKey;
use crate::record::{Location, Record, Segment, Stream};
use crate::shell::{Boot, Disk, Left, Shell};
use crate::telling::Share;
use crate::time::{Now, Time, WallTime};

/// The wall clock when a bench starts: 2026-01-01.
pub(crate) const WALL: u64 = 1_767_225_600_000;

pub(crate) const SETTINGS: Settings = Settings {
    tallied_queues: 1000,
    max_memory: 0,
    eviction: Eviction::Acks,
    memory: MemoryPolicy::Refuse,
    log: Log::On,
    default_replicate: 3,
    min_replicate: 2,
    result_max: 65_536,
    heal_delay: Duration::from_mins(1),
    leaving_grace: Duration::from_secs(5),
    sync: crate::node::Sync::Later,
    topic_series: 100,
    topic_memory: 1 << 30,
    topic_disk: u64::MAX,
    topics: crate::node::TopicMember::Yes,
    topic_replicate: const { std::num::NonZeroUsize::new(3).expect("three is more than none") },
    topic_min_replicate: 2,
    topic_stall: Duration::from_secs(1),
    topic_dedup_ms: 120_000,
};

/// Who sends the commands that name no client.
const SOMEBODY: u64 = 1;

pub(crate) struct Bench {
    shell: Shell,
    /// Milliseconds on the node's timeline.
    pub(crate) time: u64,
    /// Milliseconds since 1970.
    pub(crate) wall: u64,
    pub(crate) disk: Disk,
    /// Commands answered in the order of answering, since last asked.
    pub(crate) answered: Vec<(Ticket, Reply)>,
    /// Messages to peers, since last asked.
    pub(crate) sent: Vec<(NodeId, crate::message::Message)>,
    replies: BTreeMap<Ticket, Reply>,
    settings: Settings,
    tickets: u64,
    starts: u8,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench::with(SETTINGS)
    }

    /// A node that starts with an empty log.
    pub(crate) fn with(settings: Settings) -> Self {
        let mut disk = Disk::default();
        let mut left = Vec::new();
        let boot = boot(settings, 1, WALL, Reload::Active);
        let shell = Shell::start(&boot, &mut disk, &mut left, |_| {});
        let mut bench = Bench {
            time: shell.base().as_millis(),
            shell,
            wall: WALL,
            disk,
            answered: Vec::new(),
            sent: Vec::new(),
            replies: BTreeMap::new(),
            settings,
            tickets: 0,
            starts: 1,
        };
        bench.hear(left);
        bench
    }

    pub(crate) fn node(&self) -> &Node {
        self.shell.node()
    }

    /// The process is gone, with all that was not in the log; a new one starts after `down`.
    pub(crate) fn crash(&mut self, down: Duration) {
        self.start(down, Reload::Active);
    }

    /// A clean stop, and a start after `down`.
    pub(crate) fn restart(&mut self, down: Duration) {
        self.feed(Event::Stop);
        self.start(down, Reload::Active);
    }

    /// Starts from what is in the log.
    pub(crate) fn start(&mut self, down: Duration, reload: Reload) {
        self.starts += 1;
        self.wall += down.as_millis() as u64;
        let mut left = Vec::new();
        let boot = boot(self.settings, self.starts, self.wall, reload);
        self.shell = Shell::start(&boot, &mut self.disk, &mut left, |_| {});
        self.time = self.shell.base().as_millis();
        self.disk.sync_now();
        self.hear(left);
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            time: Time::from_millis(self.time),
            wall: WallTime(self.wall),
        }
    }

    pub(crate) fn feed(&mut self, event: Event<'_>) {
        let (now, mut left) = (self.now(), Vec::new());
        self.shell.settle(&mut self.disk, now, event, &mut left);
        self.hear(left);
    }

    /// The reply to a command that only looks; it counts as no event.
    pub(crate) fn ask(&mut self, command: Command<'_>) -> Option<Reply> {
        self.shell.ask(self.now(), command)
    }

    fn hear(&mut self, left: Vec<Left>) {
        for left in left {
            match left {
                Left::Reply(ticket, reply, _) => {
                    self.answered.push((ticket, reply.clone()));
                    let before = self.replies.insert(ticket, reply);
                    assert_eq!(before, None, "{ticket:?} is answered once");
                }
                Left::Send(peer, message, _) => self.sent.push((peer, message)),
                Left::Push(client, push) => panic!("{push:?} to {client:?}: no topics here"),
                Left::AwaitReader(client) => panic!("{client:?} reads: no topics here"),
            }
        }
    }

    /// Both clocks go on; a tick exactly at every deadline.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        let end = self.time + ms;
        let (mut stuck, mut before) = (0, self.time);
        while self.tick_until(end) {
            stuck = if self.time > before { 0 } else { stuck + 1 };
            assert!(stuck < 100, "a tick makes progress");
            before = self.time;
        }
    }

    /// Goes on to the next deadline and ticks, or to `end` if that comes first.
    pub(crate) fn tick_until(&mut self, end: u64) -> bool {
        let next = self.node().deadline().as_millis().max(self.time);
        let to = next.min(end);
        self.wall += to - self.time;
        self.time = to;
        if next <= end {
            self.feed(Event::Tick);
        }
        next <= end
    }

    pub(crate) fn advance(&mut self, secs: u64) {
        self.advance_ms(secs * 1000);
    }

    /// Sends a command, which may be answered later.
    pub(crate) fn send(&mut self, client: u64, command: Command<'_>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            client: ClientId(client),
            number: self.tickets,
        };
        self.feed(Event::Command(ticket, command));
        ticket
    }

    /// What this command was answered.
    pub(crate) fn answer(&self, ticket: Ticket) -> Option<&Reply> {
        self.replies.get(&ticket)
    }

    /// Sends a command that is answered at once.
    pub(crate) fn run(&mut self, command: Command<'_>) -> Reply {
        let ticket = self.send(SOMEBODY, command);
        let reply = self.answer(ticket);
        reply.expect("this command does not wait").clone()
    }

    pub(crate) fn count(&mut self, command: Command<'_>) -> u64 {
        match self.run(command) {
            Reply::Count(count) => count,
            other => panic!("{other:?} is no count"),
        }
    }

    pub(crate) fn try_add(&mut self, add: AddJob<'_>) -> Result<JobId, Refusal> {
        match self.run(Command::AddJob(add)) {
            Reply::Added(id) => Ok(id),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("{other:?} answers no ADDJOB"),
        }
    }

    pub(crate) fn add(&mut self, add: AddJob<'_>) -> JobId {
        self.try_add(add).expect("nothing refuses this job")
    }

    /// Adds `count` jobs, oldest first.
    pub(crate) fn add_many(&mut self, queue: &str, count: usize) -> Vec<JobId> {
        (0..count).map(|_| self.add(job(queue))).collect()
    }

    /// GETJOB NOHANG.
    pub(crate) fn get(&mut self, queues: &[&str], count: u64) -> Vec<Delivery> {
        match self.run(Command::GetJob(get_job(queues, count, Wait::No))) {
            Reply::Delivered(taken, _) => taken,
            Reply::NothingToDeliver => Vec::new(),
            other => panic!("{other:?} answers no GETJOB"),
        }
    }

    /// The ids of a GETJOB NOHANG.
    pub(crate) fn take(&mut self, queue: &str, count: u64) -> Vec<JobId> {
        let taken = self.get(&[queue], count);
        taken.iter().map(|delivery| delivery.id).collect()
    }

    /// Takes the only job there is.
    pub(crate) fn take_one(&mut self, queue: &str) -> Delivery {
        let mut taken = self.get(&[queue], 2);
        assert_eq!(taken.len(), 1, "there is exactly one job");
        taken.remove(0)
    }

    /// GETJOB that may wait.
    pub(crate) fn wait(&mut self, client: u64, queues: &[&str], wait: Wait) -> Ticket {
        self.send(client, Command::GetJob(get_job(queues, 1, wait)))
    }

    /// What a waiting GETJOB got.
    pub(crate) fn got(&self, ticket: Ticket) -> Option<Vec<JobId>> {
        match self.answer(ticket)? {
            Reply::Delivered(taken, _) => Some(taken.iter().map(|delivery| delivery.id).collect()),
            other => panic!("{other:?} is no delivery"),
        }
    }

    pub(crate) fn ack(&mut self, id: JobId) -> u64 {
        self.count(Command::ack(vec![id]))
    }

    pub(crate) fn nack(&mut self, id: JobId) -> u64 {
        self.count(Command::nack(vec![id]))
    }

    pub(crate) fn enqueue(&mut self, id: JobId) -> u64 {
        self.count(Command::Enqueue(vec![id]))
    }

    pub(crate) fn dequeue(&mut self, id: JobId) -> u64 {
        self.count(Command::Dequeue(vec![id]))
    }

    pub(crate) fn len(&mut self, queue: &str) -> u64 {
        self.count(Command::QueueLength(queue.as_bytes()))
    }

    pub(crate) fn show(&mut self, id: JobId) -> Option<JobView> {
        match self.run(Command::Show(Some(id))) {
            Reply::Shown(view) => view.map(|view| *view),
            other => panic!("{other:?} answers no SHOW"),
        }
    }

    /// The state of a job that is here.
    pub(crate) fn state(&mut self, id: JobId) -> JobState {
        self.show(id).expect("the job is here").state
    }

    /// How often a job was nacked, and delivered additionally.
    pub(crate) fn counters(&mut self, id: JobId) -> (u32, u32) {
        let view = self.show(id).expect("the job is here");
        (view.nacks, view.additional_deliveries)
    }

    pub(crate) fn stat(&mut self, queue: &str) -> Option<QueueView> {
        match self.run(plain_stat(queue)) {
            Reply::QueueStat(view) => view.map(|view| *view),
            other => panic!("{other:?} answers no QSTAT"),
        }
    }

    /// What QSTAT FULL tells of jobs that are not ready.
    pub(crate) fn waits(&mut self, queue: &str) -> Option<QueueWaits> {
        let detail = Detail::Full;
        let queue = queue.as_bytes();
        match self.run(Command::QueueStat { queue, detail }) {
            Reply::QueueStat(view) => view.map(|view| view.full.expect("it was asked for")),
            other => panic!("{other:?} answers no QSTAT"),
        }
    }

    pub(crate) fn pause(&mut self, queue: &str, input: bool, output: bool) {
        let state = PauseState { input, output };
        let reply = self.run(Command::Pause(Pause {
            queue: queue.as_bytes(),
            set: Some(state),
            broadcast: false,
        }));
        assert_eq!(reply, Reply::PauseState(state));
    }

    /// Records go to a new segment.
    pub(crate) fn roll(&mut self) {
        let segment = self.disk.roll(Stream::Jobs);
        self.feed(Event::SegmentStarted(Stream::Jobs, segment));
    }

    /// The log is switched on.
    pub(crate) fn open_log(&mut self) {
        let jobs = self.disk.roll(Stream::Jobs);
        self.feed(Event::LogOpened { jobs, topics: 1 });
    }

    /// The segments that are on disk.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.disk.segments()
    }

    /// The segment that records go to.
    pub(crate) fn segment(&self) -> Segment {
        self.disk.end(Stream::Jobs).segment
    }

    /// What is on disk of jobs.
    pub(crate) fn log(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Location, &Record)> + ExactSizeIterator {
        self.disk.records_of(Stream::Jobs)
    }
}

fn boot(settings: Settings, start: u8, wall: u64, reload: Reload) -> Boot {
    Boot {
        id: node_id(),
        settings,
        seed: [start; 32],
        generation: u64::from(start),
        wall: WallTime(wall),
        not_before: Time::ZERO,
        reload,
        policy: Policy::Stalls,
        few: 500,
        bug: None,
    }
}

pub(crate) fn node_id() -> NodeId {
    NodeId::from_bytes([7; 20])
}

/// QSTAT.
pub(crate) fn plain_stat(queue: &str) -> Command<'_> {
    Command::QueueStat {
        queue: queue.as_bytes(),
        detail: Detail::Plain,
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// ADDJOB queue body 0, with the defaults of a lone node.
pub(crate) fn job(queue: &str) -> AddJob<'_> {
    AddJob::new(queue.as_bytes(), b"body")
}

/// A job that is queued again after `retry` seconds, or never if that is 0.
pub(crate) fn job_with_retry(queue: &str, retry: u32) -> AddJob<'_> {
    AddJob {
        retry: Some(retry),
        ..job(queue)
    }
}

pub(crate) fn get_job<'a>(queues: &[&'a str], count: u64, wait: Wait) -> GetJob<'a> {
    GetJob {
        queues: queues.iter().map(|queue| queue.as_bytes()).collect(),
        count,
        wait,
        told: Told::default(),
    }
}

/// A job that no node holds, with an id made of `number`.
pub(crate) fn plain_job(number: u32) -> Job {
    let mut id = [0; 24];
    id[4..8].copy_from_slice(&number.to_be_bytes());
    id[23] = 1;
    Job {
        id: JobId::from_bytes(id),
        body: Body::new(b"body"),
        entered: u64::from(number),
        added: Time::ZERO,
        due: Time::NEVER,
        holders: crate::members::NodeSet::EMPTY,
        ttl: u32::MAX,
        delay: 0,
        retry: 60,
        nacks: 0,
        additional_deliveries: 0,
        queue: QueueKey(0),
        order: Links::NONE,
        agenda: Links::NONE,
        segment: 1,
        offset: Location::FAR,
        replicate: 1,
        stand: Stand::kept(),
        counted: Share::None,
        since: 0,
        short: false,
        ending: Ending::Plain,
        moves: 0,
        priority: 0,
        beside: Beside::Nothing,
    }
}
