//! The small values that sections are made of: durations, sizes, addresses, switches, secrets.
//!
//! Each reads the text a user writes, says what to write instead when it can't, and prints the same text again.

mod after;
mod duration;
mod listen;
mod network;
mod secret;
mod share;
mod size;
mod switch;
mod url;

pub use after::After;
pub use duration::Duration;
pub use listen::Listen;
pub use network::Network;
pub use secret::Secret;
pub use share::Share;
pub use size::Size;
pub use switch::{OrOff, Switch};
pub use url::BaseUrl;

/// Implements serde and schema for a type that is text in files, by its `FromStr` and `Display`.
macro_rules! text_value {
    ($type:ty, $name:literal, $schema:tt) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use text_value;
