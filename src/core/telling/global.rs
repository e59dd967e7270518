//! GLOBAL: QLEN, QSTAT, QPEEK, QSCAN and JSCAN of the whole cluster, and the figures of queues for the HTTP API; and EXPLAIN.
//!
//! The node that is asked answers for itself, asks every member that it has a link to, and replies when all have
//! answered or too much time has passed; it names the members that did not. QSCAN and JSCAN ask one node after the other,
//! in the order of their ids (`scanning`). QLIST asks all of them in rounds (`listing`).
//!
//! QPURGE gathers twice: the jobs that the nodes have heard of, and then the numbers of jobs that went (`settings`).

use std::collections::BTreeMap;

use crate::agenda::{Agenda, Timer};
use crate::command::{Answer, Delivery, Gathered, JobScan, Question, QueuesWanted, Redrive, Reply};
use crate::effect::Effect;
use crate::explaining::Explaining;
use crate::id::{ClientId, JobId, NodeId, QueueName, Ticket};
use crate::limits;
use crate::log::answer;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::node::Node;
use crate::stamp::Stamps;
use crate::telling::answers;
use crate::telling::forwarding::Forwarding;
use crate::telling::listing::Listing;
use crate::telling::merging::{merge_peeked, merge_stat};
use crate::telling::scanning::Scan;
use crate::time::{Now, Time};

/// Who asked this node something that it answers some time later.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// A client of this node, by this question.
    Here(u64),
    /// A peer, by this question of its own.
    Peer(PeerKey, u64),
}

/// A question that waits for answers.
#[derive(Debug)]
pub(crate) struct Gathering {
    pub(super) ticket: Ticket,
    /// What is known so far.
    pub(super) answer: Answer,
    /// Who will not answer.
    pub(super) missing: Vec<NodeId>,
    /// Who was asked and has not answered.
    awaited: NodeSet,
    until: Time,
    /// How many jobs a QPEEK asked for.
    peek: i64,
    /// This node has not answered for itself yet.
    own: bool,
    /// QPURGE of this queue: the answers are the jobs that nodes have heard of.
    purge: Option<QueueName>,
    /// Where a JSCAN is.
    pub(super) scan: Option<Scan>,
    /// Where a QLIST is.
    pub(super) list: Option<Box<Listing>>,
    /// REDRIVE: what the next member is asked, and those that are still to be asked.
    redrive: Option<(Redrive, NodeSet)>,
    /// A command on jobs that are not held here.
    pub(super) forward: Option<Forwarding>,
    /// EXPLAIN: what is known so far.
    explain: Option<Box<Explaining>>,
}

impl Gathering {
    pub(super) fn new(ticket: Ticket, answer: Answer) -> Self {
        Gathering {
            ticket,
            answer,
            missing: Vec::new(),
            awaited: NodeSet::EMPTY,
            until: Time::ZERO,
            peek: 0,
            own: false,
            purge: None,
            scan: None,
            redrive: None,
            forward: None,
            list: None,
            explain: None,
        }
    }

    /// Nobody else will answer.
    pub(super) fn finish(mut self, effects: &mut Vec<Effect>) {
        self.missing.sort_unstable();
        let reply = match self.answer {
            Answer::Purged(count) | Answer::Redriven(count) => Reply::Count(count),
            answer => Reply::Global(Box::new(Gathered {
                answer,
                missing: self.missing,
            })),
        };
        answer(self.ticket, reply, effects);
    }
}

/// Questions that wait for answers.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {
    number: u64,
    by_number: BTreeMap<u64, Gathering>,
}

impl Gatherings {
    pub(super) fn is_full(&self) -> bool {
        self.by_number.len() >= limits::GATHERINGS
    }

    /// The client is gone: nobody wants to know any more.
    pub(crate) fn drop_client(&mut self, client: ClientId) {
        self.by_number.retain(|_, it| it.ticket.client != client);
    }

