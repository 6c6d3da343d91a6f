//! Sample values for a JSON Schema: what a call's arguments could be.
//!
//! The value is built from what the schema says, then checked against it; what
//! does not hold, or could not be told, stands in [`Sample::doubts`]. A schema
//! comes from a stranger: work, depth and size are bounded, nothing is fetched,
//! and the same schema always gives the same sample. It does not know what the
//! values mean to the server.
//!
//! Start at [`sample_arguments`]. A place in a schema is a list of schemas that
//! all apply ([`Place`]): `$ref` and `allOf` only make the list longer, and
//! alternatives are tried one by one.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Number, Value, json};

use super::check::{Checker, Keywords, compare, float, property_rules, resolve, same, whole};
use super::pattern::Pattern;
use super::words::{number_of_name, text_of_format, text_of_name};

/// A sample and what is not sure about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The value.
    pub value: Value,
    /// Why it may not satisfy the schema; empty: it does. Texts may hold
    /// anything that the schema holds.
    pub doubts: Vec<String>,
}

/// Sample arguments of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleArguments {
    /// The arguments that are required.
    pub values: Map<String, Value>,
    /// Others that the schema knows, in its order; at most 20.
    pub optional: Vec<OptionalArgument>,
    /// As in [`Sample::doubts`], for the required ones.
    pub doubts: Vec<String>,
}

/// An argument that may be left out.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionalArgument {
    /// Its name.
    pub name: String,
    /// A sample; `null` where nothing else is accepted.
    pub value: Value,
}

/// A sample of any value that the schema accepts.
pub fn sample(schema: &Value) -> Sample {
    let mut sampler = Sampler::new(schema);
    let value = sampler.value(&[schema], "", 0);
    let doubts = doubts_of(schema, &value);
    Sample { value, doubts }
}

/// Sample arguments for a tool with this input schema, whatever it is: the
/// arguments are always an object.
pub fn sample_arguments(schema: &Value) -> SampleArguments {
    let object = json!({"type": "object"});
    let mut sampler = Sampler::new(schema);
    let values = match sampler.value(&[schema, &object], "", 0) {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    let place = sampler.place(&[schema]);
    let mut optional = Vec::new();
    for name in place.property_names() {
        if optional.len() == N_OPTIONAL_MAX {
            break;
        }
        if !values.contains_key(name) {
            let value = sampler.value(&place.property(name), name, 1);
            optional.push(OptionalArgument {
                name: name.to_string(),
                value,
            });
        }
    }
    let values = Value::Object(values);
    let doubts = doubts_of(schema, &values);
    let Value::Object(values) = values else {
        return SampleArguments {
            values: Map::new(),
            optional,
            doubts,
        };
    };
    SampleArguments {
        values,
        optional,
        doubts,
    }
}

/// What the schema says of an argument of this name: its description, and the
/// values it is limited to.
pub(super) fn describe_argument(schema: &Value, name: &str) -> (Option<String>, Vec<Value>) {
    let sampler = Sampler::new(schema);
    let place = sampler.place(&[schema]);
    let argument = sampler.place(&place.property(name));
    let description = argument
        .schemas
        .iter()
        .find_map(|schema| schema.text("description").or_else(|| schema.text("title")));
    let choices = argument
        .schemas
        .iter()
        .map(|schema| schema.list("enum"))
        .find(|choices| !choices.is_empty())
        .unwrap_or_default();
    (description.map(str::to_string), choices.to_vec())
}

fn doubts_of(schema: &Value, value: &Value) -> Vec<String> {
    let mut checker = Checker::new(schema, CHECKS_MAX);
    match checker.check(schema, value) {
        Ok(()) => Vec::new(),
        Err(fault) => vec![fault.text()],
    }
}

/// More in a comment would hide the ones that matter.
const N_OPTIONAL_MAX: usize = 20;
/// Values inside values, alternatives and references among them.
const DEPTH_MAX: usize = 40;
/// A value nested deeper is not taken from `default`, `examples` and the like:
/// readers of TOML have their own bound.
const VALUE_DEPTH_MAX: usize = 20;
/// Values made, characters and array elements, of one sample: no tool that
/// can be called by hand needs as much.
const WORK_MAX: usize = 20_000;
/// Schemas looked at while choosing, and again for the final check.
const CHECKS_MAX: u32 = 100_000;
/// The share of that work which a pattern takes: it is tried on many texts.
const PATTERN_WORK: usize = 300;
/// The same for a pattern that one name is held against.
const NAME_PATTERN_WORK: usize = 10;
/// Schemas that apply at one place.
const N_SCHEMAS_MAX: usize = 64;

struct Sampler<'a> {
    root: &'a Value,
    checker: Checker<'a>,
    /// The schemas of the arrays and objects around the value being made.
    open: Vec<&'a Map<String, Value>>,
    work_left: usize,
}

/// All that applies at one place of a value.
#[derive(Clone, Default)]
struct Place<'a> {
    /// `allOf` and `$ref` already followed, each once.
    schemas: Vec<Keywords<'a>>,
    /// Each of them: one branch must be chosen, whose schemas then apply too.
    choices: Vec<Vec<Vec<&'a Value>>>,
}

