//! The slots of a flow, and templates compiled with them.

use std::collections::HashMap;

use super::compiled::{SlotForm, Template};
use super::escape::escaped;
use super::generate::{FillMoment, Generators, purpose_of};
use super::language::{Expression, Piece, TemplateText, parse};

/// The expressions of a flow, each with its slot: where its value is among the
/// values of a user who does the flow.
///
/// What is another value each time has a slot of its own wherever it stands: two
/// `{{uuid}}` of a call are two. So whatever must be the same as a part of a request,
/// such as a header that mirrors an argument, is made of the request's template by
/// [`Template::member`]. All other expressions have one slot each.
#[derive(Debug, Default)]
pub struct Scope {
    /// Among the scopes of a plan, so that flows draw apart from each other.
    number: usize,
    slots: Vec<SlotFiller>,
    /// Of what is the same wherever it stands.
    shared: HashMap<Expression, usize>,
    /// How often each was seen that is drawn, by expression and place.
    n_seen: HashMap<(Expression, String), u64>,
}

/// What fills a slot.
#[derive(Debug)]
struct SlotFiller {
    expression: Expression,
    /// Whose random choices it takes.
    purpose: u64,
}

impl Scope {
    /// A scope without slots; the number is its own among the scopes of a plan.
    pub fn new(number: usize) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// The expressions, in the order of their slots.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.slots.iter().map(|slot| &slot.expression)
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of an expression; a new one of what is drawn.
    pub fn slot(&mut self, expression: &Expression) -> usize {
        self.slot_at(expression, "")
    }

    /// `place` names what the value is for.
    fn slot_at(&mut self, expression: &Expression, place: &str) -> usize {
        let next = self.slots.len();
        let mut n_before = 0;
        if expression.is_drawn() {
            let key = (expression.clone(), place.to_string());
            let n_seen = self.n_seen.entry(key).or_default();
            n_before = *n_seen;
            *n_seen += 1;
        } else {
            let slot = *self.shared.entry(expression.clone()).or_insert(next);
            if slot != next {
                return slot;
            }
        }
        // What a value is for does not change when another template is written
        // before it.
        let purpose = format!("{}\0{place}\0{n_before}\0{expression}", self.number);
        self.slots.push(SlotFiller {
            expression: expression.clone(),
            purpose: purpose_of(&purpose),
        });
        next
    }

    /// Fills a slot's value, the text of a JSON value, where it needs no more than
    /// the moment and a random choice; false where it is a marker, a cell of a data set
    /// or extracted. Allocates only where `value` must grow.
    pub fn fill(
        &self,
        slot: usize,
        generators: &mut Generators,
        moment: &FillMoment,
        value: &mut String,
    ) -> bool {
        self.slots
            .get(slot)
            .is_some_and(|slot| generators.fill(&slot.expression, slot.purpose, moment, value))
    }

    /// The template of a JSON value whose strings are canonical. A string that is one
    /// expression is that expression's value, with its type; the names of members are
    /// texts, whatever fills them.
    pub fn json(&mut self, canonical_json: &str) -> Template {
        let mut template = Template::default();
        // The name of the member that the string may belong to.
        let mut name = "";
        let mut rest = canonical_json;
        while let Some(start) = rest.find('"') {
            template.push_str(&rest[..start]);
            let string = &rest[start..];
            let end = end_of_string(string);
            rest = &string[end..];
            let string = &string[..end];
            let is_name = rest.trim_start().starts_with(':');
            self.push_string(string, name, !is_name, &mut template);
            if is_name {
                name = string;
            }
        }
        template.push_str(rest);
        template
    }

    /// The template of the JSON string that an expression of our own is filled with.
    pub fn own(&mut self, expression: &Expression) -> Template {
        let mut template = Template::default();
        template.push_slot(self.slot(expression));
        template
    }

    /// The template of a JSON string that says a canonical text: a tool's name, an
    /// address.
    pub fn text(&mut self, canonical: &str) -> Template {
        let mut template = Template::default();
        self.push_text(&understood(canonical), "", &mut template);
        template
    }

