//! QLIST: the queues of the whole cluster that come first in an order.
//!
//! Each node knows only its part of a queue. A list of ten out of 100 000 queues must not make every node send 100 000. So the
//! node with the client asks in rounds: all nodes, itself included, get the same question.
//!
//! - By name: each node sends its first queues. A node that has more stops at some name; up to the lowest such name everything
//!   is known. The next round starts behind that name, until the list is long enough.
//! - By rank (ready jobs, age): each node sends its own first queues. The sum at place `count` is the *mark*: a queue below the
//!   mark is not listed. What a node left out ranks no higher there than the last queue that it sent. If that is at most the
//!   mark divided by the number of nodes, the sum of a queue that no node sent cannot pass the mark. Otherwise each node sends
//!   every queue with a higher rank than that, page by page in the order of names. (The age of a queue is the maximum over the
//!   nodes, not a sum: then the mark is not divided.) Finally all nodes send their figures of the queues that may be
//!   listed, because a node may have left out a small part of a long queue.
//!
//! If no node has more queues than `count`, one round is enough. Queues change between rounds, so a figure is as old as the
//! round that brought it. A node that does not answer a round is missing, and is not asked again.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::command::{Answer, Question, QueueList, QueueOrder, QueuesWanted};
use crate::effect::Effect;
use crate::id::{QueueName, Ticket};
use crate::limits;
use crate::members::NodeSet;
use crate::node::Node;
use crate::telling::answers;
use crate::telling::depths::{QueueDepths, QueuesView};
use crate::telling::global::Gathering;
use crate::telling::shares::Depths;
use crate::time::Time;

/// A list that is being made.
#[derive(Debug)]
pub(super) struct Listing {
    list: QueueList,
    stage: Stage,
    /// Those that are asked in each round: they have answered in all before.
    pub(super) peers: NodeSet,
    /// What the nodes said in this round.
    pub(super) round: Vec<QueuesView>,
    known: BTreeMap<QueueName, Known>,
    /// The greatest rank that a queue may have at a node that has not sent it.
    untold: u64,
    /// The jobs of all queues of all nodes.
    total: Depths,
}

/// What the round asks for.
#[derive(Debug)]
enum Stage {
    /// Nothing was asked yet.
    Begin,
    First,
    Pages {
        least: u64,
        after: Option<QueueName>,
    },
    /// These are still to be asked for by name.
    Named(Vec<QueueName>),
}

/// A queue that may be listed.
#[derive(Debug)]
struct Known {
    queue: QueueDepths,
    /// Nodes that have sent it.
    tellers: u64,
}

impl Known {
    fn add(&mut self, queue: &QueueDepths) {
        self.queue.merge(queue);
        self.tellers += 1;
    }
}

impl Listing {
    fn new(list: QueueList, peers: NodeSet) -> Self {
        Listing {
            list,
            stage: Stage::Begin,
            peers,
            round: Vec::new(),
            known: BTreeMap::new(),
            untold: 0,
            total: Depths::default(),
        }
    }