impl<'a> Place<'a> {
    fn types(&self) -> Vec<&'a str> {
        let mut types: Option<Vec<&str>> = None;
        for schema in &self.schemas {
            let own = schema.types();
            if own.is_empty() {
                continue;
            }
            types = Some(match types {
                None => own,
                Some(types) => both_types(&types, &own),
            });
        }
        let mut types = types.unwrap_or_else(|| self.likely_types());
        // A null is a value that says nothing.
        types.sort_by_key(|name| *name == "null");
        types
    }

    /// What the other keywords are about.
    fn likely_types(&self) -> Vec<&'a str> {
        const KEYWORDS_OF: &[(&str, &[&str])] = &[
            (
                "object",
                &[
                    "properties",
                    "required",
                    "minProperties",
                    "patternProperties",
                    "additionalProperties",
                ],
            ),
            (
                "array",
                &[
                    "items",
                    "prefixItems",
                    "minItems",
                    "contains",
                    "uniqueItems",
                ],
            ),
            (
                "number",
                &[
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "multipleOf",
                ],
            ),
        ];
        let is_about = |keywords: &[&str]| {
            let has = |schema: &Keywords<'_>| {
                keywords
                    .iter()
                    .any(|name| schema.fields.contains_key(*name))
            };
            self.schemas.iter().any(has)
        };
        let likely = KEYWORDS_OF
            .iter()
            .filter(|(_, keywords)| is_about(keywords))
            .map(|(name, _)| *name);
        let any = ["string", "object", "array", "number", "boolean", "null"];
        first_of_each(likely.chain(any).collect())
    }

    /// The largest of the lower bounds.
    fn size_min(&self, keyword: &str) -> usize {
        let sizes = self
            .schemas
            .iter()
            .filter_map(|schema| schema.size(keyword));
        sizes.max().unwrap_or(0)
    }

    /// The smallest of the upper bounds.
    fn size_max(&self, keyword: &str) -> usize {
        let sizes = self
            .schemas
            .iter()
            .filter_map(|schema| schema.size(keyword));
        sizes.min().unwrap_or(usize::MAX)
    }

    fn is_set(&self, keyword: &str) -> bool {
        let is_true =
            |schema: &Keywords<'_>| schema.fields.get(keyword) == Some(&Value::Bool(true));
        self.schemas.iter().any(is_true)
    }

    fn all_of(&self, keyword: &str) -> Vec<&'a Value> {
        let fields = self.schemas.iter().map(|schema| schema.fields);
        fields.filter_map(|fields| fields.get(keyword)).collect()
    }

    /// The properties that the schemas define, each once.
    fn property_names(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        for schema in &self.schemas {
            let known = schema.object("properties").into_iter().flatten();
            names.extend(known.map(|(name, _)| name.as_str()));
        }
        first_of_each(names)
    }

    /// The patterns that a property's name is held against.
    fn name_patterns(&self) -> Vec<&'a str> {
        let schemas = self.schemas.iter();
        let patterns = schemas.filter_map(|schema| schema.object("patternProperties"));
        patterns
            .flatten()
            .map(|(pattern, _)| pattern.as_str())
            .collect()
    }

    /// The schemas of a property's value. Costs a match for each pattern of
    /// names.
    fn property(&self, name: &str) -> Vec<&'a Value> {
        let rules = self.schemas.iter();
        rules
            .flat_map(|schema| property_rules(schema, name))
            .collect()
    }
}

impl<'a> Sampler<'a> {
    fn new(root: &'a Value) -> Self {
        Self {
            root,
            checker: Checker::new(root, CHECKS_MAX),
            open: Vec::new(),
            work_left: WORK_MAX,
        }
    }

