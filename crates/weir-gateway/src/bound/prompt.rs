//! What a prompt can count at most, from a look at the request's bytes.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use http::HeaderName;
use serde_json::Value;
use weir_adapter::{Descriptor, Operation, Request};
use weir_catalog::Price;
use weir_wire::Class;
use weir_wire::peek::key_bytes;

use super::walk::{Found, hosted, walk};
use super::{REQUEST_OVERHEAD, TOOL_PROMPT, Unbounded};

/// What is known of a model's prompts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of its context window.
    pub window: Option<u64>,
    /// Tokens of a picture, at most (`bound.image`).
    pub image: Option<u64>,
    /// A header that widens the window, what it then holds, and the tokens (`bound.wider`).
    pub wider: Option<(HeaderName, String, u64)>,
    /// It searches unasked, as often as it likes (`bound.searches: any`).
    pub searches: bool,
    /// Tokens of a picture that it makes, at most (`bound.image_out`).
    pub image_out: Option<u64>,
    /// Seconds of sound that it hears at once, at most (`bound.seconds`).
    pub seconds: Option<u64>,
}

/// What a prompt can count, at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Tokens, cached or not.
    pub tokens: u64,
    /// Searches that the provider may make.
    pub searches: u64,
    /// Tokens that are billed as output beyond the limit.
    pub more_output: u64,
    /// What is counted in another unit than tokens, at most.
    pub unit: Option<(Class, u64)>,
    /// The token classes that can occur, one bit each.
    classes: u16,
}

const PLAIN: [Class; 5] =
    [Class::Input, Class::CacheRead, Class::CacheWrite5m, Class::Output, Class::Reasoning];

impl Limits {
    /// What the catalog and the descriptor know of `model`.
    pub fn of(descriptor: &Descriptor, model: &str, window: Option<u64>) -> Limits {
        let number = |name| descriptor.fact(model, name).and_then(|text| text.parse().ok());
        // `header=part:tokens`
        let wider = descriptor.fact(model, "bound.wider").and_then(|text| {
            let (header, rest) = text.split_once('=')?;
            let (part, tokens) = rest.split_once(':')?;
            Some((HeaderName::try_from(header).ok()?, part.to_owned(), tokens.parse().ok()?))
        });
        Limits {
            window,
            image: number("bound.image"),
            wider,
            searches: descriptor.fact(model, "bound.searches") == Some("any"),
            image_out: number("bound.image_out"),
            seconds: number("bound.seconds"),
        }
    }

    /// The window of this request.
    pub fn window_of(&self, request: &Request) -> Option<u64> {
        let wider = self.wider.as_ref().filter(|(header, part, _)| {
            let mut values = request.headers.get_all(header).iter();
            values.any(|value| memchr::memmem::find(value.as_bytes(), part.as_bytes()).is_some())
        });
        match wider {
            Some((.., tokens)) => self.window.map(|window| window.max(*tokens)),
            None => self.window,
        }
    }
}

impl Prompt {
    /// Looks at the request: at its outermost members always, into it only where something in it may be more than text.
    pub(super) fn of(request: &Request, limits: &Limits, price: &Price) -> Result<Prompt, Unbounded> {
        let raw = request.raw();
        let mut prompt = Prompt {
            tokens: (raw.len() as u64).saturating_add(REQUEST_OVERHEAD),
            searches: 0,
            more_output: 0,
            unit: None,
            classes: PLAIN.iter().fold(0, |set, class| set | bit(*class)),
        };
        match request.operation {
            // A window holds for each of the inputs or prompts, so it caps nothing here.
            Operation::Embeddings | Operation::Completions => return Ok(prompt),
            Operation::Chat => {}
            #[allow(unreachable_patterns, reason = "operations are added by those who build them")]
            other => return Err(Unbounded::Operation(other.name())),
        }
        let mut found = prompt.members(request)?;
        if limits.searches && price.charges(Class::Search) {
            return Err(Unbounded::Hosted {
                tool: "web search".to_owned(),
                hint: "where a hard budget applies, choose a model that does not search by itself",
            });
        }
        let look = Look::at(raw);
        found.one_hour = look.one_hour;
        if look.media {
            let whole: Value = serde_json::from_slice(raw).unwrap_or(Value::Null);
            walk(&whole, &mut found);
        }
        prompt.add(found, limits, request)?;
        Ok(prompt)
    }

    /// Of tokens of every kind, and of one other unit.
    pub(super) fn counted(tokens: u64, output: u64, unit: Option<(Class, u64)>) -> Prompt {
        let classes = weir_wire::usage::TOKEN_CLASSES.iter().fold(0, |set, class| set | bit(*class));
        Prompt { tokens, searches: 0, more_output: output, unit, classes }
    }

    /// Whether a token of this class can occur.
    pub fn may_have(&self, class: Class) -> bool {
        self.classes & bit(class) != 0
    }