    /// Panics if what it says of itself does not hold.
    pub(super) fn check(&self, agenda: &Agenda) {
        for gathering in self.by_number.values() {
            let waits = !gathering.awaited.is_empty() || gathering.own;
            assert!(waits, "a question waits for somebody");
            let timed = agenda.holds_timer(gathering.until, Timer::Gathering);
            assert!(timed, "a question does not wait for ever");
        }
    }
}

impl Node {
    pub(crate) fn gather(
        &mut self,
        now: Time,
        ticket: Ticket,
        question: Question,
        effects: &mut Vec<Effect>,
    ) {
        let (answer, count) = match &question {
            Question::Redrive(redrive) => {
                let redrive = redrive.clone();
                return self.gather_redriven(now, ticket, redrive, effects);
            }
            &Question::QueuePeek { count, .. } => (self.answer_here(now, &question), count),
            Question::Queues(QueuesWanted::First(list)) => {
                let list = list.clone();
                return self.gather_list(now, ticket, list, effects);
            }
            Question::QueueLength(_) | Question::QueueStat { .. } | Question::Queues(_) => {
                (self.answer_here(now, &question), 0)
            }
            Question::Explain(id) => return self.gather_explained(now, ticket, *id, effects),
            Question::QueueScan(_) | Question::JobScan { .. } => {
                return self.scan_all(now, ticket, question, effects);
            }
            Question::Made | Question::Purged(_) | Question::Forward(_) => return,
        };
        let mut gathering = Gathering::new(ticket, answer);
        gathering.peek = count;
        self.ask_all(now, gathering, &question, effects);
    }

    /// EXPLAIN: this node says what it knows, and asks the others.
    fn gather_explained(
        &mut self,
        now: Time,
        ticket: Ticket,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) {
        self.settle_forgotten();
        let mut explaining = Explaining::new(id);
        explaining.hear(self.id, self.report(now, &id));
        let mut gathering = Gathering::new(ticket, Answer::Report(Box::default()));
        gathering.explain = Some(Box::new(explaining));
        self.ask_all(now, gathering, &Question::Explain(id), effects);
    }

    /// QPURGE: asks all which jobs they have heard of, and goes on with the answers.
    pub(crate) fn gather_made(
        &mut self,
        now: Time,
        ticket: Ticket,
        queue: QueueName,
        made: Stamps,
        effects: &mut Vec<Effect>,
    ) {
        let mut gathering = Gathering::new(ticket, Answer::Made(made));
        gathering.purge = Some(queue);
        self.ask_all(now, gathering, &Question::Made, effects);
    }

    /// QPURGE: asks how many jobs went. Returns the number of the question, which this node has still to answer for itself.
    pub(crate) fn gather_purged(
        &mut self,
        now: Time,
        ticket: Ticket,
        queue: &QueueName,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let mut gathering = Gathering::new(ticket, Answer::Purged(0));
        gathering.own = true;
        self.ask_all(now, gathering, &Question::Purged(queue.clone()), effects);
        self.gatherings.number
    }

    /// REDRIVE: this node begins, and then asks one member after the other.
    fn gather_redriven(
        &mut self,
        now: Time,
        ticket: Ticket,
        redrive: Redrive,
        effects: &mut Vec<Effect>,
    ) {
        let others = self.peers.members().and(self.peers.up());
        let question = Question::Redrive(redrive.clone());
        let mut gathering = Gathering::new(ticket, Answer::Redriven(0));
        gathering.own = true;
        gathering.redrive = Some((redrive.clone(), others));
        self.ask(now, gathering, NodeSet::EMPTY, &question, effects);
        let asker = Asker::Here(self.gatherings.number);
        self.begin_redrive(now, redrive, asker);
    }

    /// Asks the next member, if more is wanted. Returns the gathering if nobody is left to be asked.
    fn redrive_on(
        &mut self,
        now: Time,
        mut gathering: Gathering,
        effects: &mut Vec<Effect>,
    ) -> Option<Gathering> {
        let Some((redrive, mut left)) = gathering.redrive.take() else {
            return Some(gathering);
        };
        let Answer::Redriven(done) = gathering.answer else {
            return Some(gathering);
        };
        let next = left.and(self.peers.up()).iter().next();
        let wanted = redrive.count.map(|count| count.saturating_sub(done));
        let Some(peer) = next.filter(|_| wanted != Some(0)) else {
            return Some(gathering);
        };
        left.remove(peer);
        gathering.redrive = Some((redrive.clone(), left));
        let question = Question::Redrive(Redrive {
            count: wanted,
            ..redrive
        });
        self.ask(now, gathering, NodeSet::only(peer), &question, effects);
        None
    }

