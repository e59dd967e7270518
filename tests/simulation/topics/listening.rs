//! Connections that SUBSCRIBE or PSUBSCRIBE. They keep no cursor, so each begins with what comes from then on; while it
//! lasts, it gets all of that. Some last until the end.

use std::sync::Arc;

use shoalmq_core::topic::{Addressee, Listen, Push};

use super::ReaderIndex;
use super::line::{Begin, Line};
use super::readers::{Mode, Stage};
use super::starting::Manner;
use crate::cluster::Cluster;
use crate::host::Inbound;
use crate::schedule::{HostIndex, MS};

impl super::Reader {
    /// Its connection lasts as long as its node.
    pub(super) fn stays(&self) -> bool {
        self.line.lasts
    }
}

impl Cluster {
    pub(super) fn listen(&mut self, index: ReaderIndex, host: HostIndex) {
        let lasts = self.dice_of(index).percent(50) || self.workload.peace;
        let reader = &mut self.topics.readers[index];
        let patterns = reader.line.patterns;
        reader.line = Line {
            is_literal: reader.manner == Manner::Listening(Listen::Channel),
            // Nobody tells it what is lost.
            lost: 1,
            lasts,
            ..Line::new(Begin::Now, patterns)
        };
        self.follow(index, host);
    }

    /// SUBSCRIBE is answered.
    pub(super) fn listens(
        &mut self,
        host: HostIndex,
        index: ReaderIndex,
        listen: Listen,
        told: &[(Arc<[u8]>, u64)],
    ) {
        let reader = &mut self.topics.readers[index];
        let Mode::Following(following) = &mut reader.mode else {
            return;
        };
        following.stage = Stage::On;
        let client = following.client;
        reader.line.begun = self.now;
        let name = reader.line.patterns[0].as_bytes();
        let is_right = matches!(told, [(subscribed, 1)] if **subscribed == *name);
        if !is_right || reader.manner != Manner::Listening(listen) {
            let what = format!("n{host} answers {listen:?} of reader {index} by {told:?}");
            self.checker.violate(None, what);
        }
        self.wake_follower(index, client, 1);
    }

    /// UNSUBSCRIBE is answered.
    pub(super) fn listens_no_more(&mut self, host: HostIndex, index: ReaderIndex) {
        let Mode::Following(following) = &self.topics.readers[index].mode else {
            return;
        };
        let client = following.client;
        self.take_mail(index, client);
        self.end_following(index);
        self.arrive(host, Inbound::Disconnected(client));
    }

    /// A connection that listens was given something.
    pub(super) fn check_listened(&mut self, index: ReaderIndex, listen: Listen, push: &Push) {
        let name = self.topics.readers[index].line.patterns[0].as_bytes();
        let is_right = match &push.to {
            Addressee::Channel => listen == Listen::Channel,
            Addressee::Pattern(pattern) => listen == Listen::Pattern && **pattern == *name,
            Addressee::Follower(..) => false,
        };
        if !is_right || !push.cursor.is_empty() {
            let now = self.now / MS;
            let what = format!("at {now} ms reader {index}, which listens, is given {push:?}");
            self.checker.violate(None, what);
        }
    }
}
