//! Text with slots, compiled once and filled many times.
//!
//! A request's text is known before the run but for a few places: a value that an
//! earlier answer brought, say. Those places are slots. Which value belongs in
//! which slot is the caller's business; here a value is the text of a JSON value.

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
}

impl Template {
    /// Appends text that is the same each time.
    pub fn push_str(&mut self, text: &str) {
        self.literals.push_str(text);
    }

    /// Appends a place for the value of this index.
    pub fn push_slot(&mut self, value: usize) {
        self.slots.push(Slot {
            at: self.literals.len(),
            value,
        });
    }

    /// Appends another template.
    pub fn push(&mut self, other: &Template) {
        let n_before = self.literals.len();
        self.slots.extend(other.slots.iter().map(|slot| Slot {
            at: n_before + slot.at,
            value: slot.value,
        }));
        self.literals.push_str(&other.literals);
    }

    /// Whether it has no text and no slot.
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.slots.is_empty()
    }

    /// Appends the text to `out`, each slot filled with the value of its index; a
    /// value that is missing is `null`. Allocates only where `out` must grow.
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
            let value = values.get(slot.value).map_or("null", String::as_str);
            out.extend_from_slice(value.as_bytes());
            start = slot.at;
        }
        out.extend_from_slice(&literals[start..]);
    }
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
        let filled = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| value.to_string()).collect();
            let mut out = b"> ".to_vec();
            template.fill(&values, &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(filled(&["0", "\"1\""]), "> a\"1\"b0null");
        assert_eq!(filled(&[]), "> anullbnullnull");
    }
}
