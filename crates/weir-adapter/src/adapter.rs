//! One provider's dialect, as pure functions to and from OpenAI's.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::{Map, Value};
use weir_wire::framing::Framing;
use weir_wire::{Usage, openai};

use crate::credential::Credential;
use crate::descriptor::Auth;
use crate::error::ProviderError;
use crate::front::InvalidRequest;
use crate::request::{Operation, Request};

/// One provider's dialect, built from its descriptor.
pub trait Adapter: Send + Sync {
    /// Whether the provider can do this at all.
    fn serves(&self, operation: Operation) -> bool;

    /// The request as the provider wants it: the client's bytes, spliced, where both speak the same dialect,
    /// else translated from [`Request::typed`]. What the provider can't honour is left out and named in
    /// [`WireRequest::dropped`]. The same request gives the same bytes each time.
    ///
    /// # Errors
    /// A body that does not read, or asks for something that can't be left out.
    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError>;

    /// Puts the credential on a request.
    ///
    /// # Errors
    /// A credential that can't stand in a header.
    fn authorize(
        &self,
        request: &mut WireRequest,
        key: &Credential,
        now: SystemTime,
    ) -> Result<(), EncodeError>;

    /// How the reply to this request is read.
    fn reply_form(&self, request: &Request) -> ReplyForm;

    /// The same where the name of the model at the provider matters: one provider's models may speak several dialects.
    fn reply_form_of(&self, request: &Request, _model: &str) -> ReplyForm {
        self.reply_form(request)
    }

    /// Whether a reply with an error status says that the credential has ended, or is not known any more: another may be good.
    fn credential_ended(&self, status: StatusCode, _headers: &HeaderMap, _body: &[u8]) -> bool {
        status == StatusCode::UNAUTHORIZED
    }

    /// What a reply with an error status means. `body` may be cut at 64 KiB. How long its headers ask to wait is read
    /// by the caller, who has a clock: [`ProviderError::asked_to_wait`].
    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError;

    /// A request for the list of the provider's models, where it has one.
    fn list_models(&self) -> Option<WireRequest> {
        None
    }

    /// The ids in a reply to [`Adapter::list_models`].
    fn model_ids(&self, _body: &[u8]) -> Vec<String> {
        Vec::new()
    }
}

/// What the gateway decides about a request beside its body.
#[derive(Debug, Clone, Copy)]
pub struct EncodeOptions<'o> {
    /// The model's name at the provider.
    pub model: &'o str,
    /// The most tokens that the model can make, where the catalog knows: for dialects that demand a limit.
    pub model_output_limit: Option<u64>,
    /// A limit to send because the client set none (a hard budget needs one).
    pub output_limit: Option<u64>,
    /// What the client's own limit is lowered to, where it is higher (a budget pays for no more).
    pub output_cap: Option<u64>,
    /// Whether a stream must report its usage: on wherever weir accounts.
    pub include_usage: bool,
    /// The route's defaults, in OpenAI's names: set where the client sent nothing.
    pub defaults: Option<&'o Map<String, Value>>,
}

impl<'o> EncodeOptions<'o> {
    /// The limit to write where the client set `own`: what is sent in its absence, or what it is lowered to. `None`
    /// leaves it as it is.
    pub fn changed_limit(&self, own: Option<u64>) -> Option<u64> {
        match own {
            None => self.output_limit,
            Some(own) => self.output_cap.filter(|cap| *cap < own),
        }
    }

    /// The request with the route's defaults, where the client sent nothing.
    pub fn with_defaults<'r>(&self, request: &'r openai::chat::Request) -> Cow<'r, openai::chat::Request> {
        let Some(defaults) = self.defaults.filter(|defaults| !defaults.is_empty()) else {
            return Cow::Borrowed(request);
        };
        let Ok(Value::Object(mut members)) = serde_json::to_value(request) else {
            return Cow::Borrowed(request);
        };
        for (name, value) in defaults {
            if !members.contains_key(name) {
                members.insert(name.clone(), value.clone());
            }
        }
        serde_json::from_value(Value::Object(members)).map_or(Cow::Borrowed(request), Cow::Owned)
    }

    /// Usage on, everything else as the client sent it.
    pub fn new(model: &'o str) -> EncodeOptions<'o> {
        EncodeOptions {
            model,
            model_output_limit: None,
            output_limit: None,
            output_cap: None,
            include_usage: true,
            defaults: None,
        }
    }
}

/// A request to a provider.
#[derive(Debug)]
pub struct WireRequest {
    /// `POST` as a rule.
    pub method: Method,
    /// What comes behind the provider's base URL, query included: begins with `/`.
    pub path: Cow<'static, str>,
    /// Its headers, without `host` and `content-length`.
    pub headers: HeaderMap,
    /// Its body.
    pub body: WireBody,
    /// Parameters of the client that the provider can't honour, as JSON paths (`seed`, `messages[0].name`).
    pub dropped: Vec<String>,
}

