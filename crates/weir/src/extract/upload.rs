//! Forms with files: read as far as a call must know them, then sent on as they come.
//!
//! Decided so: where `model` stands before the first file, and the form is large, only what comes before the file is kept
//! (with the file's first bytes, for its length) and the rest is sent on as it comes: such a call is tried at one target
//! only. Where a file comes first, or the form is small, all of it is read into memory, within `server.max_body` and
//! `server.max_body_memory`, as JSON bodies are; then it can be tried again elsewhere. Fields behind a file of a form that
//! streams pass unseen, but for `model`: naming one there breaks the call off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::request::Parts;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep};
use weir_adapter::upload::{BoxError, Broken, FileHead};
use weir_adapter::{InvalidRequest, Upload};
use weir_gateway::GatewayError;
use weir_gateway::overload::Overload;

use super::form::{Event, Malformed, Scanner};
use super::request::{BODY_PACE, BODY_PATIENCE};
use crate::client_body::ClientBody;

/// A form of at most so many bytes is always read whole.
const SMALL: u64 = 1 << 20;
/// How much of a file is looked at, in bytes.
const FILE_HEAD: usize = 4 << 10;
/// The largest field, in bytes.
const MAX_FIELD: u64 = 256 << 10;
/// The most parts of a form.
const MAX_PARTS: usize = 256;

/// A form, and its fields as JSON.
pub struct Form {
    /// What goes on.
    pub upload: Upload,
    /// Its fields, as far as they were read.
    pub fields: Bytes,
}

/// The `content-type`, where the body is a form.
pub fn kind(head: &Parts) -> Option<HeaderValue> {
    let value = head.headers.get(http::header::CONTENT_TYPE)?;
    let prefix = value.as_bytes().get(..19)?;
    prefix.eq_ignore_ascii_case(b"multipart/form-data").then(|| value.clone())
}

/// Reads a form as far as it must be known.
///
/// # Errors
/// A form that can't be read, is too large, too slow or broken off, or has no file.
pub async fn read(
    head: &Parts,
    mut body: ClientBody,
    kind: HeaderValue,
    limit: usize,
    overload: &Arc<Overload>,
) -> Result<Form, GatewayError> {
    let length = announced(head);
    if length.is_some_and(|length| length > limit as u64) {
        return Err(GatewayError::TooLarge { limit });
    }
    let scanner = Scanner::new(kind.to_str().unwrap_or_default()).map_err(malformed)?;
    let mut reading = Reading { scanner, parts: Vec::new(), read: BytesMut::new() };
    let mut room = overload.body_room(0)?;
    let small = length.is_some_and(|length| length <= SMALL);
    let began = Instant::now();
    loop {
        let patience = BODY_PATIENCE + Duration::from_millis(reading.read.len() as u64 * 1000 / BODY_PACE);
        let frame = match tokio::time::timeout_at(began + patience, body.frame()).await {
            Err(_) => return Err(GatewayError::TooSlow { pace: BODY_PACE }),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|_| GatewayError::from(broken_off()))?,
        };
        let Ok(data) = frame.into_data() else { continue };
        if reading.read.len() + data.len() > limit {
            return Err(GatewayError::TooLarge { limit });
        }
        room.grow_to(reading.read.len() + data.len())?;
        reading.take(&data).map_err(malformed)?;
        if !small && reading.may_stream() {
            let rest = Rest::new(body, &reading, limit as u64, began);
            let broken = rest.broken.clone();
            let Reading { parts, read, .. } = reading;
            let head = room.keep(read.freeze());
            let fields = fields(&parts, &head)?;
            let mut upload =
                Upload::begun(kind, head.clone(), model(&parts)?, length, UnsyncBoxBody::new(rest), broken);
            upload.file = file(&parts, &head, length.unwrap_or(limit as u64));
            return Ok(Form { upload, fields });
        }
    }
    if !reading.scanner.is_closed() {
        return Err(malformed(Malformed("it ends before its last boundary")));
    }
    let Reading { parts, read, .. } = reading;
    let whole = room.keep(read.freeze());
    let fields = fields(&parts, &whole)?;
    let mut upload = Upload::whole(kind, whole.clone(), model(&parts)?);
    upload.file = file(&parts, &whole, whole.len() as u64);
    if upload.file.is_none() {
        return Err(InvalidRequest::missing("file").into());
    }
    Ok(Form { upload, fields })
}

/// A part of the form.
#[derive(Debug)]
struct Part {
    name: String,
    file: bool,
    start: u64,
    /// `None` while it comes.
    end: Option<u64>,
}

/// A form that is read.
struct Reading {
    scanner: Scanner,
    parts: Vec<Part>,
    read: BytesMut,
}

impl Reading {
    fn take(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let mut events = Vec::new();
        self.scanner.push(data, &mut events)?;
        self.read.extend_from_slice(data);
        for event in events {
            match event {
                Event::Part { name, file, start } => self.parts.push(Part { name, file, start, end: None }),
                Event::End { end } => {
                    if let Some(part) = self.parts.last_mut() {
                        part.end = Some(end);
                    }
                }
                Event::Closed => {}
            }
        }
        if self.parts.len() > MAX_PARTS {
            return Err(Malformed("it has more than 256 parts"));
        }
        Ok(())
    }

    /// Whether all that must be known came before the first file, and enough of that to see what it is.
    fn may_stream(&self) -> bool {
        let Some(file) = self.parts.iter().position(|part| part.file) else { return false };
        let begun = self.read.len() as u64 >= self.parts[file].start + FILE_HEAD as u64;
        begun && self.parts[..file].iter().any(|part| part.name == "model")
    }
}

