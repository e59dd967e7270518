//! What each reply and each message waits for before the log is on disk: the one place where that is decided.
//!
//! Replies and messages leave the core only through [`answer`] and [`Node::send`]. What others build on waits for all
//! that was recorded before it was said: an ack counts once no crash can take it back. A copy counts once it is on disk,
//! and so a delivery and the word about a copy wait for the record of their job alone. What asks or merely informs leaves
//! at once.

use crate::command::{Answer, Reply};
use crate::effect::{Effect, Wait};
use crate::extras::Tag;
use crate::id::Ticket;
use crate::members::PeerKey;
use crate::message::Message;
use crate::node::Node;
use crate::planted::Bug;
use crate::refusal::Refusal;
use crate::topic::{TopicNews, TopicRefusal, TopicReply};

/// Answers a command. What the command recorded comes before.
pub(crate) fn answer(ticket: Ticket, reply: Reply, effects: &mut Vec<Effect>) {
    let wait = wait_of_reply(&reply, effects);
    effects.push(Effect::Reply(ticket, reply, wait));
}

impl Node {
    /// Tells a peer, if our link to it is up. If not, the flow that sends this starts over when the link comes up.
    pub(crate) fn send(&self, to: PeerKey, message: Message, effects: &mut Vec<Effect>) {
        if self.peers.up().contains(to) {
            let wait = if self.has(Bug::EarlyCopy) && matches!(message, Message::GotJob(_)) {
                Wait::Nothing
            } else {
                wait_of_message(&message)
            };
            effects.push(Effect::Send(self.peers.get(to).id, message, wait));
        }
    }
}

fn wait_of_reply(reply: &Reply, before: &[Effect]) -> Wait {
    match reply {
        Reply::Added(_) | Reply::Receipt(_) => Wait::Copy,
        Reply::Delivered(..) | Reply::Unread(_) => Wait::Jobs,
        Reply::NothingToDeliver => Wait::Nothing,
        Reply::Topic(reply) => {
            let publishes = matches!(**reply, TopicReply::Published(_) | TopicReply::Announced(_));
            all_if_recorded(before, if publishes { Wait::All } else { Wait::View })
        }
        Reply::Refused(Refusal::Topic(TopicRefusal::Pending(_))) => Wait::All,
        // An add that waited is withdrawn, and no crash may bring it back. One that is refused at once records nothing.
        Reply::Refused(_) => all_if_recorded(before, Wait::Nothing),
        Reply::Existing(_)
        | Reply::Count(_)
        | Reply::Fates(_)
        | Reply::Explained(_)
        | Reply::Shown(_)
        | Reply::Peeked(..)
        | Reply::QueueStat(_)
        | Reply::PauseState(_)
        | Reply::AllPolicies(_)
        | Reply::Policies(_)
        | Reply::Configured
        | Reply::Queues(..)
        | Reply::JobIds(..)
        | Reply::Jobs(..)
        | Reply::Global(_) => all_if_recorded(before, Wait::View),
    }
}

/// All records, if there are any among these effects.
fn all_if_recorded(before: &[Effect], otherwise: Wait) -> Wait {
    let is_record = |effect: &Effect| matches!(effect, Effect::Persist(..));
    if before.iter().any(is_record) {
        Wait::All
    } else {
        otherwise
    }
}

fn wait_of_message(message: &Message) -> Wait {
    match message {
        Message::GotJob(_) => Wait::Copy,
        // A register is recorded before anybody hears of it.
        Message::WillQueue { extras, .. } | Message::Working { extras, .. }
            if extras.get(Tag::MOVED).is_some() =>
        {
            Wait::All
        }
        Message::ReplJob(copy) if copy.extras.get(Tag::REGISTER).is_some() => Wait::All,
        Message::Enqueue { .. }
        | Message::Queued { .. }
        | Message::Moved { .. }
        | Message::SetAck { .. }
        | Message::GotAck { .. }
        | Message::DelJob { .. }
        | Message::YourJobs(_)
        | Message::Fates(_)
        | Message::Answer {
            answer: Answer::Purged(_) | Answer::Redriven(_) | Answer::Done(_),
            ..
        }
        // A crash must not take back a version that peers have seen: the node would give it to another value.
        | Message::Settings(_) => Wait::All,
        Message::Topic(message) => wait_of_topics(&message.news),
        Message::State(_)
        | Message::ReplJob(_)
        | Message::Missing(_)
        | Message::Holders { .. }
        | Message::WillQueue { .. }
        | Message::Working { .. }
        | Message::NeedJobs { .. }
        | Message::SettingsDigest { .. }
        | Message::Ask { .. }
        | Message::Watch(_)
        // A copy counts that is on disk on other nodes: the word that it does needs no disk.
        | Message::Key(_)
        | Message::Answer { .. } => Wait::Nothing,
    }
}

/// What a member says that it has, it has after a crash, too; and a life is on disk before others know of it.
fn wait_of_topics(news: &TopicNews) -> Wait {
    match news {
        // A question about settings must not overtake them.
        TopicNews::Greeting(_)
        | TopicNews::Haves(_)
        | TopicNews::SoFar(..)
        | TopicNews::Confirm(_)
        | TopicNews::Confirmed(_) => Wait::All,
        TopicNews::Counted(_)
        | TopicNews::Follows(..)
        | TopicNews::Records(_)
        | TopicNews::Pull(..)
        | TopicNews::Pulled { .. }
        | TopicNews::Close(_)
        | TopicNews::Closed
        | TopicNews::HowFar(..) => Wait::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use crate::effect::News;
    use crate::id::{ClientId, JobId};
    use crate::record::Record;

    use super::*;

    fn wait(reply: Reply, before: &[Effect]) -> Wait {
        let mut effects = before.to_vec();
        let ticket = Ticket {
            client: ClientId(1),
            number: 1,
        };
        answer(ticket, reply, &mut effects);
        match effects.pop() {
            Some(Effect::Reply(_, _, wait)) => wait,
            other => panic!("{other:?} is no reply"),
        }
    }

    fn recorded() -> [Effect; 1] {
        [Effect::Persist(Record::Flushed, News::Nothing)]
    }

    #[test]
    fn a_command_that_changed_something_is_answered_when_that_is_on_disk() {
        assert_eq!(wait(Reply::Count(1), &recorded()), Wait::All);
        assert_eq!(wait(Reply::Count(1), &[]), Wait::View);
        assert_eq!(wait(Reply::NothingToDeliver, &recorded()), Wait::Nothing);
    }

    #[test]
    fn an_add_is_withdrawn_on_disk_before_its_producer_hears_of_it() {
        for refusal in [Refusal::ReplicationTimeout, Refusal::TooFewNodes] {
            assert_eq!(wait(Reply::Refused(refusal), &recorded()), Wait::All);
            assert_eq!(wait(Reply::Refused(refusal), &[]), Wait::Nothing);
        }
    }

    #[test]
    fn peers_hear_of_a_copy_once_it_is_on_disk_and_of_an_ack_once_all_before_it_is() {
        let id = JobId::from_bytes([20; 24]);
        let ack = Message::SetAck {
            id,
            holders: [].into(),
            withdrawn: true,
            extras: crate::extras::Extras::NONE,
        };
        assert_eq!(wait_of_message(&Message::GotJob(id)), Wait::Copy);
        assert_eq!(wait_of_message(&ack), Wait::All);
        assert_eq!(wait_of_message(&Message::will_queue(id)), Wait::Nothing);
    }
}
