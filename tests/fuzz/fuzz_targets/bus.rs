//! Any bytes from another node, as frames and as a handshake: no panic, nobody proven, and what is read is written and
//! read the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shoalmq_fuzz::bus::codec::{Frame, decode, encode, encode_notice};
use shoalmq_fuzz::bus::handshake::{Handshake, Hello, Key};

fuzz_target!(|bytes: &[u8]| {
    frames(bytes);
    handshakes(bytes);
});

fn frames(mut bytes: &[u8]) {
    // Any bytes as the payload of one frame, for lengths are seldom guessed.
    let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
    framed.extend_from_slice(bytes);
    if let Ok(Some((frame, length))) = decode(&framed) {
        assert_eq!(length, framed.len());
        check(&frame);
    }
    while let Ok(Some((frame, length))) = decode(bytes) {
        check(&frame);
        bytes = &bytes[length..];
    }
}

/// Numbers may be written longer than they need be, so bytes may differ: not what they say.
fn check(frame: &Frame) {
    let mut written = Vec::new();
    match frame {
        Frame::Message(message) => encode(message, &mut written),
        Frame::Notice(notice) => encode_notice(notice, &mut written),
        Frame::Unknown(_) => return,
    }
    .expect("it came in a frame");
    if written.is_empty() {
        // YOURJOBS without jobs says nothing.
        return;
    }
    let (read, length) = decode(&written).expect("just written").expect("whole");
    if length == written.len() {
        assert_eq!(read, *frame);
    }
}

fn handshakes(bytes: &[u8]) {
    let hello = Hello::sample(1);
    let key = Key::new(b"cluster", b"secret");
    let mut out = Vec::new();
    let dialler = Handshake::dial(&key, [1; 32], &hello, &mut out);
    // The greeting of another node of the cluster, so that something behind it is looked at.
    let mut greeting = Vec::new();
    Handshake::dial(&key, [2; 32], &hello, &mut greeting);
    greeting.extend_from_slice(bytes);
    for mut side in [dialler, Handshake::answer(&key, [1; 32], &hello)] {
        assert!(!matches!(side.advance(&greeting, &mut out), Ok((_, Some(_)))));
        assert!(!matches!(side.advance(bytes, &mut out), Ok((_, Some(_)))));
    }
}
