//! Random histories of one node against the model: every reply is what the model expects, jobs with a retry are never
//! lost before ack or ttl, jobs without one are handed out once at the most, and the same history has the same effects.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::bench::{Bench, get_job, job};
use super::model::{Model, ModelJob, QUEUES};
use crate::command::{AddJob, Command, Refusal, Reply, Wait};
use crate::event::Event;
use crate::id::{ClientId, JobId, Ticket};
use crate::job::JobState;
use crate::log::Reload;
use crate::record::{Location, Record};

#[derive(Debug, Clone)]
enum Step {
    Add {
        queue: usize,
        retry: u32,
        delay: u32,
        ttl: u32,
    },
    Get(Vec<usize>, u64),
    Wait(u64, Vec<usize>, Option<u64>),
    Disconnect(u64),
    Ack(Index),
    Delete(Index),
    Nack(Index),
    Enqueue(Index),
    Dequeue(Index),
    Working(Index),
    Pause(usize, bool, bool),
    Advance(u64),
    JumpWall(i64),
    Restart(u64),
    Crash(u64, Reload),
    Roll,
    Rewrite,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES.len();
    let queues = || prop::collection::vec(queue(), 1..4);
    let job = any::<Index>;
    let retry = prop_oneof![1 => Just(0_u32), 2 => 1..30_u32];
    let delay = prop_oneof![3 => Just(0_u32), 1 => 1..20_u32];
    let ttl = prop_oneof![1 => 20..60_u32, 3 => 1000..100_000_u32];
    let span = || prop_oneof![Just(0), 1..3000_u64, 1000..40_000_u64, 1..400_000_u64];
    let down = || prop_oneof![Just(0), 1..100_000_u64];
    let reload = prop_oneof![Just(Reload::Active), Just(Reload::Queued)];
    let jump = prop_oneof![2000..1_000_000_000_i64, -1_000_000_000..-2000_i64];
    prop_oneof![
        12 => (queue(), retry, delay, ttl).prop_map(|(queue, retry, delay, ttl)| Step::Add { queue, retry, delay, ttl }),
        6 => (queues(), 1..5_u64).prop_map(|(queues, count)| Step::Get(queues, count)),
        4 => (2..5_u64, queues(), prop::option::of(0..50_000_u64)).prop_map(|(client, queues, ms)| Step::Wait(client, queues, ms)),
        1 => (2..5_u64).prop_map(Step::Disconnect),
        3 => job().prop_map(Step::Ack),
        1 => job().prop_map(Step::Delete),
        4 => job().prop_map(Step::Nack),
        3 => job().prop_map(Step::Enqueue),
        2 => job().prop_map(Step::Dequeue),
        3 => job().prop_map(Step::Working),
        2 => (queue(), any::<bool>(), any::<bool>()).prop_map(|(queue, input, output)| Step::Pause(queue, input, output)),
        2 => queue().prop_map(|queue| Step::Pause(queue, false, false)),
        8 => span().prop_map(Step::Advance),
        1 => jump.prop_map(Step::JumpWall),
        2 => down().prop_map(Step::Restart),
        2 => (down(), reload).prop_map(|(down, reload)| Step::Crash(down, reload)),
        1 => Just(Step::Roll),
        1 => Just(Step::Rewrite),
        1 => Just(Step::Flush),
    ]
}

/// A node and its model, side by side.
struct Pair {
    bench: Bench,
    model: Model,
    /// Every job there ever was.
    ids: Vec<JobId>,
}

impl Pair {
    fn new() -> Self {
        Pair {
            bench: Bench::new(),
            model: Model::default(),
            ids: Vec::new(),
        }
    }

    fn pick(&self, index: Index) -> JobId {
        if self.ids.is_empty() {
            JobId::from_bytes([9; 24])
        } else {
            self.ids[index.index(self.ids.len())]
        }
    }

    /// Tells the model of late replies, those to `own` aside.
    fn hear(&mut self, own: Option<Ticket>) {
        for (ticket, reply) in std::mem::take(&mut self.bench.answered) {
            if Some(ticket) != own {
                self.model.hear(self.bench.time, ticket, &reply);
            }
        }
        self.model.settle(self.bench.time);
    }

    /// Sends a command that is answered by a number at once.
    fn count(&mut self, command: Command<'_>, expected: u64) {
        let ticket = self.bench.send(1, command);
        assert_eq!(self.bench.answer(ticket), Some(&Reply::Count(expected)));
        self.hear(Some(ticket));
    }

