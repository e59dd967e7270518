//! Connections that follow by TSUB: what they are given, when they take it, and how they end.

use shoalmq_core::event::Event;
use shoalmq_core::id::{ClientId, Ticket};
use shoalmq_core::topic::Push;

use super::readers::{Mode, Stage};
use super::{ReaderIndex, TopicAsk, TopicPurpose, TopicStep};
use crate::client::{Ask, Step};
use crate::cluster::Cluster;
use crate::host::Inbound;
use crate::schedule::{Happening, HostIndex, MS, Micros};
use crate::workload::Purpose;

impl Cluster {
    pub(super) fn ask_topic_as(
        &mut self,
        host: HostIndex,
        ticket: Ticket,
        purpose: TopicPurpose,
        ask: TopicAsk,
    ) {
        self.ask_as(host, ticket, Purpose::Topic(purpose), Ask::Topic(ask));
    }

    /// A node gives a connection something.
    pub(crate) fn pushed(&mut self, host: HostIndex, client: ClientId, push: Push) {
        let Some(&index) = self.topics.followers.get(&client) else {
            return;
        };
        let slow = self.plan.topics.as_ref().map_or(0, |plan| plan.slow);
        let now = self.now;
        let Some(following) = self.topics.readers[index].following(client) else {
            return;
        };
        following.mail.push((now, push));
        if following.mail.len() > slow && !following.is_slow {
            following.is_slow = true;
            self.topics.slow.push((host, client));
        }
        self.wake_soon(index, client);
    }

    /// A node wants to hear when a connection has taken what it was given.
    pub(crate) fn reader_awaited(&mut self, client: ClientId) {
        let Some(&index) = self.topics.followers.get(&client) else {
            return;
        };
        if let Some(following) = self.topics.readers[index].following(client) {
            following.is_awaited = true;
            self.wake_soon(index, client);
        }
    }

    fn wake_soon(&mut self, index: ReaderIndex, client: ClientId) {
        let dice = self.dice_of(index);
        let (soon, later) = (dice.between(1, 3 * MS), dice.between(1, 1500) * MS);
        let wait = dice.weighted(&[(90, soon), (10, later)]);
        self.wake_follower(index, client, wait);
    }

    pub(super) fn wake_follower(&mut self, index: ReaderIndex, client: ClientId, wait: Micros) {
        let Some(following) = self.topics.readers[index].following(client) else {
            return;
        };
        if !following.takes {
            following.takes = true;
            let take = TopicStep::Take(index, client);
            self.after(wait, Happening::Client(Step::Topic(take)));
        }
    }

    /// A subscriber takes what its connection was given.
    pub(super) fn take_pushes(&mut self, index: ReaderIndex, client: ClientId) {
        let Some(following) = self.topics.readers[index].following(client) else {
            return;
        };
        following.takes = false;
        let host = following.host;
        // What comes before the answer to TSUB stays behind it.
        if following.stage == Stage::Asked {
            return;
        }
        if self.hosts[host].is_paused() {
            return self.wake_follower(index, client, 50 * MS);
        }
        self.take_mail(index, client);
        self.commit_sometimes(index);
        let Some(following) = self.topics.readers[index].following(client) else {
            return;
        };
        if std::mem::take(&mut following.is_awaited) {
            following.is_slow = false;
            self.feed(host, Event::ReaderReady(client));
        }
    }

    pub(super) fn take_mail(&mut self, index: ReaderIndex, client: ClientId) {
        let Some(following) = self.topics.readers[index].following(client) else {
            return;
        };
        let (host, mail) = (following.host, std::mem::take(&mut following.mail));
        for (given, push) in mail {
            self.tell(host, index, &push.told, given);
            if self.is_for(index, &push) {
                self.move_cursor(index, &push.cursor);
            }
        }
    }

    /// Nodes hear which connections take less than comes.
    pub(crate) fn tell_slow(&mut self, index: HostIndex) {
        let mut slow = std::mem::take(&mut self.topics.slow);
        let here: Vec<_> = slow.extract_if(.., |(host, _)| *host == index).collect();
        self.topics.slow = slow;
        for (host, client) in here {
            self.feed(host, Event::ReaderSlow(client));
            self.reader_awaited(client);
        }
    }

    /// A subscriber has enough.
    pub(super) fn follower_leaves(&mut self, index: ReaderIndex, client: ClientId) {
        let by_command = self.dice_of(index).percent(50);
        let ask = self.topics.readers[index].farewell();
        let Some(following) = self.topics.readers[index].following(client) else {
            return;
        };
        let host = following.host;
        if by_command && following.stage == Stage::On {
            following.stage = Stage::Ends;
            let ticket = Ticket { client, number: 2 };
            let purpose = TopicPurpose::Unfollow(index);
            self.ask_topic_as(host, ticket, purpose, ask);
            let leave = TopicStep::Leave(index, client);
            return self.after(2000 * MS, Happening::Client(Step::Topic(leave)));
        }
        self.forget_pending(client);
        self.end_following(index);
        self.arrive(host, Inbound::Disconnected(client));
    }

    /// All connections to a node break.
    pub(crate) fn drop_followers_of(&mut self, host: HostIndex) {
        for index in 0..self.topics.readers.len() {
            if let Mode::Following(following) = &self.topics.readers[index].mode
                && following.host == host
            {
                self.end_following(index);
            }
        }
        self.topics.slow.retain(|(of, _)| *of != host);
    }

    /// A batch is over, if it is not yet: readers get what is new.
    pub(crate) fn end_batch(&mut self, index: HostIndex) {
        let owes = |process: &crate::host::Process| process.shell.node().owes_readers();
        let process = self.hosts[index].process.as_ref();
        let Some(boot) = process.filter(|process| owes(process)).map(|it| it.boot) else {
            return self.tell_slow(index);
        };
        // What else comes at this moment may be in the same batch.
        if self.topic_dice.percent(20) {
            let settle = TopicStep::Settle(index, boot);
            return self.after(0, Happening::Client(Step::Topic(settle)));
        }
        self.feed(index, Event::Deliver);
        self.tell_slow(index);
    }

    /// A batch ends before the next tick.
    pub(crate) fn end_batch_now(&mut self, index: HostIndex) {
        let process = self.hosts[index].process.as_ref();
        if process.is_some_and(|process| process.shell.node().owes_readers()) {
            self.feed(index, Event::Deliver);
        }
    }

    pub(super) fn settle_batch(&mut self, index: HostIndex, boot: u32) {
        let host = &self.hosts[index];
        let process = host.process.as_ref();
        let owes = process.is_some_and(|process| process.shell.node().owes_readers());
        if host.boot() != Some(boot) || !owes {
            return;
        }
        if host.is_paused() {
            let settle = TopicStep::Settle(index, boot);
            return self.after(50 * MS, Happening::Client(Step::Topic(settle)));
        }
        self.feed(index, Event::Deliver);
    }
}