    /// Asks all members that there is a link to.
    fn ask_all(
        &mut self,
        now: Time,
        mut gathering: Gathering,
        question: &Question,
        effects: &mut Vec<Effect>,
    ) {
        let up = self.reachable(&mut gathering);
        if up.is_empty() && !gathering.own {
            self.conclude(now, gathering, effects);
        } else {
            self.ask(now, gathering, up, question, effects);
        }
    }

    /// The members that can be asked. The others are missing.
    pub(super) fn reachable(&self, gathering: &mut Gathering) -> NodeSet {
        let mut up = self.peers.members().and(self.peers.up());
        if self.gatherings.is_full() {
            up = NodeSet::EMPTY;
        }
        let away = self.peers.members().without(up);
        gathering.missing = self.peers.names(away, None);
        up
    }

    /// Everybody has answered who will.
    pub(super) fn conclude(&mut self, now: Time, gathering: Gathering, effects: &mut Vec<Effect>) {
        let more = self.redrive_on(now, gathering, effects);
        let Some(mut gathering) = more.and_then(|it| self.list_on(now, it, effects)) else {
            return;
        };
        if let Some(forwarding) = gathering.forward.take() {
            return self.errand_on(now, gathering.ticket, forwarding, effects);
        }
        if let Some(explaining) = gathering.explain.take() {
            gathering.missing.sort_unstable();
            let explained = explaining.explained(self.clock.wall, gathering.missing);
            let reply = Reply::Explained(explained.map(Box::new));
            return answer(gathering.ticket, reply, effects);
        }
        match (gathering.purge, gathering.answer) {
            (Some(queue), Answer::Made(made)) => {
                self.write_mark(now, gathering.ticket, &queue, made, effects);
            }
            (purge, answer) => Gathering {
                answer,
                purge,
                ..gathering
            }
            .finish(effects),
        }
    }

    /// Asks these peers, to which our link is up.
    pub(super) fn ask(
        &mut self,
        now: Time,
        mut gathering: Gathering,
        peers: NodeSet,
        question: &Question,
        effects: &mut Vec<Effect>,
    ) {
        gathering.awaited = peers;
        let within = match question {
            Question::Purged(_) | Question::Redrive(_) => limits::PURGE_WITHIN,
            Question::Forward(_) => limits::FIND_WITHIN,
            Question::QueueLength(_)
            | Question::QueuePeek { .. }
            | Question::QueueStat { .. }
            | Question::Made
            | Question::Queues(_)
            | Question::Explain(_)
            | Question::QueueScan(_)
            | Question::JobScan { .. } => limits::GATHER_WITHIN,
        };
        gathering.until = now + within;
        self.agenda.add_timer(gathering.until, Timer::Gathering);
        self.gatherings.number += 1;
        let number = self.gatherings.number;
        for peer in peers.iter() {
            let question = question.clone();
            self.send(peer, Message::Ask { number, question }, effects);
        }
        self.gatherings.by_number.insert(number, gathering);
    }

    /// A peer asks: this node answers for itself.
    pub(crate) fn on_ask(
        &mut self,
        now: Now,
        from: PeerKey,
        number: u64,
        question: &Question,
        effects: &mut Vec<Effect>,
    ) {
        if let Question::Redrive(redrive) = question {
            let asker = Asker::Peer(from, number);
            return self.begin_redrive(now.time, redrive.clone(), asker);
        }
        if let Question::Forward(forward) = question {
            let answer = self.on_errand(now.time, forward, effects);
            return self.send(from, Message::Answer { number, answer }, effects);
        }
        if matches!(question, Question::Explain(_)) {
            self.settle_forgotten();
        }
        if self.on_ask_purged(now, from, number, question, effects) {
            return;
        }
        let answer = self.answer_here(now.time, question);
        self.send(from, Message::Answer { number, answer }, effects);
    }