    fn step(&mut self, step: Step) {
        let now = self.bench.time;
        match step {
            Step::Add {
                queue,
                retry,
                delay,
                ttl,
            } => self.add(queue, retry, delay, ttl),
            Step::Get(queues, count) => {
                let taken = self.model.take(now, &queues, count);
                let names: Vec<&str> = queues.iter().map(|&queue| QUEUES[queue]).collect();
                let got = self.bench.get(&names, count);
                let ids: Vec<JobId> = got.iter().map(|delivery| delivery.id).collect();
                assert_eq!(ids, taken);
                self.bench.answered.clear();
            }
            Step::Wait(client, queues, timeout_ms) => self.wait(client, &queues, timeout_ms),
            Step::Disconnect(client) => {
                self.bench.feed(Event::Disconnected(ClientId(client)));
                self.model.disconnect(client);
            }
            Step::Ack(index) => {
                let id = self.pick(index);
                let expected = self.model.forget(id);
                self.count(Command::ack(vec![id, id]), expected);
            }
            Step::Delete(index) => {
                let id = self.pick(index);
                let expected = self.model.forget(id);
                self.count(Command::DelJob(vec![id]), expected);
            }
            Step::Nack(index) => {
                let id = self.pick(index);
                let expected = self.model.put_back(now, id, true);
                self.count(Command::nack(vec![id]), expected);
            }
            Step::Enqueue(index) => {
                let id = self.pick(index);
                let expected = self.model.put_back(now, id, false);
                self.count(Command::Enqueue(vec![id]), expected);
            }
            Step::Dequeue(index) => self.dequeue(index),
            Step::Working(index) => self.working(index),
            Step::Pause(queue, input, output) => {
                let pause = &mut self.model.pauses[queue];
                (pause.input, pause.output) = (input, output);
                self.bench.pause(QUEUES[queue], input, output);
                let own = self
                    .bench
                    .answered
                    .iter()
                    .find(|(ticket, _)| ticket.client.0 == 1);
                let own = own.map(|&(ticket, _)| ticket);
                self.hear(own);
            }
            Step::Advance(ms) => {
                let end = now + ms;
                while self.bench.tick_until(end) {
                    self.model.tick(self.bench.time);
                    self.hear(None);
                }
            }
            Step::JumpWall(ms) => {
                self.bench.wall = self.bench.wall.saturating_add_signed(ms);
                self.bench.feed(Event::ClientBuffers(0));
            }
            Step::Restart(down) => {
                self.bench.feed(Event::Stop);
                self.start(down, Reload::Active, true);
            }
            Step::Crash(down, reload) => self.start(down, reload, false),
            Step::Roll => self.bench.roll(),
            Step::Rewrite => self.bench.feed(Event::Rewrite),
            Step::Flush => {
                self.bench.feed(Event::Flush);
                for (ticket, reply) in std::mem::take(&mut self.bench.answered) {
                    assert!(self.model.waits_for(ticket));
                    assert_eq!(reply, Reply::NothingToDeliver);
                }
                self.model.flush();
            }
        }
    }

    fn add(&mut self, queue: usize, retry: u32, delay: u32, ttl: u32) {
        let now = self.bench.time;
        let add = AddJob {
            delay: Some(delay),
            retry: Some(retry),
            ttl: Some(ttl),
            ..job(QUEUES[queue])
        };
        let ticket = self.bench.send(1, Command::AddJob(add));
        match self.bench.answer(ticket) {
            Some(&Reply::Added(id)) => {
                assert!(!self.model.pauses[queue].input);
                let mut job = ModelJob {
                    number: self.ids.len(),
                    added: now,
                    queue,
                    retry: u64::from(retry) * 1000,
                    due: now + u64::from(delay) * 1000,
                    expires: now + u64::from(ttl) * 1000,
                    queued: false,
                    requeue: Some(now + u64::from(delay) * 1000),
                    queued_before: false,
                    nacks: 0,
                    additional: 0,
                };
                if delay == 0 {
                    job.enter_queue(now);
                }
                self.model.add(id, job);
                self.ids.push(id);
            }
            other => {
                assert_eq!(other, Some(&Reply::Refused(Refusal::QueuePaused)));
                assert!(self.model.pauses[queue].input);
            }
        }
        self.hear(Some(ticket));
    }

    fn wait(&mut self, client: u64, queues: &[usize], timeout_ms: Option<u64>) {
        let now = self.bench.time;
        let names: Vec<&str> = queues.iter().map(|&queue| QUEUES[queue]).collect();
        let wait = timeout_ms.map_or(Wait::Forever, |ms| Wait::AtMost(Duration::from_millis(ms)));
        let taken = self.model.take(now, queues, 1);
        let command = Command::GetJob(get_job(&names, 1, wait));
        let ticket = self.bench.send(client, command);
        if taken.is_empty() {
            assert_eq!(self.bench.answer(ticket), None);
            let until = timeout_ms.map(|ms| now + ms);
            self.model.wait(ticket, queues, until);
            if timeout_ms == Some(0) {
                self.step(Step::Advance(0));
            }
        } else {
            assert_eq!(self.bench.got(ticket), Some(taken));
            self.hear(Some(ticket));
        }
    }

