use proptest::collection::vec;
use proptest::prelude::*;
use shoalmq_core::extras::{Extras, Features, Tag};
use shoalmq_core::job::Body;
use shoalmq_core::message::Copy;

use self::frames::frames;
use super::*;

mod frames;
mod nouns;
mod questions;

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    match frame {
        Frame::Message(message) => encode(message, &mut bytes),
        Frame::Notice(notice) => encode_notice(notice, &mut bytes),
        Frame::Unknown(_) => unreachable!("nobody says what it does not know"),
    }
    .expect("it fits");
    bytes
}

/// A frame around any payload.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// Everything that is in the bytes, which must hold whole frames only.
fn decoded(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((frame, length)) = decode(bytes).expect("frames of our own") {
        frames.push(frame);
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty());
    frames
}

proptest! {
    #[test]
    fn every_frame_is_read_as_it_was_written(frames in vec(frames(), 0..6)) {
        let bytes: Vec<u8> = frames.iter().flat_map(encoded).collect();
        prop_assert_eq!(decoded(&bytes), frames);
    }

    #[test]
    fn a_frame_that_is_cut_off_is_waited_for(frame in frames(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&frame);
        prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Ok(None));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = decode(&framed(&bytes));
    }

    #[test]
    fn no_damage_panics(frame in frames(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encoded(&frame);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }

    #[test]
    fn what_a_newer_node_says_is_skipped(kind in KINDS.., fields: Vec<u8>, frame in frames()) {
        let mut payload = postcard::to_stdvec(&kind).expect("it fits");
        payload.extend_from_slice(&fields);
        let mut bytes = framed(&payload);
        bytes.extend_from_slice(&encoded(&frame));
        prop_assert_eq!(decoded(&bytes), [Frame::Unknown(kind), frame]);
    }
}

#[test]
fn the_length_of_a_frame_is_checked_before_its_bytes_come() {
    let mut bytes = (FRAME_MAX as u32 + 1).to_le_bytes();
    assert_eq!(decode(&bytes), Err(Invalid::TooLong(FRAME_MAX + 1)));
    bytes = (FRAME_MAX as u32).to_le_bytes();
    assert_eq!(decode(&bytes), Ok(None));
}

#[test]
fn a_list_of_half_an_id_is_invalid() {
    let holders = serde_bytes::ByteBuf::from(vec![7; 30]);
    let id = serde_bytes::ByteBuf::from(vec![7; 24]);
    let payload = postcard::to_stdvec(&(13_u32, &id, &holders)).expect("it fits");
    assert!(matches!(decode(&framed(&payload)), Err(Invalid::Fields(_))));
}

#[test]
fn bytes_behind_the_fields_are_invalid() {
    let mut payload = encoded(&Frame::Notice(Notice::Ping(5)))[4..].to_vec();
    payload.push(0);
    assert!(matches!(decode(&framed(&payload)), Err(Invalid::Fields(_))));
    assert!(matches!(decode(&framed(&[])), Err(Invalid::Fields(_))));
}

#[test]
fn many_jobs_travel_in_frames_of_bounded_size() {
    let copy = |number: u8| Copy {
        id: JobId::from_bytes([number; 24]),
        body: Body::new(&vec![number; BATCH_BYTES / 2]),
        ..Copy::sample()
    };
    let jobs: Vec<Copy> = (0..5).map(copy).collect();
    let mut bytes = Vec::new();
    encode(&Message::YourJobs(jobs.clone()), &mut bytes).expect("it fits");
    let frames = decoded(&bytes);
    assert!(frames.len() > 1);
    let arrived = frames.into_iter().flat_map(|frame| match frame {
        Frame::Message(Message::YourJobs(jobs)) => jobs,
        other => panic!("{other:?}"),
    });
    assert_eq!(arrived.collect::<Vec<_>>(), jobs);
}

#[test]
fn a_confirmation_takes_thirty_bytes() {
    let got = Message::GotJob(JobId::from_bytes([7; 24]));
    assert_eq!(encoded(&Frame::Message(got)).len(), 4 + 1 + 25);
}

#[test]
fn a_message_is_refused_for_the_field_that_it_needs() {
    let known = Extras::new([(Tag::META, &b"m"[..])]);
    let needs = Extras::new([(Tag::required(41), &b""[..])]);
    let copy = |number: u8, extras: &Extras| Copy {
        id: JobId::from_bytes([number; 24]),
        extras: extras.clone(),
        ..Copy::sample()
    };
    let mut jobs = Message::YourJobs(vec![copy(1, &needs), copy(2, &known), copy(3, &needs)]);
    assert_eq!(jobs.refuse_unknown(Features::only(41)), None);
    let refused = jobs.refuse_unknown(Features::KNOWN);
    assert_eq!(refused, Some(Tag::required(41)));
    assert_eq!(jobs, Message::YourJobs(vec![copy(2, &known)]));
    let mut ask = Message::WillQueue {
        id: JobId::from_bytes([1; 24]),
        extras: needs,
    };
    assert!(ask.refuse_unknown(Features::KNOWN).is_some());
}
