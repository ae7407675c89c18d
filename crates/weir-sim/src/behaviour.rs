//! The words that choose what a call does, and their parser.

use std::time::Duration;

use crate::plan::Plan;

/// How pieces of tool arguments are cut in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ArgsMode {
    /// Some bytes at a time, cut at character borders: OpenAI's way.
    #[default]
    Many,
    /// Name and all arguments in one piece: xAI's, Groq's, Mistral's way.
    One,
    /// Name first, all arguments in one later piece.
    Final,
}

/// What one call does beyond answering. Words are joined by `+`; unknown ones are an error when they come by script and
/// are ignored in a model's name.
///
/// | word | effect |
/// | --- | --- |
/// | `delay=50ms` | wait before the response's head |
/// | `first=50ms`, `gap=20ms` | wait before the first event, and between events |
/// | `silent` | read the request and never answer |
/// | `status=429` | answer with that status, in the vendor's error shape |
/// | `header=name:value` | add a response header (repeatable) |
/// | `reset`, `reset_at=N` | TCP RST before the head, or after N events |
/// | `close_at=N` | close in mid-body after N events (chunked body unfinished) |
/// | `end_at=N` | end the stream cleanly after N events, without its end marker |
/// | `stall_at=N` | send nothing more after N events, keep the connection |
/// | `truncate` | whole answer: half of the promised bytes; stream: half of the last event; then close |
/// | `garble` | invalid JSON in the answer, or in the third event |
/// | `slice=N` | N-byte packets |
/// | `wrong_encoding` | claims `content-encoding: gzip`, sends plain bytes |
/// | `gzip` | really gzip (stored blocks, flushed per event) |
/// | `truncate_gzip` | gzip without its end |
/// | `goaway` | HTTP/2 GOAWAY (HTTP/1.1 `connection: close`) with the answer |
/// | `html` | 200 with an HTML page |
/// | `empty` | 200 with an empty body (stream: no event at all) |
/// | `oversized=N` | whole answer padded with N bytes of white space |
/// | `error_event_at=N` | error event in a 200 stream after N events, then the end |
/// | `ping_only` | keep-alive comments (Anthropic: pings) for ever |
/// | `pings=N` | N keep-alives before each event |
/// | `role_only` | first chunk with the role, then the end, no content |
/// | `no_done` | no `[DONE]` |
/// | `no_usage` | no usage on the wire |
/// | `usage_in_finish`, `usage_every_chunk` | where an OpenAI-shaped stream has its usage |
/// | `crlf` | CRLF line ends in an OpenAI stream (Gemini's always are) |
/// | `ignore_max_tokens` | ten times the asked length |
/// | `lie_usage`, `lie_usage=F` | usage on the wire is F (default 3) times the truth |
/// | `len=N` | an answer of N tokens |
/// | `tier=NAME` | served, and billed, in this service tier, whatever was asked (OpenAI) |
/// | `cached=N`, `reasoning_tokens=N` | those token counts, whatever the request |
/// | `tool_calls=N` | N tool calls, also where the model would answer in text |
/// | `text_tool` | text before the tool calls |
/// | `args=one\|many\|final`, `hard_args` | how arguments are cut; arguments with quotes, escapes and emoji |
/// | `bad_args` | arguments that are not JSON (OpenAI) |
/// | `reasoning`, `redacted` | reasoning text; Anthropic: redacted block |
/// | `json` | a JSON object as the answer |
/// | `refusal`, `filtered` | the vendor's refusal or safety block |
/// | `blocked` | Gemini: prompt blocked, no candidates |
/// | `finish=WORD` | this finish reason instead of the true one |
/// | `no_finish` | no finish reason at all |
/// | `no_call_id` | Gemini: function calls without `id` |
/// | `echo_start` | repeats the start of the answer that the request gives |
/// | `fail_1_in=N` | 500 for every Nth call of this model |
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Behaviour {
    pub(crate) delay: Option<Duration>,
    pub(crate) first: Option<Duration>,
    pub(crate) gap: Option<Duration>,
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) reset_at: Option<usize>,
    pub(crate) close_at: Option<usize>,
    pub(crate) end_at: Option<usize>,
    pub(crate) stall_at: Option<usize>,
    pub(crate) error_event_at: Option<usize>,
    pub(crate) slice: Option<usize>,
    pub(crate) oversized: Option<usize>,
    pub(crate) pings: Option<usize>,
    pub(crate) lie_usage: Option<u64>,
    pub(crate) len: Option<usize>,
    pub(crate) cached: Option<u64>,
    pub(crate) reasoning_tokens: Option<u64>,
    pub(crate) tool_calls: Option<usize>,
    pub(crate) fail_1_in: Option<u64>,
    pub(crate) args: ArgsMode,
    pub(crate) finish: Option<String>,
    pub(crate) tier: Option<String>,
    /// Calls that the prompt dictates.
    pub(crate) plan: Plan,
    flags: Flags,
}

