use proptest::prelude::*;

use super::*;

fn hello(node: u8) -> Hello {
    Hello {
        profile: Profile {
            name: Some("node.example".to_owned()),
            zone: "west".to_owned(),
            ..Profile::sample()
        },
        ..Hello::sample(node)
    }
}

fn key(name: &str, secret: &str) -> Key {
    Key::new(name.as_bytes(), secret.as_bytes())
}

/// What each side said, in order: greeting d, greeting a, proof d, proof a.
struct Heard {
    dialler: Result<Proven, Refused>,
    answerer: Result<Proven, Refused>,
    said: Vec<Vec<u8>>,
}

/// A whole handshake, with challenges of the dialler and of the answerer.
fn shake(dialler: &Key, answerer: &Key, challenges: [u8; 2]) -> Heard {
    let mut out = Vec::new();
    let mut dial = Handshake::dial(dialler, [challenges[0]; 32], &hello(1), &mut out);
    let mut answer = Handshake::answer(answerer, [challenges[1]; 32], &hello(2));
    let mut said = vec![out];
    let mut heard = Heard {
        dialler: Err(Refused::Magic),
        answerer: Err(Refused::Magic),
        said: Vec::new(),
    };
    for turn in 0..3 {
        let last = said.last().expect("there is a first").clone();
        let (side, dials) = if turn % 2 == 0 {
            (&mut answer, false)
        } else {
            (&mut dial, true)
        };
        let mut out = Vec::new();
        match side.advance(&last, &mut out) {
            Ok((_, None)) => said.push(out),
            Ok((_, Some(proven))) if !dials => {
                said.push(side.welcome(&proven));
                heard.answerer = Ok(proven);
            }
            Ok((_, Some(_))) => unreachable!("nobody proves anything that early"),
            Err(refused) if dials => {
                heard.dialler = Err(refused);
                break;
            }
            Err(refused) => {
                heard.answerer = Err(refused);
                break;
            }
        }
    }
    if said.len() == 4 {
        let (_, proven) = dial
            .advance(&said[3], &mut Vec::new())
            .expect("a good proof");
        heard.dialler = Ok(proven.expect("a whole proof"));
    }
    heard.said = said;
    heard
}

#[test]
fn nodes_of_one_cluster_know_each_other_in_the_end() {
    for secret in ["", "a secret"] {
        let heard = shake(&key("one", secret), &key("one", secret), [1, 2]);
        assert_eq!(heard.answerer.expect("proven").hello, hello(1));
        let proven = heard.dialler.expect("proven");
        assert_eq!((proven.hello, proven.version), (hello(2), VERSIONS.1));
    }
}

#[test]
fn another_secret_or_name_is_refused_and_hears_nothing_but_a_greeting() {
    let (ours, no, wrong) = (key("one", "right"), key("one", ""), key("one", "wrong"));
    for stranger in [&no, &wrong] {
        let heard = shake(stranger, &ours, [1, 2]);
        assert_eq!(heard.answerer, Err(Refused::Secret));
        assert_eq!(heard.said.len(), 3, "no answer to the wrong proof");
        assert_eq!(heard.said[1].len(), GREETING);
    }
    let heard = shake(&key("two", "right"), &ours, [1, 2]);
    assert_eq!(heard.answerer, Err(Refused::Cluster));
    assert_eq!(heard.said.len(), 1, "not even a greeting");
}

#[test]
fn a_dialled_node_must_prove_itself_too() {
    let (ours, wrong) = (key("one", "right"), key("one", "wrong"));
    let mut out = Vec::new();
    let mut dial = Handshake::dial(&ours, [1; 32], &hello(1), &mut out);
    let mut proof = Vec::new();
    let greeting = wrong.greeting(&[2; 32]);
    assert_eq!(dial.advance(&greeting, &mut proof), Ok((GREETING, None)));
    // The impostor goes on as if the proof had been good.
    let mut impostor = Handshake::answer(&wrong, [2; 32], &hello(2));
    impostor.advance(&out, &mut Vec::new()).expect("a greeting");
    let said = Proven {
        hello: hello(1),
        version: 1,
        hello_bytes: postcard::to_stdvec(&hello(1)).expect("it fits"),
    };
    let refused = dial.advance(&impostor.welcome(&said), &mut Vec::new());
    assert_eq!(refused, Err(Refused::Secret));
}

#[test]
fn a_recording_proves_nothing_to_a_node_that_draws_anew() {
    let ours = key("one", "right");
    let recorded = shake(&ours, &ours, [1, 2]).said;
    let mut answer = Handshake::answer(&ours, [3; 32], &hello(2));
    let mut out = Vec::new();
    assert_eq!(answer.advance(&recorded[0], &mut out), Ok((GREETING, None)));
    assert_eq!(answer.advance(&recorded[2], &mut out), Err(Refused::Secret));

    let mut dial = Handshake::dial(&ours, [4; 32], &hello(1), &mut Vec::new());
    dial.advance(&recorded[1], &mut out).expect("a greeting");
    assert_eq!(dial.advance(&recorded[3], &mut out), Err(Refused::Secret));
}

