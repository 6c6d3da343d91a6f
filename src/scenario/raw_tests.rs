//! The schema of a config and its reader say the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{read_config, schema as config_schema};
use crate::scenario::document::{Document, Table};

/// The faults that the reader of keys finds.
fn faults_of(text: &str) -> Vec<String> {
    let document = Document::new(Some(Path::new("a.toml")), text, &|_| None);
    if let Some(root) = document.parse() {
        read_config(Table::root(&document, root.get_ref()));
    }
    let (faults, _) = document.into_parts();
    faults.iter().map(ToString::to_string).collect()
}

/// The keys that the reader knows in the table that holds `zzzz`.
fn known_to_reader(text: &str) -> BTreeSet<String> {
    let faults = faults_of(text);
    let fault = faults.iter().find(|fault| fault.contains("unknown key"));
    let fault = fault.unwrap_or_else(|| panic!("{text}: {faults:?}"));
    let (_, keys) = fault.split_once("one of ").expect("a list of keys");
    keys.split(", ")
        .map(|key| key.trim_matches('`').to_string())
        .collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    let properties = schema["properties"].as_object().expect("properties");
    properties.keys().cloned().collect()
}

#[test]
fn the_schema_has_the_keys_that_the_reader_knows_and_no_others() {
    let schema = config_schema();
    let of = |pointer: &str| {
        let table = schema
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer}"));
        assert_eq!(table["additionalProperties"], false, "{pointer}");
        properties(table)
    };
    let settings = "/properties/settings";
    let think = "/properties/settings/properties/think/anyOf";
    let session = "/properties/settings/properties/session";
    let scenario = "/properties/scenario/items/properties";
    for (text, pointer) in [
        ("zzzz = 1", String::new()),
        ("[settings]\nzzzz = 1", settings.to_string()),
        (
            "[[stage]]\nduration = \"1s\"\nzzzz = 1",
            "/properties/stage/items".to_string(),
        ),
        (
            "[[threshold]]\nassert = \"p99<1s\"\nzzzz = 1",
            "/properties/threshold/items".to_string(),
        ),
        ("[arrivals]\nzzzz = 1", "/properties/arrivals".to_string()),
        (
            "[[population]]\nname = \"x\"\nzzzz = 1",
            "/properties/population/items".to_string(),
        ),
        (
            "[data.a]\nfile = \"x.csv\"\nzzzz = 1",
            "/properties/data/additionalProperties".to_string(),
        ),
        (
            "[[scenario]]\ntype = \"ping\"\nuntil = { zzzz = 1 }",
            format!("{scenario}/until"),
        ),
        (
            "[[scenario]]\ntype = \"ping\"\nexpect = { zzzz = 1 }",
            format!("{scenario}/expect/anyOf/0"),
        ),
        (
            "[[flow]]\nname = \"f\"\nzzzz = 1\n[[flow.step]]\ntype = \"ping\"",
            "/properties/flow/items".to_string(),
        ),
        (
            "[settings]\nthink = { distribution = \"uniform\", low = \"1s\", high = \"2s\", zzzz = 1 }",
            format!("{think}/1"),
        ),
        (
            "[settings]\nthink = { distribution = \"exponential\", mean = \"1s\", zzzz = 1 }",
            format!("{think}/2"),
        ),
        (
            "[settings]\nthink = { distribution = \"lognormal\", median = \"1s\", sigma = 1, zzzz = 1 }",
            format!("{think}/3"),
        ),
        (
            "[settings]\nsession = { iterations = 1, zzzz = 1 }",
            session.to_string(),
        ),
        (
            "[settings]\nsession = { leave = { abandon = 0.5, zzzz = 1 } }",
            format!("{session}/properties/leave/anyOf/1"),
        ),
    ] {
        assert_eq!(of(&pointer), known_to_reader(text), "{text}");
    }
}

