//! The routes that can cost money, and how each is accounted.
//!
//! A route stands here or it does not exist, and one without an accounting descriptor keeps the process from starting:
//! nothing is served that the ledger does not see.

use std::sync::Arc;

use http::Method;
use weir_adapter::{Front, Operation};
use weir_wire::Class;

/// How a route is accounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accounting {
    /// The classes that its usage can have.
    pub classes: &'static [Class],
    /// Whether its usage grows while the answer streams.
    pub streams: bool,
}

/// One route, as the table has it.
struct Entry {
    path: &'static str,
    dialect: &'static str,
    operation: Operation,
    accounting: Option<Accounting>,
}

const TEXT: &[Class] = &[
    Class::Input,
    Class::CacheRead,
    Class::CacheWrite5m,
    Class::CacheWrite1h,
    Class::AudioIn,
    Class::ImageIn,
    Class::Output,
    Class::Reasoning,
    Class::AudioOut,
    Class::Search,
];

const IMAGES: &[Class] = &[Class::Image, Class::Input, Class::CacheRead, Class::ImageIn, Class::Output];
const SEARCHES: &[Class] = &[Class::Search, Class::Input];
const SOUND: &[Class] =
    &[Class::Duration, Class::Input, Class::CacheRead, Class::AudioIn, Class::Output, Class::AudioOut];

/// Every route that calls a model, without its `/v1`.
const TABLE: &[Entry] = &[
    Entry {
        path: "/chat/completions",
        dialect: "openai",
        operation: Operation::Chat,
        accounting: Some(Accounting { classes: TEXT, streams: true }),
    },
    Entry {
        path: "/completions",
        dialect: "openai",
        operation: Operation::Completions,
        accounting: Some(Accounting { classes: TEXT, streams: true }),
    },
    Entry {
        path: "/embeddings",
        dialect: "openai",
        operation: Operation::Embeddings,
        accounting: Some(Accounting { classes: &[Class::Input, Class::ImageIn], streams: false }),
    },
    Entry {
        path: "/responses",
        dialect: "openai-responses",
        operation: Operation::Chat,
        accounting: Some(Accounting { classes: TEXT, streams: true }),
    },
    Entry {
        path: "/messages",
        dialect: "anthropic",
        operation: Operation::Chat,
        accounting: Some(Accounting { classes: TEXT, streams: true }),
    },
    Entry {
        path: "/messages/count_tokens",
        dialect: "anthropic",
        operation: Operation::CountTokens,
        accounting: Some(Accounting { classes: &[], streams: false }),
    },
    Entry {
        path: "/moderations",
        dialect: "openai",
        operation: Operation::Moderations,
        accounting: Some(Accounting { classes: &[Class::Input, Class::ImageIn], streams: false }),
    },
    Entry {
        path: "/rerank",
        dialect: "openai",
        operation: Operation::Rerank,
        accounting: Some(Accounting { classes: SEARCHES, streams: false }),
    },
    Entry {
        path: "/v2/rerank",
        dialect: "openai",
        operation: Operation::Rerank,
        accounting: Some(Accounting { classes: SEARCHES, streams: false }),
    },
    Entry {
        path: "/images/generations",
        dialect: "openai",
        operation: Operation::Images,
        accounting: Some(Accounting { classes: IMAGES, streams: true }),
    },
    Entry {
        path: "/images/edits",
        dialect: "openai",
        operation: Operation::ImageEdits,
        accounting: Some(Accounting { classes: IMAGES, streams: true }),
    },
    Entry {
        path: "/images/variations",
        dialect: "openai",
        operation: Operation::ImageVariations,
        accounting: Some(Accounting { classes: IMAGES, streams: false }),
    },
    Entry {
        path: "/audio/speech",
        dialect: "openai",
        operation: Operation::Speech,
        accounting: Some(Accounting {
            classes: &[Class::Character, Class::Input, Class::Output, Class::AudioOut],
            streams: true,
        }),
    },
    Entry {
        path: "/audio/transcriptions",
        dialect: "openai",
        operation: Operation::Transcriptions,
        accounting: Some(Accounting { classes: SOUND, streams: true }),
    },
    Entry {
        path: "/audio/translations",
        dialect: "openai",
        operation: Operation::Translations,
        accounting: Some(Accounting { classes: SOUND, streams: false }),
    },
    Entry {
        path: "/models/{model}:countTokens",
        dialect: "gemini",
        operation: Operation::CountTokens,
        accounting: Some(Accounting { classes: &[], streams: false }),
    },
    Entry {
        path: "/models/{model}:generateContent",
        dialect: "gemini",
        operation: Operation::Chat,
        accounting: Some(Accounting { classes: TEXT, streams: false }),
    },
    Entry {
        path: "/models/{model}:streamGenerateContent",
        dialect: "gemini",
        operation: Operation::Chat,
        accounting: Some(Accounting { classes: TEXT, streams: true }),
    },
    Entry {
        path: "/models/{model}:embedContent",
        dialect: "gemini",
        operation: Operation::Embeddings,
        accounting: Some(Accounting { classes: &[Class::Input, Class::ImageIn], streams: false }),
    },
    Entry {
        path: "/models/{model}:batchEmbedContents",
        dialect: "gemini",
        operation: Operation::Embeddings,
        accounting: Some(Accounting { classes: &[Class::Input, Class::ImageIn], streams: false }),
    },
    // Whatever a provider's own API has beside those above.
    Entry {
        path: PASSTHROUGH,
        dialect: "openai",
        operation: Operation::Passthrough,
        accounting: Some(Accounting { classes: TEXT, streams: true }),
    },
];

