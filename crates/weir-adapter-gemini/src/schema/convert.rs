//! One schema, node by node.

use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;

use super::flatten::{merge, resolve};
use super::{Use, is_annotation};

/// The most nodes that a schema may have once its references are written out.
const MOST_NODES: usize = 20_000;

/// How deep a schema may be.
const MOST_DEPTH: usize = 100;
/// How many places are reported one by one.
const MOST_REPORTS: usize = 100;

/// What the JSON form keeps, besides the structure that is walked.
const JSON_KEPT: &[&str] = &[
    "$id",
    "$ref",
    "$anchor",
    "type",
    "format",
    "title",
    "description",
    "enum",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "required",
    "propertyOrdering",
];

type Node = Map<String, Value>;

pub(super) struct Converter<'c> {
    root: &'c Value,
    usage: Use<'c>,
    dropped: &'c mut Vec<String>,
    /// References that are being written out.
    open: Vec<String>,
    nodes: usize,
    depth: usize,
}

impl<'c> Converter<'c> {
    pub(super) fn new(root: &'c Value, usage: Use<'c>, dropped: &'c mut Vec<String>) -> Converter<'c> {
        Converter { root, usage, dropped, open: Vec::new(), nodes: 0, depth: 0 }
    }

    // === OpenAPI's subset ===

    pub(super) fn openapi(&mut self, schema: &Value, path: &str) -> Result<Node, EncodeError> {
        self.enter()?;
        let depth = self.open.len();
        let flat = self.flat(schema, path)?;
        let mut node = Node::new();
        let nullable = self.openapi_type(&flat, &mut node, path)?;
        for (name, value) in &flat {
            self.openapi_keyword(name, value, &mut node, path)?;
        }
        self.close(&flat, &mut node, path);
        if nullable {
            node.insert("nullable".to_owned(), true.into());
        }
        self.open.truncate(depth);
        self.depth -= 1;
        Ok(node)
    }

    /// Sets `type`, or `anyOf` where there are several. Says whether null is allowed.
    fn openapi_type(&mut self, flat: &Node, node: &mut Node, path: &str) -> Result<bool, EncodeError> {
        let names: Vec<&str> = match flat.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut nullable = flat.get("nullable") == Some(&Value::Bool(true));
        let others: Vec<&str> = names.iter().copied().filter(|name| *name != "null").collect();
        nullable |= others.len() < names.len() && !others.is_empty();
        nullable |=
            flat.get("enum").and_then(Value::as_array).is_some_and(|values| values.contains(&Value::Null));
        let choices = ["anyOf", "oneOf"].iter().find_map(|name| flat.get(*name)).and_then(Value::as_array);
        if let Some(choices) = choices {
            nullable |= self.choices(choices, node, path)?;
        } else if others.len() > 1 {
            let mut each = Vec::new();
            for name in others {
                let mut one = flat.clone();
                one.insert("type".to_owned(), name.into());
                one.shift_remove("description");
                one.shift_remove("title");
                each.push(Value::Object(self.openapi(&Value::Object(one), path)?));
            }
            node.insert("anyOf".to_owned(), each.into());
        } else {
            let kind = others.first().copied().or(names.first().copied()).or_else(|| infer(flat));
            if kind.is_none() {
                self.dropped.push(path.to_owned());
            }
            node.insert("type".to_owned(), kind.unwrap_or("string").to_ascii_uppercase().into());
        }
        Ok(nullable)
    }

    /// Alternatives, without the one that is null. A single one takes the node's place.
    fn choices(&mut self, choices: &[Value], node: &mut Node, path: &str) -> Result<bool, EncodeError> {
        let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
        let nullable = choices.iter().any(|choice| is_null(&choice));
        let mut each = Vec::new();
        for (at, choice) in choices.iter().enumerate().filter(|(_, choice)| !is_null(choice)) {
            each.push(self.openapi(choice, &format!("{path}.anyOf[{at}]"))?);
        }
        match each.len() {
            0 => drop(node.insert("type".to_owned(), "NULL".into())),
            1 => node.append(&mut each[0]),
            _ => drop(node.insert("anyOf".to_owned(), each.into_iter().map(Value::Object).collect())),
        }
        Ok(nullable)
    }

    fn openapi_keyword(
        &mut self,
        name: &str,
        value: &Value,
        node: &mut Node,
        path: &str,
    ) -> Result<(), EncodeError> {
        let several = node.contains_key("anyOf");
        let whole = |value: &Value| value.as_u64().map(|count| Value::String(count.to_string()));
        let kept = match name {
            "type" | "nullable" | "anyOf" | "oneOf" | "$ref" => return Ok(()),
            "title" | "description" if value.is_string() => Some(value.clone()),
            // Several types: each alternative has these.
            _ if several && !is_annotation(name, value) => return Ok(()),
            "enum" => self.names(value, node),
            "format" => known_format(node, value),
            "properties" => Some(self.properties(value, path)?),
            "items" if !value.is_array() => {
                Some(Value::Object(self.openapi(value, &format!("{path}.items"))?))
            }
            "required" => return Ok(()),
            "minimum" | "maximum" if value.is_number() => Some(value.clone()),
            "pattern" if value.is_string() => Some(value.clone()),
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                whole(value)
            }
            "exclusiveMinimum" | "exclusiveMaximum" => {
                let bound = if name == "exclusiveMinimum" { ("minimum", 1) } else { ("maximum", -1) };
                self.exclusive(bound, name, value, node, path);
                return Ok(());
            }
            _ => None,
        };
        match kept {
            Some(kept) => drop(node.insert(name.to_owned(), kept)),
            None if is_annotation(name, value) => {}
            None => self.drop_keyword(path, name),
        }
        Ok(())
    }