#[test]
fn each_type_of_step_has_its_own_keys() {
    let schema = config_schema();
    let steps = "/properties/flow/items/properties/step/items";
    for (table, pointer) in [
        ("[[scenario]]", "/properties/scenario/items".to_string()),
        ("[[flow]]\nname = \"f\"\n[[flow.step]]", steps.to_string()),
        (
            "[[flow]]\nname = \"f\"\n[[flow.step]]\n[[flow.step.call]]",
            format!("{steps}/properties/call/items"),
        ),
    ] {
        let step = schema.pointer(&pointer).expect("a table of the schema");
        let types = step["properties"]["type"]["anyOf"][0]["enum"].as_array();
        let types = types.expect("the types of a step");
        let rules = step["allOf"].as_array().expect("a rule for each type");
        for (name, rule) in types.iter().zip(rules) {
            assert_eq!(rule["if"]["properties"]["type"]["const"], *name);
            let not = rule["then"]["properties"].as_object().expect("keys");
            let mut known = properties(step);
            known.retain(|key| not.get(key) != Some(&Value::Bool(false)));
            let text = format!("{table}\ntype = {name}\nzzzz = 1\n");
            let mut read = known_to_reader(&text);
            if pointer == steps {
                // The reader knows it of all steps: one with both is told so.
                read.insert("call".to_string());
            }
            assert_eq!(known, read, "{text}");
            let missing = faults_of(&text)
                .into_iter()
                .find(|fault| fault.contains("is missing"));
            let required = rule["then"]["required"][0].as_str();
            assert_eq!(missing.is_some(), required.is_some(), "{text}: {missing:?}");
            if let Some(key) = required {
                assert!(
                    missing.is_some_and(|text| text.contains(key)),
                    "{text}: {key}"
                );
            }
        }
    }
}

/// Whole steps and flows, which are right or wrong by what stands together.
#[test]
fn the_schema_and_the_reader_judge_flows_alike() {
    let schema = config_schema();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let call = "{ type = \"ping\" }";
    for (step, is_right) in [
        ("type = \"ping\"".to_string(), true),
        ("once = \"session\"".to_string(), false),
        (format!("call = [{call}, {call}]"), true),
        (
            format!("call = [{call}]\nname = \"x\"\nthink = \"1s\""),
            true,
        ),
        (format!("call = [{call}]\ntype = \"ping\""), false),
        (format!("call = [{call}]\nparallel = 2"), false),
        ("call = []".to_string(), false),
        ("call = [{}]".to_string(), false),
        (
            "call = [{ type = \"code_mode\", code = \"x\" }]".to_string(),
            false,
        ),
        ("type = \"code_mode\"\ncode = \"x\"".to_string(), true),
        (
            "type = \"code_mode\"\ncode = \"x\"\nname = \"y\"".to_string(),
            true,
        ),
        (
            "type = \"ping\"\nextract = { a = \"$.b\" }".to_string(),
            true,
        ),
        (
            "type = \"ping\"\nextract = { \"1\" = \"$.b\" }".to_string(),
            false,
        ),
        (
            "type = \"ping\"\nextract = { a = \"b\" }".to_string(),
            false,
        ),
        ("type = \"ping\"\nsecret = \"a\"".to_string(), false),
        (
            "type = \"ping\"\nuntil = { path = \"$\", equals = [1] }".to_string(),
            true,
        ),
        (
            "type = \"ping\"\nuntil = { path = \"$\" }".to_string(),
            false,
        ),
        (
            "type = \"ping\"\nexpect = { contains = [\"a\", \"b\"], schema = 0.5 }".to_string(),
            true,
        ),
        (
            "type = \"ping\"\nexpect = [{ path = \"$.a\", equals = 1 }, { code = -3 }]".to_string(),
            true,
        ),
        (
            "type = \"ping\"\nexpect = { path = \"$.a\" }".to_string(),
            false,
        ),
        ("type = \"ping\"\nexpect = {}".to_string(), false),
        ("type = \"ping\"\nexpect = []".to_string(), false),
        (
            "type = \"ping\"\nexpect = { max_bytes = \"20KiB\" }".to_string(),
            true,
        ),
        (
            "type = \"ping\"\nexpect = { status = 99 }".to_string(),
            false,
        ),
        (
            "type = \"ping\"\n[data.a]\nrows = [{ a = 1 }]".to_string(),
            true,
        ),
        (
            "type = \"ping\"\n[data.a]\nfile = \"x.csv\"\nmode = \"random\"".to_string(),
            true,
        ),
        (
            "type = \"ping\"\n[data.a]\nmode = \"random\"".to_string(),
            false,
        ),
        (
            "type = \"ping\"\n[data.a]\nfile = \"x.csv\"\nrows = [{ a = 1 }]".to_string(),
            false,
        ),
        (
            "type = \"ping\"\n[data.\"a b\"]\nfile = \"x.csv\"".to_string(),
            false,
        ),
        ("type = \"ping\"\n[data]\na = 1".to_string(), false),
        ("type = \"request\"\nmethod = \"a/b\"".to_string(), true),
        ("type = \"request\"\nmethod = \"a b\"".to_string(), false),
        (
            "type = \"request\"\nmethod = \"notifications/x\"".to_string(),
            false,
        ),
        (
            "type = \"request\"\nmethod = \"a\"\nparams = { _meta = 1 }".to_string(),
            false,
        ),
        (
            "type = \"request\"\nmethod = \"a\"\nname_header = \"params.n\"\n\
             params = { n = \"x\" }"
                .to_string(),
            true,
        ),
        (
            "type = \"request\"\nmethod = \"a\"\nname_header = \"n\"\nparams = { n = \"x\" }"
                .to_string(),
            false,
        ),
    ] {
        let text = format!("[[flow]]\nname = \"f\"\n[[flow.step]]\n{step}\n");
        let config: Value = toml::from_str(&text).expect("TOML");
        let faults = faults_of(&text);
        assert_eq!(faults.is_empty(), is_right, "{text}: {faults:?}");
        assert_eq!(validator.is_valid(&config), is_right, "{text}");
    }
}

