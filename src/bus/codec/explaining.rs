//! What a node is asked about one job, and what it knows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::command::{
    Answer, CopyView, EventView, HeldBy, PROGRESS_MAX, Question, Report, Standing,
};
use shoalmq_core::id::{ClientId, JobId, QueueName};
use shoalmq_core::message::Message;
use shoalmq_core::outcome::Outcome;
use shoalmq_core::register::Rank;

use super::view::millis;
use super::{Invalid, job_id};

/// The most that is taken of what a peer says: events, and bytes of each text.
const EVENTS: usize = 256;
const WORD: usize = 64;
const DETAIL: usize = 256;
const SENTENCE: usize = 4096;
const NAME: usize = 1024;

#[derive(Serialize, Deserialize)]
pub(super) struct Asked<'a> {
    number: u64,
    #[serde(borrow)]
    id: &'a Bytes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Told<'a> {
    number: u64,
    #[serde(borrow)]
    copy: Option<Copy<'a>>,
    outcome: Option<Outcome>,
    why: &'a str,
    #[serde(borrow)]
    held_by: Option<Held<'a>>,
    #[serde(borrow)]
    progress: Option<&'a Bytes>,
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Copy<'a> {
    standing: Standing,
    #[serde(borrow)]
    queue: Option<&'a Bytes>,
    rank: Option<Rank>,
    turn: bool,
    next: &'a str,
    next_in_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Held<'a> {
    client: u64,
    #[serde(borrow)]
    name: &'a Bytes,
    since_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Event<'a> {
    at_ms: u64,
    what: &'a str,
    detail: &'a str,
}

impl<'a> Asked<'a> {
    pub(super) fn of(number: u64, id: &'a JobId) -> Self {
        Asked {
            number,
            id: Bytes::new(id.as_bytes()),
        }
    }

    pub(super) fn into_message(self) -> Result<Message, Invalid> {
        Ok(Message::Ask {
            number: self.number,
            question: Question::Explain(job_id(self.id)?),
        })
    }
}

impl<'a> Told<'a> {
    pub(super) fn of(number: u64, report: &'a Report) -> Self {
        Told {
            number,
            copy: report.copy.as_ref().map(Copy::of),
            outcome: report.outcome,
            why: &report.why,
            held_by: report.held_by.as_ref().map(|held| Held {
                client: held.client.0,
                name: Bytes::new(&held.name),
                since_ms: held.since_ms,
            }),
            progress: report.progress.as_deref().map(Bytes::new),
            events: report.events.iter().map(Event::of).collect(),
        }
    }

    pub(super) fn into_message(self) -> Message {
        let held = |held: Held<'_>| HeldBy {
            client: ClientId(held.client),
            name: most(held.name, NAME).to_vec(),
            since_ms: held.since_ms,
        };
        let events = self.events.into_iter().take(EVENTS);
        let report = Report {
            copy: self.copy.map(Copy::into_view),
            outcome: self.outcome,
            why: text(self.why, SENTENCE),
            held_by: self.held_by.map(held),
            progress: self.progress.map(|it| most(it, PROGRESS_MAX).to_vec()),
            events: events.map(Event::into_view).collect(),
        };
        Message::Answer {
            number: self.number,
            answer: Answer::Report(Box::new(report)),
        }
    }
}

impl<'a> Copy<'a> {
    fn of(view: &'a CopyView) -> Self {
        Copy {
            standing: view.standing,
            queue: view
                .queue
                .as_ref()
                .map(|queue| Bytes::new(queue.as_bytes())),
            rank: view.rank,
            turn: view.has_turn,
            next: &view.next,
            next_in_ms: view.next_in.map(millis),
        }
    }

    fn into_view(self) -> CopyView {
        CopyView {
            standing: self.standing,
            queue: self.queue.map(|queue| QueueName::new(queue)),
            rank: self.rank,
            has_turn: self.turn,
            next: text(self.next, WORD),
            next_in: self.next_in_ms.map(Duration::from_millis),
        }
    }
}

impl<'a> Event<'a> {
    fn of(view: &'a EventView) -> Self {
        Event {
            at_ms: view.at_ms,
            what: &view.event,
            detail: &view.detail,
        }
    }

    fn into_view(self) -> EventView {
        EventView {
            at_ms: self.at_ms,
            event: text(self.what, WORD),
            detail: text(self.detail, DETAIL),
        }
    }
}

fn most(bytes: &[u8], bound: usize) -> &[u8] {
    &bytes[..bytes.len().min(bound)]
}

/// As much of a text as fits.
fn text(text: &str, bound: usize) -> String {
    text[..text.floor_char_boundary(bound)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_taken_up_to_a_bound() {
        let event = EventView {
            at_ms: 1,
            event: "é".repeat(WORD),
            detail: "x".repeat(2 * DETAIL),
        };
        let report = Report {
            why: "y".repeat(2 * SENTENCE),
            progress: Some(vec![1; 2 * PROGRESS_MAX]),
            events: vec![event; 2 * EVENTS],
            ..Report::default()
        };
        let Message::Answer {
            answer: Answer::Report(taken),
            ..
        } = Told::of(1, &report).into_message()
        else {
            panic!("it answers");
        };
        assert_eq!(taken.why.len(), SENTENCE);
        assert_eq!(taken.progress.map(|said| said.len()), Some(PROGRESS_MAX));
        assert_eq!(taken.events.len(), EVENTS);
        assert_eq!(taken.events[0].event.len(), WORD);
        assert_eq!(taken.events[0].detail.len(), DETAIL);
    }
}