    /// The strings of an `enum`; numbers and booleans can't be enumerated.
    fn names(&self, value: &Value, node: &Node) -> Option<Value> {
        let values: Vec<&Value> = value.as_array()?.iter().filter(|value| !value.is_null()).collect();
        let strings = values.iter().all(|value| value.is_string());
        (strings && node.get("type").is_some_and(|kind| kind == "STRING")).then(|| json!(values))
    }

    fn properties(&mut self, value: &Value, path: &str) -> Result<Value, EncodeError> {
        let mut properties = Node::new();
        for (name, schema) in value.as_object().into_iter().flatten() {
            let inner = self.openapi(schema, &format!("{path}.properties.{name}"))?;
            properties.insert(name.clone(), Value::Object(inner));
        }
        Ok(Value::Object(properties))
    }

    /// An exclusive bound of whole numbers is the next one; of others it can't be said.
    fn exclusive(&mut self, bound: (&str, i64), name: &str, value: &Value, node: &mut Node, path: &str) {
        let next = value.as_i64().and_then(|value| value.checked_add(bound.1));
        match next.filter(|_| node.get("type").is_some_and(|kind| kind == "INTEGER")) {
            Some(next) => drop(node.insert(bound.0.to_owned(), next.into())),
            None => self.drop_keyword(path, name),
        }
    }

    /// What depends on the whole node: required names that are there, items that an array must have.
    fn close(&mut self, flat: &Node, node: &mut Node, path: &str) {
        if let (Some(Value::Array(required)), Some(Value::Object(properties))) =
            (flat.get("required"), node.get("properties"))
        {
            let known = |name: &&Value| name.as_str().is_some_and(|name| properties.contains_key(name));
            let required: Vec<Value> = required.iter().filter(known).cloned().collect();
            if !required.is_empty() {
                node.insert("required".to_owned(), required.into());
            }
        }
        if self.usage.ordered
            && let Some(Value::Object(properties)) = node.get("properties").filter(|all| *all != &json!({}))
        {
            let order: Vec<Value> = properties.keys().map(|name| name.clone().into()).collect();
            node.insert("propertyOrdering".to_owned(), order.into());
        }
        if node.get("type").is_some_and(|kind| kind == "ARRAY") && !node.contains_key("items") {
            self.drop_keyword(path, "items");
            node.insert("items".to_owned(), json!({"type": "STRING"}));
        }
    }

    // === JSON schema ===

    pub(super) fn json(&mut self, schema: &Value, path: &str) -> Result<Value, EncodeError> {
        let Value::Object(source) = schema else { return Ok(schema.clone()) };
        self.enter()?;
        let depth = self.open.len();
        let flat = if source.contains_key("allOf") { self.flat(schema, path)? } else { source.clone() };
        let mut node = Node::new();
        for (name, value) in &flat {
            let inner = format!("{path}.{name}");
            match name.as_str() {
                "properties" | "$defs" | "definitions" => {
                    drop(node.insert(name.clone(), self.json_each(value, &inner)?));
                }
                "items" | "additionalProperties" => {
                    drop(node.insert(name.clone(), self.json(value, &inner)?))
                }
                "anyOf" | "oneOf" | "prefixItems" => {
                    let each = value.as_array().into_iter().flatten().enumerate();
                    let each: Result<Vec<Value>, EncodeError> =
                        each.map(|(at, value)| self.json(value, &format!("{inner}[{at}]"))).collect();
                    node.insert(name.clone(), each?.into());
                }
                "const" => drop(node.insert("enum".to_owned(), json!([value]))),
                kept if JSON_KEPT.contains(&kept) => drop(node.insert(name.clone(), value.clone())),
                _ if is_annotation(name, value) => {}
                _ => self.drop_keyword(path, name),
            }
        }
        self.open.truncate(depth);
        self.depth -= 1;
        Ok(Value::Object(node))
    }

