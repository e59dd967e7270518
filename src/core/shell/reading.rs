//! Reading bodies and entries that are in the log alone: for a reply, for a message, or because the node wants one.

use crate::command::Reply;
use crate::event::Event;
use crate::id::{JobId, Ticket};
use crate::job::Body;
use crate::message::Message;
use crate::topic::{Told, TopicReply};

use super::disk::Reading;
use super::{Disk, Shell};

impl Shell {
    /// The reply with its bodies; none when a GETJOB goes on, because no job can be delivered. The node will hear of those
    /// that cannot be read, and that nobody has seen them.
    pub(super) fn complete(
        &mut self,
        disk: &mut Disk,
        ticket: Ticket,
        mut reply: Reply,
    ) -> Option<Reply> {
        let hands_out = matches!(reply, Reply::Unread(_));
        let (mut undelivered, mut postponed) = (Vec::new(), Vec::new());
        for (id, body) in reply.unread_bodies() {
            match disk.read(&id, body) {
                Reading::Read(read) => *body = read,
                Reading::Failing => postponed.push(id),
                Reading::Damaged => {
                    let place = body.clone();
                    self.owed.push(Event::Unreadable { id, place });
                    undelivered.push(id);
                }
                // What was only looked at, and is gone by now, is not missed.
                Reading::Gone => assert!(!hands_out, "{id} can be read"),
            }
        }
        if hands_out && !undelivered.is_empty() {
            self.owed.push(Event::Undelivered(undelivered));
        }
        if hands_out && !postponed.is_empty() {
            self.owed.push(Event::Postponed(postponed));
        }
        match reply.into_read() {
            Ok(reply) => Some(reply),
            Err(again) => {
                self.owed.push(Event::GetAgain(ticket, again));
                None
            }
        }
    }

    /// Fetches a body for the node, which will hear of it.
    pub(super) fn fetch(&mut self, disk: &mut Disk, id: JobId, place: Body) {
        let read = match disk.read(&id, &place) {
            Reading::Read(read) => Some(read),
            Reading::Damaged => None,
            Reading::Failing => return self.owed.push(Event::NotFetched(place)),
            Reading::Gone => panic!("{id} lives, and stays readable"),
        };
        self.owed.push(Event::Fetched { id, place, read });
    }
}

/// Reads the bodies that a message carries.
pub(super) fn complete_message(disk: &mut Disk, message: &mut Message) {
    for (id, body) in message.unread_bodies() {
        let Reading::Read(read) = disk.read(&id, body) else {
            panic!("{id} is sent, and can be read");
        };
        *body = read;
    }
}

/// Reads the entries of topics that an answer to TREAD tells.
pub(super) fn complete_page(disk: &mut Disk, reply: &mut Reply) {
    if let Reply::Topic(reply) = reply
        && let TopicReply::Page(page) = &mut **reply
    {
        for told in &mut page.told {
            complete_told(disk, told);
        }
    }
}

/// Reads the entry of a topic that a reader is told.
pub(super) fn complete_told(disk: &mut Disk, told: &mut Told) {
    if let Told::Unread(unread) = told {
        *told = Told::Entry(disk.read_entry(unread), unread.late);
    }
}