/// Values of all types, within the bounds of some key and outside of others'.
const VALUES: &[&str] = &[
    "-1",
    "0",
    "1",
    "3",
    "256",
    "257",
    "4096",
    "4097",
    "1000000",
    "1000001",
    "4294967295",
    "4294967296",
    "31622400",
    "31622401",
    "0.0",
    "0.5",
    "1.0",
    "1.5",
    "3.5",
    "1e300",
    "true",
    "false",
    "[]",
    "[1]",
    "{}",
    "{ a = 1 }",
    "{ iterations = 5 }",
    "{ iterations = 0 }",
    "{ lifetime = \"10s\", leave = \"abandon\" }",
    "{ leave = { abandon = 0.2 } }",
    "{ leave = { abandon = 2 } }",
    "{ leave = \"never\" }",
    "{ distribution = \"uniform\", low = \"1s\", high = \"3s\" }",
    "{ distribution = \"exponential\", mean = \"0s\" }",
    "{ distribution = \"exponential\", mean = \"2s\" }",
    "{ distribution = \"lognormal\", median = \"1s\", sigma = 0.5 }",
    "{ distribution = \"lognormal\", median = \"1s\", sigma = 4 }",
    "{ distribution = \"lognormal\", median = \"1s\" }",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"30s\"",
    "\" 30 s \"",
    "\"1m30s\"",
    "\"1.5h\"",
    "\".5s\"",
    "\"1.s\"",
    "\"30\"",
    "\"0s\"",
    "\"0\"",
    "\"-1s\"",
    "\"1e3s\"",
    "\"5µs\"",
    "\"1h 5min\"",
    "\"30s5\"",
    "\"5 5s\"",
    "\"30sec\"",
    "\"10/s\"",
    "\"10 / second\"",
    "\"1e3/m\"",
    "\"+5/h\"",
    "\"-5/s\"",
    "\"10\"",
    "\"10/d\"",
    "\"5%\"",
    "\" 0.5 %\"",
    "\"1e0%\"",
    "\"-5%\"",
    "\"%\"",
    "\"16MiB\"",
    "\"64 kib\"",
    "\"5000b\"",
    "\"4G\"",
    "\"1TiB\"",
    "\"constant\"",
    "\"poisson\"",
    "\"Poisson\"",
    "\"continue\"",
    "\"stop\"",
    "\"auto\"",
    "\"legacy\"",
    "\"2025-11-25\"",
    "\"2025-01-01\"",
    "\"delete\"",
];

