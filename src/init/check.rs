//! Whether a value satisfies a JSON Schema (2020-12, and what older drafts
//! wrote otherwise).
//!
//! It judges the samples of this program, so it covers what tools' schemas
//! hold: all assertions but `unevaluated…` and `$dynamicRef`, which it passes
//! over, as it does `format`, an annotation by default. References lead within
//! the schema only: nothing is ever fetched. Work and depth are bounded, for a
//! schema is a stranger's.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::pattern::Pattern;

/// Judges values against parts of one schema.
pub(super) struct Checker<'a> {
    root: &'a Value,
    work_left: u32,
}

/// The first thing wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// From the fault up to the root.
    path: Vec<String>,
    what: String,
}

/// Schemas inside schemas, references followed among them.
const DEPTH_MAX: usize = 100;
/// The work of trying a pattern, in schemas looked at.
const PATTERN_WORK: usize = 50;

impl Fault {
    fn new(what: impl Into<String>) -> Fault {
        Fault {
            path: Vec::new(),
            what: what.into(),
        }
    }

    fn inside(mut self, step: impl Into<String>) -> Fault {
        self.path.push(step.into());
        self
    }

    /// `a.b[0]: what is wrong`. The path holds a stranger's names.
    pub(super) fn text(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        if path.is_empty() {
            self.what.clone()
        } else {
            format!("{path}: {}", self.what)
        }
    }
}

impl<'a> Checker<'a> {
    /// `root` is what references begin at; `work_max` bounds all checks
    /// together, in schemas looked at.
    pub(super) fn new(root: &'a Value, work_max: u32) -> Self {
        Self {
            root,
            work_left: work_max,
        }
    }

    /// Whether `value` satisfies `schema`.
    ///
    /// # Errors
    /// The first thing that does not, or cannot be told.
    pub(super) fn check(&mut self, schema: &Value, value: &Value) -> Result<(), Fault> {
        self.at(schema, value, 0)
    }

    fn at(&mut self, schema: &Value, value: &Value, depth: usize) -> Result<(), Fault> {
        self.work_left = match self.work_left.checked_sub(1) {
            Some(left) if depth <= DEPTH_MAX => left,
            _ => return Err(too_large()),
        };
        let fields = match schema {
            Value::Bool(false) => return Err(Fault::new("nothing is accepted here")),
            Value::Object(fields) => fields,
            // `true`, and what is no schema at all.
            _ => return Ok(()),
        };
        let schema = Keywords {
            fields,
            depth: depth + 1,
        };
        // What takes longer than a schema with a few keywords.
        let n_choices = schema.list("enum").len();
        let n_patterns = schema.object("patternProperties").map_or(0, Map::len);
        let n_tried = match value {
            Value::Object(object) => n_patterns.saturating_mul(object.len()),
            _ => usize::from(schema.fields.contains_key("pattern")),
        };
        self.spend(n_choices / 8)?;
        self.spend(n_tried.saturating_mul(PATTERN_WORK))?;
        self.reference(&schema, value)?;
        check_any_type(&schema, value)?;
        match value {
            Value::Number(number) => check_number(&schema, number)?,
            Value::String(text) => check_text(&schema, text)?,
            Value::Array(items) => self.array(&schema, items)?,
            Value::Object(object) => self.object(&schema, object, value)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.combined(&schema, value)
    }

    /// Takes what is about to be done off what may be done.
    fn spend(&mut self, work: usize) -> Result<(), Fault> {
        let left = u32::try_from(work)
            .ok()
            .and_then(|work| self.work_left.checked_sub(work));
        self.work_left = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(too_large)
    }

    fn reference(&mut self, schema: &Keywords<'_>, value: &Value) -> Result<(), Fault> {
        let Some(reference) = schema.text("$ref") else {
            return Ok(());
        };
        match resolve(self.root, reference) {
            Some(target) => self.at(target, value, schema.depth),
            None => Err(Fault::new("a part of the schema lies elsewhere")),
        }
    }

    fn combined(&mut self, schema: &Keywords<'_>, value: &Value) -> Result<(), Fault> {
        for part in schema.list("allOf") {
            self.at(part, value, schema.depth)?;
        }
        if let Some(branches) = schema.given_list("anyOf") {
            let fits = branches
                .iter()
                .any(|branch| self.at(branch, value, schema.depth).is_ok());
            if !fits {
                return Err(Fault::new("fits none of the alternatives"));
            }
        }
        if let Some(branches) = schema.given_list("oneOf") {
            let n_fitting = branches
                .iter()
                .filter(|branch| self.at(branch, value, schema.depth).is_ok())
                .count();
            if n_fitting != 1 {
                return Err(Fault::new(format!(
                    "fits {n_fitting} alternatives where exactly one is wanted"
                )));
            }
        }
        if let Some(excluded) = schema.fields.get("not")
            && self.at(excluded, value, schema.depth).is_ok()
        {
            return Err(Fault::new("is excluded by `not`"));
        }
        if let Some(condition) = schema.fields.get("if") {
            let branch = match self.at(condition, value, schema.depth) {
                Ok(()) => "then",
                Err(_) => "else",
            };
            if let Some(branch) = schema.fields.get(branch) {
                self.at(branch, value, schema.depth)?;
            }
        }
        Ok(())
    }

    fn array(&mut self, schema: &Keywords<'_>, items: &[Value]) -> Result<(), Fault> {
        let n_items = items.len();
        check_size(schema, n_items, "minItems", "maxItems", "elements")?;
        if schema.fields.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.spend(n_items.saturating_mul(n_items))?;
            let is_twice = |i: usize| items[..i].iter().any(|other| same(other, &items[i]));
            if (1..n_items).any(is_twice) {
                return Err(Fault::new("an element occurs twice"));
            }
        }
        let rules = schema.item_rules();
        for (i, item) in items.iter().enumerate() {
            if let Some(rule) = rules.of(i) {
                self.at(rule, item, schema.depth)
                    .map_err(|fault| fault.inside(format!("[{i}]")))?;
            }
        }
        if let Some(wanted) = schema.fields.get("contains") {
            let n_fitting = items
                .iter()
                .filter(|item| self.at(wanted, item, schema.depth).is_ok())
                .count();
            let min = schema.size("minContains").unwrap_or(1);
            let max = schema.size("maxContains").unwrap_or(usize::MAX);
            if !(min..=max).contains(&n_fitting) {
                return Err(Fault::new(format!(
                    "contains {n_fitting} of the wanted elements"
                )));
            }
        }
        Ok(())
    }

