//! Whole numbers that 64 bits do not hold: the reader of JSON gives them as floats, some
//! of their digits lost. Here they are known by their digits.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Serializer, Value};

/// The whole numbers of JSON texts that may be beyond 64 bits, each as the float that is
/// read of it and by its digits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WideNumbers(Vec<(f64, String)>);

impl WideNumbers {
    /// Those of these texts, none of them below zero: a sign is not part of them.
    pub fn of(texts: &[&str]) -> Self {
        let mut found = Vec::new();
        for text in texts {
            find(text, &mut found);
        }
        Self(found)
    }

    /// Whether a number of the value is one of these, or the same below zero. Those that
    /// 64 bits hold are not floats.
    pub fn are_in(&self, value: &Value) -> bool {
        match value {
            Value::Number(number) if number.is_f64() => {
                number.as_f64().is_some_and(|it| self.digits(it).is_some())
            }
            Value::Array(items) => items.iter().any(|item| self.are_in(item)),
            Value::Object(fields) => fields.values().any(|field| self.are_in(field)),
            _ => false,
        }
    }

    /// The values as JSON, these numbers digit for digit. Of two that are the same float
    /// the first one's digits are written.
    pub fn json(&self, values: &Map<String, Value>) -> String {
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, DigitForDigit(self));
        // A map of JSON values renders, and what renders is UTF-8.
        match values.serialize(&mut serializer) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(_) => "{}".to_string(),
        }
    }

    fn digits(&self, number: f64) -> Option<&str> {
        let known = self.0.iter().find(|(float, _)| *float == number.abs());
        known.map(|(_, digits)| digits.as_str())
    }
}

fn find(json: &str, found: &mut Vec<(f64, String)>) {
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| c == '"' || c.is_ascii_digit()) {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            let mut is_escaped = false;
            let end = text.find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            rest = end.map_or("", |end| &text[end + 1..]);
            continue;
        }
        let is_inside = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        let end = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        rest = after;
        let is_whole = number.bytes().all(|byte| byte.is_ascii_digit());
        if is_whole
            && number.len() >= 19
            && let Ok(float) = number.parse()
        {
            found.push((float, number.to_string()));
        }
    }
}

struct DigitForDigit<'a>(&'a WideNumbers);

impl Formatter for DigitForDigit<'_> {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        match self.0.digits(value) {
            Some(digits) if value < 0.0 => write!(writer, "-{digits}"),
            Some(digits) => writer.write_all(digits.as_bytes()),
            None => CompactFormatter.write_f64(writer, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_found_outside_of_texts() {
        let text = r#"{"a \"99999999999999999999": [123456789012345678901234567890, 1e300,
            99999999999999999999.5, -99999999999999999999], "b": 18446744073709551615}"#;
        let wide = WideNumbers::of(&[text]);
        let digits: Vec<&str> = wide.0.iter().map(|(_, digits)| digits.as_str()).collect();
        assert_eq!(
            digits,
            [
                "123456789012345678901234567890",
                "99999999999999999999",
                "18446744073709551615"
            ]
        );
    }

    #[test]
    fn they_are_written_digit_for_digit_and_nothing_else_changes() {
        let check = |text: &str| {
            let values: Map<String, Value> = serde_json::from_str(text).expect("an object");
            assert_eq!(WideNumbers::of(&[text]).json(&values), text);
        };
        check(r#"{"a":123456789012345678901234567890,"b":[-9223372036854775809,{"c":"\"1"}]}"#);
        check(r#"{"a":18446744073709551615,"b":-9223372036854775808,"c":1.5,"d":null,"e":1e+300}"#);
        check("{}");
    }
}