/// What a schema cannot say: that a text of the right form means too much or too
/// little, and that a whole number is written without a point.
fn is_beyond_a_schema(key: &str, value: &str) -> bool {
    let sizes = ["\"30\"", "\"0\"", "\"10\"", "\"4G\"", "\"1TiB\""];
    let is_size = ["message_bytes_max", "max_bytes"].contains(&key) && sizes.contains(&value);
    is_size || key == "matches" || value.ends_with(".0") || value.contains("1e300")
}

#[test]
fn the_schema_and_the_reader_judge_values_alike() {
    let schema = config_schema();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut n_right = 0;
    let mut n_wrong = 0;
    for (table, pointer) in [
        ("[settings]", "/properties/settings"),
        ("[arrivals]", "/properties/arrivals"),
        (
            "[[threshold]]\nassert = \"p99<1s\"",
            "/properties/threshold/items",
        ),
        ("[[stage]]", "/properties/stage/items"),
        (
            "[[scenario]]\ntype = \"tools/call\"\n",
            "/properties/scenario/items",
        ),
        (
            "[[scenario]]\ntype = \"prompts/get\"\n",
            "/properties/scenario/items",
        ),
        (
            "[[scenario]]\ntype = \"code_mode\"\n",
            "/properties/scenario/items",
        ),
        (
            "[[scenario]]\ntype = \"request\"\n",
            "/properties/scenario/items",
        ),
        (
            "[[flow]]\nname = \"f\"\n[[flow.step]]\ntype = \"ping\"\n[flow.step.expect]",
            "/properties/scenario/items/properties/expect/anyOf/0",
        ),
        (
            "[data.a]\nfile = \"x.csv\"",
            "/properties/data/additionalProperties",
        ),
        ("[[flow]]", "/properties/flow/items"),
        (
            "[[flow]]\nname = \"f\"\n[[flow.step]]\ntype = \"ping\"",
            "/properties/flow/items/properties/step/items",
        ),
    ] {
        for key in properties(schema.pointer(pointer).expect("a table")) {
            for value in VALUES {
                let text = format!("{table}\n{key} = {value}\n");
                let Ok(config) = toml::from_str::<Value>(&text) else {
                    continue;
                };
                let faults = faults_of(&text);
                let is_right = validator.is_valid(&config);
                if is_right && is_beyond_a_schema(&key, value) {
                    continue;
                }
                assert_eq!(is_right, faults.is_empty(), "{text}: {faults:?}");
                n_right += u32::from(is_right);
                n_wrong += u32::from(!is_right);
            }
        }
    }
    assert!(n_right > 200 && n_wrong > 1000, "{n_right} {n_wrong}");
}

/// What the environment will bring is not known to an editor.
#[test]
fn texts_with_references_are_let_through() {
    let schema = config_schema();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let text = "[settings]\nurl = \"${URL}\"\nduration = \"${LENGTH:-30s}\"\nprotocol = \"${WHICH}\"\n\
                [headers]\nA = \"Bearer ${TOKEN}\"\n[arrivals]\nrate = \"${N}/s\"\n\
                [[scenario]]\ntype = \"tools/call\"\ntool = \"${TOOL}\"\n";
    let config: Value = toml::from_str(text).expect("TOML");
    assert!(validator.is_valid(&config));
}

/// Editors show the description of a key; it says more than its name.
#[test]
fn every_key_is_described() {
    fn check(schema: &Value, n_keys: &mut u32) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (key, property) in properties {
                let description = property["description"].as_str().unwrap_or_default();
                // `distribution` is a constant of its table.
                if !property.get("const").is_some_and(Value::is_string) {
                    assert!(
                        description.len() > 10 && !description.contains('\n'),
                        "{key}"
                    );
                }
                *n_keys += 1;
                check(property, n_keys);
                check(&property["items"], n_keys);
                for one in property["anyOf"].as_array().into_iter().flatten() {
                    check(one, n_keys);
                }
            }
        }
    }
    let mut n_keys = 0;
    check(&config_schema(), &mut n_keys);
    assert!(n_keys > 55, "{n_keys}");
}