    /// `whole` is `object` as a value.
    fn object(
        &mut self,
        schema: &Keywords<'_>,
        object: &Map<String, Value>,
        whole: &Value,
    ) -> Result<(), Fault> {
        check_size(
            schema,
            object.len(),
            "minProperties",
            "maxProperties",
            "properties",
        )?;
        for name in schema.texts("required") {
            if !object.contains_key(name) {
                return Err(Fault::new("is missing").inside(name));
            }
        }
        for name in object.keys() {
            for needed in schema.needed_beside(name) {
                if !object.contains_key(needed) {
                    return Err(Fault::new(format!("is missing beside `{name}`")).inside(needed));
                }
            }
        }
        for (name, value) in object {
            for rule in property_rules(schema, name) {
                self.at(rule, value, schema.depth)
                    .map_err(|fault| fault.inside(name))?;
            }
            if let Some(rule) = schema.fields.get("propertyNames") {
                self.at(rule, &Value::String(name.clone()), schema.depth)
                    .map_err(|_| Fault::new("is not among the names accepted").inside(name))?;
            }
            if let Some(rule) = schema.rule_beside(name) {
                self.at(rule, whole, schema.depth)?;
            }
        }
        Ok(())
    }
}

/// The part of `root` that a reference leads to; `None` where it leads
/// elsewhere or nowhere.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    root.pointer(&percent_decoded(fragment)?)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The schemas for a property's value.
pub(super) fn property_rules<'a>(schema: &Keywords<'a>, name: &str) -> Vec<&'a Value> {
    let mut rules = Vec::new();
    rules.extend(
        schema
            .object("properties")
            .and_then(|known| known.get(name)),
    );
    for (pattern, rule) in schema.object("patternProperties").into_iter().flatten() {
        if Pattern::parse(pattern).and_then(|pattern| pattern.matches(name)) == Some(true) {
            rules.push(rule);
        }
    }
    if rules.is_empty() {
        rules.extend(schema.fields.get("additionalProperties"));
    }
    rules
}

/// A schema that is an object, by its keywords. A keyword of a wrong type
/// counts as absent.
#[derive(Clone, Copy)]
pub(super) struct Keywords<'a> {
    pub(super) fields: &'a Map<String, Value>,
    /// Of the schemas inside it.
    depth: usize,
}

impl<'a> Keywords<'a> {
    /// For reading only: nothing is checked with it.
    pub(super) fn of(fields: &'a Map<String, Value>) -> Self {
        Self { fields, depth: 0 }
    }

