//! Tests of the event decoder: the standard's rules, recorded streams of real
//! servers at every cut, and any bytes at all.

use proptest::prelude::*;

use super::*;

type Owned = (String, String);

/// All events of a stream that arrives in the given pieces.
pub(in crate::protocol) fn events_of(
    decoder: &mut SseDecoder,
    pieces: &[&[u8]],
) -> Result<Vec<Owned>, SseFault> {
    let mut events = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let (used, event) = decoder.feed(rest)?;
            let Some(event) = event else {
                assert_eq!(used, rest.len(), "without an event all is used");
                break;
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            events.push((text(event.name), text(event.data)));
            rest = &rest[used..];
        }
    }
    Ok(events)
}

fn check(stream: &str, expected: &[(&str, &str)]) {
    let expected: Vec<Owned> = expected
        .iter()
        .map(|(name, data)| ((*name).to_string(), (*data).to_string()))
        .collect();
    let bytes = stream.as_bytes();
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        let mut decoder = SseDecoder::new(4096);
        assert_eq!(
            events_of(&mut decoder, &[head, tail]).as_ref(),
            Ok(&expected),
            "{stream:?} cut at {cut}"
        );
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let mut decoder = SseDecoder::new(4096);
    assert_eq!(events_of(&mut decoder, &single), Ok(expected), "{stream:?}");
}

/// The Rust SDK: no event name, data before id, a priming event.
pub(in crate::protocol) const RMCP: &str = "data:\nid: 0/3\nretry: 3000\n\n\
    data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\nid: 1/3\n\n\
    :\n\n\
    data: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\u{2028}b\"}]}}\nid: 2/3\n\n";

/// The Python SDK: CRLF, comments with a date.
pub(in crate::protocol) const PYTHON: &str = ": ping - 2026-07-28 10:00:00.000000+00:00\r\n\r\n\
    event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[],\"isError\":false}}\r\n\r\n";

/// The TypeScript SDK: name, id, data; a server request with the id of our call.
pub(in crate::protocol) const TYPESCRIPT: &str = ": keepalive\n\n\
    id: s_1\nretry: 500\ndata: \n\n\
    event: message\nid: s_2\ndata: {\"method\":\"ping\",\"jsonrpc\":\"2.0\",\"id\":3}\n\n\
    event: message\nid: s_3\ndata: {\"result\":{\"content\":[]},\"jsonrpc\":\"2.0\",\"id\":3}\n\n";

