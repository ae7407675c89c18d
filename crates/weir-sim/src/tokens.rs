//! The simulator's tokens: a rule simple enough to recompute by hand, and the classes they are billed in.

use serde::Serialize;

/// Longest token, in bytes, not counting its leading space.
const LONGEST: usize = 8;

/// Token counts in disjoint classes: `input` holds no cached, audio or image token, `output` no reasoning or audio one.
/// As JSON, classes of no tokens are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tokens {
    /// Plain input.
    #[serde(skip_serializing_if = "is_zero")]
    pub input: u64,
    /// Input read from the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Input written to the five-minute cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// Input written to the one-hour cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Audio in the input.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_in: u64,
    /// Images in the input, where the vendor counts them apart (Gemini).
    #[serde(skip_serializing_if = "is_zero")]
    pub image_in: u64,
    /// Plain output.
    #[serde(skip_serializing_if = "is_zero")]
    pub output: u64,
    /// Reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Audio in the output.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_out: u64,
    /// Images made; no tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub image: u64,
    /// Search units; no tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub search: u64,
    /// Characters spoken; no tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub character: u64,
    /// Milliseconds of sound; no tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub duration: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Tokens {
    /// Every input class together.
    pub(crate) fn all_input(&self) -> u64 {
        self.input + self.cached() + self.audio_in + self.image_in
    }

    /// Every output class together.
    pub(crate) fn all_output(&self) -> u64 {
        self.output + self.reasoning + self.audio_out
    }

    /// What came from or went to a cache.
    pub(crate) fn cached(&self) -> u64 {
        self.cache_read + self.cache_write_5m + self.cache_write_1h
    }

    /// Every class `factor` times.
    pub(crate) fn times(self, factor: u64) -> Self {
        Self {
            input: self.input * factor,
            cache_read: self.cache_read * factor,
            cache_write_5m: self.cache_write_5m * factor,
            cache_write_1h: self.cache_write_1h * factor,
            audio_in: self.audio_in * factor,
            image_in: self.image_in * factor,
            output: self.output * factor,
            reasoning: self.reasoning * factor,
            audio_out: self.audio_out * factor,
            image: self.image * factor,
            search: self.search * factor,
            character: self.character * factor,
            duration: self.duration * factor,
        }
    }

    /// The same input, but only the first `sent` tokens of output (reasoning comes first).
    pub(crate) fn cut_output(self, sent: u64) -> Self {
        let reasoning = self.reasoning.min(sent);
        let output = self.output.min(sent - reasoning);
        let audio_out = self.audio_out.min(sent - reasoning - output);
        Self { reasoning, output, audio_out, ..self }
    }
}

/// How many tokens the text has: the number of its [`pieces`].
pub fn count(text: &str) -> u64 {
    pieces(text).count() as u64
}

/// The text's tokens in order: each is a run of white space with up to 8 bytes of what follows, or up to 8 bytes within
/// a word, cut at character borders. Together they are the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(first_piece(rest));
        rest = after;
        Some(piece)
    })
}

fn first_piece(text: &str) -> usize {
    let word = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    let mut end = word;
    for (at, c) in text[word..].char_indices() {
        if c.is_whitespace() || at + c.len_utf8() > LONGEST {
            break;
        }
        end = word + at + c.len_utf8();
    }
    end
}

/// The first `limit` tokens of the text.
pub(crate) fn truncate(text: &str, limit: u64) -> &str {
    let end: usize = pieces(text).take(usize::try_from(limit).unwrap_or(usize::MAX)).map(str::len).sum();
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_text() {
        let cases = [
            ("", 0),
            ("a", 1),
            ("hello world", 2),
            ("internationalization", 3),
            ("  \n", 1),
            ("雨雨雨雨 é", 3),
            ("tail ", 2),
        ];
        for (text, tokens) in cases {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert_eq!(count(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn truncation_counts_tokens() {
        assert_eq!(truncate("one two three", 2), "one two");
        assert_eq!(truncate("one", 9), "one");
        assert_eq!(truncate("one", 0), "");
    }

    #[test]
    fn a_cut_takes_reasoning_first() {
        let all = Tokens { input: 7, output: 10, reasoning: 5, ..Tokens::default() };
        assert_eq!(all.cut_output(3), Tokens { input: 7, reasoning: 3, ..Tokens::default() });
        assert_eq!(all.cut_output(8), Tokens { input: 7, output: 3, reasoning: 5, ..Tokens::default() });
        assert_eq!(all.cut_output(99), all);
    }
}