    pub(super) fn text(&self, keyword: &str) -> Option<&'a str> {
        self.fields.get(keyword)?.as_str()
    }

    pub(super) fn object(&self, keyword: &str) -> Option<&'a Map<String, Value>> {
        self.fields.get(keyword)?.as_object()
    }

    pub(super) fn number(&self, keyword: &str) -> Option<&'a Number> {
        match self.fields.get(keyword)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn given_list(&self, keyword: &str) -> Option<&'a [Value]> {
        Some(self.fields.get(keyword)?.as_array()?.as_slice())
    }

    pub(super) fn list(&self, keyword: &str) -> &'a [Value] {
        self.given_list(keyword).unwrap_or_default()
    }

    pub(super) fn texts(&self, keyword: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.list(keyword).iter().filter_map(Value::as_str)
    }

    /// A count of characters, elements or properties.
    pub(super) fn size(&self, keyword: &str) -> Option<usize> {
        let number = self.number(keyword)?;
        let whole = number.as_u64().or_else(|| {
            // `2.0` is a whole number too.
            let float = number.as_f64()?;
            (float >= 0.0 && float.fract() == 0.0).then_some(float as u64)
        })?;
        Some(usize::try_from(whole).unwrap_or(usize::MAX))
    }

    /// The names of the types; empty: any.
    pub(super) fn types(&self) -> Vec<&'a str> {
        match self.fields.get("type") {
            Some(Value::String(name)) => vec![name],
            _ => self.texts("type").collect(),
        }
    }

    pub(super) fn item_rules(&self) -> ItemRules<'a> {
        // Before 2020-12 a tuple stood in `items`.
        match self.fields.get("items") {
            Some(Value::Array(tuple)) => ItemRules {
                first: tuple,
                rest: self.fields.get("additionalItems"),
            },
            rest => ItemRules {
                first: self.list("prefixItems"),
                rest,
            },
        }
    }

    /// The properties that must stand beside `name`.
    pub(super) fn needed_beside(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let of = |keyword| self.object(keyword).and_then(|rules| rules.get(name));
        [of("dependentRequired"), of("dependencies")]
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(Value::as_str)
    }

    /// The schema of the whole object where the property `name` is there.
    pub(super) fn rule_beside(&self, name: &str) -> Option<&'a Value> {
        let of = |keyword| self.object(keyword).and_then(|rules| rules.get(name));
        of("dependentSchemas").or_else(|| of("dependencies").filter(|rule| !rule.is_array()))
    }
}

/// The schemas of an array's elements.
pub(super) struct ItemRules<'a> {
    pub(super) first: &'a [Value],
    pub(super) rest: Option<&'a Value>,
}

impl<'a> ItemRules<'a> {
    pub(super) fn of(&self, i: usize) -> Option<&'a Value> {
        self.first.get(i).or(self.rest)
    }
}

fn check_any_type(schema: &Keywords<'_>, value: &Value) -> Result<(), Fault> {
    let types = schema.types();
    if !types.is_empty() && !types.iter().any(|name| is_of_type(value, name)) {
        return Err(Fault::new(format!(
            "is not of type `{}`",
            types.join("` or `")
        )));
    }
    if let Some(choices) = schema.given_list("enum")
        && !choices.iter().any(|choice| same(choice, value))
    {
        return Err(Fault::new("is not one of the values accepted"));
    }
    if let Some(constant) = schema.fields.get("const")
        && !same(constant, value)
    {
        return Err(Fault::new("is not the one value accepted"));
    }
    Ok(())
}

/// Whether a value is of the type that JSON Schema calls so.
pub(super) fn is_of_type(value: &Value, name: &str) -> bool {
    match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("number", Value::Number(_)) => true,
        ("integer", Value::Number(number)) => {
            number.is_i64()
                || number.is_u64()
                || number.as_f64().is_some_and(|float| float.fract() == 0.0)
        }
        _ => false,
    }
}

fn check_number(schema: &Keywords<'_>, number: &Number) -> Result<(), Fault> {
    let is_lower_strict = schema.fields.get("exclusiveMinimum") == Some(&Value::Bool(true));
    let is_upper_strict = schema.fields.get("exclusiveMaximum") == Some(&Value::Bool(true));
    let bounds = [
        ("minimum", Ordering::Less, is_lower_strict),
        ("exclusiveMinimum", Ordering::Less, true),
        ("maximum", Ordering::Greater, is_upper_strict),
        ("exclusiveMaximum", Ordering::Greater, true),
    ];
    for (keyword, beyond, is_strict) in bounds {
        let Some(bound) = schema.number(keyword) else {
            continue;
        };
        let ordering = compare(number, bound);
        if ordering == beyond || (is_strict && ordering == Ordering::Equal) {
            return Err(Fault::new(format!(
                "{number} is beyond the `{keyword}` of {bound}"
            )));
        }
    }
    if let Some(divisor) = schema.number("multipleOf")
        && !is_multiple(number, divisor)
    {
        return Err(Fault::new(format!("{number} is no multiple of {divisor}")));
    }
    Ok(())
}

