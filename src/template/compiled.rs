//! Text with slots, compiled once and filled many times.
//!
//! A request's text is known before the run but for a few places. Those places are
//! slots. Which value belongs in which slot is the caller's business; here a value
//! is the text of a JSON value.

use super::escape::{escaped, inside_quotes};

/// A text with slots. One without slots is filled by one copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// The text between the slots, without them.
    literals: String,
    /// In the order of their places.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// The slot follows this many bytes of `literals`.
    at: usize,
    /// Which of the values fills it.
    value: usize,
    form: SlotForm,
}

/// How a value stands in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotForm {
    /// As the JSON value that it is.
    Json,
    /// As text inside of a JSON string: a string without its quotes, anything else
    /// as its JSON text, escaped.
    InText,
    /// As text that is not JSON: of a string what it says, of anything else its JSON
    /// text.
    Raw,
}

impl Template {
    /// Appends text that is the same each time.
    pub fn push_str(&mut self, text: &str) {
        self.literals.push_str(text);
    }

    /// Appends a place for the value of this index, as the JSON value that it is.
    pub fn push_slot(&mut self, value: usize) {
        self.push_slot_as(value, SlotForm::Json);
    }

    pub(super) fn push_slot_as(&mut self, value: usize, form: SlotForm) {
        self.slots.push(Slot {
            at: self.literals.len(),
            value,
            form,
        });
    }

    /// Appends another template.
    pub fn push(&mut self, other: &Template) {
        let n_before = self.literals.len();
        self.slots.extend(other.slots.iter().map(|slot| Slot {
            at: n_before + slot.at,
            ..*slot
        }));
        self.literals.push_str(&other.literals);
    }

    /// Whether it has no text and no slot.
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.slots.is_empty()
    }

    /// Which values it takes, in the order of their places; one that it takes twice
    /// is there twice. None: its text is the same each time.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().map(|slot| slot.value)
    }

    /// The text on its own, filled as by [`Template::fill`].
    pub fn filled(&self, values: &[String]) -> String {
        let mut text = Vec::new();
        self.fill(values, &mut text);
        // Literals and values are texts, so what is made of them is one.
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends the text to `out`, each slot filled with the value of its index; a
    /// value that is missing or empty is `null`. Allocates only where `out` must
    /// grow.
    #[inline]
    pub fn fill(&self, values: &[String], out: &mut Vec<u8>) {
        let literals = self.literals.as_bytes();
        if self.slots.is_empty() {
            out.extend_from_slice(literals);
        } else {
            self.fill_slots(values, out);
        }
    }

    fn fill_slots(&self, values: &[String], out: &mut Vec<u8>) {
        let literals = self.literals.as_bytes();
        // 0 <= start <= at <= literals.len(): slots are in order.
        let mut start = 0;
        for slot in &self.slots {
            out.extend_from_slice(&literals[start..slot.at]);
            start = slot.at;
            let value = values.get(slot.value).map_or("", String::as_str);
            let value = if value.is_empty() { "null" } else { value };
            match slot.form {
                SlotForm::Json => out.extend_from_slice(value.as_bytes()),
                SlotForm::InText => match inside_quotes(value) {
                    Some(text) => out.extend_from_slice(text.as_bytes()),
                    None => escaped(value, |piece| out.extend_from_slice(piece.as_bytes())),
                },
                SlotForm::Raw => match serde_json::from_str::<String>(value) {
                    Ok(text) => out.extend_from_slice(text.as_bytes()),
                    Err(_) => out.extend_from_slice(value.as_bytes()),
                },
            }
        }
        out.extend_from_slice(&literals[start..]);
    }

    /// Of a template of a JSON value: the template of the value that these names lead
    /// to, from object to object; `None` where there is none, or where what leads
    /// there is filled itself. Its slots are those of the whole, so that both are
    /// filled alike. Of a name that occurs twice the last counts.
    pub fn member(&self, path: &[String]) -> Option<Template> {
        let mut range = 0..self.literals.len();
        for name in path {
            range = self.value_of(range.start, name)?;
        }
        let (start, end) = (range.start, range.end);
        // A slot at the end is what follows, unless the value is that slot.
        let is_inside = |slot: &&Slot| slot.at == start || (start..end).contains(&slot.at);
        let slots = self.slots.iter().filter(is_inside).map(|slot| Slot {
            at: slot.at - start,
            ..*slot
        });
        Some(Template {
            literals: self.literals[start..end].to_string(),
            slots: slots.collect(),
        })
    }

    /// Where the value of the name is in the object that begins at `start`.
    fn value_of(&self, start: usize, name: &str) -> Option<std::ops::Range<usize>> {
        let bytes = self.literals.as_bytes();
        let mut found = None;
        let mut at = skip_blanks(bytes, start);
        if bytes.get(at) != Some(&b'{') || self.is_filled(at, at) {
            return None;
        }
        at += 1;
        loop {
            at = skip_blanks(bytes, at);
            let key_end = end_of_string(bytes, at)?;
            let key = &self.literals[at..key_end];
            let is_it = !self.is_filled(at, key_end)
                && serde_json::from_str::<String>(key).is_ok_and(|key| key == name);
            at = skip_blanks(bytes, key_end);
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at += 1;
            // A slot may stand between blanks.
            let blanks_end = skip_blanks(bytes, at);
            let next_slot = self.slots.partition_point(|slot| slot.at < at);
            let next_slot = self.slots.get(next_slot).map_or(blanks_end, |slot| slot.at);
            let value_at = blanks_end.min(next_slot);
            let end = if self.is_filled(value_at, value_at) {
                value_at
            } else {
                end_of_value(bytes, value_at)
            };
            if is_it {
                found = Some(value_at..end);
            }
            at = skip_blanks(bytes, end);
            match bytes.get(at) {
                Some(b',') => at += 1,
                _ => return found,
            }
        }
    }

    /// Whether a slot is between these places, both included.
    fn is_filled(&self, start: usize, end: usize) -> bool {
        let first = self.slots.partition_point(|slot| slot.at < start);
        self.slots.get(first).is_some_and(|slot| slot.at <= end)
    }
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    let is_blank = |byte: &&u8| byte.is_ascii_whitespace();
    at + bytes[at.min(bytes.len())..]
        .iter()
        .take_while(is_blank)
        .count()
}

/// Behind the closing quote of the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut rest = bytes.get(at..)?.iter().enumerate();
    rest.next().filter(|(_, first)| **first == b'"')?;
    while let Some((i, byte)) = rest.next() {
        match byte {
            b'"' => return Some(at + i + 1),
            b'\\' => _ = rest.next(),
            _ => {}
        }
    }
    None
}

/// Behind the value that begins at `at`: where the next comma or closing bracket of
/// its object is.
fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at).unwrap_or(bytes.len());
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => break,
            b'}' | b']' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self {
            literals: text.to_string(),
            slots: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_where_they_are() {
        let mut inner = Template::default();
        assert!(inner.is_empty());
        inner.push_slot(1);
        inner.push_str("b");
        let mut template = Template::from("a");
        template.push(&inner);
        template.push_slot(0);
        template.push_slot(7);
        assert!(!template.is_empty());
        assert_eq!(template.slots().collect::<Vec<_>>(), [1, 0, 7]);
        let filled = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| value.to_string()).collect();
            let mut out = b"> ".to_vec();
            template.fill(&values, &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(filled(&["0", "\"1\""]), "> a\"1\"b0null");
        assert_eq!(filled(&["", ""]), "> anullbnullnull");
        assert_eq!(filled(&[]), "> anullbnullnull");
    }
}