    /// A value for the place where all of `schemas` apply; `name` is the
    /// property's.
    fn value(&mut self, schemas: &[&'a Value], name: &str, depth: usize) -> Value {
        let place = self.place(schemas);
        self.value_at(schemas, &place, name, depth)
    }

    fn place(&self, schemas: &[&'a Value]) -> Place<'a> {
        let mut place = Place::default();
        for schema in schemas {
            self.extend(&mut place, schema);
        }
        place
    }

    /// Adds a schema with all that it refers to.
    fn extend(&self, place: &mut Place<'a>, schema: &'a Value) {
        let mut waiting = vec![schema];
        while let Some(schema) = waiting.pop() {
            let Value::Object(fields) = schema else {
                continue;
            };
            let is_known = place
                .schemas
                .iter()
                .any(|known| std::ptr::eq(known.fields, fields));
            if is_known || place.schemas.len() >= N_SCHEMAS_MAX {
                continue;
            }
            let keywords = Keywords::of(fields);
            place.schemas.push(keywords);
            for keyword in ["anyOf", "oneOf"] {
                let branches = keywords.list(keyword);
                if !branches.is_empty() {
                    let branches = branches.iter().map(|branch| vec![branch]);
                    place.choices.push(branches.collect());
                }
            }
            if let Some(condition) = fields.get("if") {
                let unmet = fields.get("else").into_iter().collect();
                let met = [Some(condition), fields.get("then")];
                place
                    .choices
                    .push(vec![unmet, met.into_iter().flatten().collect()]);
            }
            // The last is looked at first: the order of the schema is kept.
            waiting.extend(keywords.list("allOf").iter().rev());
            waiting.extend(keywords.text("$ref").and_then(|to| resolve(self.root, to)));
        }
    }

    /// `schemas` is what the value must satisfy in the end, `place` what is
    /// known of it so far.
    fn value_at(
        &mut self,
        schemas: &[&'a Value],
        place: &Place<'a>,
        name: &str,
        depth: usize,
    ) -> Value {
        if !self.spend(1 + place.schemas.len()) || depth > DEPTH_MAX {
            return simplest(place.types().first());
        }
        if let Some(given) = self.given(schemas, place) {
            return given;
        }
        let mut place = place.clone();
        if let Some(branches) = place.choices.pop() {
            return self.chosen(schemas, &place, &branches, name, depth);
        }
        let mut first = None;
        for name_of_type in place.types() {
            let value = self.of_type(name_of_type, schemas, &place, name, depth);
            if self.fits(schemas, &value) {
                return value;
            }
            // What `not` or `oneOf` excludes may have a neighbour that is not.
            if !value.is_object() && !value.is_array() {
                let other = self.another(schemas, value.clone(), &[]);
                if other != value {
                    return other;
                }
            }
            first.get_or_insert(value);
        }
        first.unwrap_or_else(|| simplest(None))
    }

    /// A value that the schema itself gives.
    fn given(&mut self, schemas: &[&'a Value], place: &Place<'a>) -> Option<Value> {
        let mut given = place.all_of("const");
        for examples in place.all_of("examples") {
            given.extend(examples.as_array().into_iter().flatten());
        }
        given.extend(place.all_of("example"));
        let (empty, default): (Vec<_>, Vec<_>) = place
            .all_of("default")
            .into_iter()
            .partition(|value| value.is_null() || value.as_str() == Some(""));
        given.extend(default);
        for choices in place.all_of("enum") {
            given.extend(choices.as_array().into_iter().flatten());
        }
        // Empty ones only where the type leaves nothing else.
        let only_choices = !place.all_of("enum").is_empty() || !place.all_of("const").is_empty();
        let (nulls, mut given): (Vec<_>, Vec<_>) =
            given.into_iter().partition(|value| value.is_null());
        if only_choices {
            given.extend(nulls);
            given.extend(empty);
        }
        for value in given {
            if !self.spend(1) {
                break;
            }
            if !is_deep(value, VALUE_DEPTH_MAX) && self.fits(schemas, value) {
                return self.spend(size_of(value)).then(|| value.clone());
            }
        }
        None
    }

    /// The value of the first branch that gives one which fits; a null only
    /// where no branch gives another, but rather than one without end.
    fn chosen(
        &mut self,
        schemas: &[&'a Value],
        place: &Place<'a>,
        branches: &[Vec<&'a Value>],
        name: &str,
        depth: usize,
    ) -> Value {
        let mut fitting_null = false;
        let mut first = None;
        let extended = branches.iter().map(|branch| {
            let mut extended = place.clone();
            for schema in branch {
                self.extend(&mut extended, schema);
            }
            // What was open before the choice was no matter of the choice.
            let added = Place {
                schemas: extended.schemas[place.schemas.len()..].to_vec(),
                choices: Vec::new(),
            };
            (self.is_recursive(&added), extended)
        });
        let mut extended: Vec<(bool, Place<'a>)> = extended.collect();
        extended.sort_by_key(|(is_recursive, _)| *is_recursive);
        for (is_recursive, extended) in extended {
            if is_recursive && fitting_null {
                break;
            }
            let value = self.value_at(schemas, &extended, name, depth + 1);
            if self.fits(schemas, &value) {
                if !value.is_null() {
                    return value;
                }
                fitting_null = true;
            }
            first.get_or_insert(value);
        }
        match first {
            Some(value) if !fitting_null => value,
            _ => Value::Null,
        }
    }

    fn of_type(
        &mut self,
        name_of_type: &str,
        schemas: &[&'a Value],
        place: &Place<'a>,
        name: &str,
        depth: usize,
    ) -> Value {
        match name_of_type {
            "string" => Value::String(self.text(schemas, place, name)),
            "integer" | "number" => number(place, name, name_of_type == "integer"),
            "boolean" => self.truth(schemas),
            "array" | "object" => {
                let n_open = self.open.len();
                self.open
                    .extend(place.schemas.iter().map(|schema| schema.fields));
                let value = match name_of_type {
                    "array" => self.array(schemas, place, name, depth),
                    _ => self.object(place, depth),
                };
                self.open.truncate(n_open);
                value
            }
            _ => Value::Null,
        }
    }

    /// Whether a value there would hold another of its own kind, and so on.
    fn is_recursive(&self, place: &Place<'a>) -> bool {
        let is_open = |schema: &Keywords<'a>| {
            self.open
                .iter()
                .any(|open| std::ptr::eq(*open, schema.fields))
        };
        place.schemas.iter().any(is_open)
    }

    fn truth(&mut self, schemas: &[&'a Value]) -> Value {
        let is_no_accepted = self.fits(schemas, &Value::Bool(false));
        Value::Bool(!is_no_accepted)
    }

    /// What the format and the name suggest, then what the pattern says; the
    /// first that fits.
    fn text(&mut self, schemas: &[&'a Value], place: &Place<'a>, name: &str) -> String {
        let texts_of = |keyword: &str| place.all_of(keyword).into_iter().filter_map(Value::as_str);
        let (min, max) = (place.size_min("minLength"), place.size_max("maxLength"));
        let format = texts_of("format").find_map(text_of_format);
        let encoded = texts_of("contentEncoding").find(|name| *name == "base64");
        let formatted = format.or(encoded.map(|_| "dGVzdA=="));
        let mut candidates: Vec<String> = Vec::new();
        if let Some(formatted) = formatted {
            candidates.push(formatted.to_string());
            candidates.push(longer(formatted, min));
        } else {
            let named = text_of_name(name);
            candidates.push(named.to_string());
            candidates.push(cut_or_longer(named, min, max));
        }
        for pattern in texts_of("pattern") {
            if self.spend(PATTERN_WORK) {
                candidates.extend(texts_of_pattern(pattern, min));
            }
        }
        candidates.push(cut_or_longer("test", min, max));
        let fitting = candidates
            .iter()
            .find(|text| self.fits(schemas, &Value::String((*text).clone())))
            .cloned();
        let text = fitting.unwrap_or_else(|| candidates.swap_remove(0));
        if self.spend(text.len()) {
            text
        } else {
            String::new()
        }
    }

    fn array(
        &mut self,
        schemas: &[&'a Value],
        place: &Place<'a>,
        name: &str,
        depth: usize,
    ) -> Value {
        let rules: Vec<_> = place.schemas.iter().map(Keywords::item_rules).collect();
        let n_first = rules
            .iter()
            .map(|rules| rules.first.len())
            .max()
            .unwrap_or(0);
        let contained = place.all_of("contains");
        let n_contained = match contained.is_empty() {
            true => 0,
            false => match place.all_of("minContains").is_empty() {
                true => 1,
                false => place.size_min("minContains"),
            },
        };
        // One element says more than none, unless none may be there, or it
        // would go on for ever.
        let is_closed = rules
            .iter()
            .any(|rules| rules.rest == Some(&Value::Bool(false)));
        let inner: Vec<&Value> = rules.iter().filter_map(|rules| rules.of(n_first)).collect();
        let may_have_one = !is_closed && !self.is_recursive(&self.place(&inner));
        let n_likely = if n_first > 0 {
            n_first
        } else {
            usize::from(may_have_one)
        };
        let n_items = n_likely
            .min(place.size_max("maxItems"))
            .max(place.size_min("minItems"))
            .max(n_contained);
        let must_differ = place.is_set("uniqueItems");
        let mut items: Vec<Value> = Vec::new();
        for i in 0..n_items {
            if !self.spend(1) {
                break;
            }
            let mut inner: Vec<&Value> = rules.iter().filter_map(|rules| rules.of(i)).collect();
            // Behind a tuple, so that its own elements stay what they are.
            let is_contained = i >= n_items - n_contained;
            if is_contained {
                inner.extend(&contained);
            }
            let value = self.value(&inner, singular(name), depth + 1);
            let is_taken = must_differ
                && self.spend(items.len())
                && items.iter().any(|item| same(item, &value));
            let value = if is_taken {
                self.another(&inner, value, &items)
            } else {
                value
            };
            items.push(value);
        }
        let value = Value::Array(items);
        if self.fits(schemas, &value) || !self.fits(schemas, &json!([])) {
            value
        } else {
            json!([])
        }
    }

    /// A value like `value` that fits and is none of `taken`; itself where
    /// none was found.
    fn another(&mut self, schemas: &[&'a Value], value: Value, taken: &[Value]) -> Value {
        let place = self.place(schemas);
        let mut candidates: Vec<Value> = Vec::new();
        for choices in place.all_of("enum") {
            candidates.extend(choices.as_array().into_iter().flatten().cloned());
        }
        let n_taken = taken.len();
        match &value {
            Value::String(text) => {
                candidates.push(format!("{text}-{}", n_taken + 1).into());
                candidates.push(format!("{text}{}", n_taken + 1).into());
                for pattern in place
                    .all_of("pattern")
                    .into_iter()
                    .filter_map(Value::as_str)
                {
                    if !self.spend(PATTERN_WORK) {
                        break;
                    }
                    candidates.extend(
                        texts_of_pattern(pattern, n_taken)
                            .into_iter()
                            .map(Value::from),
                    );
                }
                let letters = (0..26_usize).map(|i| {
                    text.chars()
                        .skip(1)
                        .chain([char::from(b'a' + i as u8)])
                        .collect::<String>()
                });
                candidates.extend(letters.map(Value::from));
            }
            Value::Number(number) => {
                let step = place
                    .all_of("multipleOf")
                    .into_iter()
                    .filter_map(Value::as_f64);
                let step = step.fold(1.0, f64::max);
                // The values so far are most likely those before it.
                for i in [n_taken].into_iter().chain(1..=20) {
                    candidates.extend(number_near(number, step * i as f64));
                    candidates.extend(number_near(number, -step * i as f64));
                }
            }
            Value::Bool(truth) => candidates.push(Value::Bool(!truth)),
            Value::Object(fields) => {
                // One of the fields may tell them apart.
                for (name, field) in fields {
                    let rules = place.property(name);
                    let taken: Vec<Value> = taken
                        .iter()
                        .filter_map(|item| item.get(name))
                        .cloned()
                        .collect();
                    if taken.len() > 100 || !self.spend(1 + taken.len()) || field.is_object() {
                        continue;
                    }
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), self.another(&rules, field.clone(), &taken));
                    candidates.push(Value::Object(changed));
                }
            }
            Value::Array(_) | Value::Null => {}
        }
        for candidate in candidates {
            if !self.spend(1 + n_taken) {
                break;
            }
            let is_taken = taken.iter().any(|item| same(item, &candidate));
            if !is_taken && self.fits(schemas, &candidate) {
                return candidate;
            }
        }
        value
    }

    fn object(&mut self, place: &Place<'a>, depth: usize) -> Value {
        // Properties may bring schemas of their own with them, and those
        // further properties.
        let mut place = place.clone();
        let mut names = self.needed_names(&place, depth);
        for _ in 0..N_ROUNDS_MAX {
            let n_schemas = place.schemas.len();
            for name in &names {
                let beside: Vec<&Value> = place
                    .schemas
                    .iter()
                    .filter_map(|schema| schema.rule_beside(name))
                    .collect();
                for schema in beside {
                    self.extend(&mut place, schema);
                }
            }
            if place.schemas.len() == n_schemas {
                break;
            }
            names = self.needed_names(&place, depth);
        }
        let pattern_work = place.name_patterns().len() * NAME_PATTERN_WORK;
        let mut fields = Map::new();
        for name in names {
            if !self.spend(1 + name.len() + pattern_work) {
                break;
            }
            let rules = place.property(&name);
            let value = self.value(&rules, &name, depth + 1);
            fields.insert(name, value);
        }
        Value::Object(fields)
    }

    /// The required properties, those needed beside them, and as many more as
    /// it takes.
    fn needed_names(&mut self, place: &Place<'a>, depth: usize) -> Vec<String> {
        let required = place
            .schemas
            .iter()
            .flat_map(|schema| schema.texts("required"));
        let mut names: Vec<&str> = first_of_each(required.collect());
        let mut seen: HashSet<&str> = names.iter().copied().collect();
        let known = place.property_names();
        let n_min = place.size_min("minProperties");
        for name in &known {
            if names.len() < n_min && seen.insert(name) {
                names.push(name);
            }
        }
        let mut i = 0;
        while i < names.len() && self.spend(1) {
            let needed = place
                .schemas
                .iter()
                .flat_map(|schema| schema.needed_beside(names[i]));
            let new: Vec<&str> = needed.filter(|name| seen.insert(name)).collect();
            names.extend(new);
            i += 1;
        }
        // In the order of the definition, which was written for readers.
        let positions: HashMap<&str, usize> = known
            .iter()
            .enumerate()
            .map(|(i, name)| (*name, i))
            .collect();
        names.sort_by_key(|name| positions.get(name).copied().unwrap_or(usize::MAX));
        let mut names: Vec<String> = names.into_iter().map(str::to_string).collect();
        self.invent_names(place, &mut names, n_min, depth);
        names
    }

    /// Adds names that no schema defines until there are `n_min`.
    fn invent_names(
        &mut self,
        place: &Place<'a>,
        names: &mut Vec<String>,
        n_min: usize,
        depth: usize,
    ) {
        let rules = place.all_of("propertyNames");
        let patterns = place.name_patterns();
        let (mut n_tried, mut n_failed) = (0, 0);
        while names.len() < n_min && n_failed < N_ROUNDS_MAX && self.spend(1) {
            n_tried += 1;
            let mut candidates = vec![format!("property{n_tried}")];
            for pattern in &patterns {
                if !self.spend(PATTERN_WORK) {
                    break;
                }
                candidates.extend(texts_of_pattern(pattern, n_tried));
            }
            if !rules.is_empty() {
                let first = self.value(&rules, "key", depth + 1);
                let taken: Vec<Value> = names
                    .iter()
                    .map(|name| Value::from(name.as_str()))
                    .collect();
                let name = self.another(&rules, first.clone(), &taken);
                candidates.extend(
                    [first, name]
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_string),
                );
            }
            let fitting = candidates.into_iter().find(|name| {
                if !self.spend(1 + patterns.len() * NAME_PATTERN_WORK) {
                    return false;
                }
                let is_forbidden = place.property(name).contains(&&Value::Bool(false));
                let is_named_right = self.fits(&rules, &Value::from(name.as_str()));
                !names.contains(name) && !is_forbidden && is_named_right
            });
            match fitting {
                Some(name) => names.push(name),
                None => n_failed += 1,
            }
        }
    }

    fn fits(&mut self, schemas: &[&'a Value], value: &Value) -> bool {
        schemas
            .iter()
            .all(|schema| self.checker.check(schema, value).is_ok())
    }

    /// Whether there was as much work left.
    fn spend(&mut self, work: usize) -> bool {
        match self.work_left.checked_sub(work) {
            Some(left) => {
                self.work_left = left;
                true
            }
            None => {
                self.work_left = 0;
                false
            }
        }
    }
}

/// Attempts at what may need another attempt.
const N_ROUNDS_MAX: usize = 8;

fn both_types<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<&'a str> {
    let mut both = Vec::new();
    for name in a {
        if b.contains(name) || (*name == "integer" && b.contains(&"number")) {
            both.push(*name);
        } else if *name == "number" && b.contains(&"integer") {
            both.push("integer");
        }
    }
    both
}

fn first_of_each(names: Vec<&str>) -> Vec<&str> {
    let mut seen = HashSet::new();
    names
        .into_iter()
        .filter(|name| seen.insert(*name))
        .collect()
}

/// What needs no further work.
fn simplest(name_of_type: Option<&&str>) -> Value {
    match name_of_type.copied() {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(false),
        Some("null") => Value::Null,
        _ => json!("test"),
    }
}

fn is_deep(value: &Value, depth_max: usize) -> bool {
    let is_too_deep = |inner: &Value| depth_max == 0 || is_deep(inner, depth_max - 1);
    match value {
        Value::Array(items) => items.iter().any(is_too_deep),
        Value::Object(fields) => fields.values().any(is_too_deep),
        _ => false,
    }
}

/// In the units of `WORK_MAX`. Not for deep values.
fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Value::Object(fields) => {
            1 + fields
                .iter()
                .map(|(name, value)| name.len() + size_of(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// An element of `tags` is a `tag`.
fn singular(name: &str) -> &str {
    name.strip_suffix('s')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

/// Texts longer than this are not made: nobody would read them in a config.
const TEXT_LEN_MAX: usize = 5_000;

/// At least `min` characters, still of the same format where that can be told.
fn longer(formatted: &str, min: usize) -> String {
    let n_missing = min
        .saturating_sub(formatted.chars().count())
        .min(TEXT_LEN_MAX);
    let filler = "a".repeat(n_missing);
    if formatted.contains('@') {
        format!("{filler}{formatted}")
    } else {
        format!("{formatted}{filler}")
    }
}

fn cut_or_longer(text: &str, min: usize, max: usize) -> String {
    let n_chars = text.chars().count();
    let n_missing = min.saturating_sub(n_chars).min(TEXT_LEN_MAX);
    let filler = text
        .chars()
        .cycle()
        .take(if n_chars == 0 { 0 } else { n_missing });
    text.chars().chain(filler).take(max).collect()
}

/// Texts that may match: those that mean something first.
fn texts_of_pattern(pattern: &str, min: usize) -> Vec<String> {
    const HANDY: &[&str] = &[
        "test",
        "Test",
        "TEST",
        "1",
        "10",
        "2026-01-01",
        "12:00:00",
        "2026-01-01T12:00:00Z",
        "user@example.com",
        "https://example.com/",
        "http://example.com/",
        "example.com",
        "/test",
        "test.txt",
        "+12025550123",
        "192.0.2.1",
        "00000000-0000-4000-8000-000000000001",
        "#336699",
        "1.0.0",
        "en",
        "US",
        "USD",
        "en-US",
    ];
    let Some(pattern) = Pattern::parse(pattern) else {
        return Vec::new();
    };
    let handy = HANDY.iter().map(|text| (*text).to_string());
    let written = [0, 1, 2]
        .iter()
        .flat_map(|choice| {
            [1, 0, 2, 4, 8, min.min(TEXT_LEN_MAX)].map(|n_repeats| (n_repeats, *choice))
        })
        .filter_map(|(n_repeats, choice)| pattern.write(n_repeats, choice));
    let mut texts: Vec<String> = handy.chain(written).collect();
    texts.retain(|text| pattern.matches(text) == Some(true));
    texts.dedup();
    texts
}

/// A number within the bounds, near what the name suggests.
fn number(place: &Place<'_>, name: &str, must_be_whole: bool) -> Value {
    if let Some(whole) = whole_number(place, name) {
        return whole;
    }
    if must_be_whole {
        return json!(number_of_name(name));
    }
    fraction(place, name)
}

/// The tightest bound and whether it is excluded. `side` is 1 for lower bounds
/// and -1 for upper ones.
fn bound<'a>(
    place: &Place<'a>,
    inclusive: &str,
    exclusive: &str,
    side: i8,
) -> Option<(&'a Number, bool)> {
    let mut tightest: Option<(&Number, bool)> = None;
    for schema in &place.schemas {
        let is_strict = schema.fields.get(exclusive) == Some(&Value::Bool(true));
        let bounds = [
            (schema.number(inclusive), is_strict),
            (schema.number(exclusive), true),
        ];
        for (number, is_strict) in bounds {
            let Some(number) = number else { continue };
            let is_tighter = tightest.is_none_or(|(other, other_is_strict)| {
                let ordering = compare(number, other);
                let ordering = if side > 0 {
                    ordering
                } else {
                    ordering.reverse()
                };
                ordering.is_gt() || (ordering.is_eq() && is_strict && !other_is_strict)
            });
            if is_tighter {
                tightest = Some((number, is_strict));
            }
        }
    }
    tightest
}

fn lower_bound<'a>(place: &Place<'a>) -> Option<(&'a Number, bool)> {
    bound(place, "minimum", "exclusiveMinimum", 1)
}

fn upper_bound<'a>(place: &Place<'a>) -> Option<(&'a Number, bool)> {
    bound(place, "maximum", "exclusiveMaximum", -1)
}

/// A whole number within the bounds, if there is one.
fn whole_number(place: &Place<'_>, name: &str) -> Option<Value> {
    // Beyond it a bound says nothing of whole numbers.
    const WHOLE_MAX: f64 = 1e30;
    let rounded = |number: &Number, up: bool| {
        let float = float(number).clamp(-WHOLE_MAX, WHOLE_MAX);
        let float = if up { float.ceil() } else { float.floor() };
        whole(number).unwrap_or(float as i128)
    };
    let is_whole = |number: &Number| whole(number).is_some();
    let low = lower_bound(place).map_or(i128::from(i64::MIN), |(number, is_strict)| {
        rounded(number, true) + i128::from(is_strict && is_whole(number))
    });
    let high = upper_bound(place).map_or(i128::from(u64::MAX), |(number, is_strict)| {
        rounded(number, false) - i128::from(is_strict && is_whole(number))
    });
    if low > high {
        return None;
    }
    let mut step: i128 = 1;
    for divisor in place.all_of("multipleOf") {
        let Value::Number(divisor) = divisor else {
            continue;
        };
        match whole(divisor) {
            Some(divisor) => step = common_multiple(step, divisor)?,
            // A whole number is a multiple of 0.01, but seldom of 0.3: of
            // 3, however, it is one where 0.3 goes into it.
            None => step = common_multiple(step, whole_multiple(float(divisor))?)?,
        }
    }
    let wanted = i128::from(number_of_name(name)).clamp(low, high);
    let above = wanted
        .checked_add(step - 1)?
        .div_euclid(step)
        .checked_mul(step)?;
    let nearest = if above <= high {
        above
    } else {
        high.div_euclid(step) * step
    };
    if nearest < low {
        return None;
    }
    i64::try_from(nearest)
        .map(Value::from)
        .or_else(|_| u64::try_from(nearest).map(Value::from))
        .ok()
        .or_else(|| Number::from_f64(nearest as f64).map(Value::Number))
}

fn common_multiple(a: i128, b: i128) -> Option<i128> {
    let (mut x, mut y) = (a, b.checked_abs()?);
    if y == 0 {
        return None;
    }
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x).checked_mul(b.checked_abs()?)
}

/// The smallest whole number that a fraction goes into, if that is a small one.
fn whole_multiple(fraction: f64) -> Option<i128> {
    (1..=10_000_i128)
        .find(|factor| {
            let multiple = fraction * *factor as f64;
            multiple >= 1.0 && (multiple - multiple.round()).abs() < 1e-9 * multiple.abs()
        })
        .map(|factor| (fraction * factor as f64).round() as i128)
}

/// A number within the bounds where no whole one will do.
fn fraction(place: &Place<'_>, name: &str) -> Value {
    let low = lower_bound(place);
    let high = upper_bound(place);
    let value = match (low, high) {
        (Some((low, _)), Some((high, _))) => float(low) + (float(high) - float(low)) / 2.0,
        (Some((low, _)), None) => float(low) + float(low).abs().max(1.0) * 0.5,
        (None, Some((high, _))) => float(high) - float(high).abs().max(1.0) * 0.5,
        (None, None) => number_of_name(name) as f64,
    };
    let divisor = place
        .all_of("multipleOf")
        .into_iter()
        .filter_map(Value::as_f64)
        .find(|divisor| *divisor > 0.0);
    let value = match divisor {
        None => value,
        Some(divisor) => {
            let up = (value / divisor).ceil() * divisor;
            let is_within = high.is_none_or(|(high, is_strict)| {
                up < float(high) || (up == float(high) && !is_strict)
            });
            if is_within {
                up
            } else {
                (value / divisor).floor() * divisor
            }
        }
    };
    // A middle has more digits than a reader wants, unless the bounds are so
    // near that it needs them.
    let short = (value * 1_000.0).round() / 1_000.0;
    let is_inside = |value: f64| {
        low.is_none_or(|(low, _)| value > float(low))
            && high.is_none_or(|(high, _)| value < float(high))
    };
    let value = if divisor.is_none() && is_inside(short) {
        short
    } else {
        value
    };
    Number::from_f64(value).map_or_else(|| json!(1), Value::Number)
}

/// `number + step`, whole where both are.
fn number_near(number: &Number, step: f64) -> Option<Value> {
    if let (Some(whole), true) = (number.as_i64(), step.fract() == 0.0) {
        return whole.checked_add(step as i64).map(Value::from);
    }
    Number::from_f64(float(number) + step).map(Value::Number)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(schema: Value, expected: Value) {
        let sample = sample(&schema);
        assert_eq!(sample.value, expected, "{schema}");
        assert!(sample.doubts.is_empty(), "{schema}: {:?}", sample.doubts);
    }

    /// The schema cannot be satisfied, or not by what we understand.
    fn check_doubtful(schema: Value, expected: Value, doubt: &str) {
        let sample = sample(&schema);
        assert_eq!(sample.value, expected, "{schema}");
        assert_eq!(sample.doubts, [doubt], "{schema}");
    }

    #[test]
    fn what_the_schema_gives_is_taken() {
        check(json!({"const": {"a": 1}}), json!({"a": 1}));
        check(json!({"enum": [null, "x", "y"]}), json!("x"));
        check(
            json!({"type": "string", "default": "d", "examples": ["e"]}),
            json!("e"),
        );
        check(json!({"type": "string", "default": "d"}), json!("d"));
        check(json!({"type": "string", "default": ""}), json!("test"));
        check(json!({"type": "integer", "default": "7"}), json!(1));
        check(
            json!({"type": "integer", "default": 7, "maximum": 5}),
            json!(1),
        );
        check(
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null}),
            json!(1),
        );
        check(json!({"type": "null"}), json!(null));
        check(json!({"enum": [""]}), json!(""));
        check(json!({}), json!("test"));
        check(json!(true), json!("test"));
    }

    #[test]
    fn numbers_keep_their_bounds() {
        check(json!({"type": "integer"}), json!(1));
        check(json!({"type": "number"}), json!(1));
        check(json!({"type": "integer", "minimum": 5}), json!(5));
        check(json!({"type": "integer", "exclusiveMinimum": 5}), json!(6));
        check(
            json!({"type": "integer", "exclusiveMinimum": 5.5}),
            json!(6),
        );
        check(
            json!({"type": "integer", "minimum": 5, "exclusiveMinimum": true}),
            json!(6),
        );
        check(json!({"type": "integer", "maximum": -3}), json!(-3));
        check(json!({"type": "integer", "multipleOf": 7}), json!(7));
        check(
            json!({"type": "integer", "multipleOf": 7, "maximum": 3}),
            json!(0),
        );
        check(
            json!({"type": "integer", "minimum": u64::MAX}),
            json!(u64::MAX),
        );
        check(
            json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MIN}),
            json!(i64::MIN),
        );
        check(
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!(0.5),
        );
        check(
            json!({"type": "number", "minimum": 0.2, "maximum": 0.9, "multipleOf": 0.1}),
            json!(0.6000000000000001),
        );
        check(json!({"type": "number", "minimum": 1e300}), json!(1.5e300));
        check(json!({"multipleOf": 0.3, "type": "integer"}), json!(3));
        check(
            json!({"allOf": [{"minimum": 3}, {"multipleOf": 4}, {"multipleOf": 6, "type": "number"}]}),
            json!(12),
        );
    }

    #[test]
    fn texts_keep_format_length_and_pattern() {
        check(
            json!({"type": "string", "format": "date-time"}),
            json!("2026-01-01T12:00:00Z"),
        );
        check(
            json!({"type": "string", "format": "email", "minLength": 20}),
            json!("aaaauser@example.com"),
        );
        check(json!({"type": "string", "format": "odd"}), json!("test"));
        check(json!({"type": "string", "maxLength": 2}), json!("te"));
        check(json!({"type": "string", "minLength": 6}), json!("testte"));
        check(json!({"type": "string", "maxLength": 0}), json!(""));
        check(
            json!({"type": "string", "pattern": "^[A-Z]{3}$"}),
            json!("USD"),
        );
        check(
            json!({"type": "string", "pattern": "^ORD-[0-9]{4,}$"}),
            json!("ORD-1111"),
        );
        check(
            json!({"type": "string", "pattern": "^[a-z]+$", "minLength": 30}),
            json!("testtesttesttesttesttesttestte"),
        );
        check(
            json!({"type": "string", "contentEncoding": "base64"}),
            json!("dGVzdA=="),
        );
        check_doubtful(
            json!({"type": "string", "pattern": "^(?!x)"}),
            json!("test"),
            "may not match the pattern `^(?!x)`",
        );
    }

    #[test]
    fn arrays_are_as_long_and_varied_as_they_must_be() {
        check(json!({"type": "array"}), json!(["test"]));
        check(json!({"type": "array", "maxItems": 0}), json!([]));
        check(
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
            json!([1, 1]),
        );
        check(
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": true}),
            json!([1, 2, 3]),
        );
        check(
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true}),
            json!(["test", "test-2"]),
        );
        check(
            json!({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": true}),
            json!(["a", "b"]),
        );
        check(
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": true}),
            json!([false, true]),
        );
        check(
            json!({"type": "array", "minItems": 2, "uniqueItems": true, "items": {"type": "object",
                "properties": {"id": {"type": "integer"}}, "required": ["id"]}}),
            json!([{"id": 1}, {"id": 2}]),
        );
        check(
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}),
            json!(["test", 1]),
        );
        check(
            json!({"type": "array", "items": [{"const": 1}], "minItems": 2, "additionalItems": {"const": 2}}),
            json!([1, 2]),
        );
        check(
            json!({"type": "array", "contains": {"const": 5}, "minContains": 2}),
            json!([5, 5]),
        );
        check(json!({"type": "array", "items": false}), json!([]));
    }

    #[test]
    fn objects_have_what_they_need() {
        check(
            json!({"type": "object", "properties": {
                "url": {"type": "string"}, "deep": {"type": "object", "properties": {"email": {"type": "string"}},
                "required": ["email"]}, "other": {"type": "string"}}, "required": ["deep", "url"]}),
            json!({"url": "https://example.com/", "deep": {"email": "user@example.com"}}),
        );
        check(
            json!({"type": "object", "properties": {"a": {"const": 1}, "b": {}}, "minProperties": 1}),
            json!({"a": 1}),
        );
        check(
            json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}),
            json!({"property1": 1, "property2": 1}),
        );
        check(
            json!({"patternProperties": {"^x-[0-9]+$": {"type": "boolean"}},
                "additionalProperties": false, "minProperties": 1}),
            json!({"x-1": false}),
        );
        check(
            json!({"type": "object", "propertyNames": {"pattern": "^[a-z]$"}, "minProperties": 1}),
            json!({"a": "test"}),
        );
        check(
            json!({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["a"],
                "dependentRequired": {"a": ["b"]}}),
            json!({"a": 1, "b": 2}),
        );
        check(
            json!({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"],
                "dependentSchemas": {"a": {"properties": {"c": {"const": 3}}, "required": ["c"]}}}),
            json!({"a": 1, "c": 3}),
        );
        check_doubtful(
            json!({"type": "object", "required": ["a"], "additionalProperties": false}),
            json!({"a": "test"}),
            "a: nothing is accepted here",
        );
    }

    #[test]
    fn combinations_are_tried() {
        check(
            json!({"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]}),
            json!(3),
        );
        check(
            json!({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 5}]}),
            json!(1),
        );
        check(
            json!({"oneOf": [{"minimum": 1, "type": "integer"}, {"type": "integer"}], "not": {"const": 0}}),
            json!(-1),
        );
        check(
            json!({"allOf": [{"properties": {"a": {"minimum": 2}}},
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]}]}),
            json!({"a": 2}),
        );
        check(
            json!({"type": "object", "properties": {"kind": {"enum": ["x", "y"]}}, "required": ["kind"],
                "oneOf": [
                    {"properties": {"kind": {"const": "y"}, "n": {"type": "integer"}}, "required": ["n"]},
                    {"properties": {"kind": {"const": "x"}, "s": {"type": "string"}}, "required": ["s"]}]}),
            json!({"kind": "y", "n": 1}),
        );
        check(
            json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
                "if": {"properties": {"a": {"const": false}}},
                "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            json!({"a": false, "b": "test"}),
        );
    }

    #[test]
    fn references_are_followed_within_the_schema() {
        check(
            json!({"$ref": "#/$defs/list", "$defs": {
                "list": {"type": "object", "properties": {"v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}]}}, "required": ["v", "next"]}}}),
            json!({"v": 1, "next": null}),
        );
        check(
            json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
                "required": ["children"]}),
            json!({"children": []}),
        );
        check(
            json!({"type": "object", "properties": {"e": {"oneOf": [{"$ref": "#"}, {"type": "integer"}]}},
                "required": ["e"]}),
            json!({"e": 1}),
        );
        check_doubtful(
            json!({"$ref": "https://example.com/s.json"}),
            json!("test"),
            "a part of the schema lies elsewhere",
        );
    }

    #[test]
    fn arguments_are_an_object_with_the_optional_ones_apart() {
        let schema = json!({"type": "object", "properties": {
            "query": {"type": "string", "description": "what to find"},
            "limit": {"type": "integer"},
            "sort": {"enum": ["up", "down"]}}, "required": ["query"]});
        let arguments = sample_arguments(&schema);
        assert_eq!(Value::Object(arguments.values), json!({"query": "test"}));
        let optional: Vec<_> = arguments
            .optional
            .iter()
            .map(|argument| (argument.name.as_str(), &argument.value))
            .collect();
        assert_eq!(optional, [("limit", &json!(10)), ("sort", &json!("up"))]);
        assert_eq!(
            describe_argument(&schema, "query"),
            (Some("what to find".to_string()), vec![])
        );
        assert_eq!(
            describe_argument(&schema, "sort"),
            (None, vec![json!("up"), json!("down")])
        );
        for schema in [
            json!(null),
            json!(true),
            json!({}),
            json!([]),
            json!({"type": "object"}),
        ] {
            let arguments = sample_arguments(&schema);
            assert_eq!(
                (arguments.values, arguments.doubts),
                (Map::new(), vec![]),
                "{schema}"
            );
        }
        assert_eq!(sample_arguments(&json!({"type": "string"})).doubts.len(), 1);
    }

    #[test]
    fn hostile_schemas_end() {
        let many = json!({"type": "array", "minItems": 1e18, "items": {"type": "array", "minItems": 1e18}});
        let unique = json!({"type": "array", "minItems": 5000, "uniqueItems": true, "items": {"type": "integer"}});
        let long = json!({"type": "string", "minLength": u64::MAX});
        let endless = json!({"required": ["a", "b"], "additionalProperties": {"$ref": "#"}, "type": "object"});
        let branching =
            json!({"anyOf": [{"$ref": "#"}, {"allOf": [{"$ref": "#"}, false]}], "type": "object"});
        let alternatives: Vec<Value> = (0..30)
            .map(|_| json!({"anyOf": [{"minimum": 5}, {"maximum": 5}, false]}))
            .collect();
        let product = json!({"allOf": alternatives, "not": {}});
        let choices: Vec<Value> = (0..5000).map(Value::from).collect();
        let choosing = json!({"enum": choices, "type": "string"});
        let properties: Map<String, Value> = (0..5000)
            .map(|i| (format!("p{i}"), json!({"enum": choices[..20]})))
            .collect();
        let names: Vec<&String> = properties.keys().collect();
        let wide = json!({"type": "object", "required": names, "properties": properties});
        let patterns: Map<String, Value> = (0..500)
            .map(|i| (format!("^(a|b)*{i}$"), json!({"type": "string"})))
            .collect();
        let patterned = json!({"type": "object", "patternProperties": patterns, "minProperties": 400,
            "additionalProperties": false, "propertyNames": {"pattern": "^(a+)+x$"}});
        for schema in [
            many, unique, long, endless, branching, product, choosing, wide, patterned,
        ] {
            let sample = sample(&schema);
            assert!(!sample.doubts.is_empty());
            assert!(sample.value.to_string().len() < 200_000);
        }
    }

    /// Schemas that can be satisfied, by construction.
    fn sound_schema() -> impl Strategy<Value = Value> {
        let patterns = prop::sample::select(
            &[
                "^[a-z]+$",
                "^[A-Z]{2}[0-9]{3}$",
                r"^\d{4}-\d{2}$",
                "^(up|down)$",
                "^https?://",
                "[aeiou]{2}",
            ][..],
        );
        let formats = prop::sample::select(
            &[
                "date", "email", "uri", "uuid", "ipv4", "hostname", "made-up",
            ][..],
        );
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!(true)),
            Just(json!({"type": "boolean"})),
            Just(json!({"type": ["null", "integer"]})),
            any_json()
                .prop_filter("TOML has no null", |json| !json.is_null())
                .prop_map(|json| json!({"const": json})),
            prop::collection::vec(any_json(), 1..4).prop_map(|choices| json!({"enum": choices})),
            (any::<i32>(), 0..100_i64).prop_map(|(low, more)| {
                json!({"type": "integer", "minimum": low, "maximum": i64::from(low) + more})
            }),
            (any::<i32>(), 1..50_i64).prop_map(|(low, divisor)| {
                json!({"type": "integer", "exclusiveMinimum": low, "multipleOf": divisor,
                    "maximum": i64::from(low) + divisor})
            }),
            (-1e6..1e6_f64, 0.01..10.0_f64).prop_map(|(low, more)| {
                json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + more})
            }),
            (0_usize..20, 0_usize..20).prop_map(|(min, more)| {
                json!({"type": "string", "minLength": min, "maxLength": min + more})
            }),
            patterns.prop_map(|pattern| json!({"type": "string", "pattern": pattern})),
            formats.prop_map(|format| json!({"type": "string", "format": format})),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            let fields = prop::collection::btree_map("[a-d]|name|url|ids", inner.clone(), 0..4);
            prop_oneof![
                (inner.clone(), 0_usize..4).prop_map(|(items, min)| {
                    json!({"type": "array", "items": items, "minItems": min})
                }),
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|first| json!({"type": "array", "prefixItems": first, "items": false})),
                inner.clone().prop_map(|wanted| json!({"type": "array", "contains": wanted})),
                (fields.clone(), any::<bool>()).prop_map(|(properties, is_open)| {
                    let required: Vec<_> = properties.keys().step_by(2).collect();
                    json!({"type": "object", "properties": properties, "required": required,
                        "additionalProperties": is_open})
                }),
                (inner.clone(), 0_usize..4)
                    .prop_map(|(rest, min)| {
                        json!({"type": "object", "additionalProperties": rest, "minProperties": min})
                    }),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|branches| json!({"anyOf": branches})),
                inner.clone().prop_map(|only| json!({"allOf": [only, true, {}]})),
                inner.clone().prop_map(|only| json!({"oneOf": [false, only]})),
                fields.prop_map(|definitions| {
                    let properties: Map<String, Value> = definitions.keys()
                        .map(|name| (name.clone(), json!({"$ref": format!("#/$defs/{name}")}))).collect();
                    let required: Vec<_> = definitions.keys().collect();
                    json!({"type": "object", "properties": properties, "required": required, "local": definitions})
                }),
            ]
        })
    }

    /// Moves the definitions of every level to the root, where references find
    /// them; those of a name that is taken stay behind, and the reference
    /// means the first.
    fn with_definitions(schema: Value) -> Value {
        fn collect(schema: &Value, definitions: &mut Map<String, Value>) {
            match schema {
                Value::Object(fields) => {
                    if let Some(Value::Object(local)) = fields.get("local") {
                        for (name, definition) in local {
                            definitions
                                .entry(name.clone())
                                .or_insert_with(|| definition.clone());
                        }
                    }
                    fields
                        .values()
                        .for_each(|inner| collect(inner, definitions));
                }
                Value::Array(items) => items.iter().for_each(|inner| collect(inner, definitions)),
                _ => {}
            }
        }
        let mut definitions = Map::new();
        collect(&schema, &mut definitions);
        json!({"type": "object", "properties": {"it": schema}, "required": ["it"], "$defs": definitions})
    }

    proptest! {
        #[test]
        fn a_sound_schema_gets_a_sample_that_satisfies_it(schema in sound_schema()) {
            // Names of definitions meet by chance and then lead in circles,
            // which no finite value satisfies.
            let n_definitions = schema.to_string().matches("\"local\"").count();
            prop_assume!(n_definitions <= 1);
            let schema = with_definitions(schema);
            let sample = sample(&schema);
            prop_assert!(sample.doubts.is_empty(), "{} {} {:?}", schema, sample.value, sample.doubts);
            let mut checker = Checker::new(&schema, 1_000_000);
            prop_assert_eq!(checker.check(&schema, &sample.value), Ok(()));
        }

        #[test]
        fn no_schema_panics(schema in any_schema()) {
            let first = sample(&schema);
            let second = sample(&schema);
            prop_assert_eq!(first, second);
            let arguments = sample_arguments(&schema);
            for name in arguments.values.keys() {
                let _any_answer_will_do = describe_argument(&schema, name);
            }
        }
    }

    /// Any JSON, a few levels deep.
    pub(in super::super) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~é${}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-d]{0,2}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    const KEYWORDS: &[&str] = &[
        "type",
        "enum",
        "const",
        "default",
        "examples",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "items",
        "prefixItems",
        "additionalItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "properties",
        "required",
        "patternProperties",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "propertyNames",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "$defs",
        "description",
    ];

    /// What looks like a schema, with keywords of any value.
    pub(in super::super) fn any_schema() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(
            &[
                "object",
                "array",
                "string",
                "number",
                "integer",
                "null",
                "boolean",
                "#",
                "#/$defs/a",
                "#/properties/a",
                "^[a-z]+$",
                "a{3}",
                "email",
                "a",
                "b",
            ][..],
        );
        let leaf = prop_oneof![
            any_json(),
            word.prop_map(Value::from),
            (-3_i64..2000).prop_map(Value::from),
            Just(json!(true)),
            Just(json!({"$ref": "#"})),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let keyword = prop_oneof![4 => prop::sample::select(KEYWORDS).prop_map(str::to_string), 1 => "[a-b]"];
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                4 => prop::collection::vec((keyword, inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
