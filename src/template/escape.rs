//! Texts inside of JSON strings. Knows nothing of templates.

/// Hands out the text as it stands inside of a JSON string, piece by piece: no
/// memory is taken.
pub(super) fn escaped(text: &str, mut push: impl FnMut(&str)) {
    const HEX: [&str; 16] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f",
    ];
    // 0 <= start <= at <= text.len(), on boundaries: what is escaped is one byte.
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        push(&text[start..at]);
        start = at + 1;
        match byte {
            b'"' => push("\\\""),
            b'\\' => push("\\\\"),
            b'\n' => push("\\n"),
            b'\r' => push("\\r"),
            b'\t' => push("\\t"),
            _ => {
                push("\\u00");
                push(HEX[usize::from(byte >> 4)]);
                push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    push(&text[start..]);
}

/// Appends the JSON string that says `text`. Allocates only where `out` must grow.
pub fn push_json_string(text: &str, out: &mut String) {
    out.push('"');
    escaped(text, |piece| out.push_str(piece));
    out.push('"');
}

/// What is between the quotes of a JSON string; `None` of another value.
pub(super) fn inside_quotes(json: &str) -> Option<&str> {
    json.trim().strip_prefix('"')?.strip_suffix('"')
}
