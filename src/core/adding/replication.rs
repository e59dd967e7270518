//! ADDJOB: enough replicas before the reply.
//!
//! A job that is to have copies elsewhere waits for them: each candidate gets REPLJOB and answers GOTJOB. While too few
//! have answered, the node asks one more candidate now and then, and names it to the earlier ones (HOLDERS), which also
//! asks them again. Once enough have confirmed, the job is queued (here, or by ENQUEUE on a node that has a copy) and its
//! producer answered. Until then nobody was promised anything: when the producer's time is over, or it is gone, the
//! add is *withdrawn*. That ends as an ack does (`gc`): it is recorded, and all that were sent a copy are told until each
//! has answered. A holder that cannot hear of it may deliver the job when its retry is over, as one that has not heard of
//! an ack does.

use rand::Rng;

use crate::acking::{End, Known};
use crate::adding::admission::{Home, Plan, Times};
use crate::adding::pending::{Pending, Producer};
use crate::adding::terms::{Terms, by_policy};
use crate::command::{AddJob, Refusal, Replication, Reply};
use crate::dedup::Keyed;
use crate::delivering::Cause;
use crate::effect::{Effect, News};
use crate::explaining::What;
use crate::extras::{Extras, Tag};
use crate::id::{ClientId, Guarantee, JobId, Ticket};
use crate::job::{Beside, Body, Ending, Job, JobKey, JobState, Links, Move, Stand};
use crate::limits;
use crate::log::answer;
use crate::members::{NodeSet, PeerKey, load_class};
use crate::message::Message;
use crate::node::Node;
use crate::planted::Bug;
use crate::policy::PolicySet;
use crate::record::{Location, Record};
use crate::telling::{COPY_MILLIS, Share};
use crate::time::{Now, Time};

impl Node {
    pub(crate) fn add_job(
        &mut self,
        now: Now,
        ticket: Ticket,
        add: &AddJob<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(dedup) = &add.dedup {
            return self.add_keyed(now, ticket, (add, dedup), effects);
        }
        let reply = match self.add(now, (Producer::Client(ticket), None), add, effects) {
            Ok(None) => return,
            Ok(Some(id)) => self.accepted(id, add.wants_receipt),
            Err(refusal) => Reply::Refused(refusal),
        };
        answer(ticket, reply, effects);
    }

