//! Where a job stands on this node, and the moves that change it.
//!
//! Four things say where a job stands: its state, the list that it is in, whether it is this node's turn to queue it, and
//! whether its holders know what comes next. No flow writes them. They change by a named [`Move`], checked against one
//! table (`Stand::after`), and by entering and leaving lists.
//!
//! ```text
//!               accept             put back
//! WaitReplicas ───────► Active ────────────────► Queued
//!   ask ↺  │            wait, take or give  ◄─────┘  hand out, wait
//!          │            the turn, … ↺  │              │
//!          └──────────► Acked ◄────────┴──────────────┘  end
//!                       remind ↺
//! ```

use crate::id::Guarantee;
use crate::job::Job;

/// Where a job stands on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Its producer still waits for copies to be confirmed.
    WaitReplicas,
    /// Delivered, delayed, or queued on another node.
    Active,
    /// Ready in its queue.
    Queued,
    /// Acknowledged, until every holder knows.
    Acked,
}

/// Which list [`Job::order`](super::Job::order) belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// None, and it never was in its queue: its next queueing is the first.
    Before,
    /// As `Before`, but another node may have been told to end its delay before this one crashed: it is asked first.
    BeforeUnsure,
    /// None.
    Nowhere,
    /// None, but it was in its queue when the node stopped, and goes back unless another node has it.
    Unsettled,
    /// None, and it was handed out before the node stopped, or may have been: it waits for its retry.
    Restored,
    /// None: a client gave it back, and it waits before it goes into its queue again.
    Waiting,
    /// The list of its queue.
    List,
    /// The tree of its queue, for jobs that came back out of order.
    Tree,
    /// The list of delivered at-most-once jobs, which may be evicted when memory is short.
    Evictable,
    /// The list of acked jobs, or that of tombstones.
    Acked,
}

impl Place {
    /// Its next queueing is the first here.
    pub(crate) fn is_before(self) -> bool {
        matches!(self, Place::Before | Place::BeforeUnsure)
    }
}

/// Where a job stands: what is legal is in `Stand::after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    state: JobState,
    place: Place,
    /// It is this node's turn: the job was added here, or left this node's queue last, and nobody else is known to have
    /// queued it since. Means nothing while queued.
    ours: bool,
    /// The holders were told that this node queues it: ahead of that while it is active, and again at every link that comes up
    /// while it is queued.
    announced: bool,
}

/// What a flow does with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Its producer waits on, and more nodes are asked for copies.
    Ask,
    /// It has enough copies, or needs none first: this node queues it, now or when its delay is over.
    Accept,
    /// It stays out of its queue until another time; or it has just left its queue, and stays out.
    Wait,
    /// It goes into its queue.
    PutBack,
    /// It has left its queue for a client.
    HandOut,
    /// Its delivery did not happen: its next queueing counts as the first.
    TakeBack,
    /// It is this node's turn from now on.
    TakeTurn,
    /// It is another node's turn from now on.
    GiveTurn,
    /// Its body cannot be read: it is not queued, and it is nobody's turn here.
    SetAside,
    /// It was queued when the node stopped: the holders are asked before it is queued again.
    AskFirst,
    /// A client gave it back, and it waits.
    PutOff,
    /// The holders hear what comes next.
    Announce,
    /// It is acknowledged, or its add was withdrawn.
    End,
    /// The holders hear of its end again.
    Remind,
    /// The log says whether it was this node's turn.
    LoadTurn(bool),
    /// It was handed out before the node stopped, by this node or by another.
    LoadOut(Place),
    /// Another node may have been told to end its delay before this one stopped.
    LoadUnsure,
}

impl Stand {
    /// A job that was just added here; its producer may have to wait for copies.
    pub(crate) fn added(state: JobState) -> Stand {
        Stand {
            ours: true,
            ..Stand::copy(state)
        }
    }

    /// A copy that another node sent.
    pub(crate) fn kept() -> Stand {
        Stand::copy(JobState::Active)
    }

    /// A job from the log, which was this node's to queue if it is `ours`.
    pub(crate) fn loaded(ours: bool) -> Stand {
        Stand {
            ours,
            ..Stand::kept()
        }
    }

    /// An ack of which nothing else is known; it stands in no list yet.
    pub(crate) fn ended() -> Stand {
        Stand {
            place: Place::Nowhere,
            ..Stand::copy(JobState::Acked)
        }
    }

    fn copy(state: JobState) -> Stand {
        Stand {
            state,
            place: Place::Before,
            ours: false,
            announced: false,
        }
    }