    pub(crate) fn on_answer(
        &mut self,
        now: Time,
        from: PeerKey,
        number: u64,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        let asked = self.gatherings.by_number.get(&number);
        if asked.is_some_and(|gathering| gathering.awaited.contains(from)) {
            self.take_answer(now, from, number, Some(answer), effects);
        }
    }

    /// A peer has answered, or will not.
    fn take_answer(
        &mut self,
        now: Time,
        from: PeerKey,
        number: u64,
        answer: Option<Answer>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut gathering) = self.gatherings.by_number.remove(&number) else {
            return;
        };
        gathering.awaited.remove(from);
        let id = self.peers.get(from).id;
        if let Some(scan) = gathering.scan.take() {
            self.scanned(now, gathering, scan, id, answer, effects);
            return;
        }
        if let Some(forwarding) = &mut gathering.forward {
            match answer {
                Some(Answer::Done(done)) => forwarding.hear(from, &done),
                _ => forwarding.miss(),
            }
            return self.go_on(now, number, gathering, effects);
        }
        if let Some(explaining) = &mut gathering.explain {
            match answer {
                Some(Answer::Report(report)) => explaining.hear(id, *report),
                _ => gathering.missing.push(id),
            }
            return self.go_on(now, number, gathering, effects);
        }
        if let Some(listing) = &mut gathering.list {
            if let Some(Answer::Queues(view)) = answer {
                listing.round.push(view);
            } else {
                listing.peers.remove(from);
                gathering.missing.push(id);
            }
            return self.go_on(now, number, gathering, effects);
        }
        let peek = gathering.peek;
        if !answer.is_some_and(|answer| merge(&mut gathering.answer, answer, peek)) {
            gathering.missing.push(id);
        }
        self.go_on(now, number, gathering, effects);
    }

    fn go_on(&mut self, now: Time, number: u64, gathering: Gathering, effects: &mut Vec<Effect>) {
        if gathering.awaited.is_empty() && !gathering.own {
            self.conclude(now, gathering, effects);
        } else {
            self.gatherings.by_number.insert(number, gathering);
        }
    }

    /// This node answers a question of its own client, some time after the peers were asked.
    fn answer_own(&mut self, now: Time, number: u64, answer: Answer, effects: &mut Vec<Effect>) {
        if let Some(mut gathering) = self.gatherings.by_number.remove(&number) {
            merge(&mut gathering.answer, answer, gathering.peek);
            gathering.own = false;
            self.go_on(now, number, gathering, effects);
        }
    }

    /// This node has the answer now.
    pub(crate) fn answer_asker(
        &mut self,
        now: Time,
        asker: Asker,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        match asker {
            Asker::Here(number) => self.answer_own(now, number, answer, effects),
            Asker::Peer(peer, number) => {
                self.send(peer, Message::Answer { number, answer }, effects);
            }
        }
    }

    /// Some nodes have not answered in time.
    pub(crate) fn on_gathering_late(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let all = self.gatherings.by_number.iter();
        let own = all.filter(|(_, gathering)| gathering.own && gathering.until <= now);
        let own = own.map(|(&number, gathering)| match gathering.answer {
            Answer::Redriven(_) => (number, Answer::Redriven(0)),
            _ => (number, Answer::Purged(0)),
        });
        for (number, answer) in own.collect::<Vec<_>>() {
            self.answer_own(now, number, answer, effects);
        }
        self.give_up_answers(now, |gathering, _| gathering.until <= now, effects);
    }

    /// The link to a peer broke: it will not answer.
    pub(crate) fn gather_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.give_up_answers(now, |_, awaited| awaited == peer, effects);
    }

    fn give_up_answers(
        &mut self,
        now: Time,
        is_given_up: impl Fn(&Gathering, PeerKey) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let mut given_up = Vec::new();
        for (&number, gathering) in &self.gatherings.by_number {
            let awaited = gathering.awaited.iter();
            let peers = awaited.filter(|&peer| is_given_up(gathering, peer));
            given_up.extend(peers.map(|peer| (number, peer)));
        }
        for (number, peer) in given_up {
            self.take_answer(now, peer, number, None, effects);
        }
    }

    /// All timers were dropped: those of the questions are set again.
    pub(crate) fn watch_gatherings(&mut self) {
        for gathering in self.gatherings.by_number.values() {
            self.agenda.add_timer(gathering.until, Timer::Gathering);
        }
    }

    /// What this node knows, as far as it fits into one message.
    pub(super) fn answer_here(&self, now: Time, question: &Question) -> Answer {
        match question {
            Question::QueueLength(queue) => Answer::Count(self.length_of(queue.as_bytes())),
            Question::QueuePeek {
                queue,
                count,
                is_meta,
            } => {
                let jobs = self.peek_some(queue.as_bytes(), *count, *is_meta);
                Answer::Peeked(jobs, *is_meta)
            }
            Question::QueueStat { queue, detail } => {
                let view = self.stat_of(now, queue.as_bytes(), *detail);
                Answer::QueueStat(view.map(Box::new))
            }
            Question::QueueScan(scan) => self.scan_some_queues(now, scan.clone()),
            Question::Queues(wanted) => Answer::Queues(self.some_queues(now, wanted)),
            Question::Explain(id) => Answer::Report(Box::new(self.report(now, id))),
            Question::JobScan {
                cursor,
                count,
                queue,
                states,
                reply,
            } => {
                let queue = queue.as_ref().map(QueueName::as_bytes);
                let scan = JobScan {
                    cursor: *cursor,
                    count: *count,
                    queue,
                    states: states.clone(),
                    reply: *reply,
                };
                self.scan_some(now, scan)
            }
            // They are answered in their own way.
            Question::Made => Answer::Made(self.made.clone()),
            Question::Purged(_) => Answer::Purged(0),
            Question::Redrive(_) => Answer::Redriven(0),
            Question::Forward(_) => Answer::Done(Vec::new()),
        }
    }

    /// The first jobs, as many as fit into one message.
    fn peek_some(&self, queue: &[u8], count: i64, is_meta: bool) -> Vec<Delivery> {
        let most = i64::from(limits::ANSWER_JOBS);
        let mut jobs = self.peek(queue, count.clamp(-most, most), is_meta);
        let sizes = jobs.iter().map(|job| job.body.len() + job.extras.len());
        let fitting = answers::fitting(sizes);
        jobs.truncate(fitting);
        jobs
    }
}