    /// Adds a job, under this id if one is given. Returns the id if its producer may be answered at once; otherwise it is
    /// when enough copies are there.
    pub(crate) fn add(
        &mut self,
        now: Now,
        (producer, given): (Producer, Option<JobId>),
        add: &AddJob<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<JobId>, Refusal> {
        let (mut terms, mut from) = (Terms::of(add), PolicySet::default());
        if self.shared.has_policies() {
            from = self.fill_from_policies(add.queue, &mut terms);
        }
        let knowing = if add.dedup.is_none() {
            self.peers.knowing(&add.extras)
        } else {
            let with_key = add.extras.with(Tag::DEDUP_KEY, Some(&[]));
            self.peers.knowing(&with_key)
        };
        let plan = match self.admit(add.queue, &terms, knowing) {
            Ok(plan) => plan,
            Err(refusal) => {
                self.count_refused(refusal);
                return Err(by_policy(refusal, from));
            }
        };
        let at_once = add.replication == Replication::Asynchronous || self.has(Bug::EarlyReply);
        let waits = plan.home == Home::Elsewhere || plan.wanted > 0 && !at_once;
        let holders = self.choose(plan.wanted, self.peers.takers().and(knowing));
        let deadline = add.timeout.filter(|_| !at_once);
        let deadline = deadline.map_or(Time::NEVER, |timeout| now.time + timeout);
        let ask = waits.then(|| deadline.min(now.time + self.replications.patience()));
        let id = given.unwrap_or_else(|| self.draw_id(plan.times));
        let key = self.make_job(now, (id, add), (&plan, &terms), holders, ask);
        self.happened(id, What::Added(plan.replicate));
        if waits {
            let pending = Pending {
                producer: if at_once {
                    Producer::Answered
                } else {
                    producer
                },
                confirmed: NodeSet::EMPTY,
                wanted: plan.wanted,
                floor: if at_once { 1 } else { plan.floor },
                home: plan.home,
                deadline,
                wants_receipt: add.wants_receipt,
            };
            self.replications.insert(key, pending);
        }
        if self.must_record(key) {
            self.persist_job(key, News::Job, effects);
        } else {
            self.move_record(key, 0);
        }
        if at_once || !waits {
            self.accept(key, effects);
        }
        self.offer(now.time, key, holders, effects);
        if !waits {
            self.release_alone(now.time, key, effects);
        }
        Ok((at_once || !waits).then_some(id))
    }

    /// Queues a job that waits for no copies. An at-most-once job may go to another node at once, and is here no more then;
    /// it has one copy at all times.
    fn release_alone(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let Job { id, holders, .. } = self.jobs[key];
        self.release(now, key, effects);
        if id.guarantee() == Guarantee::AtLeastOnce {
            if holders.is_empty() {
                self.note_short(now, key);
            } else {
                self.heal_soon(now, key);
            }
        }
    }

    /// Whether a job lies in the log. One that only other nodes are to hold, and that nobody was promised yet, does not:
    /// after a crash this node would hold it, and none of its holders would know to tell it of the ack.
    pub(crate) fn must_record(&self, key: JobKey) -> bool {
        let pending = self.replications.get(key);
        pending.is_none_or(|pending| {
            pending.home == Home::Here || pending.producer == Producer::Answered
        })
    }

    /// A peer says that it has the job.
    pub(crate) fn on_got_job(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) {
        let known = self.jobs.find(&id);
        let Some(key) = known.filter(|&key| self.jobs[key].state() != JobState::Acked) else {
            self.answer_forgotten(from, id, effects);
            return;
        };
        self.merge_holders(key, NodeSet::only(from), effects);
        self.hand_over_to(from, id, effects);
        self.healing.recent.note(now, from, key);
        let Some(pending) = self.replications.get_mut(key) else {
            self.heal_confirmed(now, key, from, effects);
            return;
        };
        if !pending.confirmed.contains(from) {
            pending.confirmed.insert(from);
            self.replications.usual.add(now.since(self.jobs[key].added));
            self.finish_if_enough(now, key, effects);
        }
    }

    /// A job that waits for replicas is due: more are asked for, or its producer waited long enough.
    pub(crate) fn on_replication_due(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let pending = self.replications.of(key);
        if pending.deadline <= now {
            let producer = pending.producer;
            self.counters.replication_timeouts += 1;
            self.withdraw(now, key, effects);
            self.refuse(producer, Refusal::ReplicationTimeout, effects);
        } else {
            self.ask_more(now, key, effects);
        }
    }

    /// The link to a peer came up: what it did not confirm is sent again.
    pub(crate) fn replicate_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let keys: Vec<JobKey> = self.replications.keys().collect();
        for key in keys {
            let pending = self.replications.of(key);
            let holders = self.jobs[key].holders;
            let hoped_for = holders.and(self.peers.reachable()).or(pending.confirmed);
            if pending.confirmed.contains(peer) {
                self.finish_if_enough(now, key, effects);
            } else if holders.contains(peer) {
                self.offer(now, key, NodeSet::only(peer), effects);
            } else if hoped_for.len() < pending.wanted {
                self.ask_more(now, key, effects);
            }
        }
    }

    /// A peer takes no copies any more: asks others. The target count drops when a node goes away; the floor does not.
    pub(crate) fn replicate_without(
        &mut self,
        now: Time,
        peer: PeerKey,
        effects: &mut Vec<Effect>,
    ) {
        let concerned = |&(key, pending): &(JobKey, &Pending)| {
            self.jobs[key].holders.contains(peer) && !pending.confirmed.contains(peer)
        };
        let keys = self.replications.iter().filter(concerned);
        let keys: Vec<JobKey> = keys.map(|(key, _)| key).collect();
        for key in keys {
            let holders = self.jobs[key].holders;
            let reachable = holders.and(self.peers.staying());
            let takers = self.takers_of(key);
            let pending = self.replications.get_mut(key);
            let pending = pending.expect("it was just listed");
            let hoped_for = reachable.or(takers).or(pending.confirmed);
            pending.wanted = pending.wanted.min(hoped_for.len().max(pending.floor));
            let short = reachable.or(pending.confirmed).len() < pending.wanted;
            if !self.finish_if_enough(now, key, effects)
                && short
                && !takers.without(holders).is_empty()
            {
                self.ask_more(now, key, effects);
            }
        }
    }

