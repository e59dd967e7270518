//! QSCAN and JSCAN of the whole cluster: one node after the other, in the order of their ids.
//!
//! A cursor is the node's place in that order, and where the scan of that node goes on. Nodes that are away are passed
//! over. With BUSYLOOP the scan goes on by itself until it is through. A queue that several nodes have is named once in an
//! answer, but again in another one: a cursor does not know what was told before.

use std::collections::BTreeSet;

use crate::command::{Answer, JobScan, Question, QueueScan, ScanReply};
use crate::effect::Effect;
use crate::id::{NodeId, QueueName, Ticket};
use crate::job::Body;
use crate::limits;
use crate::members::NodeSet;
use crate::node::Node;
use crate::telling::global::Gathering;
use crate::time::Time;

/// Bits of a cursor that belong to the node that is scanned; its place is above them.
const NODE_BITS: u32 = 32;

/// Where a scan is.
#[derive(Debug)]
pub(crate) struct Scan {
    place: usize,
    /// Where the scan of that node goes on.
    cursor: u64,
    /// What was asked, with the client's cursor.
    question: Question,
    /// BUSYLOOP: it goes on by itself.
    whole: bool,
    /// The queues that the answer names so far.
    named: BTreeSet<QueueName>,
}

impl Scan {
    /// What the node whose turn it is is asked.
    fn question(&self) -> Question {
        let mut question = self.question.clone();
        match &mut question {
            Question::JobScan { cursor, .. } => *cursor = self.cursor,
            Question::QueueScan(scan) => scan.cursor = self.cursor,
            Question::QueueLength(_)
            | Question::QueuePeek { .. }
            | Question::QueueStat { .. }
            | Question::Made
            | Question::Purged(_)
            | Question::Redrive(_)
            | Question::Forward(_)
            | Question::Explain(_)
            | Question::Queues(_) => {}
        }
        question
    }

    /// Whether the client goes on from here by itself.
    fn pauses(&self, answer: &Answer) -> bool {
        !self.whole || length(answer) >= limits::SCAN_WHOLE
    }

    fn go_to(&mut self, next: u64) {
        // No node has a cursor beyond its bits: such a one is no answer to go on with.
        if next == 0 || next >> NODE_BITS != 0 {
            (self.place, self.cursor) = (self.place + 1, 0);
        } else {
            self.cursor = next;
        }
    }
}

impl Node {
    pub(super) fn scan_all(
        &mut self,
        now: Time,
        ticket: Ticket,
        question: Question,
        effects: &mut Vec<Effect>,
    ) {
        let (cursor, count, answer) = match &question {
            Question::QueueScan(scan) => {
                let answer = Answer::QueueNames(0, Vec::new());
                (scan.cursor, scan.count, answer)
            }
            Question::JobScan {
                cursor,
                count,
                reply,
                ..
            } => {
                let answer = match reply {
                    ScanReply::Id => Answer::JobIds(0, Vec::new()),
                    ScanReply::All => Answer::Jobs(0, Vec::new()),
                };
                (*cursor, *count, answer)
            }
            Question::QueueLength(_)
            | Question::QueuePeek { .. }
            | Question::QueueStat { .. }
            | Question::Made
            | Question::Purged(_)
            | Question::Redrive(_)
            | Question::Forward(_)
            | Question::Explain(_)
            | Question::Queues(_) => return,
        };
        let scan = Scan {
            place: (cursor >> NODE_BITS) as usize,
            cursor: cursor & ((1 << NODE_BITS) - 1),
            whole: count.is_none(),
            question,
            named: BTreeSet::new(),
        };
        self.scan_on(now, Gathering::new(ticket, answer), scan, effects);
    }

    /// Asks the node whose turn it is.
    fn scan_on(
        &mut self,
        now: Time,
        mut gathering: Gathering,
        mut scan: Scan,
        effects: &mut Vec<Effect>,
    ) {
        let places = self.peers.names(self.peers.members(), Some(self.id));
        while let Some(&id) = places.get(scan.place) {
            if id == self.id {
                let found = self.answer_here(now, &scan.question());
                let next = append(&mut gathering.answer, found, &mut scan.named);
                scan.go_to(next.unwrap_or(0));
                if scan.pauses(&gathering.answer) {
                    break;
                }
                continue;
            }
            let peer = self.peers.find(&id);
            let peer = peer.filter(|&peer| self.peers.up().contains(peer));
            if let Some(peer) = peer.filter(|_| !self.gatherings.is_full()) {
                let question = scan.question();
                gathering.scan = Some(scan);
                self.ask(now, gathering, NodeSet::only(peer), &question, effects);
                return;
            }
            gathering.missing.push(id);
            scan.go_to(0);
        }
        conclude(gathering, &scan, places.len(), effects);
    }

