//! Values that must not be seen: keys, passwords, addresses with passwords in them.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Serialize, Serializer};

/// Text that prints as `[redacted]`, also when serialized. Written as text or as `{file: PATH}`.
///
/// Loading a configuration reads the file; until then a secret by file is empty.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), file: None }
    }

    /// A secret whose text stands in a file.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Self { text: String::new(), file: Some(path.into()) }
    }

    /// The text. Not for logs, messages or answers.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The file it stands in, if it was written so.
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    pub(crate) fn resolve(&mut self, file: PathBuf, text: &str) {
        // Editors and `echo` end files with a newline that is no part of the secret.
        self.text = text.trim_end_matches(['\r', '\n']).to_owned();
        self.file = Some(file);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFile;
        impl<'de> Visitor<'de> for TextOrFile {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or {file: PATH}")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let Some(key) = map.next_key::<Cow<'de, str>>()? else {
                    return Err(A::Error::missing_field("file"));
                };
                if key != "file" {
                    return Err(A::Error::custom(format_args!(
                        "unknown key `{key}`; write text or {{file: PATH}}"
                    )));
                }
                let path: PathBuf = map.next_value()?;
                match map.next_key::<Cow<'de, str>>()? {
                    Some(key) => Err(A::Error::custom(format_args!("unknown key `{key}` beside `file`"))),
                    None => Ok(Secret::in_file(path)),
                }
            }
        }
        deserializer.deserialize_any(TextOrFile)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: text (better: `${NAME}` of an environment variable), or a file that holds it.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string" } },
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_seen() {
        let secret = Secret::new("sk-canary");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""[redacted]""#);
        assert_eq!(secret.expose(), "sk-canary");
    }
}
