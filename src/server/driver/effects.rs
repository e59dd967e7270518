//! Carrying out what the core has decided: records first, then replies, reads and messages in the core's order.
//!
//! All records of a batch go to the journal before anybody is told anything, because the gates of replies and messages
//! are positions in the log.

use std::num::NonZeroU64;
use std::sync::Arc;

use shoalmq_core::command::{Refusal, Reply};
use shoalmq_core::effect::{Effect, Wait};
use shoalmq_core::id::{JobId, NodeId, Ticket};
use shoalmq_core::job::Body;
use shoalmq_core::log::{Policy, Position};
use shoalmq_core::message::Message;
use shoalmq_core::record::{Record, Stream};
use shoalmq_core::topic::TopicRefusal;

use super::{Answered, Driver};
use crate::command::{Failure, ServerError, reply};
use crate::server::persistence;
use crate::server::reading::{Access, UnreadReply, Wanted};
use shoalmq_resp::Protocol;

/// The command that runs now. Its reply can be written at once; every other reply goes by mail.
pub(super) struct Asking<'a> {
    pub(super) ticket: Ticket,
    pub(super) protocol: Protocol,
    pub(super) out: &'a mut Vec<u8>,
}

impl Driver {
    /// Carries out all effects. Returns how the command that asks was answered; none while it waits.
    pub(super) fn carry_out(&mut self, mut asking: Option<Asking<'_>>) -> Option<Answered> {
        let mut effects = std::mem::take(&mut self.effects);
        self.persist(&effects);
        let mut answered = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Persist(..) => {}
                Effect::Reply(ticket, reply, wait) => {
                    let asking = asking.as_mut().filter(|asking| asking.ticket == ticket);
                    answered = self.reply(ticket, reply, wait, asking).or(answered);
                }
                Effect::Fetch(id, place) => self.fetch(id, place),
                Effect::Send(to, message, wait) => self.send(&to, message, wait),
                Effect::Retire(stream, below) => {
                    let wanted = &mut self.retire[stream].0;
                    *wanted = below.max(*wanted);
                }
                Effect::Push(client, push) => self.push(client, *push),
                Effect::FetchEntries(told) => self.fetch_entries(told),
                Effect::AwaitReader(client) => self.await_reader(client),
            }
        }
        self.effects = effects;
        answered
    }

    /// Gives all records to the journal, if there is a log.
    fn persist(&mut self, effects: &[Effect]) {
        let policy = self.gate_policy();
        let journal = self.log.journal();
        let (mut writer, mut urgent) = (None, None);
        for effect in effects {
            if let (Effect::Persist(record, news), Some(journal)) = (effect, journal) {
                let writer = writer.get_or_insert_with(|| journal.writer());
                if let Record::Added(job) = record {
                    self.recorded.push((job.id, writer.location(Stream::Jobs)));
                }
                if let Record::Topic(record) = record {
                    self.topics.note(record, writer);
                }
                let position = writer.push(record);
                if record.is_urgent() {
                    urgent = Some(position);
                }
                self.gates.record(policy, record, *news, position);
            }
        }
        drop(writer);
        if let (Some(position), Some(journal)) = (urgent, journal) {
            journal.sync_soon(position);
        }
    }

    /// What has to wait for the disk now.
    fn gate_policy(&self) -> Policy {
        persistence::gate_policy(self.config.appendfsync, &self.health)
    }

    /// Answers a command: into the output of the connection that asks now, or by mail. A reply that lacks bodies always
    /// goes by mail, because the connection reads them without the lock.
    fn reply(
        &mut self,
        ticket: Ticket,
        mut reply: Reply,
        wait: Wait,
        asking: Option<&mut Asking<'_>>,
    ) -> Option<Answered> {
        if self.hangs_up(&reply) {
            return self.hang_up(ticket, asking.is_some());
        }
        self.name_in_reply(&mut reply);
        let gate = match self.log.journal() {
            Some(_) => self.gates.of_reply(self.gate_policy(), wait, &reply),
            None => Position::START,
        };
        if let Some(access) = self.access(&mut reply) {
            let at_once = asking.map(|asking| asking.protocol);
            return self.mail_unread(ticket, reply, gate, access, at_once);
        }
        if let Some(asking) = asking {
            match self.other_topic_nodes(&reply) {
                Some(addresses) => {
                    Failure::from(ServerError::NoTopics(&addresses)).encode(asking.out);
                }
                None => reply::encode(&reply, asking.protocol, asking.out),
            }
            return Some(Answered::Now(gate));
        }
        self.mail(ticket, reply, gate);
        None
    }

    /// The way to what a reply lacks; none if it lacks nothing.
    fn access(&self, reply: &mut Reply) -> Option<Access> {
        let oldest = reply.unread_entries().map(|entry| entry.place.segment);
        if let Some(oldest) = oldest.min() {
            let entries = self.entries.as_ref();
            return entries.map(|entries| entries.access_from(oldest));
        }
        let bodies = self.bodies.as_ref()?;
        bodies.access(&reply.unread_bodies())
    }

    /// Where to go with a command that is refused because this node keeps no topics; none if it is not, or nothing is known.
    fn other_topic_nodes(&self, reply: &Reply) -> Option<String> {
        let Reply::Refused(Refusal::Topic(TopicRefusal::NotServed)) = reply else {
            return None;
        };
        let addresses = self.cluster.topic_addresses();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// Whether a connection ends instead of this reply. Clients know what to do when a node stops, which is to connect
    /// again; many programs end at an error that they do not expect.
    fn hangs_up(&self, reply: &Reply) -> bool {
        let Reply::Refused(refusal) = reply else {
            return false;
        };
        let leaves = [Refusal::Leaving, Refusal::TooFewNodesLeaving];
        leaves.contains(refusal.plain()) && self.node.is_about_to_stop()
    }

    /// Ends the connection of a command instead of answering it.
    fn hang_up(&mut self, ticket: Ticket, asks_now: bool) -> Option<Answered> {
        if asks_now {
            return Some(Answered::HungUp);
        }
        if let Some(client) = self.clients.get_mut(&ticket.client)
            && client.hang_up(ticket.number)
        {
            self.mailed.push(Arc::clone(&client.mailbox));
        }
        None
    }

    /// Mails a reply whose bodies are in the log alone. `at_once` is the protocol of a command that asks now.
    fn mail_unread(
        &mut self,
        ticket: Ticket,
        reply: Reply,
        gate: Position,
        access: Access,
        at_once: Option<Protocol>,
    ) -> Option<Answered> {
        let answered = at_once.map(|_| Answered::Unread(reply.unread_length()));
        if let Some(client) = self.clients.get_mut(&ticket.client) {
            client.unanswered -= usize::from(at_once.is_none());
            let unread = UnreadReply {
                ticket,
                protocol: at_once.unwrap_or(client.protocol),
                reply,
                gate,
                access,
            };
            if client.mailbox.answer_unread(unread) {
                self.mailed.push(Arc::clone(&client.mailbox));
            }
        }
        answered
    }

    /// Mails the reply to a command that had to wait, to a client or to a question that came over HTTP.
    fn mail(&mut self, ticket: Ticket, reply: Reply, gate: Position) {
        if let Some(client) = self.clients.get_mut(&ticket.client) {
            client.unanswered -= 1;
            // A command that may change the protocol runs behind no late one but ADDJOB, whose reply is the same in
            // both.
            let posted = client
                .mailbox
                .answer(ticket.number, gate, client.protocol, &reply);
            self.stats.output_bytes.total += posted.bytes as u64;
            if posted.is_first {
                self.mailed.push(Arc::clone(&client.mailbox));
            }
        } else if let Some(asker) = self.questions.remove(&ticket.client) {
            // The HTTP request may have ended meanwhile.
            let _ = asker.send(reply);
        }
    }

    /// Has a body read that the core needs and that is in the log alone.
    fn fetch(&mut self, id: JobId, mut place: Body) {
        let bodies = self.bodies.as_ref();
        let access = bodies.and_then(|bodies| bodies.access(&[(id, &mut place)]));
        let access = access.expect("without a log no body is in it alone");
        self.wanted.push(Wanted { id, place, access });
    }

    /// Puts a message into the outbox of the link to a peer, together with the way to bodies that it lacks.
    fn send(&mut self, to: &NodeId, mut message: Message, wait: Wait) {
        self.name_in_message(&mut message);
        let gate = match self.log.journal() {
            Some(_) => self.gates.of_message(self.gate_policy(), wait, &message),
            None => Position::START,
        };
        let max_memory = self.config.maxmemory.map_or(0, NonZeroU64::get);
        let access = self.bodies.as_ref();
        let access = access.and_then(|bodies| bodies.access(&message.unread_bodies()));
        self.cluster.send(to, message, gate, max_memory, access);
    }
}