    /// Members that were counted on are expected back no more. Refuses the jobs that then lack copies for ever: those whose
    /// producers set no timeout, for else they would wait for ever. A job whose producer was answered at once (ASYNC) makes
    /// do with the copies that there can be; that of a binding does wait for ever.
    pub(crate) fn refuse_hopeless(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let expected = |node: &Self, key| {
            let knowing = node.peers.knowing(&node.jobs.extras(key));
            node.peers.expected().and(knowing)
        };
        let hopeless = |&(key, pending): &(JobKey, &Pending)| {
            let least = match pending.producer {
                Producer::Client(_) | Producer::Keyed(..) => pending.floor,
                Producer::Answered => pending.wanted,
                Producer::Binding(_) => return false,
            };
            let hoped_for = expected(self, key).or(pending.confirmed);
            pending.deadline == Time::NEVER && hoped_for.len() < least
        };
        let keys = self.replications.iter().filter(hopeless);
        let keys: Vec<JobKey> = keys.map(|(key, _)| key).collect();
        for key in keys {
            let expected = expected(self, key);
            let pending = self.replications.get_mut(key);
            let pending = pending.expect("it was just listed");
            let producer = pending.producer;
            if producer == Producer::Answered {
                let hoped_for = expected.or(pending.confirmed);
                pending.wanted = hoped_for.len().max(pending.floor);
                self.finish_if_enough(now, key, effects);
                continue;
            }
            self.withdraw(now, key, effects);
            self.count_refused(Refusal::TooFewNodes);
            self.refuse(producer, Refusal::TooFewNodes, effects);
        }
    }

    /// The client is gone: what it waited for was never promised to it.
    pub(crate) fn withdraw_all(&mut self, now: Time, client: ClientId, effects: &mut Vec<Effect>) {
        while let Some(key) = self.replications.of_client(client) {
            let producer = self.replications.of(key).producer;
            self.withdraw(now, key, effects);
            if let Producer::Keyed(_, number) = producer {
                self.end_keyed_add(number, effects);
            }
        }
    }

    /// Answers the producers of jobs that went away in the course of this event.
    #[inline]
    pub(crate) fn answer_abandoned(&mut self, effects: &mut Vec<Effect>) {
        if self.replications.has_abandoned() {
            self.refuse_abandoned(effects);
        }
    }

    fn refuse_abandoned(&mut self, effects: &mut Vec<Effect>) {
        for producer in self.replications.take_abandoned() {
            self.refuse(producer, Refusal::RemovedWhileReplicating, effects);
        }
    }

    /// Its job will not be added. What a binding made and somebody removed is made all the same.
    fn refuse(&mut self, producer: Producer, refusal: Refusal, effects: &mut Vec<Effect>) {
        self.answer_producer(producer, || Reply::Refused(refusal), effects);
    }

    fn answer_producer(
        &mut self,
        producer: Producer,
        reply: impl FnOnce() -> Reply,
        effects: &mut Vec<Effect>,
    ) {
        match producer {
            Producer::Client(ticket) => answer(ticket, reply(), effects),
            Producer::Keyed(ticket, number) => {
                answer(ticket, reply(), effects);
                self.end_keyed_add(number, effects);
            }
            Producer::Answered => {}
            Producer::Binding(number) => self.topics.job_made(number),
        }
    }

    /// Ends a job that waits for copies, here and wherever one was sent.
    fn withdraw(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.replications.remove(key);
        let job = &self.jobs[key];
        let (id, holders) = (job.id, job.holders);
        self.happened(id, What::Ended(Known::Withdrawn));
        if self.has(Bug::LostWithdrawal) {
            self.send_delete(holders, id, &End::WITHDRAWN, effects);
            self.forget(now, key, effects);
        } else if self.other_holders(key).is_empty() {
            self.forget(now, key, effects);
        } else {
            self.mark_acked(now, key, End::WITHDRAWN, NodeSet::EMPTY, effects);
            self.tell_ack(now, key, effects);
        }
    }

