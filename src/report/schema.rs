//! The JSON Schema of each kind of report, from the types that it is written with.
//!
//! A schema accepts what this version writes, and what earlier ones with the same
//! major number wrote: a field that came with a later minor number is not required.
//! Readers meet fields that they do not know, so none is forbidden.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::calibration::model::CalibrationReport;
use super::envelope::ReportKind;
use super::find::model::FindReport;
use super::model::Report;

/// The schema of a kind of report (JSON Schema 2020-12).
pub fn report_schema(kind: ReportKind) -> Value {
    let (of_type, title) = match kind {
        ReportKind::Run => (of::<Report>(), "Report of a load test"),
        ReportKind::Find => (of::<FindReport>(), "Report of a capacity search"),
        ReportKind::Calibration => (of::<CalibrationReport>(), "Report of a calibration"),
    };
    let version = kind.schema_version();
    let (major, _) = version.split_once('.').unwrap_or((version, ""));
    let mut schema = json!({
        "$schema": of_type["$schema"],
        "title": format!("{title}, schema version {version}"),
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut schema, of_type) {
        let own = own
            .into_iter()
            .filter(|(name, _)| !matches!(name.as_str(), "$schema" | "title"));
        all.extend(own);
    }
    if let Some(of_version) = schema.pointer_mut("/properties/schema_version") {
        of_version["pattern"] = json!(format!(r"^{major}\.[0-9]+$"));
    }
    // The report of a run has no such field.
    if let Some(of_kind) = schema.pointer_mut("/properties/kind") {
        of_kind["const"] = json!(kind.id());
    }
    schema
}

fn of<R: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<R>();
    RecursiveTransform(plain_words).transform(&mut schema);
    Later.transform(&mut schema);
    schema.to_value()
}

/// Descriptions are written for readers of the sources: without links, and with
/// each paragraph on one line.
fn plain_words(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs = text.split("\n\n").map(|part| part.replace('\n', " "));
        let plain = paragraphs.collect::<Vec<_>>().join("\n\n");
        *text = plain.replace("[`", "`").replace("`]", "`");
    }
}

/// Requires no field that has a default: those came later.
struct Later;

impl Transform for Later {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(properties) = schema.get("properties").cloned() else {
            return;
        };
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| {
                let property = name.as_str().and_then(|name| properties.get(name));
                property.is_none_or(|property| property.get("default").is_none())
            });
        }
    }
}
