//! What members say about topics.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::extras::Extras;
use shoalmq_core::job::Body;
use shoalmq_core::message::Message;
use shoalmq_core::topic::{
    EndRecord, Ended, Entry, EntryId, Greeting, Have, Head, Origin, TopicMessage, TopicNews,
    TopicRecord,
};

use super::Payload;

/// A record of a log.
#[derive(Serialize, Deserialize)]
pub(super) enum Parts<'a> {
    Entry {
        origin: Origin,
        number: u64,
        id: EntryId,
        #[serde(borrow)]
        channel: &'a Bytes,
        #[serde(borrow)]
        body: &'a Bytes,
        extras: Extras,
    },
    End {
        origin: Origin,
        number: u64,
        id: EntryId,
        ended: Vec<Ended>,
    },
    Freed {
        origin: Origin,
        first: u64,
        last: u64,
        first_entry: Option<u64>,
    },
    Life(Origin),
}

/// What a member tells of itself when a link comes up.
#[derive(Serialize, Deserialize)]
pub(super) struct Welcome<'a> {
    head: Head,
    own: Origin,
    asks: bool,
    #[serde(borrow)]
    ends: Vec<Parts<'a>>,
    whole: Vec<(Origin, u64)>,
    haves: Vec<Have>,
}

/// Records that come unasked.
#[derive(Serialize, Deserialize)]
pub(super) struct Pushed<'a> {
    head: Head,
    #[serde(borrow)]
    records: Vec<Parts<'a>>,
}

/// The answer to a pull.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer<'a> {
    head: Head,
    origin: Origin,
    first: u64,
    last: u64,
    #[serde(borrow)]
    records: Vec<Parts<'a>>,
}

impl<'a> Parts<'a> {
    fn of(record: &'a TopicRecord) -> Self {
        match record {
            TopicRecord::Entry(entry) => Parts::Entry {
                origin: entry.origin,
                number: entry.number,
                id: entry.id,
                channel: Bytes::new(&entry.channel),
                body: Bytes::new(entry.body.as_bytes()),
                extras: entry.extras.clone(),
            },
            TopicRecord::End {
                origin,
                number,
                record,
            } => Parts::End {
                origin: *origin,
                number: *number,
                id: record.id(),
                ended: record.ended().to_vec(),
            },
            &TopicRecord::Freed {
                origin,
                first,
                last,
                first_entry,
            } => Parts::Freed {
                origin,
                first,
                last,
                first_entry,
            },
            TopicRecord::Life(origin) => Parts::Life(*origin),
        }
    }

    fn all(records: &'a [TopicRecord]) -> Vec<Self> {
        records.iter().map(Parts::of).collect()
    }

    fn into_record(self) -> TopicRecord {
        match self {
            Parts::Entry {
                origin,
                number,
                id,
                channel,
                body,
                extras,
            } => TopicRecord::Entry(Arc::new(Entry {
                origin,
                number,
                id,
                channel: Arc::from(&channel[..]),
                body: Body::new(body),
                extras,
            })),
            Parts::End {
                origin,
                number,
                id,
                ended,
            } => TopicRecord::End {
                origin,
                number,
                record: EndRecord::new(id, &ended),
            },
            Parts::Freed {
                origin,
                first,
                last,
                first_entry,
            } => TopicRecord::Freed {
                origin,
                first,
                last,
                first_entry,
            },
            Parts::Life(origin) => TopicRecord::Life(origin),
        }
    }
}

fn records(parts: Vec<Parts<'_>>) -> Vec<TopicRecord> {
    parts.into_iter().map(Parts::into_record).collect()
}

impl<'a> Welcome<'a> {
    fn of(head: Head, greeting: &'a Greeting) -> Self {
        Welcome {
            head,
            own: greeting.own,
            asks: greeting.asks,
            ends: Parts::all(&greeting.ends),
            whole: greeting.whole.clone(),
            haves: greeting.haves.clone(),
        }
    }

    pub(super) fn into_message(self) -> Message {
        let greeting = Greeting {
            own: self.own,
            asks: self.asks,
            ends: records(self.ends),
            whole: self.whole,
            haves: self.haves,
        };
        message(self.head, TopicNews::Greeting(Box::new(greeting)))
    }
}

impl Pushed<'_> {
    pub(super) fn into_message(self) -> Message {
        message(self.head, TopicNews::Records(records(self.records)))
    }
}

impl Answer<'_> {
    pub(super) fn into_message(self) -> Message {
        let news = TopicNews::Pulled {
            origin: self.origin,
            first: self.first,
            last: self.last,
            records: records(self.records),
        };
        message(self.head, news)
    }
}

/// The frame of a message.
pub(super) fn payload(message: &TopicMessage) -> Payload<'_> {
    let head = message.head;
    match &message.news {
        TopicNews::Greeting(greeting) => Payload::TopicGreeting(Welcome::of(head, greeting)),
        TopicNews::Counted(origin) => Payload::TopicCounted(head, *origin),
        TopicNews::Haves(haves) => Payload::TopicHaves(head, haves.clone()),
        TopicNews::Follows(origin, number) => Payload::TopicFollows(head, *origin, *number),
        TopicNews::Records(records) => Payload::TopicRecords(Pushed {
            head,
            records: Parts::all(records),
        }),
        TopicNews::Pull(origin, first, last) => Payload::TopicPull(head, *origin, *first, *last),
        TopicNews::Pulled {
            origin,
            first,
            last,
            records,
        } => Payload::TopicPulled(Answer {
            head,
            origin: *origin,
            first: *first,
            last: *last,
            records: Parts::all(records),
        }),
        TopicNews::Close(id) => Payload::TopicClose(head, *id),
        TopicNews::Closed => Payload::TopicClosed(head),
        TopicNews::HowFar(node, follows) => Payload::TopicHowFar(head, *node, *follows),
        TopicNews::SoFar(node, haves) => Payload::TopicSoFar(head, *node, haves.clone()),
        TopicNews::Confirm(number) => Payload::TopicConfirm(head, *number),
        TopicNews::Confirmed(number) => Payload::TopicConfirmed(head, *number),
    }
}

pub(super) fn message(head: Head, news: TopicNews) -> Message {
    Message::Topic(Box::new(TopicMessage { head, news }))
}