    /// The node that was asked has answered, or will not.
    pub(super) fn scanned(
        &mut self,
        now: Time,
        mut gathering: Gathering,
        mut scan: Scan,
        from: NodeId,
        answer: Option<Answer>,
        effects: &mut Vec<Effect>,
    ) {
        let all = &mut gathering.answer;
        if let Some(next) = answer.and_then(|found| append(all, found, &mut scan.named)) {
            scan.go_to(next);
            if scan.pauses(&gathering.answer) {
                let places = usize::from(self.peers.cluster_size());
                conclude(gathering, &scan, places, effects);
                return;
            }
        } else {
            gathering.missing.push(from);
            scan.go_to(0);
        }
        self.scan_on(now, gathering, scan, effects);
    }

    /// A part of the scan of this node: about as many jobs as were asked for, and as fit into one message.
    pub(super) fn scan_some(&self, now: Time, mut scan: JobScan<'_>) -> Answer {
        let most = u64::from(limits::ANSWER_JOBS);
        let mut wanted = scan.count.unwrap_or(most).clamp(1, most);
        if scan.reply == ScanReply::Id {
            scan.count = Some(wanted);
            let (next, ids) = self.scan_ids(&scan);
            return Answer::JobIds(next, ids);
        }
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        scan.count = Some(1);
        while wanted > 0 && bytes < limits::ANSWER_BYTES {
            wanted -= 1;
            let (next, views) = self.scan_views(now, &scan);
            let bodies = views.iter().filter_map(|view| view.body.as_ref());
            bytes += bodies.map(Body::len).sum::<usize>();
            jobs.extend(views);
            scan.cursor = next;
            if next == 0 {
                break;
            }
        }
        Answer::Jobs(scan.cursor, jobs)
    }

    /// The same of its queues.
    pub(super) fn scan_some_queues(&self, now: Time, mut scan: QueueScan) -> Answer {
        let most = u64::from(limits::ANSWER_JOBS);
        let mut wanted = scan.count.unwrap_or(most).clamp(1, most);
        let (mut names, mut bytes) = (Vec::new(), 0);
        scan.count = Some(1);
        while wanted > 0 && bytes < limits::ANSWER_BYTES {
            wanted -= 1;
            let (next, found) = self.scan_queues(now, &scan);
            bytes += found
                .iter()
                .map(|name| name.as_bytes().len())
                .sum::<usize>();
            names.extend(found);
            scan.cursor = next;
            if next == 0 {
                break;
            }
        }
        Answer::QueueNames(scan.cursor, names)
    }
}

/// Tells the client where to go on.
fn conclude(mut gathering: Gathering, scan: &Scan, places: usize, effects: &mut Vec<Effect>) {
    let cursor = if scan.place < places {
        (scan.place as u64) << NODE_BITS | scan.cursor
    } else {
        0
    };
    match &mut gathering.answer {
        Answer::QueueNames(at, _) | Answer::JobIds(at, _) | Answer::Jobs(at, _) => *at = cursor,
        Answer::Count(_)
        | Answer::Made(_)
        | Answer::Purged(_)
        | Answer::Redriven(_)
        | Answer::Done(_)
        | Answer::Report(_)
        | Answer::Peeked(..)
        | Answer::QueueStat(_)
        | Answer::Queues(_) => {}
    }
    gathering.finish(effects);
}

/// Adds what one node found, and returns where its scan goes on; none if it answers another question.
fn append(answer: &mut Answer, found: Answer, known: &mut BTreeSet<QueueName>) -> Option<u64> {
    match (answer, found) {
        (Answer::QueueNames(_, all), Answer::QueueNames(next, names)) => {
            let fresh = names.into_iter();
            all.extend(fresh.filter(|name| known.insert(name.clone())));
            Some(next)
        }
        (Answer::JobIds(_, all), Answer::JobIds(next, ids)) => {
            all.extend(ids);
            Some(next)
        }
        (Answer::Jobs(_, all), Answer::Jobs(next, jobs)) => {
            all.extend(jobs);
            Some(next)
        }
        (
            Answer::QueueNames(..)
            | Answer::JobIds(..)
            | Answer::Jobs(..)
            | Answer::Count(_)
            | Answer::Made(_)
            | Answer::Purged(_)
            | Answer::Redriven(_)
            | Answer::Done(_)
            | Answer::Report(_)
            | Answer::Peeked(..)
            | Answer::QueueStat(_)
            | Answer::Queues(_),
            _,
        ) => None,
    }
}

fn length(answer: &Answer) -> usize {
    match answer {
        Answer::QueueNames(_, names) => names.len(),
        Answer::JobIds(_, ids) => ids.len(),
        Answer::Jobs(_, jobs) => jobs.len(),
        Answer::Count(_)
        | Answer::Made(_)
        | Answer::Purged(_)
        | Answer::Redriven(_)
        | Answer::Done(_)
        | Answer::Report(_)
        | Answer::Peeked(..)
        | Answer::QueueStat(_)
        | Answer::Queues(_) => 0,
    }
}