    /// What the outermost members bring beside their bytes.
    fn members(&mut self, request: &Request) -> Result<Found, Unbounded> {
        let (raw, mut found) = (request.raw(), Found::default());
        let mut instructed = false;
        for member in &request.peek().members.list {
            let value = &raw[member.value.clone()];
            if matches!(value, b"null" | b"[]" | b"false") {
                continue;
            }
            match key_bytes(raw, member) {
                key @ (b"tools" | b"functions") => {
                    self.tokens = self.tokens.saturating_add(value.len() as u64);
                    instructed = true;
                    if key == b"tools" {
                        let tools: Value = serde_json::from_slice(value).unwrap_or(Value::Null);
                        hosted(&tools, &mut found)?;
                    }
                }
                b"response_format" | b"output_config" | b"output_format" | b"text" | b"generationConfig" => {
                    self.tokens = self.tokens.saturating_add(value.len() as u64);
                    instructed = true;
                }
                b"prediction" => self.more_output = value.len() as u64,
                b"modalities" | b"audio" => {
                    found.audio_out |=
                        memchr::memmem::find(value, b"audio").is_some() || key_bytes(raw, member) == b"audio"
                }
                b"previous_response_id"
                | b"conversation"
                | b"cached_content"
                | b"cachedContent"
                | b"container" => {
                    found.elsewhere = true;
                }
                b"prompt" if request.operation == Operation::Chat => found.elsewhere = true,
                key @ (b"web_search_options"
                | b"search_parameters"
                | b"plugins"
                | b"mcp_servers"
                | b"data_sources") => {
                    return Err(Unbounded::Hosted {
                        tool: String::from_utf8_lossy(key).into_owned(),
                        hint: "leave it out where a hard budget applies",
                    });
                }
                _ => {}
            }
        }
        if instructed {
            self.tokens = self.tokens.saturating_add(TOOL_PROMPT);
        }
        Ok(found)
    }

    fn add(&mut self, found: Found, limits: &Limits, request: &Request) -> Result<(), Unbounded> {
        let mut elsewhere = found.elsewhere;
        let mut set = |class: Class, on: bool| {
            if on {
                self.classes |= bit(class);
            }
        };
        set(Class::ImageIn, found.images > 0 || elsewhere);
        set(Class::AudioIn, found.audio_in || elsewhere);
        set(Class::AudioOut, found.audio_out);
        set(Class::CacheWrite1h, found.one_hour);
        match limits.image {
            _ if found.images == 0 => {}
            // What a picture's own bytes would count, it counts instead.
            Some(each) => {
                let text = self.tokens.saturating_sub(found.image_bytes);
                self.tokens = text.saturating_add(each.saturating_mul(found.images));
            }
            None => elsewhere = true,
        }
        let window = limits.window_of(request);
        if let Some(uses) = found.uses {
            // Each use lets the model read its prompt again, with what was found.
            let window = window.ok_or_else(|| Unbounded::Prompt(String::new()))?;
            self.tokens = window.saturating_mul(uses.saturating_add(1));
            self.searches = uses;
            return Ok(());
        }
        self.tokens = match (window, elsewhere) {
            (Some(window), true) => window,
            (Some(window), false) => self.tokens.min(window),
            (None, true) => return Err(Unbounded::Prompt(String::new())),
            (None, false) => self.tokens,
        };
        Ok(())
    }
}

fn bit(class: Class) -> u16 {
    1 << class as u16
}

/// What a look at a body's bytes shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    /// There may be more in it than text.
    media: bool,
    /// Something may be kept in a cache for an hour.
    one_hour: bool,
}

/// Words that media need in some dialect, and last the mark of a cache of one hour.
const WORDS: [&str; 9] =
    ["image", "audio", "AUDIO", "video", "file", "document", "nline", "pdf_url", "\"1h\""];
const HOUR: usize = WORDS.len() - 1;
/// An ASCII letter, digit or sign as `\u00XX`: it could hide any of the words.
const ESCAPES: [&str; 6] = ["\\u002", "\\u003", "\\u004", "\\u005", "\\u006", "\\u007"];

impl Look {
    /// Looks once, for all at the same time.
    fn at(raw: &[u8]) -> Look {
        static ALL: LazyLock<AhoCorasick> = LazyLock::new(|| {
            let words = WORDS.iter().chain(&ESCAPES);
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(words)
                .expect("a few short words")
        });
        let mut look = Look::default();
        for found in ALL.find_iter(raw) {
            let word = found.pattern().as_usize();
            look.media |= word != HOUR;
            look.one_hour |= word >= HOUR;
            if look.media && look.one_hour {
                break;
            }
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_what_may_be_more_than_text() {
        let look = |text: &str| {
            let Look { media, one_hour } = Look::at(text.as_bytes());
            (media, one_hour)
        };
        assert_eq!(
            look(r#"{"messages":[{"role":"user","content":"an hour, 1h, \u001b[0m"}]}"#),
            (false, false)
        );
        assert_eq!(look(r#"{"type":"input_audio"}"#), (true, false));
        assert_eq!(look(r#"{"modality":"AUDIO"}"#), (true, false));
        assert_eq!(look(r#"{"inlineData":{}}"#), (true, false));
        assert_eq!(look(r#"{"cache_control":{"ttl":"1h"}}"#), (false, true));
        assert_eq!(look(r#"{"ttl":"1h","x":"pdf_url"}"#), (true, true));
        for hidden in ["\\u0069mage", "\\u0022", "\\u007a"] {
            assert_eq!(look(hidden), (true, true), "{hidden}");
        }
        for other in ["\\u0000", "\\u001f", "\\u0080", "\\u00e9"] {
            assert_eq!(look(other), (false, false), "{other}");
        }
    }
}