impl WireRequest {
    /// A JSON body, posted.
    pub fn json(path: impl Into<Cow<'static, str>>, body: Bytes) -> WireRequest {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        WireRequest {
            method: Method::POST,
            path: path.into(),
            headers,
            body: WireBody::Bytes(body),
            dropped: Vec::new(),
        }
    }

    /// Puts a key into the header that `auth` names; nothing where there is no key, or none is sent.
    ///
    /// # Errors
    /// A header that can't be.
    pub fn authorize(&mut self, auth: &Auth, key: &Credential) -> Result<(), EncodeError> {
        if key.is_empty() {
            return Ok(());
        }
        let refused = || EncodeError::Credential(key.name.to_string());
        let secret = key.bearer().ok_or_else(refused)?;
        let (name, text) = match auth {
            Auth::None => return Ok(()),
            // What a chain found is a token, however keys are sent.
            _ if key.is_renewed() => (http::header::AUTHORIZATION, format!("Bearer {secret}")),
            Auth::Bearer => (http::header::AUTHORIZATION, format!("Bearer {secret}")),
            Auth::Header(name) => {
                (http::HeaderName::try_from(name.as_str()).map_err(|_| refused())?, secret.into_owned())
            }
        };
        let mut value = http::HeaderValue::try_from(text).map_err(|_| refused())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }
}

/// The body of a request to a provider.
pub enum WireBody {
    /// All of it: can be sent again.
    Bytes(Bytes),
    /// As it comes from the client (multipart uploads): can be sent once.
    Stream(UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>),
    /// None: the connection is taken over (WebSocket).
    Upgrade,
}

impl fmt::Debug for WireBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireBody::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            WireBody::Stream(_) => f.write_str("Stream"),
            WireBody::Upgrade => f.write_str("Upgrade"),
        }
    }
}

/// Why a request can't be sent to this provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The body is wrong, at any provider.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// This provider can't do it; another may.
    #[error("{message}")]
    Unsupported {
        /// The parameter, as a JSON path.
        param: String,
        /// What to change.
        message: String,
    },
    /// The credential can't be used.
    #[error("credential `{0}` can't stand in a header")]
    Credential(String),
}

impl EncodeError {
    /// Something that this provider can't do.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> EncodeError {
        EncodeError::Unsupported { param: param.into(), message: message.into() }
    }
}

/// How a reply is read.
pub enum ReplyForm {
    /// The client's own dialect: bytes pass as they came, under a reader's eyes.
    Native(Box<dyn Reader>),
    /// Another: split into frames, then translated to OpenAI's.
    Foreign(Box<dyn Decoder>),
}

/// Translates one reply. Holds whatever must be remembered between frames.
pub trait Decoder: Send {
    /// How a stream is cut.
    fn framing(&self) -> Framing;

    /// A whole reply.
    ///
    /// # Errors
    /// A body that is not a reply (also: an error under status 200).
    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError>;

    /// One raw frame of a stream, its line ends included.
    ///
    /// # Errors
    /// An error event, or a frame that does not read.
    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError>;

    /// The end of the body.
    ///
    /// # Errors
    /// The stream ended before it was complete ([`crate::ErrorKind::Truncated`]).
    fn end(&mut self, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError>;

    /// The usage reported so far, in disjoint classes; the last report counts.
    fn usage(&self) -> Option<&Usage>;
}

/// Glances at one reply that passes through in the client's own dialect.
pub trait Reader: Send {
    /// How a stream is cut.
    fn framing(&self) -> Framing;

    /// A whole reply.
    ///
    /// # Errors
    /// A body that is not a reply (also: an error under status 200).
    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError>;

    /// One raw frame of a stream, its line ends included.
    ///
    /// # Errors
    /// An error event, or a frame that does not read.
    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError>;

    /// Whether the frame that ends the answer has passed (`[DONE]`): the client has its clean end, whatever the
    /// connection does from then on.
    fn done(&self) -> bool;

    /// The end of the body: what must be added so that the client sees a proper end (`data: [DONE]` where the
    /// provider leaves it out; as a rule nothing).
    ///
    /// # Errors
    /// The stream ended before it was complete ([`crate::ErrorKind::Truncated`]).
    fn end(&mut self) -> Result<Bytes, ProviderError>;

    /// The usage reported so far, in disjoint classes; the last report counts.
    fn usage(&self) -> Option<&Usage>;

    /// Whether a reply that does not stream passes as bytes that nobody reads, as they come: sound.
    fn is_opaque(&self) -> bool {
        false
    }

    /// What takes the place of a whole reply that was read: the provider says it in other words than the client's dialect.
    fn rewritten(&mut self) -> Option<Bytes> {
        None
    }

    /// The type of a whole reply that is no JSON.
    fn content_type(&self) -> Option<&'static str> {
        None
    }

    /// The service tier that the reply says it was served in, where that is one of OpenAI's `default`, `flex` and
    /// `priority`; known no later than the usage.
    fn tier(&self) -> Option<&'static str> {
        None
    }
}

/// What a reader saw in a frame or a whole reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    /// It carries part of an answer: text, reasoning, a tool call, an image, or the reason why the answer ends.
    /// A role alone, a ping or a comment does not. The first such frame commits the attempt.
    pub semantic: bool,
    /// It exists for its usage only, and is withheld from a client that did not ask for usage.
    pub usage_only: bool,
    /// It never goes on to the client: a second `[DONE]`, or what comes behind the first.
    pub withhold: bool,
    /// The offset of the closing brace of its usage object, where `,"cost":…` can be put in.
    pub usage_end: Option<usize>,
    /// How many bytes of text, reasoning and arguments it holds: what usage is estimated from when none is reported.
    /// An upper bound (the frame's length) will do.
    pub output_bytes: usize,
}