#[test]
fn a_node_is_not_taken_in_by_its_own_words() {
    let ours = key("one", "right");
    let mut greeting = Vec::new();
    let mut dial = Handshake::dial(&ours, [1; 32], &hello(1), &mut greeting);
    let mut proof = Vec::new();
    dial.advance(&greeting, &mut proof)
        .expect("a greeting is a greeting");
    assert_eq!(
        dial.advance(&proof, &mut Vec::new()),
        Err(Refused::Secret),
        "the role is part of the proof"
    );
}

#[test]
fn versions_that_do_not_overlap_are_refused_by_number() {
    let ours = key("one", "");
    let mut greeting = ours.greeting(&[1; 32]);
    greeting[5..7].copy_from_slice(&[VERSIONS.1 + 1, VERSIONS.1 + 4]);
    let mut answer = Handshake::answer(&ours, [2; 32], &hello(2));
    let refused = answer.advance(&greeting, &mut Vec::new());
    let refused = refused.expect_err("nothing in common");
    assert_eq!(
        refused.to_string(),
        "it speaks versions 3 to 6 of the bus protocol, this node 2 to 2"
    );
    // A newer node that still speaks ours is answered in ours.
    greeting[5..7].copy_from_slice(&[1, VERSIONS.1 + 4]);
    assert_eq!(ours.check(&greeting), Ok(VERSIONS.1));
}

#[test]
fn what_is_no_greeting_is_refused_at_its_first_wrong_byte() {
    let ours = key("one", "");
    let mut answer = Handshake::answer(&ours, [2; 32], &hello(2));
    assert_eq!(answer.advance(b"", &mut Vec::new()), Ok((0, None)));
    assert_eq!(answer.advance(b"SHOA", &mut Vec::new()), Ok((0, None)));
    for bytes in [&b"G"[..], b"SHOP", b"*1\r\n$4\r\nPING\r\n"] {
        let mut answer = Handshake::answer(&ours, [2; 32], &hello(2));
        let refused = answer.advance(bytes, &mut Vec::new());
        assert_eq!(refused, Err(Refused::Magic));
    }
}

#[test]
fn a_hello_longer_than_any_is_refused_by_its_length() {
    let ours = key("one", "");
    let mut answer = Handshake::answer(&ours, [2; 32], &hello(2));
    let mut input = ours.greeting(&[1; 32]).to_vec();
    input.extend_from_slice(&u16::MAX.to_le_bytes());
    let refused = answer.advance(&input, &mut Vec::new());
    assert_eq!(refused, Err(Refused::TooLong));
}

#[test]
fn a_key_is_never_shown() {
    assert_eq!(format!("{:?}", key("one", "hunter2")), "Key");
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(cut in 1_usize..200) {
        let ours = key("one", "right");
        let mut said = Vec::new();
        let mut dial = Handshake::dial(&ours, [1; 32], &hello(1), &mut said);
        let mut answer = Handshake::answer(&ours, [2; 32], &hello(2));
        let mut greeting = Vec::new();
        answer.advance(&said, &mut greeting).expect("a greeting");
        dial.advance(&greeting, &mut said).expect("a greeting");

        let mut whole = Handshake::answer(&ours, [2; 32], &hello(2));
        let (mut input, mut out, mut proven) = (Vec::new(), Vec::new(), None);
        for piece in said.chunks(cut) {
            input.extend_from_slice(piece);
            let (read, found) = whole.advance(&input, &mut out).expect("one of us");
            input.drain(..read);
            proven = proven.or(found);
        }
        prop_assert_eq!(proven.expect("whole").hello, hello(1));
        prop_assert!(input.is_empty());
        prop_assert_eq!(out, greeting);
    }

    #[test]
    fn no_bytes_panic_or_prove_anything(bytes: Vec<u8>, dials: bool, greeted: bool) {
        let ours = key("one", "right");
        let mut out = Vec::new();
        let mut side = if dials {
            Handshake::dial(&ours, [1; 32], &hello(1), &mut out)
        } else {
            Handshake::answer(&ours, [1; 32], &hello(1))
        };
        let mut input = Vec::new();
        if greeted {
            input.extend_from_slice(&ours.greeting(&[2; 32]));
        }
        input.extend_from_slice(&bytes);
        prop_assert!(!matches!(side.advance(&input, &mut out), Ok((_, Some(_)))));
    }
}
