//! Keys of DEDUP.

use shoalmq_core::dedup::KeyNews;
use shoalmq_core::message::Message;

use super::Payload;
use super::job::Ids;

pub(super) fn message(news: KeyNews) -> Message {
    Message::Key(Box::new(news))
}

pub(super) fn payload(news: &KeyNews) -> Payload<'_> {
    match news {
        KeyNews::Claim(number, name) => Payload::KeyClaim(*number, name.clone()),
        KeyNews::Granted(number) => Payload::KeyGranted(*number),
        KeyNews::Release(number, name) => Payload::KeyRelease(*number, name.clone()),
        KeyNews::Look(number, name, ids) => Payload::KeyLook {
            number: *number,
            name: name.clone(),
            ids: Ids::of(ids),
        },
        KeyNews::Found(number, jobs, over) => Payload::KeyFound {
            number: *number,
            jobs: jobs.clone(),
            over: Ids::of(over),
        },
        KeyNews::Added(told) => Payload::KeysAdded(told.clone()),
    }
}
