//! A client's request: the bytes as sent, and what a glance at them tells.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use weir_wire::openai;
use weir_wire::peek::Members;
use weir_wire::splice::ObjectSplice;

use crate::front::{Front, InvalidRequest};
use crate::upload::Upload;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A chat completion, in whichever dialect it is asked for.
    Chat,
    /// A text completion.
    Completions,
    /// Embeddings.
    Embeddings,
    /// How many tokens a chat would have, without having it.
    CountTokens,
    /// In descriptors: the provider has OpenAI's Responses API itself. Calls of that dialect are chats.
    Responses,
    /// Documents in the order of their relevance to a query.
    Rerank,
    /// Whether a content breaks the provider's rules.
    Moderations,
    /// Images made from a text.
    Images,
    /// Images made from images and a text.
    ImageEdits,
    /// Images like another.
    ImageVariations,
    /// Speech made from a text.
    Speech,
    /// Text made from speech.
    Transcriptions,
    /// English text made from speech.
    Translations,
    /// Whatever the provider's own API has, as it is.
    Passthrough,
}

impl Operation {
    /// The name in rows, metrics and descriptors.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::CountTokens => "count_tokens",
            Operation::Responses => "responses",
            Operation::Rerank => "rerank",
            Operation::Moderations => "moderations",
            Operation::Images => "images",
            Operation::ImageEdits => "image_edits",
            Operation::ImageVariations => "image_variations",
            Operation::Speech => "speech",
            Operation::Transcriptions => "transcriptions",
            Operation::Translations => "translations",
            Operation::Passthrough => "passthrough",
        }
    }

    /// Whether what is charged for it may be counted in other units than tokens: images, seconds, characters, searches.
    /// A price then says by its fields which of the counts cost.
    pub fn has_units(self) -> bool {
        matches!(
            self,
            Operation::Rerank
                | Operation::Moderations
                | Operation::Images
                | Operation::ImageEdits
                | Operation::ImageVariations
                | Operation::Speech
                | Operation::Transcriptions
                | Operation::Translations
                | Operation::Passthrough
        )
    }

    /// Whether its body may be a form with files.
    pub fn takes_files(self) -> bool {
        matches!(
            self,
            Operation::ImageEdits
                | Operation::ImageVariations
                | Operation::Transcriptions
                | Operation::Translations
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a glance at a body tells, without parsing it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peek {
    /// The model that the client names.
    pub model: String,
    /// The members of the outermost object.
    pub members: Members,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// Whether the client asked for a usage chunk. Dialects that always have usage say `true`.
    pub include_usage: bool,
    /// The most tokens to make, as the client set it.
    pub output_limit: Option<u64>,
    /// How many choices are asked for, 1 as a rule.
    pub choices: u32,
    /// The end user whom the client names.
    pub user: Option<String>,
}

/// A request that goes on as it came.
#[derive(Debug, Clone)]
pub struct Verbatim {
    /// Its method.
    pub method: Method,
    /// What comes behind the provider's base URL, query included: begins with `/`, leaves it by no trick.
    pub path: String,
    /// Its headers, by an allow-list.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Whether the body's dialect is known, so that its usage can be read.
    pub known: bool,
}

/// A client's request.
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// The call's own id, for dialects whose answers have ids that last; empty where there is none.
    pub id: String,
    /// The client's headers that may travel on to a provider of the same dialect, by the front's allow-list.
    pub headers: HeaderMap,
    /// The query of the client's URL, without `?`; fronts decide what of it travels.
    pub query: Option<String>,
    /// A form with files, which goes on as it comes; the body is then its short fields, as JSON.
    pub upload: Option<Arc<Upload>>,
    /// The request goes on as it came, to the provider's own API.
    pub verbatim: Option<Box<Verbatim>>,
    front: Arc<dyn Front>,
    raw: Bytes,
    peek: Peek,
    /// Boxed: most calls never have it, and a request moves a few times.
    typed: OnceLock<Box<Result<openai::Request, InvalidRequest>>>,
}

impl Request {
    /// A request whose body was peeked at by `front`.
    pub fn new(operation: Operation, front: Arc<dyn Front>, raw: Bytes, peek: Peek) -> Request {
        Request {
            operation,
            id: String::new(),
            headers: HeaderMap::new(),
            query: None,
            upload: None,
            verbatim: None,
            front,
            raw,
            peek,
            typed: OnceLock::new(),
        }
    }

    /// The model that the client names.
    pub fn model(&self) -> &str {
        &self.peek.model
    }

    /// Gives the call another model's name than the one that its body says.
    pub fn serve_as(&mut self, model: String) {
        self.peek.model = model;
    }

    /// What a glance told.
    pub fn peek(&self) -> &Peek {
        &self.peek
    }

    /// The body as sent.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether its body is gone: a form that was sent once can't be sent again.
    pub fn is_spent(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.is_spent())
    }

    /// The client's dialect.
    pub fn front(&self) -> &Arc<dyn Front> {
        &self.front
    }

    /// The same request without its tools. `None` where it has none, demands one, or is about some that were used.
    pub fn without_tools(&self) -> Option<Request> {
        /// In every dialect that clients speak; none of them calls something else so.
        const NAMES: [&str; 7] = [
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "max_tool_calls",
            "functions",
            "toolConfig",
            "tool_config",
        ];
        /// Names of members that only the use of tools has. In a text their quotes are escaped.
        const USED: [&str; 5] = [
            "\"tool_call_id\"",
            "\"tool_use_id\"",
            "\"functionResponse\"",
            "\"function_response\"",
            "\"function_call_output\"",
        ];
        let has = |bytes: &[u8], word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
        let members = &self.peek.members;
        let named = |name: &str| members.value(&self.raw, name);
        let free = |choice: &[u8]| {
            ["\"auto\"", "\"none\"", "\"AUTO\"", "\"NONE\""].iter().any(|word| has(choice, word))
        };
        let choices = ["tool_choice", "toolConfig", "tool_config"];
        let demanded =
            choices.iter().filter_map(|name| named(name)).any(|choice| choice != b"null" && !free(choice));
        let as_it_came = self.upload.is_some() || self.verbatim.is_some();
        if as_it_came || named("tools").is_none() || demanded || USED.iter().any(|word| has(&self.raw, word))
        {
            return None;
        }
        let mut splice = ObjectSplice::new(members);
        for (index, member) in members.list.iter().enumerate() {
            let key = weir_wire::peek::key_bytes(&self.raw, member);
            if NAMES.iter().any(|name| name.as_bytes() == key) {
                splice.remove(index);
            }
        }
        let raw = splice.apply(&self.raw);
        let peek = Peek { members: Members::read(&raw).ok()?, ..self.peek.clone() };
        Some(Request {
            operation: self.operation,
            id: self.id.clone(),
            headers: self.headers.clone(),
            query: self.query.clone(),
            upload: None,
            verbatim: None,
            front: self.front.clone(),
            raw,
            peek,
            typed: OnceLock::new(),
        })
    }

    /// The body in OpenAI's form: parsed once, and only if asked.
    pub fn typed(&self) -> Result<&openai::Request, InvalidRequest> {
        let decode = || Box::new(self.front.decode(self.operation, &self.raw));
        self.typed.get_or_init(decode).as_ref().as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for Request {
    /// Without the body: prompts never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("dialect", &self.front.dialect())
            .field("model", &self.peek.model)
            .field("bytes", &self.raw.len())
            .finish_non_exhaustive()
    }
}
