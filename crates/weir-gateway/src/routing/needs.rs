//! What a request needs of a model, by a glance at its bytes.

use weir_adapter::Request;
use weir_catalog::{Capability, Modality, Model};

/// A prompt has at least one token for so many bytes.
const BYTES_PER_TOKEN: u64 = 4;

/// What a request needs of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    tools: bool,
    schema: bool,
    images: bool,
    audio: bool,
    logprobs: bool,
    /// Tokens of the prompt, estimated.
    pub prompt: u64,
    /// Tokens of the answer that are asked for.
    pub output: u64,
}

/// What a model is known to do; what is not known is taken for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// Of [`Needs`]: what it can't do.
    lacks: Needs,
    /// Tokens that prompt and answer may have together.
    pub context: Option<u64>,
}

impl Needs {
    /// Of this request.
    pub fn of(request: &Request) -> Needs {
        let raw = request.raw();
        let member = |name: &str| request.peek().members.value(raw, name);
        // A quote within a text is escaped, so these are names and words of the request's own.
        let says = |word: &str| memchr::memmem::find(raw, word.as_bytes()).is_some();
        Needs {
            tools: member("tools").is_some_and(|tools| tools != b"[]"),
            schema: member("response_format")
                .is_some_and(|format| memchr::memmem::find(format, b"\"json_schema\"").is_some()),
            images: says("\"image_url\"") || says("\"input_image\"") || says("\"image\""),
            audio: says("\"input_audio\""),
            logprobs: member("logprobs").is_some_and(|value| value == b"true"),
            prompt: raw.len() as u64 / BYTES_PER_TOKEN,
            output: request.peek().output_limit.unwrap_or(0),
        }
    }
}

impl Offers {
    /// Of a model of the catalog.
    pub fn of(model: Option<&Model>) -> Offers {
        let Some(model) = model else { return Offers::default() };
        let lacks = |capability| model.can(capability) == Some(false);
        let known = model.capabilities.is_some();
        let deaf = |modality, capability| known && !model.input.contains(modality) && lacks(capability);
        Offers {
            lacks: Needs {
                tools: lacks(Capability::Tools),
                schema: lacks(Capability::JsonSchema),
                images: deaf(Modality::Image, Capability::Vision),
                audio: deaf(Modality::Audio, Capability::AudioIn),
                logprobs: lacks(Capability::Logprobs),
                prompt: 0,
                output: 0,
            },
            context: model.context_window,
        }
    }

    /// Whether nothing is known to be missing.
    pub fn can(&self, needs: &Needs) -> bool {
        let lacks = &self.lacks;
        !(needs.tools && lacks.tools
            || needs.schema && lacks.schema
            || needs.images && lacks.images
            || needs.audio && lacks.audio
            || needs.logprobs && lacks.logprobs)
    }

    /// What is known to be missing, in words.
    pub fn missing(&self, needs: &Needs) -> Vec<&'static str> {
        let lacks = &self.lacks;
        let all = [
            (needs.tools && lacks.tools, "tools"),
            (needs.schema && lacks.schema, "JSON schemas"),
            (needs.images && lacks.images, "sight"),
            (needs.audio && lacks.audio, "hearing"),
            (needs.logprobs && lacks.logprobs, "log probabilities"),
        ];
        all.into_iter().filter(|(lacks, _)| *lacks).map(|(_, word)| word).collect()
    }

    /// Whether it is known to use no tools.
    pub fn lacks_tools(&self) -> bool {
        self.lacks.tools
    }

    /// Whether prompt and answer may fit.
    pub fn fits(&self, needs: &Needs) -> bool {
        self.context.is_none_or(|context| needs.prompt + needs.output <= context)
    }
}
