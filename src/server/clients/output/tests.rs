use proptest::prelude::*;

use super::*;

const OPEN: Position = Position(0);
const ALL: Position = Position(u64::MAX);

fn place(number: u64, at: usize) -> Place {
    Place {
        number,
        audience: Audience::Client,
        at,
    }
}

/// Takes all that may leave.
fn sent(output: &mut Output, released: Position) -> String {
    let bytes = output.leaving(released).to_vec();
    output.advance(bytes.len());
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_late_answer_takes_its_place_and_frees_those_behind_it() {
    let mut output = Output::default();
    output.tail().extend_from_slice(b"abd");
    output.finish(&[place(3, 2)], OPEN, ALL);
    assert_eq!(sent(&mut output, ALL), "ab");
    output.tail().extend_from_slice(b"e");
    output.finish(&[], OPEN, ALL);
    assert_eq!((sent(&mut output, ALL).as_str(), output.pending()), ("", 2));
    assert!(output.waits_for(3) && !output.is_done());
    output.answer(3, b"c", OPEN, Vec::new(), ALL);
    assert_eq!(sent(&mut output, ALL), "cde");
    assert!(output.is_done() && !output.waits_for(3));
}

#[test]
fn an_answer_that_nobody_wants_leaves_no_gap() {
    let mut output = Output::default();
    output.tail().extend_from_slice(b"x");
    let unheard = Place {
        audience: Audience::Nobody,
        ..place(1, 0)
    };
    output.finish(&[unheard], OPEN, ALL);
    assert_eq!(sent(&mut output, ALL), "");
    output.answer(1, b"a", OPEN, Vec::new(), ALL);
    assert_eq!(sent(&mut output, ALL), "x");
}

#[test]
fn each_reply_waits_for_its_own_position_of_the_log() {
    let mut output = Output::default();
    output.finish(&[place(1, 0), place(2, 0)], OPEN, OPEN);
    output.tail().extend_from_slice(b"c");
    output.finish(&[], Position(3), OPEN);
    output.answer(2, b"b", Position(2), Vec::new(), OPEN);
    output.answer(1, b"a", Position(1), Vec::new(), OPEN);
    assert_eq!(sent(&mut output, OPEN), "");
    assert_eq!(sent(&mut output, Position(1)), "a");
    assert_eq!(sent(&mut output, Position(2)), "b");
    assert_eq!(sent(&mut output, Position(2)), "");
    assert_eq!(sent(&mut output, Position(3)), "c");
}

#[test]
fn a_gate_without_replies_holds_nothing_back() {
    let mut output = Output::default();
    output.finish(&[], Position(9), OPEN);
    output.tail().extend_from_slice(b"a");
    output.finish(&[], OPEN, OPEN);
    assert_eq!(sent(&mut output, OPEN), "a");
}

#[test]
fn jobs_are_unseen_until_their_answer_has_left() {
    let job = |byte| JobId::from_bytes([byte; 24]);
    let mut output = Output::default();
    output.finish(&[place(1, 0), place(2, 0)], OPEN, ALL);
    output.answer(2, b"b", OPEN, vec![job(2)], ALL);
    assert!(!output.has_unseen());
    output.answer(1, b"a", OPEN, vec![job(1)], ALL);
    assert!(output.has_unseen());
    output.advance(1);
    assert_eq!(output.take_unseen(), [job(2)]);

    let mut output = Output::default();
    output.finish(&[place(1, 0), place(2, 0)], OPEN, ALL);
    output.answer(2, b"b", OPEN, vec![job(2)], ALL);
    assert_eq!(output.take_unseen(), [job(2)], "held back by another");
}

#[test]
fn lines_that_answer_nothing_pass_those_that_wait() {
    let mut output = Output::default();
    output.finish(&[place(1, 0)], OPEN, ALL);
    output.interject(b"line");
    assert_eq!(sent(&mut output, ALL), "line");
}

#[test]
fn what_has_left_does_not_pile_up_behind_what_waits() {
    let mut output = Output::default();
    let body = vec![b'x'; 10_000];
    output.finish(&[place(0, 0)], OPEN, ALL);
    for number in 0..1000 {
        let at = output.tail().len() + body.len();
        output.tail().extend_from_slice(&body);
        output.finish(&[place(number + 1, at)], OPEN, ALL);
        output.answer(number, b"", OPEN, Vec::new(), ALL);
        sent(&mut output, ALL);
        assert!(output.held.len() <= KEPT_BYTES + body.len());
    }
}

/// One step of a connection.
#[derive(Debug, Clone)]
enum Step {
    /// A batch of commands: late ones, or those with an immediate reply; heard or not. With the gate of the batch.
    Batch(Vec<(bool, bool)>, u64),
    /// The answer to one of those that wait comes.
    Answer(prop::sample::Index),
    /// The disk goes on by this much.
    Disk(u64),
    /// At most this many bytes leave.
    Send(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let command = (any::<bool>(), proptest::bool::weighted(0.9));
    prop_oneof![
        (proptest::collection::vec(command, 0..8), 0..20_u64)
            .prop_map(|(commands, gate)| Step::Batch(commands, gate)),
        any::<prop::sample::Index>().prop_map(Step::Answer),
        any::<prop::sample::Index>().prop_map(Step::Answer),
        (0..4_u64).prop_map(Step::Disk),
        (0..64_usize).prop_map(Step::Send),
    ]
}

/// What a run must come to.
#[derive(Default)]
struct Model {
    output: Output,
    released: u64,
    number: u64,
    /// Every reply that the client wants, in the order of the commands, with its gate.
    replies: Vec<(String, u64)>,
    waiting: Vec<(u64, u64)>,
    sent: String,
}

impl Model {
    fn batch(&mut self, commands: &[(bool, bool)], gate: u64) {
        let mut open = Vec::new();
        for &(late, heard) in commands {
            self.number += 1;
            let reply = format!("<{}>", self.number);
            if late {
                self.waiting.push((self.number, gate));
                open.push(Place {
                    number: self.number,
                    audience: if heard {
                        Audience::Client
                    } else {
                        Audience::Nobody
                    },
                    at: self.output.tail().len(),
                });
            } else if heard {
                self.output.tail().extend_from_slice(reply.as_bytes());
            }
            if heard {
                self.replies.push((reply, gate));
            }
        }
        self.output
            .finish(&open, Position(gate), Position(self.released));
    }

    fn answer(&mut self, index: usize) {
        let (number, gate) = self.waiting.remove(index);
        let (reply, released) = (format!("<{number}>"), Position(self.released));
        self.output.answer(
            number,
            reply.as_bytes(),
            Position(gate),
            Vec::new(),
            released,
        );
    }

    fn send(&mut self, most: usize) {
        let bytes = self.output.leaving(Position(self.released));
        let bytes = bytes[..bytes.len().min(most)].to_vec();
        self.output.advance(bytes.len());
        self.sent += std::str::from_utf8(&bytes).expect("text");
        // What has left is the beginning of all replies in order, and none of it before its gate.
        let mut left = self.sent.as_str();
        for (reply, gate) in &self.replies {
            let length = left.len().min(reply.len());
            assert_eq!(left[..length], reply[..length]);
            assert!(length == 0 || *gate <= self.released, "{reply}");
            left = &left[length..];
        }
        assert_eq!(left, "");
    }
}

proptest! {
    #[test]
    fn replies_leave_in_the_order_of_their_commands(steps in proptest::collection::vec(step(), 0..40)) {
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Batch(commands, gate) => model.batch(&commands, gate),
                Step::Answer(_) if model.waiting.is_empty() => {}
                Step::Answer(index) => model.answer(index.index(model.waiting.len())),
                Step::Disk(by) => model.released += by,
                Step::Send(most) => model.send(most),
            }
        }
        while !model.waiting.is_empty() {
            model.answer(model.waiting.len() / 2);
        }
        model.released = u64::MAX;
        model.send(usize::MAX);
        let all: String = model.replies.iter().map(|(reply, _)| reply.as_str()).collect();
        prop_assert_eq!(&model.sent, &all);
        prop_assert!(model.output.is_done());
        prop_assert_eq!(model.output.pending(), 0);
    }
}
