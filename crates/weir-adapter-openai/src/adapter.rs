//! A provider: its descriptor, and the dialect's functions put behind the seam.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use weir_adapter::descriptor::Auth;
use weir_adapter::{
    Adapter, Credential, Descriptor, EncodeError, EncodeOptions, InvalidRequest, Operation, ProviderError,
    ReplyForm, Request, WireBody, WireRequest,
};
use weir_wire::openai;
use weir_wire::openai::usage::Convention;
use weir_wire::peek::Members;
use weir_wire::percent;

use crate::decode::ChatDecoder;
use crate::encode::Edit;
use crate::media::{Media, MediaReader, PATHS};
use crate::read::NativeReader;
use crate::responses::{self, read::ResponseReader};
use crate::rules::{Active, Rules};
use crate::{DIALECT, error, foreign};

/// A provider that speaks OpenAI's format.
pub(crate) struct OpenAi {
    descriptor: Descriptor,
    rules: Rules,
    headers: HeaderMap,
    auth: Option<HeaderName>,
    chat: Path,
    completions: Path,
    embeddings: Path,
    responses: Path,
    others: BTreeMap<Operation, Path>,
    media: Media,
}

/// What comes behind the base URL.
enum Path {
    /// The same for each model.
    Fixed(Cow<'static, str>),
    /// Azure's older form: the deployment stands between these.
    Deployment(String),
}

impl OpenAi {
    pub(crate) fn new(descriptor: Descriptor) -> OpenAi {
        let headers = descriptor.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        });
        let auth = match &descriptor.auth {
            Auth::Bearer => Some(http::header::AUTHORIZATION),
            Auth::Header(name) => HeaderName::from_bytes(name.as_bytes()).ok(),
            Auth::None => None,
        };
        OpenAi {
            rules: Rules::new(&descriptor),
            headers: headers.collect(),
            auth,
            chat: path(&descriptor, Operation::Chat),
            completions: path(&descriptor, Operation::Completions),
            embeddings: path(&descriptor, Operation::Embeddings),
            responses: path(&descriptor, Operation::Responses),
            others: PATHS.iter().map(|(operation, _)| (*operation, path(&descriptor, *operation))).collect(),
            media: Media::new(&descriptor),
            descriptor,
        }
    }

    fn path(&self, operation: Operation, model: &str) -> Cow<'static, str> {
        let path = match operation {
            Operation::Chat => &self.chat,
            Operation::Completions => &self.completions,
            Operation::Embeddings => &self.embeddings,
            Operation::CountTokens | Operation::Responses => &self.responses,
            other => self.others.get(&other).unwrap_or(&self.responses),
        };
        match path {
            Path::Fixed(path) => path.clone(),
            Path::Deployment(template) => {
                template.replace("{model}", &percent::encoded(model, percent::UNRESERVED)).into()
            }
        }
    }

    /// Whether a client of the Responses API is served by the provider's own. Azure's older form has none.
    fn has_responses(&self, request: &Request) -> bool {
        request.front().dialect() == responses::DIALECT
            && self.descriptor.operations.contains(&Operation::Responses)
            && matches!(self.responses, Path::Fixed(_))
    }

    fn wire(&self, path: Cow<'static, str>, body: Bytes, dropped: Vec<String>) -> WireRequest {
        let mut wire = WireRequest::json(path, body);
        wire.dropped = dropped;
        for (name, value) in &self.headers {
            wire.headers.insert(name, value.clone());
        }
        wire
    }

    /// A call that is neither a chat nor embeddings.
    fn media(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        let mut dropped = Vec::new();
        let body = self.media.body(request, options, &mut dropped)?;
        let mut wire = self.wire(self.path(request.operation, options.model), Bytes::new(), dropped);
        if let Some(upload) = &request.upload {
            wire.headers.insert(http::header::CONTENT_TYPE, upload.content_type.clone());
        }
        wire.body = body;
        wire.headers.extend(request.headers.clone());
        Ok(wire)
    }

    /// The request of another dialect in OpenAI's form, as this provider takes it.
    fn translated(
        &self,
        request: &Request,
        active: &Active<'_>,
        dropped: &mut Vec<String>,
    ) -> Result<(Bytes, Members), EncodeError> {
        let typed = request.typed()?;
        let json = match typed {
            openai::Request::Chat(chat) => {
                let mut chat = chat.clone();
                foreign::clean(&mut chat, active.messages(), active.reasoning(), dropped);
                serde_json::to_vec(&chat).expect("these types hold string keys and numbers that JSON has")
            }
            other => other.to_json(),
        };
        let body = Bytes::from(json);
        let members = Members::read(&body).map_err(InvalidRequest::from)?;
        Ok((body, members))
    }
}