    /// Ends the wait if enough copies are confirmed.
    fn finish_if_enough(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) -> bool {
        let pending = self.replications.of(key);
        let queued_by = pending.confirmed.and(self.peers.up());
        let enough = pending.confirmed.len() >= pending.wanted;
        if !enough || pending.home == Home::Elsewhere && queued_by.is_empty() {
            return false;
        }
        let pending = self.replications.remove(key);
        let pending = pending.expect("it was just looked at");
        let Job { id, added, .. } = self.jobs[key];
        self.happened(id, What::Replicated(pending.confirmed.len()));
        let took = now.since(added).as_millis() as u64;
        self.replications.times.add(&COPY_MILLIS, took);
        if pending.producer != Producer::Answered {
            self.accept(key, effects);
        }
        match pending.home {
            Home::Here => {
                self.release(now, key, effects);
                self.note_short(now, key);
                let job = &self.jobs[key];
                // Fewer were waited for than asked in the end: the others may lack it.
                if !job.short && 1 + pending.confirmed.len() < self.wanted_copies(job) {
                    self.heal_soon(now, key);
                }
            }
            Home::Elsewhere => self.give_away(now, key, queued_by, effects),
        }
        let reply = if pending.wants_receipt {
            Reply::Receipt(self.receipt(id, pending.confirmed, pending.home))
        } else {
            Reply::Added(id)
        };
        self.answer_producer(pending.producer, || reply, effects);
        true
    }

    /// The ttl of a job is over that no other node took, and whose producer was answered at once (ASYNC on a node that keeps no copy): this node
    /// is the only one that has it, and keeps it.
    pub(crate) fn keep_untaken(&mut self, key: JobKey) {
        let pending = self.replications.get(key);
        let is_untaken = pending.is_some_and(|pending| {
            pending.producer == Producer::Answered && pending.confirmed.is_empty()
        });
        if is_untaken {
            self.replications.remove(key);
            self.move_job(key, Move::Accept, Time::NEVER);
        }
    }

    fn count_refused(&mut self, refusal: Refusal) {
        let counters = &mut self.counters;
        counters.refused_unreachable += u64::from(refusal == Refusal::TooFewNodes);
        counters.refused_leaving += u64::from(refusal == Refusal::TooFewNodesLeaving);
        counters.refused_memory += u64::from(refusal == Refusal::TooFewNodesMemory);
    }

    /// The producer of a job is about to be told that it was added.
    fn accept(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        self.tally(self.jobs[key].queue, |tally| tally.added += 1);
        if self.jobs[key].has_extras() {
            self.accept_key(key, effects);
        }
    }

    /// Queues an accepted job, unless it has a delay. It may have gone to another node when this returns.
    fn release(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let due = self.jobs[key].added.after_secs(self.jobs[key].delay);
        if due > now {
            self.delay(now, key, due);
        } else {
            self.move_job(key, Move::Accept, Time::NEVER);
            self.enqueue(now, key, Cause::First, effects);
        }
    }

    /// Queues an active job at this moment for the first time, which is announced to nobody: no other node does.
    pub(crate) fn delay(&mut self, now: Time, key: JobKey, due: Time) {
        self.move_job(key, Move::Accept, due);
        self.happened(self.jobs[key].id, What::Delayed(self.wall_at(due)));
        self.open_queue(now, self.jobs[key].queue);
    }

    /// One of these peers queues the job, and this node forgets it.
    fn give_away(&mut self, now: Time, key: JobKey, to: NodeSet, effects: &mut Vec<Effect>) {
        let to = self.pick(to).expect("somebody has a copy");
        let job = &self.jobs[key];
        let id = job.id;
        let delay = job.added.after_secs(job.delay).since(now);
        let delay_ms = delay.as_millis() as u64;
        self.send(to, Message::enqueue(id, delay_ms), effects);
        self.happened(id, What::Shipped(self.maker_of(to)));
        self.persist(Record::Deleted(id), effects);
        self.note_given(now, key);
        self.remove(now, key);
    }