    fn json_each(&mut self, value: &Value, path: &str) -> Result<Value, EncodeError> {
        let mut each = Node::new();
        for (name, schema) in value.as_object().into_iter().flatten() {
            each.insert(name.clone(), self.json(schema, &format!("{path}.{name}"))?);
        }
        Ok(Value::Object(each))
    }

    // === Both ===

    /// One node with its reference resolved, `allOf` merged and `const` as `enum`. References stay open (no second
    /// time within) until the caller closes them.
    fn flat(&mut self, schema: &Value, path: &str) -> Result<Node, EncodeError> {
        self.enter()?;
        let Value::Object(source) = schema else {
            self.depth -= 1;
            return Ok(Node::new());
        };
        let mut node = source.clone();
        node.shift_remove("allOf");
        if let Some(constant) = node.shift_remove("const") {
            node.insert("enum".to_owned(), json!([constant]));
        }
        if let Some(Value::String(reference)) = node.shift_remove("$ref") {
            self.follow(&reference, &mut node, path)?;
        }
        for member in source.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let member = self.flat(member, path)?;
            merge(&mut node, member);
        }
        self.depth -= 1;
        Ok(node)
    }

    /// One node more, one level deeper.
    fn enter(&mut self) -> Result<(), EncodeError> {
        self.nodes += 1;
        self.depth += 1;
        if self.nodes <= MOST_NODES && self.depth <= MOST_DEPTH {
            return Ok(());
        }
        let message = "the schema is too deep, or refers to its own parts too often, to be written out for this provider";
        Err(EncodeError::unsupported(self.usage.path, message))
    }

    fn follow(&mut self, reference: &str, node: &mut Node, path: &str) -> Result<(), EncodeError> {
        let target =
            resolve(self.root, reference).filter(|_| !self.open.iter().any(|open| open == reference));
        let Some(target) = target else {
            // A schema within itself, or one that is not here: any object.
            self.drop_keyword(path, "$ref");
            node.entry("type").or_insert_with(|| "object".into());
            return Ok(());
        };
        self.open.push(reference.to_owned());
        let target = self.flat(target, path)?;
        merge(node, target);
        Ok(())
    }

    fn drop_keyword(&mut self, path: &str, name: &str) {
        let place = format!("{path}.{name}");
        let place = if self.dropped.len() < MOST_REPORTS { place } else { self.usage.path.to_owned() };
        if !self.dropped.contains(&place) {
            self.dropped.push(place);
        }
    }
}

/// The type that a node without one must have.
fn infer(flat: &Node) -> Option<&'static str> {
    let values = flat.get("enum").and_then(Value::as_array);
    let all =
        |test: fn(&Value) -> bool| values.is_some_and(|values| values.iter().all(|v| v.is_null() || test(v)));
    let has = |names: &[&str]| names.iter().any(|name| flat.contains_key(*name));
    match () {
        () if all(Value::is_string) => Some("string"),
        () if all(|value| value.is_i64() || value.is_u64()) => Some("integer"),
        () if all(Value::is_number) => Some("number"),
        () if all(Value::is_boolean) => Some("boolean"),
        () if has(&["properties", "additionalProperties", "required"]) => Some("object"),
        () if has(&["items", "prefixItems", "minItems", "maxItems"]) => Some("array"),
        () if has(&["pattern", "minLength", "maxLength"]) => Some("string"),
        () => None,
    }
}

/// Formats are few, and each belongs to a type.
fn known_format(node: &Node, value: &Value) -> Option<Value> {
    let known: &[&str] = match node.get("type")?.as_str()? {
        "STRING" => &["enum", "date-time"],
        "NUMBER" => &["float", "double"],
        "INTEGER" => &["int32", "int64"],
        _ => &[],
    };
    value.as_str().is_some_and(|format| known.contains(&format)).then(|| value.clone())
}
