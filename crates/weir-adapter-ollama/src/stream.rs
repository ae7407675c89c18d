//! A reply, whole or as it arrives.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use weir_adapter::ids::digest;
use weir_adapter::{Decoder, Operation, ProviderError, Request};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::openai::chat::{Choice, Chunk, ChunkChoice, Content, Delta, Message, Response, ToolCall};
use weir_wire::openai::{self, Extra, completions};

use crate::reply::{self, Reply, Said, unreadable};
use crate::{embeddings, error, usage};

/// Reads the reply to one request.
pub(crate) struct OllamaDecoder {
    operation: Operation,
    model: String,
    request: Bytes,
    /// Whether vectors are wanted in base64.
    base64: bool,
    /// What ids are made of: none came with the reply.
    stem: String,
    calls: u32,
    begun: bool,
    ended: bool,
    usage: Option<Usage>,
}

impl OllamaDecoder {
    pub(crate) fn new(request: &Request) -> OllamaDecoder {
        let base64 = request.operation == Operation::Embeddings
            && matches!(request.typed(), Ok(openai::Request::Embeddings(asked)) if asked.encoding_format.as_deref() == Some("base64"));
        OllamaDecoder {
            operation: request.operation,
            model: request.model().to_owned(),
            request: request.raw().clone(),
            base64,
            stem: String::new(),
            calls: 0,
            begun: false,
            ended: false,
            usage: None,
        }
    }

    fn read(&mut self, body: &[u8]) -> Result<(Reply, Value), ProviderError> {
        let told: Value = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
        let reply = Reply::deserialize(&told).map_err(|problem| unreadable(&problem))?;
        if let Some(told) = &reply.error {
            return Err(error::in_reply(told));
        }
        if self.stem.is_empty() {
            // The moment it began tells apart two replies to the same request.
            let moment = reply.created_at.as_bytes();
            self.stem = digest(&[&self.request[..], moment].concat());
        }
        Ok((reply, told))
    }

    /// Calls in OpenAI's form, counted over the whole reply.
    fn calls(&mut self, said: &mut Said) -> Vec<ToolCall> {
        let calls = said.tool_calls.take().unwrap_or_default();
        let write = |call: reply::Call| {
            let index = self.calls;
            self.calls += 1;
            ToolCall { index: Some(index), ..call.write(format!("call_w_{}_{index}", self.stem)) }
        };
        calls.into_iter().map(write).collect()
    }

    fn chat(&mut self, reply: Reply, told: &Value) -> Result<Response, ProviderError> {
        let mut said = reply.message.ok_or_else(|| ProviderError::nonsense("the reply has no message"))?;
        let mut calls = self.calls(&mut said);
        calls.iter_mut().for_each(|call| call.index = None);
        let (word, extra) = reply::finish(reply.done_reason.as_deref(), !calls.is_empty());
        let text = said.content.filter(|text| !text.is_empty());
        let thinking = said.thinking.filter(|text| !text.is_empty());
        if text.is_none() && thinking.is_none() && calls.is_empty() && word != "length" {
            return Err(ProviderError::empty());
        }
        let message = Message {
            role: "assistant".to_owned(),
            content: text
                .map(Content::Text)
                .or_else(|| calls.is_empty().then(|| Content::Text(String::new()))),
            reasoning_content: thinking,
            tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
            ..Message::default()
        };
        let logprobs = reply::logprobs(reply.logprobs);
        let choice =
            Choice { message, finish_reason: Some(word.to_owned()), logprobs, extra, ..Choice::default() };
        Ok(Response {
            id: format!("chatcmpl-{}", self.stem),
            object: "chat.completion".to_owned(),
            model: self.model.clone(),
            choices: vec![choice],
            usage: usage::report(told),
            ..Response::default()
        })
    }

    fn completion(&self, reply: &Reply, told: &Value) -> completions::Response {
        let text = reply.response.clone().unwrap_or_default();
        let (finish_reason, mut extra) = match reply.done {
            true => {
                let (word, extra) = reply::finish(reply.done_reason.as_deref(), false);
                (Some(word.to_owned()), extra)
            }
            false => (None, Extra::new()),
        };
        if let Some(thinking) = reply.thinking.as_deref().filter(|text| !text.is_empty()) {
            extra.insert("reasoning_content".to_owned(), thinking.into());
        }
        completions::Response {
            id: format!("cmpl-{}", self.stem),
            object: "text_completion".to_owned(),
            model: self.model.clone(),
            choices: vec![completions::Choice {
                text,
                finish_reason,
                extra,
                ..completions::Choice::default()
            }],
            usage: usage::report(told),
            ..completions::Response::default()
        }
    }

    fn line(&mut self, reply: Reply, told: &Value, out: &mut Vec<openai::Chunk>) {
        let mut said = reply.message.unwrap_or_default();
        let calls = self.calls(&mut said);
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let delta = Delta {
            content: some(said.content).map(Content::Text),
            reasoning_content: some(said.thinking),
            tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
            ..Delta::default()
        };
        let logprobs = reply::logprobs(reply.logprobs);
        if delta != Delta::default() || logprobs.is_some() {
            self.push(delta, None, logprobs, Extra::new(), out);
        }
        if reply.done {
            let (word, extra) = reply::finish(reply.done_reason.as_deref(), self.calls > 0);
            self.push(Delta::default(), Some(word), None, extra, out);
            if let Some(report) = usage::report(told) {
                out.push(openai::Chunk::Chat(Chunk { usage: Some(report), ..self.empty() }));
            }
        }
    }

    fn push(
        &mut self,
        mut delta: Delta,
        finish: Option<&str>,
        logprobs: Option<Value>,
        extra: Extra,
        out: &mut Vec<openai::Chunk>,
    ) {
        if !std::mem::replace(&mut self.begun, true) {
            delta.role = Some("assistant".to_owned());
        }
        let finish_reason = finish.map(str::to_owned);
        let choice = ChunkChoice { delta, finish_reason, logprobs, extra, ..ChunkChoice::default() };
        out.push(openai::Chunk::Chat(Chunk { choices: vec![choice], ..self.empty() }));
    }

    fn empty(&self) -> Chunk {
        Chunk {
            id: format!("chatcmpl-{}", self.stem),
            object: "chat.completion.chunk".to_owned(),
            model: self.model.clone(),
            ..Chunk::default()
        }
    }
}

impl Decoder for OllamaDecoder {
    fn framing(&self) -> Framing {
        Framing::JsonLines
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        if self.operation == Operation::Embeddings {
            let (response, told) = embeddings::whole(body, &self.model, self.base64)?;
            self.usage = usage::classes(&told);
            return Ok(openai::Response::Embeddings(response));
        }
        let (reply, told) = self.read(body)?;
        self.usage = usage::classes(&told);
        if self.operation == Operation::Completions {
            if reply.response.is_none() {
                return Err(ProviderError::nonsense("the reply has no `response`"));
            }
            return Ok(openai::Response::Completions(self.completion(&reply, &told)));
        }
        Ok(openai::Response::Chat(self.chat(reply, &told)?))
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if frame.trim_ascii().is_empty() {
            return Ok(());
        }
        let (reply, told) = self.read(frame)?;
        self.usage = usage::classes(&told).or(self.usage.take());
        self.ended |= reply.done;
        match self.operation {
            Operation::Completions => out.push(openai::Chunk::Completions(self.completion(&reply, &told))),
            _ => self.line(reply, &told, out),
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if self.ended { Ok(()) } else { Err(ProviderError::truncated()) }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}
