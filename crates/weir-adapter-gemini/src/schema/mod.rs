//! JSON schemas in the forms that Gemini takes, and what gets lost on the way.
//!
//! [`openapi`] makes the subset of OpenAPI's schema that every model takes: upper-case types, `$ref` inlined, `allOf`
//! flattened, `const` as `enum`, null types as `nullable`. [`json`] keeps JSON schema for models that take it. Either
//! reports each constraint that it had to leave out; titles, comments, examples and the like go without a word, and so
//! does `additionalProperties: false`, which is how Gemini reads every object.

mod convert;
mod flatten;

use serde_json::{Map, Value};
use weir_adapter::EncodeError;

use convert::Converter;

/// In which form a schema is wanted, and where it stands in the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'u> {
    /// The path in the client's body, for reports.
    pub(crate) path: &'u str,
    /// Whether the order of properties shall be stated: it is the order of the answer.
    pub(crate) ordered: bool,
}

/// The schema in OpenAPI's subset. `None`: an object without properties, which Gemini wants left out.
///
/// # Errors
/// A schema that refers to itself so often that it can't be written out.
pub(crate) fn openapi(
    schema: &Value,
    usage: Use<'_>,
    dropped: &mut Vec<String>,
) -> Result<Option<Value>, EncodeError> {
    let mut converter = Converter::new(schema, usage, dropped);
    let converted = converter.openapi(schema, usage.path)?;
    let empty = converted.get("type").is_some_and(|kind| kind == "OBJECT")
        && converted.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty);
    Ok((!empty).then_some(Value::Object(converted)))
}

/// The schema as JSON schema, without what Gemini does not know.
///
/// # Errors
/// As [`openapi`].
pub(crate) fn json(schema: &Value, usage: Use<'_>, dropped: &mut Vec<String>) -> Result<Value, EncodeError> {
    Converter::new(schema, usage, dropped).json(schema, usage.path)
}