/// Where the model's name stands.
fn model(parts: &[Part]) -> Result<Option<std::ops::Range<usize>>, InvalidRequest> {
    let mut models = parts.iter().filter(|part| part.name == "model");
    let found = models.next();
    if models.next().is_some() || found.is_some_and(|part| part.file) {
        return Err(InvalidRequest::value("model", "the form names its model twice, or in a file"));
    }
    let at = found.and_then(|part| Some((part.start, part.end?)));
    Ok(at.map(|(start, end)| start as usize..end as usize))
}

/// The fields as JSON. What OpenAI's forms have as numbers and switches becomes such.
fn fields(parts: &[Part], read: &[u8]) -> Result<Bytes, InvalidRequest> {
    let mut fields = Map::new();
    for part in parts.iter().filter(|part| !part.file) {
        let Some(end) = part.end else { continue };
        let wrong = |what: &str| {
            InvalidRequest::value(&part.name, format!("the form's field `{}` {what}", part.name))
        };
        if end - part.start > MAX_FIELD {
            return Err(wrong("is larger than 256 KiB"));
        }
        let text = std::str::from_utf8(&read[part.start as usize..end as usize])
            .map_err(|_| wrong("is not UTF-8"))?;
        let value = match part.name.as_str() {
            "stream" => match text {
                "true" | "True" | "1" => Value::Bool(true),
                "false" | "False" | "0" | "" => Value::Bool(false),
                _ => return Err(wrong("must be true or false")),
            },
            "n" | "partial_images" => {
                text.parse::<u64>().map(Value::from).map_err(|_| wrong("must be a whole number"))?
            }
            _ => Value::from(text),
        };
        // Lists are sent as `name[]`, once for each.
        if !part.name.ends_with("[]") && fields.contains_key(&part.name) {
            return Err(wrong("stands twice"));
        }
        fields.insert(part.name.clone(), value);
    }
    Ok(serde_json::to_vec(&fields).expect("texts are JSON").into())
}

/// The first file.
fn file(parts: &[Part], read: &Bytes, at_most: u64) -> Option<FileHead> {
    let part = parts.iter().find(|part| part.file)?;
    let start = part.start as usize;
    let end = part.end.map_or(read.len(), |end| end as usize);
    let size = part.end.unwrap_or(at_most).saturating_sub(part.start);
    Some(FileHead { bytes: Bytes::copy_from_slice(&read[start..end.min(start + FILE_HEAD)]), at_most: size })
}

fn announced(head: &Parts) -> Option<u64> {
    head.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn malformed(why: Malformed) -> GatewayError {
    invalid(&why).into()
}

fn invalid(why: &Malformed) -> InvalidRequest {
    InvalidRequest { message: why.to_string(), code: "invalid_value", param: None }
}

fn broken_off() -> InvalidRequest {
    InvalidRequest { message: "the body broke off".to_owned(), code: "invalid_request", param: None }
}

/// What is still to come: within its size, at its pace, and without another `model`.
struct Rest {
    body: ClientBody,
    scanner: Scanner,
    read: u64,
    limit: u64,
    parts: usize,
    began: Instant,
    alarm: Pin<Box<Sleep>>,
    broken: Broken,
}

impl Rest {
    fn new(body: ClientBody, reading: &Reading, limit: u64, began: Instant) -> Rest {
        Rest {
            body,
            scanner: reading.scanner.clone(),
            read: reading.read.len() as u64,
            limit,
            parts: reading.parts.len(),
            began,
            alarm: Box::pin(tokio::time::sleep(BODY_PATIENCE)),
            broken: Broken::default(),
        }
    }

    fn until(&self) -> Instant {
        self.began + BODY_PATIENCE + Duration::from_millis(self.read * 1000 / BODY_PACE)
    }

    fn take(&mut self, data: &[u8]) -> Result<(), InvalidRequest> {
        self.read += data.len() as u64;
        if self.read > self.limit {
            let message = format!("body is larger than {} bytes", self.limit);
            return Err(InvalidRequest { message, code: "request_too_large", param: None });
        }
        let mut events = Vec::new();
        self.scanner.push(data, &mut events).map_err(|why| invalid(&why))?;
        for event in events {
            if let Event::Part { name, .. } = event {
                self.parts += 1;
                if name == "model" {
                    return Err(InvalidRequest::value("model", "the form names its model twice"));
                }
            }
        }
        match self.parts > MAX_PARTS {
            true => Err(invalid(&Malformed("it has more than 256 parts"))),
            false => Ok(()),
        }
    }

    fn fail(&mut self, why: InvalidRequest) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let error = why.message.clone();
        self.broken.tell(why);
        Poll::Ready(Some(Err(error.into())))
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref()
                    && let Err(why) = this.take(data)
                {
                    return this.fail(why);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => this.fail(broken_off()),
            Poll::Ready(None) if this.scanner.is_closed() => Poll::Ready(None),
            Poll::Ready(None) => this.fail(invalid(&Malformed("it ends before its last boundary"))),
            Poll::Pending => {
                let until = this.until();
                if Instant::now() >= until {
                    let message = format!("the body came slower than {BODY_PACE} bytes a second");
                    return this.fail(InvalidRequest { message, code: "request_timeout", param: None });
                }
                if this.alarm.deadline() < until {
                    this.alarm.as_mut().reset(until);
                }
                if this.alarm.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}
