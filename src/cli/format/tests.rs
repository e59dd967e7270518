use super::*;

fn bulk(text: &str) -> Frame {
    Frame::Bulk(text.as_bytes().to_vec())
}

fn plain(frame: &Frame) -> String {
    human(frame, Shape::Plain)
}

fn show(frame: &Frame, shape: Shape, format: Format) -> String {
    String::from_utf8(render(frame, shape, format)).expect("the tests write UTF-8")
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

#[test]
fn scalars_say_what_they_are() {
    assert_eq!(plain(&Frame::Simple(b"OK".to_vec())), "OK");
    assert_eq!(plain(&Frame::Error(b"ERR no".to_vec())), "(error) ERR no");
    assert_eq!(plain(&Frame::Integer(-3)), "(integer) -3");
    assert_eq!(plain(&Frame::Double(1.5)), "(double) 1.5");
    assert_eq!(plain(&Frame::Boolean(true)), "(true)");
    for nil in [Frame::NilBulk, Frame::NilArray, Frame::Null] {
        assert_eq!(plain(&nil), "(nil)");
    }
    assert_eq!(plain(&Frame::Array(Vec::new())), "(empty array)");
}

#[test]
fn bulks_are_quoted_and_can_be_typed_back_in() {
    assert_eq!(plain(&bulk("a \"b\"\\\r\n\t")), r#""a \"b\"\\\r\n\t""#);
    assert_eq!(plain(&bulk("žluť")), "\"žluť\"");
    assert_eq!(
        plain(&Frame::Bulk(b"\x00\xff\x07".to_vec())),
        r#""\x00\xff\a""#
    );
    assert_eq!(plain(&bulk("\u{9b}")), r#""\xc2\x9b""#);
}

#[test]
fn nothing_reaches_the_terminal_that_could_steer_it() {
    let evil = b"\x1b[2J".to_vec();
    assert_eq!(plain(&Frame::Simple(evil.clone())), r"\x1b[2J");
    assert_eq!(plain(&Frame::Error(evil.clone())), r"(error) \x1b[2J");
    assert_eq!(human(&Frame::Bulk(evil), Shape::Text), r"\x1b[2J");
}

#[test]
fn nested_lists_are_numbered_and_aligned() {
    let job = Frame::Array(vec![bulk("q"), bulk("id")]);
    let mut items = vec![job; 9];
    items.push(Frame::Array(Vec::new()));
    let text = plain(&Frame::Array(items));
    assert!(text.starts_with(" 1) 1) \"q\"\n    2) \"id\"\n 2) 1) \"q\"\n"));
    assert!(text.ends_with("\n10) (empty array)"));
}

#[test]
fn maps_and_sets_are_numbered_by_pair_and_element() {
    let set = Frame::Set(vec![Frame::Integer(1), Frame::Integer(2)]);
    let map = Frame::Map(vec![(bulk("é"), set), (Frame::Integer(1), Frame::Null)]);
    assert_eq!(
        plain(&map),
        "1# \"é\" => 1~ (integer) 1\n          2~ (integer) 2\n2# (integer) 1 => (nil)"
    );
}

#[test]
fn names_and_values_stand_side_by_side() {
    let nodes = Frame::Array(vec![bulk("n1"), bulk("n2")]);
    let show = Frame::Array(vec![
        bulk("id"),
        bulk("D-1"),
        bulk("nodes-delivered"),
        nodes,
    ]);
    let shape = Shape::of(&words("show D-1"));
    assert_eq!(
        human(&show, shape),
        "id               \"D-1\"\nnodes-delivered  1) \"n1\"\n                 2) \"n2\""
    );
    assert_eq!(human(&Frame::NilBulk, shape), "(nil)");
    // What is not made of pairs is shown as the list that it is.
    let odd = Frame::Array(vec![bulk("id")]);
    assert_eq!(human(&odd, shape), "1) \"id\"");
    let nameless = Frame::Array(vec![Frame::Integer(1), bulk("x")]);
    assert_eq!(human(&nameless, shape), "1) (integer) 1\n2) \"x\"");
}

#[test]
fn figures_of_the_whole_cluster_are_shown_with_the_nodes_that_are_missing() {
    let figures = Frame::Array(vec![
        bulk("name"),
        bulk("q"),
        bulk("len"),
        Frame::Integer(2),
    ]);
    let reply = Frame::Array(vec![figures, Frame::Array(vec![bulk("abc")])]);
    for line in [
        "QSTAT q GLOBAL",
        "qstat q full global",
        "QSTAT q GLOBAL FULL",
    ] {
        let shape = Shape::of(&words(line));
        assert_eq!(
            human(&reply, shape),
            "name             \"q\"\nlen              (integer) 2\n(missing nodes)  1) \"abc\"",
            "{line}"
        );
        assert_eq!(
            show(&reply, shape, Format::Json),
            r#"[{"len":2,"name":"q"},["abc"]]"#
        );
    }
    let unknown = Frame::Array(vec![Frame::NilArray, Frame::Array(Vec::new())]);
    assert_eq!(
        human(&unknown, Shape::of(&words("QSTAT q GLOBAL"))),
        "1) (nil)\n2) (empty array)"
    );
    assert_eq!(Shape::of(&words("QSTAT global")), Shape::Pairs);
}

#[test]
fn texts_of_many_lines_are_shown_as_they_are() {
    let info = bulk("# Server\r\ntcp_port:7711\r\n");
    let shape = Shape::of(&words("info server"));
    assert_eq!(human(&info, shape), "# Server\ntcp_port:7711");
    assert_eq!(Shape::of(&words("CLUSTER nodes")), Shape::Text);
    assert_eq!(Shape::of(&words("CLUSTER MYID")), Shape::Plain);
    assert_eq!(Shape::of(&[]), Shape::Plain);
}

#[test]
fn raw_is_the_bytes_alone() {
    let job = Frame::Array(vec![bulk("q"), Frame::Integer(2), Frame::NilBulk]);
    let list = Frame::Array(vec![job, bulk("x")]);
    assert_eq!(show(&list, Shape::Plain, Format::Raw), "q\n2\n\nx");
    let bytes = Frame::Bulk(vec![0xff, b'\n']);
    assert_eq!(render(&bytes, Shape::Plain, Format::Raw), [0xff, b'\n']);
    let map = Frame::Map(vec![(bulk("k"), bulk("v"))]);
    assert_eq!(show(&map, Shape::Plain, Format::Raw), "k\nv");
}

#[test]
fn json_has_objects_for_names_and_values() {
    let stat = Frame::Array(vec![
        bulk("len"),
        Frame::Integer(2),
        bulk("name"),
        bulk("q"),
    ]);
    let json = |frame: &Frame, shape| show(frame, shape, Format::Json);
    assert_eq!(json(&stat, Shape::Pairs), r#"{"len":2,"name":"q"}"#);
    assert_eq!(json(&stat, Shape::Plain), r#"["len",2,"name","q"]"#);
    assert_eq!(json(&Frame::NilArray, Shape::Pairs), "null");
    let map = Frame::Map(vec![(Frame::Integer(1), Frame::Boolean(true))]);
    assert_eq!(json(&map, Shape::Plain), r#"{"1":true}"#);
    assert_eq!(json(&Frame::Bulk(vec![0xff]), Shape::Plain), "\"\u{fffd}\"");
}
