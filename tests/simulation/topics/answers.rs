//! What publishers are told.

use shoalmq_core::command::Refusal;
use shoalmq_core::log::Position;
use shoalmq_core::topic::EntryId;

use super::Number;
use super::checker::{Answer, Wanted};
use crate::checker::Checker;
use crate::plan::Policy;
use crate::schedule::{HostIndex, MS, Micros};

impl Checker {
    /// A publisher got an id, when the disks were synced up to `synced`.
    pub(crate) fn topic_published(
        &mut self,
        now: Micros,
        host: HostIndex,
        number: Number,
        id: EntryId,
        copies_wanted: Wanted,
        synced: &[Position],
    ) {
        let always = self.policy == Policy::Always;
        // What was flushed or retired meanwhile counts as held where it never came.
        let is_gone = self.topics.entries.get(&id).is_some_and(|kept| {
            self.topics.is_flushed(id, kept.channel) || self.topics.is_ruled(kept.channel)
        });
        let publication = &mut self.topics.published[number];
        publication.answer = Answer::Published;
        let Some(kept) = self.topics.entries.get(&id) else {
            let what = format!("n{host} answers entry {number} by {id}, which nobody recorded");
            return self.violate(None, what);
        };
        // What is pending may be on no disk yet.
        let must_be_synced = always && copies_wanted == Wanted::Promised;
        let counts = |of: &&HostIndex| {
            let position = kept.copies.get(of).copied().unwrap_or(Position::START);
            !must_be_synced || position <= synced[**of]
        };
        let copies = kept.had.iter().filter(counts).count();
        let promised = match copies_wanted {
            Wanted::Promised => publication.promised,
            Wanted::One => 1,
        };
        if kept.publication != number || copies < promised && !is_gone {
            let what = format!(
                "at {} ms n{host} answers entry {number} by {id}, with {copies} copies, not {promised}: {kept:?}",
                now / MS
            );
            self.violate(None, what);
        }
    }

    /// PUBLISH was answered.
    pub(crate) fn topic_announced(&mut self, now: Micros, number: Number) {
        let publication = &mut self.topics.published[number];
        publication.answer = Answer::Published;
        if publication.ids.len() != 1 {
            let what = format!("at {} ms PUBLISH has made {publication:?}", now / MS);
            self.violate(None, what);
        }
    }

    /// Nothing was published.
    pub(crate) fn topic_refused(&mut self, now: Micros, number: Number, refusal: Refusal) {
        let publication = &mut self.topics.published[number];
        if publication.answer == Answer::Waits {
            publication.answer = Answer::Refused;
            if !publication.ids.is_empty() {
                let (now, asked) = (now / MS, publication.asked / MS);
                let what = format!(
                    "at {now} ms {refusal:?}, but it is published, asked at {asked} ms: {publication:?}"
                );
                self.violate(None, what);
            }
        }
    }
}
