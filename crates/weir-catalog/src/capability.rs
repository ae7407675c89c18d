//! What a model can do, as small sets.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enum of names and a set of them that fits in a word.
macro_rules! set {
    ($(#[$doc:meta])* pub enum $name:ident in $(#[$set_doc:meta])* $set:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$item_doc])* #[serde(rename = $text)] $item,)*
        }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$item),*];

            /// The name in files, on the command line and in JSON.
            pub fn name(self) -> &'static str {
                match self { $($name::$item => $text,)* }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|item| item.name() == name)
            }
        }

        $(#[$set_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $set(u32);

        impl $set {
            /// Whether `item` is in it.
            pub fn contains(self, item: $name) -> bool {
                self.0 & (1 << item as u8) != 0
            }

            /// Whether all of `others` are in it.
            pub fn contains_all(self, others: $set) -> bool {
                self.0 & others.0 == others.0
            }

            /// Adds `item`.
            pub fn insert(&mut self, item: $name) {
                self.0 |= 1 << item as u8;
            }

            /// Its items in the order of the documentation.
            pub fn iter(self) -> impl Iterator<Item = $name> {
                $name::ALL.iter().copied().filter(move |item| self.contains(*item))
            }

            /// Whether nothing is in it.
            pub fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl FromIterator<$name> for $set {
            fn from_iter<I: IntoIterator<Item = $name>>(items: I) -> $set {
                items.into_iter().fold($set::default(), |mut set, item| {
                    set.insert(item);
                    set
                })
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.iter().map($name::name)).finish()
            }
        }

        impl Serialize for $set {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.iter())
            }
        }

        impl<'de> Deserialize<'de> for $set {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$set, D::Error> {
                Ok(Vec::<$name>::deserialize(deserializer)?.into_iter().collect())
            }
        }

        impl JsonSchema for $set {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($set).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                Vec::<$name>::json_schema(generator)
            }
        }
    };
}

set! {
    /// Something that a model can do.
    pub enum Capability in
    /// Things that a model can do.
    Capabilities {
        /// Answers piece by piece.
        Streaming = "streaming",
        /// Takes a system or developer message.
        System = "system",
        /// Calls tools.
        Tools = "tools",
        /// Calls several tools in one answer.
        ParallelTools = "parallel_tools",
        /// Heeds `tool_choice`.
        ToolChoice = "tool_choice",
        /// Answers in a given JSON schema.
        JsonSchema = "json_schema",
        /// Sees images.
        Vision = "vision",
        /// Reads PDF documents.
        Pdf = "pdf",
        /// Hears audio.
        AudioIn = "audio_in",
        /// Speaks.
        AudioOut = "audio_out",
        /// Sees video.
        Video = "video",
        /// Thinks before it answers.
        Reasoning = "reasoning",
        /// Reads repeated prompts from a cache.
        PromptCache = "prompt_cache",
        /// Searches the web by itself.
        WebSearch = "web_search",
        /// Gives the log probabilities of tokens.
        Logprobs = "logprobs",
        /// Heeds `temperature`.
        Temperature = "temperature",
        /// Goes on from a given start of its answer.
        Prefill = "prefill",
        /// Turns text into vectors.
        Embeddings = "embeddings",
    }
}

set! {
    /// A kind of content.
    pub enum Modality in
    /// Kinds of content.
    Modalities {
        /// Text.
        Text = "text",
        /// Images.
        Image = "image",
        /// Audio.
        Audio = "audio",
        /// Video.
        Video = "video",
        /// PDF documents.
        Pdf = "pdf",
    }
}

set! {
    /// An API that serves a model.
    pub enum Mode in
    /// APIs that serve a model.
    Modes {
        /// Chat: messages in, a message out.
        Chat = "chat",
        /// A text continued.
        Completions = "completions",
        /// OpenAI's responses.
        Responses = "responses",
        /// Text to vectors.
        Embeddings = "embeddings",
        /// Images made.
        Images = "images",
        /// Speech made.
        Speech = "speech",
        /// Speech to text.
        Transcriptions = "transcriptions",
        /// Content judged.
        Moderations = "moderations",
        /// Documents ranked.
        Rerank = "rerank",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_read_and_write_names() {
        let set: Capabilities = serde_json::from_str(r#"["vision","tools"]"#).unwrap();
        assert!(set.contains(Capability::Tools) && !set.contains(Capability::Pdf));
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["tools","vision"]"#);
        assert!(serde_json::from_str::<Capabilities>(r#"["fly"]"#).is_err());
        assert_eq!(Capability::from_name("json_schema"), Some(Capability::JsonSchema));
    }

    #[test]
    fn a_need_is_met_as_a_whole() {
        let set = Capabilities::from_iter([Capability::Tools, Capability::Vision]);
        assert!(set.contains_all(Capabilities::default()));
        assert!(set.contains_all(Capabilities::from_iter([Capability::Tools])));
        assert!(!set.contains_all(Capabilities::from_iter([Capability::Tools, Capability::Pdf])));
    }
}