/// The provider's own API.
pub const PASSTHROUGH: &str = "/passthrough/{provider}/{path}";

/// A route that calls a model.
pub struct InferenceRoute {
    /// Its path, without `/v1`.
    pub path: &'static str,
    /// The client's dialect.
    pub front: Arc<dyn Front>,
    /// What is asked.
    pub operation: Operation,
    /// How it is accounted.
    pub accounting: Accounting,
}

/// All routes that call models.
pub struct Routes(Vec<InferenceRoute>);

/// A table that can't be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutesError {
    /// A route that nobody accounts for.
    #[error("route `{0}` has no accounting descriptor")]
    Unaccounted(&'static str),
    /// A route in a dialect that is not built in.
    #[error("route `{0}` speaks a dialect that is not built in")]
    NoFront(&'static str),
}

/// Makes the front of a dialect.
pub type MakeFront = fn() -> Arc<dyn Front>;

impl Routes {
    /// The table, with the fronts that there are.
    ///
    /// # Errors
    /// A route without accounting, or without its front.
    pub fn new(fronts: &[(&'static str, MakeFront)]) -> Result<Routes, RoutesError> {
        Routes::of(TABLE, fronts)
    }

    fn of(table: &[Entry], fronts: &[(&'static str, MakeFront)]) -> Result<Routes, RoutesError> {
        let route = |entry: &Entry| {
            let accounting = entry.accounting.ok_or(RoutesError::Unaccounted(entry.path))?;
            let front = fronts.iter().find(|(dialect, _)| *dialect == entry.dialect);
            let front = front.ok_or(RoutesError::NoFront(entry.path))?.1();
            Ok(InferenceRoute { path: entry.path, front, operation: entry.operation, accounting })
        };
        table.iter().map(route).collect::<Result<_, _>>().map(Routes)
    }

    /// The route that a request asks for.
    pub fn find(&self, method: &Method, path: &str) -> Option<&InferenceRoute> {
        if method != Method::POST {
            return None;
        }
        let plain = bare(path);
        self.0.iter().find(|route| route.path == plain).or_else(|| {
            let (_, verb) = model_and_verb(path)?;
            self.0
                .iter()
                .find(|route| route.path.strip_prefix("/models/{model}:").is_some_and(|own| own == verb))
        })
    }

    /// How a provider's own API is accounted.
    ///
    /// # Panics
    /// Never: the table has it.
    pub fn passthrough(&self) -> &InferenceRoute {
        self.0.iter().find(|route| route.path == PASSTHROUGH).expect("the table has this route")
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &InferenceRoute> {
        self.0.iter()
    }
}

/// The model and the verb of a path as Gemini's clients write it: `/v1beta/models/MODEL:VERB`, with any version or none.
/// The model is percent-encoded still.
pub fn model_and_verb(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_end_matches('/');
    let path =
        ["/v1beta", "/v1alpha", "/v1"].iter().find_map(|version| path.strip_prefix(version)).unwrap_or(path);
    let rest = path.strip_prefix("/models/")?;
    rest.rsplit_once(':').filter(|(model, verb)| !model.is_empty() && !verb.is_empty())
}

/// A path without `/v1` in front (also written twice, by clients that add their own) and without a slash at its end.
pub fn bare(path: &str) -> &str {
    let mut path = path.trim_end_matches('/');
    for _ in 0..2 {
        match path.strip_prefix("/v1") {
            Some(rest) if rest.starts_with('/') => path = rest,
            _ => break,
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_works_with_and_without_v1() {
        for path in
            ["/chat/completions", "/v1/chat/completions", "/v1/chat/completions/", "/v1/v1/chat/completions"]
        {
            assert_eq!(bare(path), "/chat/completions", "{path}");
        }
        assert_eq!(bare("/v1beta/models"), "/v1beta/models");
    }

    #[test]
    fn geminis_clients_name_the_model_in_the_path() {
        for (path, expected) in [
            ("/v1beta/models/gemini-x:generateContent", Some(("gemini-x", "generateContent"))),
            ("/models/openai/gpt:4o:embedContent", Some(("openai/gpt:4o", "embedContent"))),
            ("/v1/models/m:streamGenerateContent/", Some(("m", "streamGenerateContent"))),
            ("/v1beta/models/:generateContent", None),
            ("/v1beta/files/a:b", None),
        ] {
            assert_eq!(model_and_verb(path), expected, "{path}");
        }
        let routes = Routes::new(crate::adapters::FRONTS).unwrap();
        let found = |path: &str| routes.find(&Method::POST, path).map(|route| route.path);
        assert_eq!(found("/v1beta/models/m:embedContent"), Some("/models/{model}:embedContent"));
        assert_eq!(found("/v1beta/models/m:nothing"), None);
        assert_eq!(found("/models/{model}:nothing"), None);
    }

    #[test]
    fn a_route_without_accounting_does_not_start() {
        let fronts: [(&'static str, MakeFront); 1] = [("openai", weir_adapter_openai::front)];
        let bad = [Entry { path: "/x", dialect: "openai", operation: Operation::Chat, accounting: None }];
        assert_eq!(Routes::of(&bad, &fronts).err(), Some(RoutesError::Unaccounted("/x")));
        let foreign = [Entry {
            dialect: "klingon",
            accounting: Some(Accounting { classes: TEXT, streams: true }),
            ..TABLE_FIRST
        }];
        assert_eq!(Routes::of(&foreign, &fronts).err(), Some(RoutesError::NoFront("/y")));
    }

    const TABLE_FIRST: Entry =
        Entry { path: "/y", dialect: "openai", operation: Operation::Chat, accounting: None };
}