    /// The template of a canonical text that is not JSON: a header's value.
    pub fn raw(&mut self, canonical: &str) -> Template {
        let mut template = Template::default();
        for piece in understood(canonical).pieces() {
            match piece {
                Piece::Literal(literal) => template.push_str(literal),
                Piece::Expression(expression) => {
                    template.push_slot_as(self.slot(expression), SlotForm::Raw);
                }
            }
        }
        template
    }

    /// `string` is a JSON string.
    fn push_string(
        &mut self,
        string: &str,
        place: &str,
        may_be_whole: bool,
        template: &mut Template,
    ) {
        let may_hold_template = string.contains("{{") || string.contains("\\u007");
        let content = may_hold_template.then(|| serde_json::from_str::<String>(string).ok());
        let Some(content) = content.flatten().filter(|content| content.contains("{{")) else {
            template.push_str(string);
            return;
        };
        let text = understood(&content);
        match text.pieces() {
            [Piece::Expression(expression)] if may_be_whole => {
                template.push_slot(self.slot_at(expression, place));
            }
            _ => self.push_text(&text, place, template),
        }
    }

    fn push_text(&mut self, text: &TemplateText, place: &str, template: &mut Template) {
        template.push_str("\"");
        for piece in text.pieces() {
            match piece {
                Piece::Literal(literal) => escaped(literal, |piece| template.push_str(piece)),
                Piece::Expression(expression) => {
                    template.push_slot_as(self.slot_at(expression, place), SlotForm::InText);
                }
            }
        }
        template.push_str("\"");
    }
}

/// A canonical text has no fault; in any other text, nothing is a template.
fn understood(canonical: &str) -> TemplateText {
    parse(canonical).unwrap_or_else(|_| TemplateText::literal(canonical))
}

/// Behind the closing quote of the string that the text begins with.
fn end_of_string(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((i, byte)) = bytes.next() {
        match byte {
            b'"' => return i + 1,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &Template, values: &[&str]) -> String {
        let values: Vec<String> = values.iter().map(|value| value.to_string()).collect();
        let mut out = Vec::new();
        template.fill(&values, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_value_stands_as_its_place_wants_it() {
        let mut scope = Scope::new(0);
        let json =
            r#"{"whole": "{{a}}", "in": "<{{a}}> {{{{b}}", "{{a}}": 1, "q": "\u007b{ a }}"}"#;
        let template = scope.json(json);
        let check = |value: &str, whole: &str, text: &str| {
            let expected = format!(
                r#"{{"whole": {whole}, "in": "<{text}> {{{{b}}}}", "{text}": 1, "q": {whole}}}"#
            );
            assert_eq!(filled(&template, &[value]), expected);
        };
        check("7", "7", "7");
        check(r#""a\"b""#, r#""a\"b""#, r#"a\"b"#);
        check(r#"{"x": "\n"}"#, r#"{"x": "\n"}"#, r#"{\"x\": \"\\n\"}"#);
        assert_eq!(filled(&scope.text("{{a}}"), &["12"]), r#""12""#);
        assert_eq!(
            filled(&scope.raw("Bearer {{a}}"), &[r#""x\"y""#]),
            "Bearer x\"y"
        );
        assert_eq!(filled(&scope.raw("{{a}}"), &["1.50"]), "1.50");
        assert_eq!(scope.len(), 1);
    }

    #[test]
    fn a_member_is_filled_like_the_whole() {
        let mut scope = Scope::new(0);
        let template = scope.json(
            r#"{"x": [{"a": 1}], "a": {"b": "{{uuid}}", "{{vu}}": 2, "c" : "u-{{uuid}}","d":{}}, "e":"{{vu}}"}"#,
        );
        let values = ["\"0\"", "1", "\"2\""];
        let member = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|name| name.to_string()).collect();
            template.member(&path).map(|it| filled(&it, &values))
        };
        assert_eq!(member(&["a", "b"]).as_deref(), Some("\"0\""));
        assert_eq!(member(&["a", "c"]).as_deref(), Some("\"u-2\""));
        assert_eq!(member(&["a", "d"]).as_deref(), Some("{}"));
        assert_eq!(member(&["x"]).as_deref(), Some(r#"[{"a": 1}]"#));
        assert_eq!(member(&["e"]).as_deref(), Some("1"));
        for path in [&["b"][..], &["a", "b", "c"], &["e", "f"], &["x", "a"]] {
            assert_eq!(member(path), None, "{path:?}");
        }
    }
}
