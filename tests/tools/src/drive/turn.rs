//! One request: sending it, reading what comes, and saying how it ended.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Ask, Drive, Kind, Line, Pool, Seen};
use crate::drive::pool::Sender;

/// Time between tries to connect.
const AGAIN: Duration = Duration::from_millis(25);

/// Sends the request and reads the answer.
pub(super) async fn take(drive: &Drive, pool: &Pool, ask: &Ask, since: Instant) -> Line {
    let mut reading = Reading::new(ask, since, drive);
    let deadline = ask.abort.unwrap_or(drive.timeout).min(drive.timeout);
    let result = tokio::time::timeout(deadline, exchange(drive, pool, ask, &mut reading)).await;
    let (end, error) = match result {
        Ok(Ok(end)) => (end, None),
        Ok(Err(why)) => (Seen::Failed, Some(why)),
        Err(_) if ask.abort.is_some() => (Seen::Left, None),
        Err(_) => (Seen::TimedOut, None),
    };
    reading.line(end, error)
}

async fn exchange(drive: &Drive, pool: &Pool, ask: &Ask, reading: &mut Reading) -> Result<Seen, String> {
    let sender = loop {
        match pool.sender().await {
            Ok(sender) => break sender,
            Err(cause) if !drive.retry_connect => return Err(format!("connecting: {cause}")),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    };
    reading.line.at_us = now_us();
    let request = request(drive, ask)?;
    let (response, sender) = match sender {
        Sender::One(mut sender) => {
            let response = sender.send_request(request).await;
            (response, Some(Sender::One(sender)))
        }
        Sender::Two(mut sender) => (sender.send_request(request).await, None),
    };
    let response = response.map_err(|cause| format!("sending: {cause}"))?;
    let end = answer(response, ask, reading).await?;
    if let Some(sender) = sender.filter(|_| !pool.shares()) {
        pool.keep(sender);
    }
    Ok(end)
}

fn request(drive: &Drive, ask: &Ask) -> Result<Request<Full<Bytes>>, String> {
    let uri = if drive.http2 { format!("http://{}{}", drive.address, ask.path) } else { ask.path.to_owned() };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header("content-type", "application/json")
        .header("x-request-id", &ask.id);
    if !drive.http2 {
        request = request.header("host", &drive.address);
    }
    if let Some(key) = &drive.key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    if matches!(ask.kind, Kind::Messages | Kind::MessagesStream) {
        request = request.header("anthropic-version", "2023-06-01");
    }
    request.body(Full::new(ask.body.clone())).map_err(|cause| cause.to_string())
}

async fn answer(response: Response<Incoming>, ask: &Ask, reading: &mut Reading) -> Result<Seen, String> {
    let (head, mut body) = response.into_parts();
    reading.line.status = head.status.as_u16();
    let cost = head.headers.get("x-weir-cost").and_then(|value| value.to_str().ok());
    reading.line.cost = cost.map(str::to_owned);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|cause| format!("reading: {cause}"))?;
        let Ok(data) = frame.into_data() else { continue };
        reading.take(&data);
        if let Some(rate) = ask.slow {
            tokio::time::sleep(Duration::from_secs_f64(data.len() as f64 / rate.max(1) as f64)).await;
        }
    }
    Ok(reading.end())
}

/// What has been read of one answer.
struct Reading {
    line: Line,
    since: Instant,
    stream: bool,
    light: bool,
    /// When it was read last, where gaps are measured.
    last: Option<Instant>,
    gaps: bool,
    /// The whole body, or what follows the last whole event.
    rest: Vec<u8>,
    text: Sha256,
    done: bool,
    failed: Option<String>,
}

