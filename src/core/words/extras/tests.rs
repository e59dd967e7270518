use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

const ODD: Tag = Tag::required(63);
const EVEN: Tag = Tag::optional(700);

#[test]
fn a_field_is_found_by_its_tag() {
    let extras = Extras::new([(Tag::META, &b"m"[..]), (ODD, b""), (EVEN, b"later")]);
    assert_eq!(extras.get(Tag::META), Some(&b"m"[..]));
    assert_eq!(extras.get(ODD), Some(&b""[..]));
    assert_eq!(extras.get(EVEN), Some(&b"later"[..]));
    assert_eq!(extras.get(Tag::optional(2)), None);
    assert_eq!(Extras::NONE.get(Tag::META), None);
}

#[test]
fn only_a_required_field_asks_for_a_feature() {
    let extras = Extras::new([(Tag::META, &b""[..]), (ODD, b""), (EVEN, b"")]);
    assert_eq!(extras.unknown_to(Features::NONE), Some(ODD));
    assert_eq!(extras.unknown_to(Features::only(62)), Some(ODD));
    assert_eq!(extras.unknown_to(Features::only(63)), None);
    let far = Extras::new([(Tag::required(64), &b""[..])]);
    assert_eq!(far.unknown_to(Features(u64::MAX)), Some(Tag::required(64)));
}

#[test]
fn bytes_that_are_no_extras_are_refused() {
    let whole = Extras::new([(Tag::META, &b"value"[..])]);
    for cut in 1..whole.len() {
        let cut = &whole.as_bytes()[..cut];
        assert_eq!(Extras::from_bytes(cut), Err(Malformed::CutOff));
    }
    let twice = whole.as_bytes().repeat(2);
    assert_eq!(Extras::from_bytes(&twice), Err(Malformed::Order));
    let long = vec![0; EXTRAS_MAX + 1];
    assert_eq!(Extras::from_bytes(&long), Err(Malformed::TooLong));
    assert_eq!(Extras::from_bytes(b""), Ok(Extras::NONE));
}

#[test]
fn the_bytes_are_as_drawn() {
    let extras = Extras::new([(Tag::META, &b"ab"[..]), (ODD, b"")]);
    let drawn = [2, 0, 2, 0, 0, 0, b'a', b'b', 127, 0, 0, 0, 0, 0];
    assert_eq!(extras.as_bytes(), drawn);
}

proptest! {
    #[test]
    fn fields_come_back(fields in btree_map(any::<u16>(), vec(any::<u8>(), 0..50), 0..8)) {
        let given = || fields.iter().map(|(&tag, value)| (Tag(tag), &value[..]));
        let extras = Extras::new(given());
        prop_assert!(extras.iter().eq(given()));
        prop_assert_eq!(Extras::from_bytes(extras.as_bytes()), Ok(extras));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..100)) {
        if let Ok(extras) = Extras::from_bytes(&bytes) {
            prop_assert_eq!(extras.as_bytes(), &bytes[..]);
        }
    }
}