/// The words that take no value, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flags(u32);

/// The words that take no value, in bit order.
const FLAGS: [&str; 25] = [
    "silent",
    "reset",
    "truncate",
    "garble",
    "wrong_encoding",
    "gzip",
    "truncate_gzip",
    "goaway",
    "html",
    "empty",
    "ping_only",
    "role_only",
    "no_done",
    "no_usage",
    "usage_in_finish",
    "usage_every_chunk",
    "crlf",
    "ignore_max_tokens",
    "text_tool",
    "hard_args",
    "bad_args",
    "reasoning",
    "redacted",
    "json",
    "refusal",
];

/// More of them, in the same word.
const MORE_FLAGS: [&str; 6] = ["filtered", "blocked", "no_finish", "no_call_id", "ok", "echo_start"];

impl Behaviour {
    /// Reads words joined by `+`.
    ///
    /// # Errors
    /// The first word that is unknown or has an unreadable value.
    pub fn parse(words: &str) -> Result<Self, String> {
        let mut behaviour = Self::default();
        for word in words.split('+').map(str::trim).filter(|word| !word.is_empty()) {
            behaviour.add(word)?;
        }
        Ok(behaviour)
    }

    /// Splits `base+word+word`; words that do not parse change nothing.
    pub(crate) fn of_model(name: &str) -> (&str, Self) {
        let (base, words) = name.split_once('+').unwrap_or((name, ""));
        let mut behaviour = Self::default();
        behaviour.add_words(demo_words(base));
        for word in words.split('+') {
            let _ = behaviour.add(word);
        }
        (base, behaviour)
    }

    /// Whether the valueless `word` was given.
    pub(crate) fn has(&self, word: &str) -> bool {
        bit(word).is_some_and(|bit| self.flags.0 & bit != 0)
    }

    /// Adds what the text's `[[sim:…]]` markers say.
    pub(crate) fn add_markers(&mut self, text: &str) {
        let mut rest = text;
        while let Some(start) = rest.find("[[sim:") {
            rest = &rest[start + 6..];
            let Some(end) = rest.find("]]") else { return };
            for word in rest[..end].split('+') {
                let _ = self.add(word.trim());
            }
            rest = &rest[end..];
        }
    }