#[test]
fn recorded_streams_at_every_cut() {
    check(
        RMCP,
        &[
            ("", ""),
            (
                "",
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#,
            ),
            (
                "",
                "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\u{2028}b\"}]}}",
            ),
        ],
    );
    check(
        PYTHON,
        &[(
            "message",
            r#"{"jsonrpc":"2.0","id":3,"result":{"content":[],"isError":false}}"#,
        )],
    );
    check(
        TYPESCRIPT,
        &[
            ("", ""),
            ("message", r#"{"method":"ping","jsonrpc":"2.0","id":3}"#),
            (
                "message",
                r#"{"result":{"content":[]},"jsonrpc":"2.0","id":3}"#,
            ),
        ],
    );
}

#[test]
fn the_standard_s_rules() {
    check("data: a\n\n", &[("", "a")]);
    check("data:a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
    check("data: a\r\n\r\ndata:  b\r\n\r\n", &[("", "a"), ("", " b")]);
    check("data: a\ndata\ndata: b\n\n", &[("", "a\n\nb")]);
    check("data\n\n", &[("", "")]);
    check("event: x\n\ndata: a\n\n", &[("", "a")]);
    check(
        "event: x\nevent:y\ndata: a\n\ndata: b\n\n",
        &[("y", "a"), ("", "b")],
    );
    check("\u{feff}data: a\n\n", &[("", "a")]);
    check("\u{feff}\u{feff}data: a\n\n", &[]);
    check("data: a\n\n\u{feff}data: b\n\n", &[("", "a")]);
    check(": data: a\n:\nfoo: bar\ndatax: b\n data: c\n\n", &[]);
    check("data: a\n", &[]);
    check("data: a", &[]);
    check("\n\n\n\r\r\n", &[]);
    check(
        "data: {\"a\":\"\u{2028}\u{85}\"}\n\n",
        &[("", "{\"a\":\"\u{2028}\u{85}\"}")],
    );
}

#[test]
fn a_bom_cut_short_is_content() {
    let mut decoder = SseDecoder::new(64);
    let events = events_of(&mut decoder, &[b"\xef", b"\xbb", b"data: a\n\ndata: b\n\n"]);
    assert_eq!(events, Ok(vec![(String::new(), "b".to_string())]));
}

#[test]
fn ids_count_from_the_end_of_their_event() {
    let mut decoder = SseDecoder::new(64);
    let mut after = |text: &str| {
        events_of(&mut decoder, &[text.as_bytes()]).expect("small events");
        decoder.last_event_id().map(str::to_string)
    };
    assert_eq!(after("id: 1\n"), None);
    assert_eq!(after("\n"), Some("1".to_string()));
    assert_eq!(after("data: x\n\n"), Some("1".to_string()));
    assert_eq!(after("id: 2\0\n\n"), Some("1".to_string()));
    assert_eq!(
        after("id: 3\nid: 4\ndata\n\nid: 5\n"),
        Some("4".to_string())
    );
    assert_eq!(after("\nid\n\n"), None);
}

#[test]
fn a_resumed_stream_keeps_its_id() {
    let mut decoder = SseDecoder::new(64);
    events_of(
        &mut decoder,
        &[b"id: 1\nretry: 5\ndata\n\nid: 2\ndata: cut"],
    )
    .expect("small events");
    decoder.reconnect();
    assert_eq!(decoder.last_event_id(), Some("1"));
    assert_eq!(decoder.retry(), Some(Duration::from_millis(5)));
    let events = events_of(&mut decoder, &[b"\xef\xbb\xbfdata: b\n\n"]);
    assert_eq!(events, Ok(vec![(String::new(), "b".to_string())]));
    assert_eq!(decoder.last_event_id(), Some("1"));
    decoder.reset();
    assert_eq!((decoder.last_event_id(), decoder.retry()), (None, None));
}

#[test]
fn only_digits_set_the_retry_time() {
    for (line, expected) in [
        ("retry: 3000", Some(Duration::from_secs(3))),
        ("retry:0", Some(Duration::ZERO)),
        (
            "retry: 99999999999999999999999",
            Some(Duration::from_millis(u64::MAX)),
        ),
        ("retry: -1", None),
        ("retry: 1.5", None),
        ("retry: 1s", None),
        ("retry:", None),
        ("retry", None),
    ] {
        let mut decoder = SseDecoder::new(64);
        events_of(&mut decoder, &[line.as_bytes(), b"\n"]).expect("a small line");
        assert_eq!(decoder.retry(), expected, "{line}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let fault = Err(SseFault::TooLarge { limit_bytes: 16 });
    let refused = |pieces: &[&[u8]]| events_of(&mut SseDecoder::new(16), pieces);
    assert_eq!(refused(&[b"data: 0123456789abcdefg\n\n"]), fault);
    assert_eq!(refused(&[b"data: 01234", b"56789abcdefg\n\n"]), fault);
    assert_eq!(refused(&[b": an endless comment"]), fault);
    assert_eq!(refused(&[b"data: 012345678\ndata: 012345678\n\n"]), fault);
    let comments = [b": comment\n\n".as_slice(); 100];
    assert_eq!(refused(&comments), Ok(Vec::new()));
    let events = [b"data: 0123456789\n\n".as_slice(); 100];
    assert_eq!(refused(&events).map(|events| events.len()), Ok(100));
}

#[test]
fn a_whole_event_is_not_copied() {
    let mut decoder = SseDecoder::new(64);
    let input = b"event: message\ndata: 0123456789\nid: 7\n\n";
    let (used, event) = decoder.feed(input).expect("a small event");
    let data = event.expect("an event").data;
    assert_eq!(used, input.len());
    assert!(input.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn the_end_within_an_event_is_known() {
    let mut decoder = SseDecoder::new(64);
    assert!(!decoder.is_inside_event());
    for (piece, expected) in [
        ("data: a\n", true),
        ("\n", false),
        (": comment\n", false),
        ("da", true),
        ("ta\n\n", false),
    ] {
        events_of(&mut decoder, &[piece.as_bytes()]).expect("small events");
        assert_eq!(decoder.is_inside_event(), expected, "{piece:?}");
    }
    decoder.reset();
    assert_eq!(decoder.n_events(), 0);
}

fn stream_like() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        b"data".as_slice(),
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b"\n",
        b"\r",
        b"\r\n",
        b"x",
        b"12",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\n\n",
        b"a line that is longer than the blocks of the scanner",
    ]);
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn cuts_change_nothing(stream in stream_like(), cuts in prop::collection::vec(0_usize..400, 0..6)) {
        let whole = events_of(&mut SseDecoder::new(1 << 16), &[&stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&stream[start..cut]);
            start = cut;
        }
        pieces.push(&stream[start..]);
        prop_assert_eq!(events_of(&mut SseDecoder::new(1 << 16), &pieces), whole);
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, limit in 0_usize..64) {
        let _any_answer_will_do = events_of(&mut SseDecoder::new(limit), &[&bytes]);
    }
}

#[test]
fn a_long_id_is_not_kept_and_ends_the_resumption() {
    let limit = 1 << 24;
    let mut decoder = SseDecoder::new(limit);
    let longest = "x".repeat(EVENT_ID_BYTES_MAX);
    let stream = format!("id: {longest}\ndata: a\n\n");
    events_of(&mut decoder, &[stream.as_bytes()]).expect("a small event");
    assert_eq!(decoder.last_event_id(), Some(longest.as_str()));
    let long = "y".repeat(8 << 20);
    let stream = format!("id: {long}\nevent: {long}\ndata: {long}\ndata: b\n\n");
    for cut in [0, 5, 1 << 20, stream.len() - 1] {
        let (before, after) = stream.as_bytes().split_at(cut);
        let events = events_of(&mut decoder, &[before, after]).expect("below the limit");
        assert_eq!(events[0].0.len(), NAME_BYTES_MAX);
        assert_eq!(events[0].1.len(), long.len() + 2);
        // The id before it would resume at the wrong place.
        assert_eq!(decoder.last_event_id(), None);
        assert!(decoder.is_id_too_long());
        decoder.release();
        let kept = decoder.line.capacity()
            + decoder.data.capacity()
            + decoder.name.capacity()
            + decoder.pending_id.capacity()
            + decoder.last_event_id.capacity();
        assert!(kept <= 3 * KEPT_BYTES, "{kept} bytes are kept");
    }
    events_of(&mut decoder, &[b"id: 1\ndata: c\n\n"]).expect("a small event");
    assert_eq!(decoder.last_event_id(), Some("1"));
    assert!(!decoder.is_id_too_long());
}