fn is_multiple(number: &Number, divisor: &Number) -> bool {
    if let (Some(number), Some(divisor)) = (whole(number), whole(divisor)) {
        return divisor != 0 && number % divisor == 0;
    }
    let ratio = float(number) / float(divisor);
    // 0.3 is a multiple of 0.1, though not to the last bit.
    ratio.is_finite() && (ratio - ratio.round()).abs() <= 1e-9 * ratio.abs().max(1.0)
}

/// By value: 1 and 1.0 are equal.
pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => float(a).total_cmp(&float(b)),
    }
}

/// A number without fraction, where it fits.
pub(super) fn whole(number: &Number) -> Option<i128> {
    if let Some(whole) = number.as_i64() {
        return Some(i128::from(whole));
    }
    if let Some(whole) = number.as_u64() {
        return Some(i128::from(whole));
    }
    let float = number.as_f64()?;
    (float.fract() == 0.0 && float.abs() < 1e30).then_some(float as i128)
}

pub(super) fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

fn check_text(schema: &Keywords<'_>, text: &str) -> Result<(), Fault> {
    let n_chars = text.chars().count();
    check_size(schema, n_chars, "minLength", "maxLength", "characters")?;
    let Some(pattern) = schema.text("pattern") else {
        return Ok(());
    };
    match Pattern::parse(pattern).and_then(|pattern| pattern.matches(text)) {
        Some(true) => Ok(()),
        Some(false) => Err(Fault::new(format!(
            "does not match the pattern `{pattern}`"
        ))),
        None => Err(Fault::new(format!("may not match the pattern `{pattern}`"))),
    }
}

fn too_large() -> Fault {
    Fault::new("the schema is too large to be checked")
}

fn check_size(
    schema: &Keywords<'_>,
    size: usize,
    min: &str,
    max: &str,
    what: &str,
) -> Result<(), Fault> {
    if let Some(min) = schema.size(min)
        && size < min
    {
        return Err(Fault::new(format!(
            "has {size} {what} where {min} are wanted"
        )));
    }
    if let Some(max) = schema.size(max)
        && size > max
    {
        return Err(Fault::new(format!(
            "has {size} {what} where {max} are the most"
        )));
    }
    Ok(())
}