impl Reading {
    fn new(ask: &Ask, since: Instant, drive: &Drive) -> Self {
        let line = Line {
            id: ask.id.clone(),
            kind: ask.kind.name().to_owned(),
            question: ask.question,
            model: ask.model.clone(),
            at_us: now_us(),
            total_us: 0,
            first_us: None,
            status: 0,
            end: Seen::Failed,
            bytes: 0,
            events: 0,
            text_hash: None,
            input: None,
            output: None,
            cost: None,
            gaps_us: Vec::new(),
            error: None,
        };
        Self {
            line,
            since,
            stream: ask.stream(),
            light: drive.light,
            last: None,
            gaps: drive.gaps && ask.stream(),
            rest: Vec::new(),
            text: Sha256::new(),
            done: false,
            failed: None,
        }
    }

    fn take(&mut self, data: &[u8]) {
        if self.line.first_us.is_none() {
            self.line.first_us = Some(micros(self.since));
        }
        if self.gaps
            && let Some(last) = self.last.replace(Instant::now())
        {
            self.line.gaps_us.push(u32::try_from(micros(last)).unwrap_or(u32::MAX));
        }
        self.line.bytes += data.len() as u64;
        self.rest.extend_from_slice(data);
        if !self.stream || self.line.status != 200 {
            return;
        }
        if self.light {
            self.done |= memchr::memmem::find(&self.rest, b"data: [DONE]").is_some()
                || memchr::memmem::find(&self.rest, b"\"message_stop\"").is_some();
            let from = self.rest.len().saturating_sub(32);
            self.rest.drain(..from);
            self.line.events += 1;
            return;
        }
        while let Some(end) = memchr::memmem::find(&self.rest, b"\n\n") {
            let event: Vec<u8> = self.rest.drain(..end + 2).collect();
            self.event(&event);
        }
    }

    fn event(&mut self, event: &[u8]) {
        let lines = event.split(|byte| *byte == b'\n');
        let Some(data) = lines.filter_map(|line| line.strip_prefix(b"data:")).next() else { return };
        self.line.events += 1;
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.done = true;
            return;
        }
        match serde_json::from_slice::<Value>(data) {
            Ok(value) => self.value(&value),
            Err(cause) => self.failed = Some(format!("an event is not JSON: {cause}")),
        }
    }

    /// Takes text, usage and errors from an event, or from the whole answer.
    fn value(&mut self, value: &Value) {
        if !value["error"].is_null() {
            self.failed = Some(value["error"]["message"].as_str().unwrap_or("an error event").to_owned());
        }
        self.done |= value["type"] == "message_stop";
        for choice in value["choices"].as_array().into_iter().flatten() {
            for place in [&choice["delta"]["content"], &choice["message"]["content"], &choice["text"]] {
                self.text.update(place.as_str().unwrap_or(""));
            }
        }
        self.text.update(value["delta"]["text"].as_str().unwrap_or(""));
        for block in value["content"].as_array().into_iter().flatten() {
            self.text.update(block["text"].as_str().unwrap_or(""));
        }
        for usage in [&value["usage"], &value["message"]["usage"]] {
            let first = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
            self.line.input = first(["prompt_tokens", "input_tokens"]).or(self.line.input);
            self.line.output = first(["completion_tokens", "output_tokens"]).or(self.line.output);
        }
    }

    fn end(&mut self) -> Seen {
        if self.line.status != 200 {
            let text = String::from_utf8_lossy(&self.rest[..self.rest.len().min(300)]).into_owned();
            self.failed = Some(text);
            return Seen::Refused;
        }
        if !self.stream && !self.light {
            match serde_json::from_slice::<Value>(&std::mem::take(&mut self.rest)) {
                Ok(value) => self.value(&value),
                Err(cause) => self.failed = Some(format!("the answer is not JSON: {cause}")),
            }
        }
        if self.failed.is_some() || (self.stream && !self.done) { Seen::Broken } else { Seen::Complete }
    }

    fn line(mut self, end: Seen, error: Option<String>) -> Line {
        self.line.total_us = micros(self.since);
        self.line.end = end;
        self.line.error = error.or(self.failed);
        if !self.light {
            let digest = self.text.finalize();
            self.line.text_hash = Some(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect());
        }
        self.line
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
