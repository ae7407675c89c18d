//! What is in force, and where each value comes from. Secrets are masked.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use crate::interpolate::variables;
use crate::load::Loaded;
use crate::path::{KeyPath, Segment};
use crate::problem::Location;
use crate::yaml::{Document, Scalar, Value};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing says otherwise.
    Default,
    /// The file.
    File {
        /// Where in it.
        location: Location,
        /// The variables that the value was made of.
        variables: Vec<String>,
    },
    /// An environment variable, such as `WEIR_LISTEN`.
    Variable(String),
    /// An option of the command.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
            Self::File { location, variables } => {
                write!(f, "line {}", location.line)?;
                variables.iter().try_for_each(|name| write!(f, ", {name}"))
            }
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One value in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    /// Which.
    #[serde(serialize_with = "as_text")]
    pub path: KeyPath,
    /// What it is; secrets are `[redacted]`.
    pub value: Json,
    /// Where it comes from.
    pub origin: Origin,
}

fn as_text<S: serde::Serializer>(path: &KeyPath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

impl Loaded {
    /// Every value in force, in the order of the reference.
    pub fn effective(&self) -> Vec<Effective> {
        let mut values = Vec::new();
        let all = serde_json::to_value(&self.config).unwrap_or(Json::Null);
        self.collect(&KeyPath::root(), all, &mut values);
        values
    }

    fn collect(&self, path: &KeyPath, value: Json, values: &mut Vec<Effective>) {
        match value {
            Json::Object(entries) if !entries.is_empty() || path.is_root() => {
                for (key, value) in entries {
                    self.collect(&path.key(key), value, values);
                }
            }
            Json::Array(entries) if entries.iter().any(|entry| entry.is_object() || entry.is_array()) => {
                for (index, value) in entries.into_iter().enumerate() {
                    self.collect(&path.index(index), value, values);
                }
            }
            value => values.push(Effective { path: path.clone(), value, origin: self.origin(path) }),
        }
    }

    /// Where a value comes from. One inside a short form comes from where the short form stands.
    pub fn origin(&self, path: &KeyPath) -> Origin {
        if let Some(origin) = self.origins.get(path) {
            return origin.clone();
        }
        let short_form = path.parent().filter(|_| is_target(path)).and_then(|above| above.parent()?.parent());
        let candidates = [path.parent().filter(|_| is_target(path)), short_form];
        let written = candidates.into_iter().flatten().find_map(|above| self.origins.get(&above));
        written.cloned().unwrap_or(Origin::Default)
    }
}

/// Whether a path is `….targets[N].model`, which may have been written shorter.
fn is_target(path: &KeyPath) -> bool {
    matches!(&path.0[..], [.., Segment::Key(targets), Segment::Index(_), Segment::Key(model)] if targets == "targets" && model == "model")
}

/// Where every value of a file stands.
pub(crate) fn origins_of(document: &Document) -> BTreeMap<KeyPath, Origin> {
    let mut origins = BTreeMap::new();
    document.root.walk(&KeyPath::root(), &mut |path, node| {
        let variables = match &node.value {
            Value::Scalar(Scalar { written: Some(written), .. }) => variables(written),
            _ => Vec::new(),
        };
        origins.insert(path.clone(), Origin::File { location: node.location, variables });
    });
    origins
}