/// Equality as JSON Schema has it: numbers by value, objects in any order.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let is_there = |(name, value): (&String, &Value)| {
                b.get(name).is_some_and(|other| same(value, other))
            };
            a.len() == b.len() && a.iter().all(is_there)
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::{any_json, any_schema};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn is_valid(schema: &Value, value: &Value) -> bool {
        Checker::new(schema, 10_000).check(schema, value).is_ok()
    }

    fn check(schema: &Value, valid: &[Value], invalid: &[Value]) {
        for value in valid {
            assert!(is_valid(schema, value), "{schema} accepts {value}");
        }
        for value in invalid {
            assert!(!is_valid(schema, value), "{schema} refuses {value}");
        }
    }

    #[test]
    fn types_and_choices() {
        check(&json!(true), &[json!(1)], &[]);
        check(&json!(false), &[], &[json!(1)]);
        check(
            &json!({"type": "integer"}),
            &[json!(1), json!(1.0)],
            &[json!(1.5), json!("1")],
        );
        check(
            &json!({"type": ["string", "null"]}),
            &[json!(""), json!(null)],
            &[json!(1)],
        );
        check(
            &json!({"enum": [1, {"a": [2]}]}),
            &[json!(1.0), json!({"a": [2.0]})],
            &[json!({}), json!([2])],
        );
        check(&json!({"const": null}), &[json!(null)], &[json!(0)]);
    }

    #[test]
    fn numbers() {
        check(
            &json!({"minimum": 1, "exclusiveMaximum": 3}),
            &[json!(1), json!(2.9), json!("x")],
            &[json!(0), json!(3)],
        );
        check(
            &json!({"minimum": 1, "exclusiveMinimum": true}),
            &[json!(2)],
            &[json!(1)],
        );
        check(
            &json!({"multipleOf": 0.1}),
            &[json!(0.3), json!(1)],
            &[json!(0.35)],
        );
        check(
            &json!({"multipleOf": 7}),
            &[json!(14), json!(-7)],
            &[json!(13)],
        );
        check(
            &json!({"minimum": u64::MAX}),
            &[json!(u64::MAX)],
            &[json!(i64::MAX)],
        );
    }

    #[test]
    fn texts() {
        check(
            &json!({"minLength": 2, "maxLength": 3}),
            &[json!("ää"), json!(7)],
            &[json!("ä"), json!("abcd")],
        );
        check(&json!({"pattern": "^a+$"}), &[json!("aa")], &[json!("ab")]);
        check(&json!({"pattern": "(?=a)"}), &[], &[json!("a")]);
    }

    #[test]
    fn arrays() {
        check(
            &json!({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}),
            &[json!(["a"]), json!(["a", 1, 2])],
            &[
                json!([]),
                json!([1]),
                json!(["a", "b"]),
                json!(["a", 1, 2, 3]),
            ],
        );
        check(
            &json!({"items": [{"type": "string"}], "additionalItems": false}),
            &[json!(["a"])],
            &[json!(["a", 1])],
        );
        check(
            &json!({"uniqueItems": true}),
            &[json!([1, 2])],
            &[json!([1, 2, 1.0])],
        );
        check(
            &json!({"contains": {"type": "string"}, "minContains": 2, "maxContains": 2}),
            &[json!(["a", 1, "b"])],
            &[json!(["a"]), json!(["a", "b", "c"])],
        );
    }

    #[test]
    fn objects() {
        check(
            &json!({
                "properties": {"a": {"type": "string"}},
                "patternProperties": {"^x-": {"type": "integer"}},
                "additionalProperties": false,
                "required": ["a"], "maxProperties": 2,
            }),
            &[json!({"a": ""}), json!({"a": "", "x-b": 1})],
            &[
                json!({}),
                json!({"a": 1}),
                json!({"a": "", "b": 1}),
                json!({"a": "", "x-b": ""}),
                json!({"a": "", "x-b": 1, "x-c": 1}),
            ],
        );
        check(
            &json!({"dependentRequired": {"a": ["b"]}}),
            &[json!({"a": 1, "b": 1}), json!({})],
            &[json!({"a": 1})],
        );
        check(
            &json!({"dependencies": {"a": {"required": ["b"]}, "c": ["d"]}}),
            &[json!({"a": 1, "b": 1}), json!({"b": 1})],
            &[json!({"a": 1}), json!({"c": 1})],
        );
        check(
            &json!({"propertyNames": {"maxLength": 1}}),
            &[json!({"a": 1})],
            &[json!({"ab": 1})],
        );
    }

    #[test]
    fn combinations() {
        let text_or_number = json!([{"type": "string"}, {"type": "number"}, {"const": 7}]);
        check(
            &json!({"anyOf": text_or_number}),
            &[json!("a"), json!(7)],
            &[json!(null)],
        );
        check(
            &json!({"oneOf": text_or_number}),
            &[json!("a"), json!(8)],
            &[json!(null), json!(7)],
        );
        check(
            &json!({"not": {"type": "null"}}),
            &[json!(1)],
            &[json!(null)],
        );
        check(
            &json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            &[json!({"a": 1, "b": 1}), json!({"c": 1})],
            &[json!({"a": 1}), json!({})],
        );
    }

    #[test]
    fn references_lead_within_the_schema() {
        let list = json!({
            "$ref": "#/$defs/a~1b%20c",
            "$defs": {"a/b c": {"properties": {"next": {"$ref": "#"}}, "required": ["x"]}},
        });
        check(
            &list,
            &[json!({"x": 1, "next": {"x": 1}})],
            &[json!({"x": 1, "next": {}})],
        );
        for reference in [
            "https://example.com/schema",
            "#/nowhere",
            "other.json#/a",
            "#%zz",
        ] {
            check(&json!({"$ref": reference}), &[], &[json!(1)]);
        }
    }

    #[test]
    fn a_fault_tells_its_place() {
        let schema = json!({"properties": {"a": {"items": {"type": "string"}}}});
        let fault = Checker::new(&schema, 100)
            .check(&schema, &json!({"a": ["x", 1]}))
            .expect_err("1 is no string");
        assert_eq!(fault.text(), "a[1]: is not of type `string`");
    }

    #[test]
    fn a_hostile_schema_ends() {
        let forever = json!({"$ref": "#"});
        assert!(!is_valid(&forever, &json!(1)));
        let doubling = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]});
        assert!(!is_valid(&doubling, &json!(1)));
    }

    proptest! {
        #[test]
        fn no_schema_panics(schema in any_schema(), value in any_json()) {
            let _any_answer_will_do = is_valid(&schema, &value);
        }
    }
}
