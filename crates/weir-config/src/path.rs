//! Where a value stands in a file: `providers.openai.api_key`, `keys[0].name`.

use std::fmt;

/// One step down from a mapping or a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// The value of a key in a mapping.
    Key(String),
    /// An entry of a list, counted from 0.
    Index(usize),
}

/// The way from the top of a file to one value. Empty for the file as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath(pub Vec<Segment>);

impl KeyPath {
    /// The file as a whole.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path and one key more.
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// This path and one list entry more.
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The path one step up, `None` for the file as a whole.
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// Whether this is the file as a whole.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl<const N: usize> From<[&str; N]> for KeyPath {
    fn from(keys: [&str; N]) -> Self {
        Self(keys.into_iter().map(|key| Segment::Key(key.to_owned())).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    if is_plain(key) { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// Whether a key can stand in a path without quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && !key.contains(|c: char| c == '.' || c == '[' || c == '"' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_would_be_read_wrong() {
        let check = |path: KeyPath, text: &str| assert_eq!(path.to_string(), text);
        check(KeyPath::root(), "");
        check(KeyPath::from(["providers", "openai"]).key("api_key"), "providers.openai.api_key");
        check(KeyPath::from(["keys"]).index(2).key("name"), "keys[2].name");
        check(KeyPath::from(["models", "gpt-4.1"]), "models.\"gpt-4.1\"");
        check(KeyPath::from(["models", "openai/*"]), "models.openai/*");
    }

    #[test]
    fn parent_goes_one_step_up() {
        assert_eq!(KeyPath::from(["a", "b"]).parent(), Some(KeyPath::from(["a"])));
        assert_eq!(KeyPath::root().parent(), None);
    }
}
