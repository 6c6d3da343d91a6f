//! `schema`: what the program writes and reads keeps to the schemas that it prints,
//! and reports of every version that there was are still read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::demo::{ECHO, demo_with_latency};
use crate::load_run::load_run;
use crate::program::{Program, TempDir};

/// The schema that the program prints, which is one by the rules of 2020-12.
fn schema(of: &str) -> Value {
    let printed = Program::new(&["loadtest", "schema", of])
        .run()
        .expect_code(0);
    assert_eq!(printed.stderr, "", "{printed}");
    let schema: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(jsonschema::meta::is_valid(&schema), "{of}");
    schema
}

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).expect("a schema")
}

/// What the schema finds at fault.
fn faults(schema: &Validator, value: &Value) -> Vec<String> {
    let faults = schema.iter_errors(value);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

#[track_caller]
fn check(what: &str, schema: &Validator, value: &Value) {
    let faults = faults(schema, value);
    assert!(faults.is_empty(), "{what}: {faults:#?}");
}

/// With each required field left out, and with one of another type, it is refused:
/// the schema is no empty one.
fn check_that_it_refuses(schema: &Value, report: &Value) {
    let required = schema["required"].as_array().expect("required fields");
    let schema = &validator(schema);
    assert!(required.len() > 10, "{required:?}");
    for field in required {
        let field = field.as_str().expect("a name");
        let mut wrong = report.clone();
        wrong.as_object_mut().expect("a report").remove(field);
        assert_eq!(faults(schema, &wrong).len(), 1, "without {field}");
        wrong[field] = json!([[17]]);
        // The plan is told as it is.
        assert!(
            field == "plan" || !faults(schema, &wrong).is_empty(),
            "{field}"
        );
    }
    let mut newer = report.clone();
    newer["from_a_later_minor_version"] = json!(1);
    check("a field that is not known", schema, &newer);
    newer["schema_version"] = json!("9.0");
    assert_eq!(faults(schema, &newer).len(), 1);
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn reports_of_runs_keep_to_their_schema() {
    let of_report = schema("report");
    let server = demo_with_latency(std::time::Duration::from_millis(2));
    for arguments in [
        &[
            "--stage",
            "500ms:2,500ms:0",
            "--probe",
            "--warm-up",
            "200ms",
        ][..],
        &["--rate", "40/s", "--duration", "500ms", "--segment", "1/2"],
    ] {
        let finished = load_run(&server.url(), &[&ECHO, arguments].concat());
        let report = finished.run().expect_code(0).report();
        check(&format!("{arguments:?}"), &validator(&of_report), &report);
        check_that_it_refuses(&of_report, &report);
    }
}

#[test]
fn reports_of_searches_and_calibrations_keep_to_their_schemas() {
    let report_of = |words: &[&str]| {
        let words = [&["loadtest"], words, &["--quiet", "--report", "it.json"]].concat();
        let finished = Program::new(&words).run();
        // A search that is out of time has no answer, and a report.
        assert!(matches!(finished.code, Some(0 | 3)), "{finished}");
        read(&finished.dir.path().join("it.json"))
    };
    let search = [
        "find",
        "--demo",
        "--max-p99",
        "5s",
        "--to",
        "1",
        "--quick",
        "--deadline",
        "3s",
    ];
    let (search, of_search) = (report_of(&search), schema("find"));
    check("a search", &validator(&of_search), &search);
    check_that_it_refuses(&of_search, &search);
    let calibration = report_of(&["calibrate", "--vus", "1", "--seconds", "0.25"]);
    let of_calibration = schema("calibration");
    check("a calibration", &validator(&of_calibration), &calibration);
    check_that_it_refuses(&of_calibration, &calibration);
}

/// Reports that released versions wrote, and those of the version before the form
/// last changed. They are never changed.
#[test]
fn reports_of_every_version_are_read_for_ever() {
    let mut n_read = 0;
    let mut of_kinds = HashMap::new();
    for path in files("tests/reports", "json") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let shown = Program::new(&["loadtest", "report", "it.json"])
            .file("it.json", &std::fs::read_to_string(&path).expect("a text"))
            .run();
        if name.starts_with("run-1.") {
            // Of cargo-pmcp 0.29: its counts are not those of requests.
            let refused = shown.expect_code(2);
            assert!(
                refused.stderr.contains("has schema version `1.1`"),
                "{refused}"
            );
            assert!(refused.stderr.contains("cargo-pmcp 0.29"), "{refused}");
            continue;
        }
        let shown = shown.expect_code(0);
        let (kind, part) = match name.split('-').next() {
            Some("run") => ("report", "latency"),
            Some("find") => ("find", "level"),
            Some("calibration") => ("calibration", "calls/s"),
            _ => panic!("{name} is of no kind"),
        };
        assert!(shown.stdout.contains(part), "{name}: {shown}");
        assert_eq!(shown.stderr, "", "{name}");
        let of_kind = of_kinds
            .entry(kind)
            .or_insert_with(|| validator(&schema(kind)));
        check(&name, of_kind, &read(&path));
        n_read += 1;
    }
    assert!(n_read >= 5, "{n_read}");
}

/// Files of the repository with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == ending))
        .collect()
}