    /// Asks one more node for a copy; when none is left, those again that have not answered.
    fn ask_more(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let earlier = self.jobs[key].holders;
        let pending = self.replications.of(key);
        let (confirmed, home) = (pending.confirmed, pending.home);
        let more = self.choose(1, self.takers_of(key).without(earlier));
        let (told, pause) = if more.is_empty() {
            (earlier.without(confirmed), limits::ASK_AGAIN_AFTER)
        } else {
            (earlier, self.replications.patience())
        };
        self.merge_holders(key, more, effects);
        self.offer(now, key, more, effects);
        let copies = confirmed.len() + u16::from(home == Home::Here);
        self.tell_holders(key, told, copies, effects);
        let deadline = self.replications.of(key).deadline;
        self.move_job(key, Move::Ask, deadline.min(now + pause));
    }

    /// Peers that may be asked to take a copy of this job.
    pub(crate) fn takers_of(&self, key: JobKey) -> NodeSet {
        let knowing = self.peers.knowing(&self.jobs.extras(key));
        self.peers.takers().and(knowing)
    }

    /// Up to `count` of these peers to take copies: other zones first, then those that hold fewer jobs.
    pub(crate) fn choose(&mut self, count: u16, among: NodeSet) -> NodeSet {
        let mut left = among;
        if left.len() <= count {
            return left;
        }
        let mut chosen = NodeSet::EMPTY;
        for _ in 0..count {
            if let Some(peer) = self.pick(left) {
                chosen.insert(peer);
                left.remove(peer);
            }
        }
        chosen
    }

    /// The best of these peers to take a copy.
    fn pick(&mut self, from: NodeSet) -> Option<PeerKey> {
        from.iter().min_by_key(|&peer| {
            let peer = self.peers.get(peer);
            let load = load_class(peer.state.load);
            (peer.same_zone, load, self.random.next_u32())
        })
    }

    /// A new id for a job with these times.
    fn draw_id(&mut self, times: Times) -> JobId {
        let mut random = [0; 14];
        self.random.fill_bytes(&mut random);
        let guarantee = Guarantee::of_retry(times.retry);
        JobId::new(&self.id, random, self.start, times.ttl, guarantee)
    }

    /// Makes a job that is active and that nothing will queue, or that waits for replicas and asks for more at `ask`.
    fn make_job(
        &mut self,
        now: Now,
        (id, add): (JobId, &AddJob<'_>),
        (plan, terms): (&Plan, &Terms),
        holders: NodeSet,
        ask: Option<Time>,
    ) -> JobKey {
        let Times { ttl, delay, retry } = plan.times;
        let entered = self.next_created();
        let queue = plan.queue;
        let queue = queue.unwrap_or_else(|| self.queues.find_or_add(add.queue));
        let job = Job {
            id,
            body: Body::new(add.body),
            entered,
            added: now.time,
            due: ask.unwrap_or(Time::NEVER),
            holders,
            ttl,
            delay,
            retry,
            nacks: 0,
            additional_deliveries: 0,
            queue,
            order: Links::NONE,
            agenda: Links::NONE,
            segment: self.segments.current(),
            offset: Location::FAR,
            replicate: plan.replicate,
            stand: Stand::added(ask.map_or(JobState::Active, |_| JobState::WaitReplicas)),
            counted: Share::None,
            since: 0,
            short: false,
            ending: Ending::Plain,
            priority: 0,
            beside: Beside::Nothing,
            moves: 0,
        };
        let mut extras = add.extras.clone();
        if let Some(priority) = terms.priority.filter(|_| extras.priority().is_none()) {
            extras = extras.with(Tag::PRIORITY, Some(&[priority]));
        }
        if let Some(keep) = terms.keep.filter(|_| extras.keep().is_none()) {
            extras = extras.with(Tag::KEEP, Some(&keep.to_le_bytes()));
        }
        if let Some(dedup) = &add.dedup {
            let keyed = Keyed {
                until: now.time.after_secs(dedup.window).as_millis(),
                created: entered,
                is_accepted: ask.is_none(),
                queue: add.queue,
                key: dedup.key,
            };
            extras = keyed.put(&extras);
        }
        self.insert(job, extras)
    }

    /// Keeps a job and puts it on the agenda.
    pub(super) fn insert(&mut self, job: Job, extras: Extras) -> JobKey {
        let key = self.keep(job, extras);
        self.agenda.add_job(&mut self.jobs, key);
        key
    }
}