    /// What to ask next, after a round; none when the list is complete.
    fn next(&mut self) -> Option<QueuesWanted> {
        let round = std::mem::take(&mut self.round);
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin if self.list.order == QueueOrder::Name => Some(self.page(0, None)),
            Stage::Begin => {
                self.stage = Stage::First;
                Some(QueuesWanted::First(self.list.clone()))
            }
            Stage::First => self.after_first(&round),
            Stage::Pages { least, after } => self.after_page(&round, least, after.as_ref()),
            Stage::Named(rest) => {
                self.absorb(&round, |_| true);
                self.ask_by_name(rest)
            }
        }
    }

    fn after_first(&mut self, round: &[QueuesView]) -> Option<QueuesWanted> {
        self.add_totals(round);
        self.absorb(round, |_| true);
        let cut_short = round.iter().filter(|view| view.more);
        let lasts: Vec<u64> = cut_short.map(|view| self.rank_of_last(view)).collect();
        if lasts.is_empty() {
            return None;
        }
        let Some((mark, _)) = self.mark() else {
            self.known.clear();
            return Some(self.page(0, None));
        };
        let nodes = round.len() as u64;
        let untold = match self.list.order {
            QueueOrder::Ready => mark / nodes,
            QueueOrder::Name | QueueOrder::Age => mark,
        };
        if lasts.into_iter().all(|last| last <= untold) {
            self.untold = untold;
            return self.confirm(nodes);
        }
        self.known.clear();
        // With a mark of 0, those without a rank are listed as well.
        Some(self.page(if mark == 0 { 0 } else { untold + 1 }, None))
    }

    fn after_page(
        &mut self,
        round: &[QueuesView],
        least: u64,
        after: Option<&QueueName>,
    ) -> Option<QueuesWanted> {
        if after.is_none() && self.list.order == QueueOrder::Name {
            self.add_totals(round);
        }
        let is_behind = |name: &QueueName| after.is_none_or(|after| name > after);
        let cut_short = round.iter().filter(|view| view.more);
        let lasts = cut_short.filter_map(|view| view.queues.last());
        let lasts = lasts
            .map(|queue| &queue.name)
            .filter(|name| is_behind(name));
        // Up to this name the nodes have sent all that they have.
        let cut = lasts.min().cloned();
        self.absorb(round, |name| {
            is_behind(name) && cut.as_ref().is_none_or(|cut| name <= cut)
        });
        let nodes = round.len() as u64;
        self.untold = least.saturating_sub(1);
        self.drop_hopeless(nodes);
        let is_enough = self.list.order == QueueOrder::Name && self.known.len() >= self.most();
        match cut {
            Some(_) if is_enough => None,
            Some(cut) => Some(self.page(least, Some(cut))),
            None if least == 0 => None,
            None => self.confirm(nodes),
        }
    }

    fn page(&mut self, least: u64, after: Option<QueueName>) -> QueuesWanted {
        let mut list = self.list.clone();
        list.count = match list.order {
            QueueOrder::Name => (self.most() - self.known.len()) as u64,
            QueueOrder::Ready | QueueOrder::Age => u64::MAX,
        };
        self.stage = Stage::Pages {
            least,
            after: after.clone(),
        };
        QueuesWanted::Page { list, least, after }
    }

    /// Asks for all figures of those that may be listed.
    fn confirm(&mut self, nodes: u64) -> Option<QueuesWanted> {
        self.drop_hopeless(nodes);
        self.untold = 0;
        let names = std::mem::take(&mut self.known).into_keys().collect();
        self.ask_by_name(names)
    }

    fn ask_by_name(&mut self, mut names: Vec<QueueName>) -> Option<QueuesWanted> {
        let some = names.iter().take(limits::ANSWER_QUEUES);
        let fitting = answers::fitting(some.map(answers::queue_answer));
        let rest = names.split_off(fitting);
        if names.is_empty() {
            return None;
        }
        self.stage = Stage::Named(rest);
        Some(QueuesWanted::Named(names))
    }

    fn absorb(&mut self, round: &[QueuesView], is_wanted: impl Fn(&QueueName) -> bool) {
        for queue in round.iter().flat_map(|view| &view.queues) {
            if !is_wanted(&queue.name) {
                continue;
            }
            if let Some(known) = self.known.get_mut(&queue.name) {
                known.add(queue);
            } else {
                let known = Known {
                    queue: queue.clone(),
                    tellers: 1,
                };
                self.known.insert(queue.name.clone(), known);
            }
        }
    }

    /// Drops those that cannot be listed any more, whatever the nodes still send.
    fn drop_hopeless(&mut self, nodes: u64) {
        let Some((mark, name)) = self.mark() else {
            return;
        };
        let order = self.list.order;
        let untold = self.untold;
        let at_best = |known: &Known| {
            let rank = order.rank(&known.queue);
            match order {
                QueueOrder::Ready => {
                    let silent = nodes.saturating_sub(known.tellers);
                    rank.saturating_add(untold.saturating_mul(silent))
                }
                QueueOrder::Name | QueueOrder::Age => rank,
            }
        };
        self.known
            .retain(|own, known| (Reverse(at_best(known)), own) <= (Reverse(mark), &name));
        // More than that remain only if their ranks are nearly equal: then any of them may stand at the end of the list.
        if self.known.len() > limits::LISTED {
            self.known = std::mem::take(&mut self.known)
                .into_iter()
                .take(limits::LISTED)
                .collect();
        }
    }

    /// The rank and the name of the last that is listed, as far as is known; none if there is room for more.
    fn mark(&self) -> Option<(u64, QueueName)> {
        let ranks = self.known.iter();
        let mut ranks: Vec<(Reverse<u64>, &QueueName)> = ranks
            .map(|(name, known)| (Reverse(self.list.order.rank(&known.queue)), name))
            .collect();
        let last = self.most() - 1;
        if ranks.len() <= last {
            return None;
        }
        let (_, &mut (Reverse(rank), name), _) = ranks.select_nth_unstable(last);
        Some((rank, name.clone()))
    }

    fn most(&self) -> usize {
        limits::count_of(self.list.count)
    }

    fn rank_of_last(&self, view: &QueuesView) -> u64 {
        let last = view.queues.last();
        last.map_or(0, |queue| self.list.order.rank(queue))
    }

    fn add_totals(&mut self, round: &[QueuesView]) {
        for view in round {
            self.total.merge(&view.total);
        }
    }

    fn into_view(self) -> QueuesView {
        let (order, most) = (self.list.order, self.most());
        let mut queues: Vec<_> = self.known.into_values().map(|known| known.queue).collect();
        // They are in the order of their names already.
        queues.sort_by_key(|queue| Reverse(order.rank(queue)));
        queues.truncate(most);
        QueuesView {
            queues,
            total: self.total,
            more: false,
        }
    }
}

impl Node {
    /// Begins a list of the whole cluster.
    pub(super) fn gather_list(
        &mut self,
        now: Time,
        ticket: Ticket,
        list: QueueList,
        effects: &mut Vec<Effect>,
    ) {
        let mut gathering = Gathering::new(ticket, Answer::Queues(QueuesView::default()));
        let peers = self.reachable(&mut gathering);
        gathering.list = Some(Box::new(Listing::new(list, peers)));
        self.conclude(now, gathering, effects);
    }

    /// Asks for what is still missing in a list. Returns the gathering if it is complete, or none.
    pub(super) fn list_on(
        &mut self,
        now: Time,
        mut gathering: Gathering,
        effects: &mut Vec<Effect>,
    ) -> Option<Gathering> {
        let Some(mut listing) = gathering.list.take() else {
            return Some(gathering);
        };
        while let Some(wanted) = listing.next() {
            listing.round.push(self.some_queues(now, &wanted));
            // The link to one that has answered may be down by now.
            let gone = listing.peers.without(self.peers.up());
            gathering.missing.extend(self.peers.names(gone, None));
            listing.peers = listing.peers.without(gone);
            if !listing.peers.is_empty() {
                let peers = listing.peers;
                gathering.list = Some(listing);
                self.ask(now, gathering, peers, &Question::Queues(wanted), effects);
                return None;
            }
        }
        gathering.answer = Answer::Queues(listing.into_view());
        Some(gathering)
    }
}
