//! Late answers: what came into the mailbox while the connection waited, and the bodies that replies lack.

use super::Connection;
use shoalmq_core::event::Event;
use shoalmq_storage::journal::Position;

use crate::command::reply;
use crate::server::clients::mailbox::UnreadPush;
use crate::server::clients::session::Replies;
use crate::server::driver::Driver;
use crate::server::reading::UnreadReply;
use crate::server::topics;

impl<S> Connection<S> {
    /// Puts what the mailbox holds into the output, each answer at its place.
    pub(super) fn take_mail(&mut self) {
        let letters = self.session.mailbox.take();
        let released = *self.released.borrow();
        let mut start = 0;
        for answered in letters.answers {
            let reply = &letters.replies[start..answered.end];
            start = answered.end;
            let (number, gate) = (answered.number, answered.gate);
            self.output
                .answer(number, reply, gate, answered.jobs, released);
        }
        self.unread = letters.unread;
        if self.session.replies == Replies::On {
            self.output.interject(&letters.lines);
            self.pushes = letters.pushes;
        }
        self.last = letters.last;
        self.awaited |= letters.awaited;
    }

    /// Reads what the client subscribed to and is in the log alone.
    pub(super) async fn read_pushes(&mut self) {
        if !self.pushes.is_empty() {
            self.read_unread_pushes().await;
        }
        let released = *self.released.borrow();
        for (number, reply) in std::mem::take(&mut self.last) {
            self.output
                .answer(number, &reply, Position(0), Vec::new(), released);
        }
    }

    async fn read_unread_pushes(&mut self) {
        let mut pushes = std::mem::take(&mut self.pushes);
        let read = tokio::task::spawn_blocking(move || {
            let pins = pushes.iter().filter_map(|push| push.access.clone());
            let access = pins.min_by_key(|access| access.segment());
            if let Some(access) = access {
                let told = pushes.iter_mut().map(|push| &mut push.push.told);
                topics::read(told, &access);
            }
            let mut bytes = Vec::new();
            for UnreadPush { push, protocol, .. } in &pushes {
                reply::encode_push(push, *protocol, &mut bytes);
            }
            bytes
        });
        let bytes = read.await.expect("a panic ends the process");
        self.shared.driver.lock().stats.output_bytes.total += bytes.len() as u64;
        self.output.interject(&bytes);
    }

    /// Tells the core that the client has taken what it subscribed to, if the core waits for that.
    pub(super) fn tell_ready(&mut self) {
        if self.awaited && !self.output.is_ready() {
            self.awaited = false;
            let client = self.session.id;
            self.shared
                .act(|driver| driver.feed(Event::ReaderReady(client)));
        }
    }

    /// Completes the replies that lack bodies.
    pub(super) async fn read_bodies(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let mut unread = std::mem::take(&mut self.unread);
        self.reading = unread.iter().flat_map(UnreadReply::jobs).collect();
        let read = tokio::task::spawn_blocking(move || {
            let (mut failed, mut undelivered) = (Vec::new(), Vec::new());
            for reply in &mut unread {
                let missing = reply.read();
                if reply.jobs().next().is_some() {
                    undelivered.extend(missing.iter().map(|failed| failed.id));
                }
                failed.extend(missing);
            }
            (unread, failed, undelivered)
        });
        let (read, failed, undelivered) = read.await.expect("a panic ends the process");
        self.reading.clear();
        if !failed.is_empty() {
            let give_up = |driver: &mut Driver| driver.give_up_bodies(failed, undelivered);
            self.shared.act(give_up);
        }
        let mut bytes = Vec::new();
        for UnreadReply {
            ticket,
            protocol,
            reply,
            gate,
            ..
        } in read
        {
            match reply.into_read() {
                Ok(reply) => {
                    bytes.clear();
                    reply::encode(&reply, protocol, &mut bytes);
                    let jobs = reply.delivered();
                    let released = *self.released.borrow();
                    self.output
                        .answer(ticket.number, &bytes, gate, jobs, released);
                }
                Err(again) => self.shared.act(|driver| driver.feed_again(ticket, again)),
            }
        }
    }
}