    /// Adds all that `words` say.
    pub(crate) fn add_words(&mut self, words: &str) {
        for word in words.split('+').map(str::trim).filter(|word| !word.is_empty()) {
            let _ = self.add(word);
        }
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if value.is_empty() && name != "lie_usage" {
            let bit = bit(name).ok_or_else(|| format!("unknown word `{word}`"))?;
            self.flags.0 |= bit;
            return Ok(());
        }
        let bad = || format!("`{word}` has an unreadable value");
        let number = || value.parse::<u64>().map_err(|_| bad());
        let index = || value.parse::<usize>().map_err(|_| bad());
        match name {
            "delay" => self.delay = Some(duration(value).ok_or_else(bad)?),
            "first" => self.first = Some(duration(value).ok_or_else(bad)?),
            "gap" => self.gap = Some(duration(value).ok_or_else(bad)?),
            "status" => self.status = Some(value.parse().map_err(|_| bad())?),
            "header" => {
                let (name, value) = value.split_once(':').ok_or_else(bad)?;
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            "reset_at" => self.reset_at = Some(index()?),
            "close_at" => self.close_at = Some(index()?),
            "end_at" => self.end_at = Some(index()?),
            "stall_at" => self.stall_at = Some(index()?),
            "error_event_at" => self.error_event_at = Some(index()?),
            "slice" => self.slice = Some(index()?.max(1)),
            "oversized" => self.oversized = Some(index()?),
            "pings" => self.pings = Some(index()?),
            "lie_usage" => self.lie_usage = Some(if value.is_empty() { 3 } else { number()? }),
            "len" => self.len = Some(index()?),
            "cached" => self.cached = Some(number()?),
            "reasoning_tokens" => self.reasoning_tokens = Some(number()?),
            "tool_calls" => self.tool_calls = Some(index()?),
            "fail_1_in" => self.fail_1_in = Some(number()?.max(1)),
            "finish" => self.finish = Some(value.to_owned()),
            "tier" => self.tier = Some(value.to_owned()),
            "args" => {
                self.args = match value {
                    "one" => ArgsMode::One,
                    "many" => ArgsMode::Many,
                    "final" => ArgsMode::Final,
                    _ => return Err(bad()),
                };
            }
            _ => return Err(format!("unknown word `{word}`")),
        }
        Ok(())
    }
}

/// What the demo models do by themselves.
fn demo_words(model: &str) -> &'static str {
    match model {
        "story" => "len=300+gap=25ms",
        "flaky" => "fail_1_in=5",
        _ => "",
    }
}

fn bit(word: &str) -> Option<u32> {
    FLAGS.iter().chain(&MORE_FLAGS).position(|flag| *flag == word).map(|position| 1 << position)
}

/// `50ms`, `2s`, `100us`, `1m`; a bare number is milliseconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    Some(match &text[digits..] {
        "us" => Duration::from_micros(number),
        "ms" | "" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_model_name_with_words() {
        let (base, behaviour) = Behaviour::of_model(
            "gpt-4o+delay=50ms+stall_at=3+reset_at=5+status=429+header=retry-after:2+truncate+slice=1+lie_usage+args=one",
        );
        assert_eq!(base, "gpt-4o");
        assert_eq!(behaviour.delay, Some(Duration::from_millis(50)));
        assert_eq!((behaviour.stall_at, behaviour.reset_at, behaviour.slice), (Some(3), Some(5), Some(1)));
        assert_eq!(behaviour.headers, [("retry-after".to_owned(), "2".to_owned())]);
        assert_eq!((behaviour.status, behaviour.lie_usage), (Some(429), Some(3)));
        assert!(behaviour.has("truncate") && !behaviour.has("garble"));
        assert_eq!(behaviour.args, ArgsMode::One);
    }

    #[test]
    fn a_script_with_an_unknown_word_is_refused() {
        for words in ["stal_at=3", "delay=fast", "args=two", "status=x", "garbel"] {
            assert!(Behaviour::parse(words).is_err(), "{words}");
        }
        assert_eq!(Behaviour::parse(""), Ok(Behaviour::default()));
    }

    #[test]
    fn markers_in_a_text_add_up() {
        let mut behaviour = Behaviour::default();
        behaviour.add_markers("hi [[sim:gap=2s+json]] there [[sim:pings=2]] [[sim:");
        assert_eq!(behaviour.gap, Some(Duration::from_secs(2)));
        assert_eq!(behaviour.pings, Some(2));
        assert!(behaviour.has("json"));
    }
}