    /// The table: where a job stands after a move; none when the move is not legal. Inlined: a caller that names its move
    /// pays for that line of the table alone.
    #[inline]
    fn after(self, make: Move, guarantee: Guarantee) -> Option<Stand> {
        use JobState::{Acked, Active, Queued, WaitReplicas};
        let Stand { state, place, .. } = self;
        let quiet = Stand {
            announced: false,
            ..self
        };
        let in_no_list = !matches!(
            place,
            Place::List | Place::Tree | Place::Evictable | Place::Acked
        );
        let out = matches!(state, Active | Queued) && in_no_list;
        let stand = match (make, state) {
            (Move::Ask, WaitReplicas) | (Move::Wait, Active) | (Move::Remind, Acked) => quiet,
            (Move::Accept, WaitReplicas | Active) if in_no_list => Stand {
                state: Active,
                place: self.place_accepted(),
                ours: true,
                ..quiet
            },
            (Move::Wait, Queued) if out => Stand {
                state: Active,
                ..quiet
            },
            (Move::PutBack, Active) if out => Stand {
                state: Queued,
                ..quiet
            },
            (Move::HandOut, Queued) if out => Stand {
                state: Active,
                ours: true,
                ..quiet
            },
            (Move::TakeBack, Active) if out => Stand {
                place: Place::Before,
                ..self
            },
            (Move::TakeTurn, Active) if out => Stand {
                place: self.place_of_turn(guarantee),
                ours: true,
                ..self
            },
            (Move::GiveTurn, Active | Queued) if out => Stand {
                place: self.place_without_turn(),
                ours: false,
                ..self
            },
            (Move::SetAside, Active | Queued) if out => Stand {
                state: Active,
                ours: false,
                ..quiet
            },
            (Move::AskFirst, Active) if out => Stand {
                place: Place::Unsettled,
                ..self
            },
            (Move::PutOff, Active) if out => Stand {
                place: Place::Waiting,
                ..quiet
            },
            (Move::Announce, Active | Queued) => Stand {
                announced: true,
                ..self
            },
            (Move::End, WaitReplicas | Active | Queued) if in_no_list => Stand {
                state: Acked,
                ..quiet
            },
            (Move::LoadTurn(ours), Active) => Stand { ours, ..self },
            (Move::LoadOut(place @ (Place::Restored | Place::Nowhere)), Active) if out => Stand {
                place,
                ours: false,
                ..self
            },
            (Move::LoadUnsure, Active) if place == Place::Before => Stand {
                place: Place::BeforeUnsure,
                ..self
            },
            (_, WaitReplicas | Active | Queued | Acked) => return None,
        };
        Some(stand)
    }

    /// A job that another node queued, or that was queued before a stop, is this node's now as if it had been queued here.
    fn place_of_turn(self, guarantee: Guarantee) -> Place {
        let unsettled = matches!(
            self.place,
            Place::Unsettled | Place::Restored | Place::Waiting
        );
        if self.queued_before(guarantee) && (self.place.is_before() || unsettled) {
            Place::Nowhere
        } else {
            self.place
        }
    }

    /// It no longer waits for what its holders say, or for a retry from before a stop.
    fn place_accepted(self) -> Place {
        if matches!(
            self.place,
            Place::Unsettled | Place::Restored | Place::Waiting
        ) {
            Place::Nowhere
        } else {
            self.place
        }
    }

    fn place_without_turn(self) -> Place {
        match self.place {
            Place::Unsettled | Place::Restored | Place::Waiting => Place::Nowhere,
            Place::BeforeUnsure => Place::Before,
            Place::Before
            | Place::Nowhere
            | Place::List
            | Place::Tree
            | Place::Evictable
            | Place::Acked => self.place,
        }
    }

    /// Whether the job was in a queue at least once: the next queueing is an additional one. A copy of an at-least-once job
    /// that is queued for lack of news was most likely queued elsewhere.
    fn queued_before(self, guarantee: Guarantee) -> bool {
        let elsewhere = !self.ours && guarantee == Guarantee::AtLeastOnce;
        !self.place.is_before() || elsewhere
    }
}

impl Job {
    pub(crate) fn state(&self) -> JobState {
        self.stand.state
    }

    pub(crate) fn place(&self) -> Place {
        self.stand.place
    }

    /// It is this node's turn to queue it. Means nothing while queued.
    pub(crate) fn is_ours(&self) -> bool {
        self.stand.ours
    }

    /// Whether the holders were told that this node queues it.
    pub(crate) fn is_announced(&self) -> bool {
        self.stand.announced
    }

    /// Whether the job was in a queue at least once.
    pub(crate) fn queued_before(&self) -> bool {
        self.stand.queued_before(self.guarantee())
    }