    fn dequeue(&mut self, index: Index) {
        let id = self.pick(index);
        let queued = self.model.jobs.get(&id).is_some_and(|job| job.queued);
        self.count(Command::Dequeue(vec![id]), u64::from(queued));
        if queued {
            // Any moment within a retry will do.
            let next = self.bench.show(id).and_then(|view| view.next_requeue);
            self.bench.answered.clear();
            let now = self.bench.time;
            let job = self.model.jobs.get_mut(&id).expect("it was queued");
            job.queued = false;
            job.requeue = next.map(|next| now + next.as_millis() as u64);
            let within = job.requeue.map_or(0, |requeue| requeue - now);
            assert!(within <= job.retry && job.requeue.is_some() == (job.retry > 0));
        }
    }

    fn working(&mut self, index: Index) {
        let (id, now) = (self.pick(index), self.bench.time);
        let expected = match self.model.jobs.get_mut(&id) {
            None => Reply::Refused(Refusal::UnknownJob),
            Some(job) => {
                let ttl = job.expires - job.added;
                if (job.expires - now) * 2 < ttl {
                    Reply::Refused(Refusal::TooLateToPostpone)
                } else {
                    if job.retry > 0 {
                        let held = job.requeue.filter(|_| !job.queued).unwrap_or(0);
                        job.requeue = Some(held.max(now + job.retry));
                        job.queued = false;
                    }
                    Reply::Count(job.retry / 1000)
                }
            }
        };
        let ticket = self.bench.send(1, Command::working(Some(id)));
        assert_eq!(self.bench.answer(ticket), Some(&expected));
        self.hear(Some(ticket));
    }

    fn start(&mut self, down: u64, reload: Reload, clean: bool) {
        let now = self.bench.time + down;
        self.bench.start(Duration::from_millis(down), reload);
        assert_eq!(self.bench.time, now, "the timeline goes on");
        assert!(self.bench.answered.is_empty());
        self.model.restart(now, clean);
        if !clean && reload == Reload::Queued {
            self.model.queue_all(now);
        }
        if !clean {
            // A crash may cost counts, but invents none.
            for (&id, job) in &mut self.model.jobs {
                let (nacks, additional) = self.bench.counters(id);
                assert!(nacks <= job.nacks && additional <= job.additional, "{id}");
                (job.nacks, job.additional) = (nacks, additional);
            }
            self.bench.answered.clear();
        }
    }

    /// The node holds exactly the jobs of the model, and each stands as it does there.
    fn compare(&mut self) {
        let now = self.bench.time;
        assert_eq!(self.bench.node().job_count(), self.model.jobs.len());
        for (&id, job) in &self.model.jobs {
            let Some(Reply::Shown(Some(view))) = self.bench.ask(Command::Show(Some(id))) else {
                panic!("{id} is lost: {job:?}");
            };
            assert_eq!(view.state == JobState::Queued, job.queued, "{id} {job:?}");
            assert_eq!(
                (view.nacks, view.additional_deliveries),
                (job.nacks, job.additional),
                "{id}"
            );
            assert_eq!(
                u64::from(view.ttl),
                (job.expires - now).div_ceil(1000),
                "{id}"
            );
            if !job.queued {
                let next = view.next_requeue.map(|next| now + next.as_millis() as u64);
                assert_eq!(
                    next,
                    job.requeue.map(|requeue| requeue.max(now)),
                    "{id} {job:?}"
                );
            }
        }
    }
}

/// Plays a history. Returns all that the node persisted and is still on disk, and its figures.
fn play(steps: &[Step]) -> (Vec<(Location, Record)>, String) {
    let mut pair = Pair::new();
    for step in steps {
        pair.step(step.clone());
        pair.compare();
    }
    let figures = format!(
        "{:?} {:?}",
        pair.bench.node().counters(),
        pair.bench.node().deadline()
    );
    let log = pair.bench.log().map(|(at, record)| (at, record.clone()));
    (log.collect(), figures)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_node_keeps_its_promises_through_any_history(steps in prop::collection::vec(step(), 1..80)) {
        play(&steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn the_same_history_has_the_same_effects(steps in prop::collection::vec(step(), 1..60)) {
        prop_assert_eq!(play(&steps), play(&steps));
    }
}