/// The blocks of the reference that are configs.
fn samples() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference.md");
    let text = std::fs::read_to_string(path).expect("the reference");
    let blocks = text.split("```toml").skip(1);
    let blocks = blocks.filter_map(|block| Some(block.split_once("```")?.0.split_once('\n')?.1));
    let blocks = blocks.map(ToString::to_string);
    blocks.collect()
}

#[test]
fn every_config_that_there_is_keeps_to_the_schema() {
    let of_config = schema("config");
    let by_schema = validator(&of_config);
    let check_text = |what: &str, text: &str| {
        let config: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}"));
        check(what, &by_schema, &config);
    };
    let configs = files("configs", "toml");
    assert!(configs.len() >= 9, "{configs:?}");
    for path in configs.iter().chain(&files("src/cli", "toml")) {
        let text = std::fs::read_to_string(path).expect("a config");
        check_text(&path.display().to_string(), &text);
    }
    let samples = samples();
    assert!(!samples.is_empty());
    for sample in &samples {
        check_text(sample, sample);
    }
    // All that there is to write is in the reference.
    let reference = include_str!("../../src/reference.md");
    let tables = [
        "settings",
        "arrivals",
        "stage/items",
        "scenario/items",
        "flow/items",
        "flow/items/properties/step/items",
    ];
    for table in tables.map(|table| format!("/properties/{table}/properties")) {
        let keys = of_config.pointer(&table).and_then(Value::as_object);
        for key in keys.expect("a table").keys() {
            assert!(reference.contains(&format!("`{key}`")), "{table}: {key}");
        }
    }
    let wrong = json!({ "settings": { "virtual_user": 5, "duration": "5 parsecs" } });
    assert_eq!(faults(&by_schema, &wrong).len(), 2);
}

/// What `init` writes is a config and, beside it, its schema, which editors find by
/// the config's first line without a network.
#[test]
fn init_writes_the_schema_beside_the_config() {
    let server = demo_with_latency(std::time::Duration::ZERO);
    let of_config = schema("config");
    let by_schema = validator(&of_config);
    let init = |arguments: &[&str], dir: TempDir| {
        let words = [&["loadtest", "init"], arguments].concat();
        Program::new(&words).in_dir(dir).run().expect_code(0)
    };
    let url = server.url();
    for arguments in [&[][..], &[url.as_str()]] {
        let finished = init(arguments, TempDir::new());
        let folder = finished.dir.path().join(".pmcp");
        let text = std::fs::read_to_string(folder.join("loadtest.toml")).expect("a config");
        let first = text.lines().next().unwrap_or_default();
        let file = first
            .strip_prefix("#:schema ./")
            .unwrap_or_else(|| panic!("{first}"));
        let beside = read(&folder.join(file));
        assert_eq!(beside, of_config);
        assert!(finished.stdout.contains(file), "{finished}");
        let config: Value = toml::from_str(&text).expect("TOML");
        check("what `init` wrote", &by_schema, &config);

        // One that is there is kept unless the user says so.
        std::fs::write(folder.join(file), "mine").expect("a file");
        std::fs::remove_file(folder.join("loadtest.toml")).expect("a file");
        let finished = init(&[], finished.dir);
        let kept = std::fs::read_to_string(finished.dir.path().join(".pmcp").join(file));
        assert_eq!(kept.expect("the file"), "mine");
        let finished = init(&["--force"], finished.dir);
        let path = finished.dir.path().join(".pmcp").join(file);
        assert_eq!(read(&path), of_config);
    }
}

#[test]
fn an_unknown_schema_is_refused() {
    let refused = Program::new(&["loadtest", "schema", "reprot"])
        .run()
        .expect_code(2);
    assert!(refused.stderr.contains("`config`"), "{refused}");
}