    /// A copy of an at-most-once job that this node was asked for and not told to queue: the job is elsewhere, or was.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let once = self.guarantee() == Guarantee::AtMostOnce;
        once && self.state() == JobState::Active && !self.is_ours() && !self.queued_before()
    }

    /// Moves the job. What follows from that (its time, the agenda, the counts) is the caller's:
    /// [`Node::move_job`](crate::node::Node::move_job) for all moves that set a time.
    ///
    /// # Panics
    /// When the table does not allow the move.
    #[inline]
    pub(crate) fn make(&mut self, make: Move) {
        match self.stand.after(make, self.guarantee()) {
            Some(stand) => self.stand = stand,
            None => self.refuse(make),
        }
    }

    #[cold]
    fn refuse(&self, make: Move) -> ! {
        panic!("{}: {make:?} of {:?}", self.id, self.stand);
    }

    /// The job enters a list.
    pub(crate) fn enter(&mut self, place: Place) {
        let legal = match place {
            Place::List | Place::Tree => self.stand.state == JobState::Queued,
            Place::Evictable => {
                self.stand.state == JobState::Active && self.guarantee() == Guarantee::AtMostOnce
            }
            Place::Acked => self.stand.state == JobState::Acked,
            Place::Before
            | Place::BeforeUnsure
            | Place::Nowhere
            | Place::Unsettled
            | Place::Restored
            | Place::Waiting => false,
        };
        assert!(legal, "{}: {place:?} after {:?}", self.id, self.stand);
        self.stand.place = place;
    }

    /// The job leaves the list that it is in.
    pub(crate) fn leave(&mut self) {
        self.stand.place = Place::Nowhere;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES: [Move; 18] = [
        Move::Ask,
        Move::Accept,
        Move::Wait,
        Move::PutBack,
        Move::HandOut,
        Move::TakeBack,
        Move::TakeTurn,
        Move::GiveTurn,
        Move::SetAside,
        Move::AskFirst,
        Move::PutOff,
        Move::Announce,
        Move::End,
        Move::Remind,
        Move::LoadTurn(true),
        Move::LoadTurn(false),
        Move::LoadOut(Place::Restored),
        Move::LoadUnsure,
    ];

    /// Which moves a job may make that stands like this.
    fn legal(stand: Stand) -> Vec<Move> {
        let may = |make: &Move| stand.after(*make, Guarantee::AtLeastOnce).is_some();
        MOVES.into_iter().filter(may).collect()
    }

    #[test]
    fn a_job_that_waits_for_copies_is_accepted_or_ends() {
        let stand = Stand::added(JobState::WaitReplicas);
        assert_eq!(legal(stand), [Move::Ask, Move::Accept, Move::End]);
    }

    #[test]
    fn an_acked_job_never_comes_back() {
        assert_eq!(legal(Stand::ended()), [Move::Remind]);
    }

    #[test]
    fn a_job_in_a_list_leaves_it_before_it_moves() {
        for (state, place) in [
            (JobState::Queued, Place::List),
            (JobState::Queued, Place::Tree),
            (JobState::Active, Place::Evictable),
        ] {
            let listed = Stand {
                state,
                place,
                ..Stand::kept()
            };
            for make in legal(listed) {
                let harmless = matches!(make, Move::Announce | Move::Wait | Move::LoadTurn(_));
                assert!(harmless, "{make:?} of {listed:?}");
            }
        }
    }

    #[test]
    fn every_move_leads_to_a_stand_that_can_be() {
        let places = [
            Place::Before,
            Place::BeforeUnsure,
            Place::Nowhere,
            Place::Unsettled,
            Place::Restored,
        ];
        for place in places {
            for (ours, announced) in [(false, false), (false, true), (true, false), (true, true)] {
                let stand = Stand {
                    state: JobState::Active,
                    place,
                    ours,
                    announced,
                };
                let given = stand.after(Move::GiveTurn, Guarantee::AtLeastOnce);
                let given = given.expect("an active job can be another node's");
                assert!(!given.ours && given.place != Place::Unsettled, "{given:?}");
                let out = stand.after(Move::PutBack, Guarantee::AtLeastOnce);
                assert_eq!(out.map(|stand| stand.state), Some(JobState::Queued));
                let accepted = stand.after(Move::Accept, Guarantee::AtLeastOnce);
                let accepted = accepted.expect("an active job can be delayed here");
                assert!(accepted.ours && accepted.place != Place::Restored);
                let taken = stand.after(Move::TakeTurn, Guarantee::AtLeastOnce);
                let taken = taken.expect("an active job can be this node's");
                assert!(taken.ours && taken.announced == announced, "{taken:?}");
                let delayed = ours && place.is_before();
                assert_eq!(taken.place.is_before(), delayed, "{stand:?}");
            }
        }
    }
}
