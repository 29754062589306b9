//! The JSON Schemas of the JSON documents, made from the types that are printed, and the forms of the values in them.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema of a document, in draft 2020-12. An object may have more fields than the schema names, because later
/// builds add some.
#[must_use]
pub fn of<Document: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with_transform(RecursiveTransform(without_sizes));
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}

/// Removes the number of bits of a number, which JSON Schema does not define as a format.
fn without_sizes(schema: &mut Schema) {
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.trim_start_matches('u').starts_with("int"))
    {
        schema.remove("format");
    }
}

/// A time, RFC 3339 in UTC.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "date-time"))]
pub struct Time(#[expect(dead_code, reason = "only the schema is used")] String);

/// A UUID.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "uuid"))]
pub struct Id(#[expect(dead_code, reason = "only the schema is used")] String);

/// A place of a pair.
#[derive(JsonSchema)]
#[schemars(rename = "Place")]
#[expect(dead_code, reason = "only the schema is used")]
pub struct PlaceShown {
    /// The store.
    store: String,
    /// The entry.
    entry: String,
    /// Where in it.
    location: String,
}