impl Adapter for OpenAi {
    fn serves(&self, operation: Operation) -> bool {
        operation != Operation::CountTokens && self.descriptor.operations.contains(&operation)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        if request.operation.has_units() {
            return self.media(request, options);
        }
        let active = self.rules.of(options.model);
        let native = request.front().dialect() == DIALECT;
        let mut dropped = Vec::new();
        if self.has_responses(request) {
            let body = responses::native::encode(request, &active, options, &mut dropped)?;
            let mut wire = self.wire(self.path(Operation::Responses, options.model), body, dropped);
            wire.headers.extend(request.headers.clone());
            return Ok(wire);
        }
        let translated;
        let (body, members) = if native {
            (request.raw(), &request.peek().members)
        } else {
            translated = self.translated(request, &active, &mut dropped)?;
            (&translated.0, &translated.1)
        };
        let edit = Edit {
            operation: request.operation,
            body,
            members,
            peek: request.peek(),
            active: &active,
            options,
            foreign: !native,
        };
        let body = edit.apply(&mut dropped)?;
        let mut wire = self.wire(self.path(request.operation, options.model), body, dropped);
        if native {
            wire.headers.extend(request.headers.clone());
        }
        Ok(wire)
    }

    fn authorize(
        &self,
        request: &mut WireRequest,
        key: &Credential,
        _now: SystemTime,
    ) -> Result<(), EncodeError> {
        let Some(name) = &self.auth else { return Ok(()) };
        if key.is_empty() {
            return Ok(());
        }
        let refused = || EncodeError::Credential(key.name.to_string());
        let secret = key.bearer().ok_or_else(refused)?;
        // What a chain found is a token, however keys are sent.
        let token = key.is_renewed() || self.descriptor.auth == Auth::Bearer;
        let value = match token {
            true => HeaderValue::try_from(["Bearer ", &secret].concat()),
            false => HeaderValue::from_str(&secret),
        };
        let name = if key.is_renewed() { &http::header::AUTHORIZATION } else { name };
        let mut value = value.map_err(|_| refused())?;
        value.set_sensitive(true);
        request.headers.insert(name, value);
        Ok(())
    }

    fn reply_form(&self, request: &Request) -> ReplyForm {
        let (operation, usage) = (request.operation, self.descriptor.usage);
        if operation.has_units() {
            let calls = self.media.calls(operation);
            return ReplyForm::Native(Box::new(MediaReader::new(request, usage, calls)));
        }
        match request.front().dialect() {
            DIALECT => {
                ReplyForm::Native(Box::new(NativeReader::new(operation, usage, request.peek().choices)))
            }
            // Each of them counts reasoning as output here, whatever its chat does.
            _ if self.has_responses(request) => {
                ReplyForm::Native(Box::new(ResponseReader::new(Convention::default())))
            }
            _ => ReplyForm::Foreign(Box::new(ChatDecoder::new(operation, usage))),
        }
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        let mut error = error::reported(status.as_u16(), headers, body);
        error.usage = error::usage(body).map(|usage| usage.classes(self.descriptor.usage));
        error
    }

    fn list_models(&self) -> Option<WireRequest> {
        if matches!(self.chat, Path::Deployment(_)) {
            return None;
        }
        let chat = self.path(Operation::Chat, "");
        let path = format!("{}/models", chat.strip_suffix("/chat/completions")?);
        let mut wire = WireRequest::json(path, Bytes::new());
        wire.method = Method::GET;
        wire.body = WireBody::Bytes(Bytes::new());
        wire.headers = self.headers.clone();
        Some(wire)
    }

    fn model_ids(&self, body: &[u8]) -> Vec<String> {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
        let list = body.get("data").or_else(|| body.get("models")).unwrap_or(&body);
        let id = |model: &Value| Some(model.get("id").or_else(|| model.get("name"))?.as_str()?.to_owned());
        list.as_array().into_iter().flatten().filter_map(id).collect()
    }
}

/// Where an operation is reached.
fn path(descriptor: &Descriptor, operation: Operation) -> Path {
    let own = match operation {
        Operation::Chat => "/chat/completions",
        Operation::Completions => "/completions",
        Operation::Embeddings => "/embeddings",
        Operation::CountTokens | Operation::Responses | Operation::Passthrough => "/responses",
        other => PATHS.iter().find(|(operation, _)| *operation == other).map_or("", |(_, path)| path),
    };
    match descriptor.api_version.as_deref().filter(|version| *version != "v1") {
        Some(version) => Path::Deployment(format!(
            "/openai/deployments/{{model}}{own}?api-version={}",
            percent::encoded(version, percent::UNRESERVED)
        )),
        None => Path::Fixed(match descriptor.paths.get(&operation) {
            Some(path) => Cow::Owned(path.clone()),
            None => Cow::Borrowed(own),
        }),
    }
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