/// Adds what another node says; returns whether it answers the same question.
fn merge(answer: &mut Answer, other: Answer, count: i64) -> bool {
    match (answer, other) {
        (Answer::Count(sum), Answer::Count(more))
        | (Answer::Purged(sum), Answer::Purged(more))
        | (Answer::Redriven(sum), Answer::Redriven(more)) => {
            *sum = sum.saturating_add(more);
        }
        (Answer::Made(made), Answer::Made(other)) => made.merge(&other),
        (Answer::Peeked(jobs, _), Answer::Peeked(more, _)) => merge_peeked(jobs, more, count),
        (Answer::QueueStat(view), Answer::QueueStat(other)) => match (view, other) {
            (Some(view), Some(other)) => merge_stat(view, *other),
            (view, other @ Some(_)) => *view = other,
            (_, None) => {}
        },
        (Answer::Queues(view), Answer::Queues(other)) => view.merge(other),
        (
            Answer::Count(_)
            | Answer::Made(_)
            | Answer::Purged(_)
            | Answer::Redriven(_)
            | Answer::Done(_)
            | Answer::Report(_)
            | Answer::Peeked(..)
            | Answer::QueueStat(_)
            | Answer::Queues(_)
            | Answer::QueueNames(..)
            | Answer::JobIds(..)
            | Answer::Jobs(..),
            _,
        ) => return false,
    }
    true
}