/// Keywords that constrain nothing.
fn is_annotation(name: &str, value: &Value) -> bool {
    const NAMES: &[&str] = &[
        "$schema",
        "$id",
        "$comment",
        "$anchor",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "strict",
        "discriminator",
    ];
    NAMES.contains(&name) || name.starts_with("x-") || (name == "additionalProperties" && value == false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_openapi(schema: Value, expected: Value, lost: &[&str]) {
        let mut dropped = Vec::new();
        let converted = openapi(&schema, Use { path: "s", ordered: false }, &mut dropped).unwrap();
        assert_eq!(converted.unwrap_or(Value::Null), expected);
        assert_eq!(dropped, lost);
    }

    #[track_caller]
    fn check_json(schema: Value, expected: Value, lost: &[&str]) {
        let mut dropped = Vec::new();
        assert_eq!(json(&schema, Use { path: "s", ordered: false }, &mut dropped).unwrap(), expected);
        assert_eq!(dropped, lost);
    }

    #[test]
    fn the_subset_has_upper_case_types_and_no_unknown_keyword() {
        check_openapi(
            json!({"$schema": "x", "type": "object", "additionalProperties": false, "title": "T", "required": ["a", "gone"],
                "properties": {
                    "a": {"type": "string", "pattern": "^x", "format": "email", "minLength": 1},
                    "b": {"type": "array", "items": {"type": "integer", "exclusiveMinimum": 0}, "minItems": 1, "uniqueItems": true},
                    "c": {"type": "number", "multipleOf": 2, "maximum": 1.5}}}),
            json!({"type": "OBJECT", "title": "T", "required": ["a"], "properties": {
                    "a": {"type": "STRING", "pattern": "^x", "minLength": "1"},
                    "b": {"type": "ARRAY", "items": {"type": "INTEGER", "minimum": 1}, "minItems": "1"},
                    "c": {"type": "NUMBER", "maximum": 1.5}}}),
            &["s.properties.a.format", "s.properties.b.uniqueItems", "s.properties.c.multipleOf"],
        );
    }

    #[test]
    fn nulls_become_nullable_and_const_an_enum() {
        check_openapi(
            json!({"type": "object", "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "d"},
                "c": {"const": "x"}, "d": {"enum": ["x", "y", null]},
                "e": {"type": ["integer", "string"]}, "f": {"type": "integer", "enum": [1, 2]},
                "g": {"oneOf": [{"type": "string"}, {"type": "boolean"}, {"type": "null"}]}, "h": {}}}),
            json!({"type": "OBJECT", "properties": {
                "a": {"type": "STRING", "nullable": true},
                "b": {"type": "INTEGER", "nullable": true, "description": "d"},
                "c": {"type": "STRING", "enum": ["x"]}, "d": {"type": "STRING", "enum": ["x", "y"], "nullable": true},
                "e": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]}, "f": {"type": "INTEGER"},
                "g": {"anyOf": [{"type": "STRING"}, {"type": "BOOLEAN"}], "nullable": true}, "h": {"type": "STRING"}}}),
            &["s.properties.f.enum", "s.properties.h"],
        );
    }

    #[test]
    fn references_are_inlined_and_all_of_is_flattened() {
        check_openapi(
            json!({"$defs": {"P": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
                             "N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}},
                "type": "object", "properties": {
                    "p": {"$ref": "#/$defs/P", "description": "a point"},
                    "q": {"allOf": [{"$ref": "#/$defs/P"}, {"properties": {"y": {"type": "number"}}, "required": ["y"]}]},
                    "n": {"$ref": "#/$defs/N"}}}),
            json!({"type": "OBJECT", "properties": {
                    "p": {"type": "OBJECT", "description": "a point", "properties": {"x": {"type": "NUMBER"}}, "required": ["x"]},
                    "q": {"type": "OBJECT", "properties": {"x": {"type": "NUMBER"}, "y": {"type": "NUMBER"}}, "required": ["x", "y"]},
                    "n": {"type": "OBJECT", "properties": {"next": {"type": "OBJECT"}}}}}),
            &["s.properties.n.properties.next.$ref"],
        );
    }

    #[test]
    fn an_object_without_properties_is_left_out() {
        check_openapi(
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
            Value::Null,
            &[],
        );
        check_openapi(
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            Value::Null,
            &["s.additionalProperties"],
        );
    }

    #[test]
    fn the_order_of_properties_is_stated() {
        let schema =
            json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}});
        let converted = openapi(&schema, Use { path: "s", ordered: true }, &mut Vec::new()).unwrap().unwrap();
        assert_eq!(converted["propertyOrdering"], json!(["b", "a"]));
    }

    #[test]
    fn json_schema_stays_but_for_what_gemini_does_not_know() {
        check_json(
            json!({"$schema": "x", "type": "object", "$defs": {"P": {"const": 1, "default": 1}}, "additionalProperties": false,
                "properties": {"a": {"$ref": "#/$defs/P"}, "b": {"type": ["string", "null"], "pattern": "x"},
                    "c": {"allOf": [{"$ref": "#/$defs/P"}, {"description": "d"}]}, "not": {"type": "string"}}, "required": ["a"], "not": {}}),
            json!({"type": "object", "$defs": {"P": {"enum": [1]}}, "additionalProperties": false,
                "properties": {"a": {"$ref": "#/$defs/P"}, "b": {"type": ["string", "null"]},
                    "c": {"enum": [1], "description": "d"}, "not": {"type": "string"}}, "required": ["a"]}),
            &["s.properties.b.pattern", "s.not"],
        );
        check_json(json!(true), json!(true), &[]);
    }

    #[test]
    fn a_schema_that_explodes_is_refused() {
        let mut defs = Map::new();
        for level in 0..40 {
            let inner = json!({"$ref": format!("#/$defs/L{}", level + 1)});
            defs.insert(
                format!("L{level}"),
                json!({"type": "object", "properties": {"a": inner, "b": inner}}),
            );
        }
        let wide = json!({"$ref": "#/$defs/L0", "$defs": defs});
        let chain: Map<String, Value> =
            (0..5000).map(|at| (format!("C{at}"), json!({"$ref": format!("#/$defs/C{}", at + 1)}))).collect();
        let long = json!({"$ref": "#/$defs/C0", "$defs": chain});
        for schema in [wide, long] {
            let usage = Use { path: "s", ordered: false };
            let error = openapi(&schema, usage, &mut Vec::new()).unwrap_err();
            assert!(matches!(error, EncodeError::Unsupported { param, .. } if param == "s"));
        }
    }

    #[test]
    fn reports_are_bounded() {
        let each: Map<String, Value> =
            (0..1000).map(|at| (format!("p{at}"), json!({"type": "string", "format": "email"}))).collect();
        let schema = json!({"type": "object", "properties": each});
        let mut dropped = Vec::new();
        openapi(&schema, Use { path: "s", ordered: false }, &mut dropped).unwrap();
        assert_eq!((dropped.len(), dropped[100].as_str()), (101, "s"));
    }
}
