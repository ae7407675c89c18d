//! A reply as it arrives.

use serde_json::Value;
use weir_adapter::{Decoder, Operation, ProviderError, Request};
use weir_wire::Usage;
use weir_wire::framing::{Framing, sse};
use weir_wire::openai::chat::{Chunk, ChunkChoice, Content, Delta, FunctionCall, ToolCall};
use weir_wire::openai::{self, Extra};

use crate::reply::{self, Block, Call, unreadable};
use crate::{embeddings, usage};

/// Reads the reply to one request.
pub(crate) struct CohereDecoder {
    operation: Operation,
    model: String,
    id: String,
    begun: bool,
    ended: bool,
    /// Arguments of the open call that may still turn out to be `null`, which stands for none.
    held: Option<Held>,
    usage: Option<Usage>,
}

/// Arguments that are held back.
struct Held {
    call: u32,
    text: String,
}

impl CohereDecoder {
    pub(crate) fn new(request: &Request) -> CohereDecoder {
        CohereDecoder {
            operation: request.operation,
            model: request.model().to_owned(),
            id: String::new(),
            begun: false,
            ended: false,
            held: None,
            usage: None,
        }
    }

    fn event(&mut self, event: &Value, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        let index = event["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        let message = &event["delta"]["message"];
        let delta = match event["type"].as_str().unwrap_or_default() {
            "message-start" => {
                self.id = event["id"].as_str().unwrap_or_default().to_owned();
                return Ok(());
            }
            "content-start" | "content-delta" => block(piece(&message["content"])?),
            "tool-plan-delta" => text(message["tool_plan"].as_str()),
            "tool-call-start" => self.open(index, piece(&message["tool_calls"])?),
            "tool-call-delta" => self.argue(index, piece(&message["tool_calls"])?),
            "tool-call-end" => self.close(),
            "citation-start" => cited(&message["citations"]),
            "message-end" => return self.finish(&event["delta"], out),
            _ => None,
        };
        if let Some(delta) = delta {
            let chunk = self.chunk(delta, None, Extra::new());
            out.push(chunk);
        }
        Ok(())
    }

    fn open(&mut self, index: u32, call: Call) -> Option<Delta> {
        let mut first = call.function.arguments.unwrap_or_default();
        if "null".starts_with(&first) {
            self.held = Some(Held { call: index, text: std::mem::take(&mut first) });
        }
        let function =
            FunctionCall { name: call.function.name, arguments: Some(first), ..FunctionCall::default() };
        Some(called(ToolCall {
            id: call.id,
            kind: Some("function".to_owned()),
            function: Some(function),
            index: Some(index),
            ..ToolCall::default()
        }))
    }

    fn argue(&mut self, index: u32, call: Call) -> Option<Delta> {
        let mut piece = call.function.arguments.unwrap_or_default();
        if let Some(mut held) = self.held.take_if(|held| held.call == index) {
            held.text.push_str(&piece);
            if "null".starts_with(&held.text) {
                self.held = Some(held);
                return None;
            }
            piece = held.text;
        }
        Some(arguments(index, piece))
    }

    fn close(&mut self) -> Option<Delta> {
        self.held.take().map(|held| arguments(held.call, "{}".to_owned()))
    }

    fn finish(&mut self, told: &Value, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        self.usage = usage::classes(&told["usage"]);
        let (word, extra) = reply::finish(told["finish_reason"].as_str().unwrap_or("COMPLETE"), told)
            .map_err(|mut error| {
                error.usage = self.usage.clone();
                error
            })?;
        self.ended = true;
        if let Some(delta) = self.close() {
            let chunk = self.chunk(delta, None, Extra::new());
            out.push(chunk);
        }
        let last = self.chunk(Delta::default(), Some(word), extra);
        out.push(last);
        if let Some(report) = usage::report(&told["usage"]) {
            let mut chunk = self.empty();
            chunk.usage = Some(report);
            out.push(openai::Chunk::Chat(chunk));
        }
        Ok(())
    }

    fn chunk(&mut self, mut delta: Delta, finish: Option<&str>, extra: Extra) -> openai::Chunk {
        if !std::mem::replace(&mut self.begun, true) {
            delta.role = Some("assistant".to_owned());
        }
        let choice =
            ChunkChoice { delta, finish_reason: finish.map(str::to_owned), extra, ..ChunkChoice::default() };
        openai::Chunk::Chat(Chunk { choices: vec![choice], ..self.empty() })
    }

    fn empty(&self) -> Chunk {
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            model: self.model.clone(),
            ..Chunk::default()
        }
    }
}

fn piece<T: serde::de::DeserializeOwned + Default>(value: &Value) -> Result<T, ProviderError> {
    if value.is_null() {
        return Ok(T::default());
    }
    T::deserialize(value).map_err(|problem| unreadable(&problem))
}

fn block(block: Block) -> Option<Delta> {
    match (block.thinking, block.text) {
        (Some(thinking), _) if !thinking.is_empty() => {
            Some(Delta { reasoning_content: Some(thinking), ..Delta::default() })
        }
        (_, said) => text(said.as_deref()),
    }
}

fn text(text: Option<&str>) -> Option<Delta> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(Delta { content: Some(Content::Text(text.to_owned())), ..Delta::default() })
}

fn cited(citation: &Value) -> Option<Delta> {
    let list = match citation {
        Value::Null => return None,
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let extra = std::iter::once(("citations".to_owned(), Value::Array(list))).collect();
    Some(Delta { extra, ..Delta::default() })
}

fn arguments(index: u32, piece: String) -> Delta {
    let function = FunctionCall { arguments: Some(piece), ..FunctionCall::default() };
    called(ToolCall { function: Some(function), index: Some(index), ..ToolCall::default() })
}

fn called(call: ToolCall) -> Delta {
    Delta { tool_calls: Some(vec![call]), ..Delta::default() }
}

impl Decoder for CohereDecoder {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        if self.operation == Operation::Embeddings {
            let (response, used) = embeddings::whole(body, &self.model)?;
            self.usage = usage::classes(&used);
            return Ok(openai::Response::Embeddings(response));
        }
        let (response, used) = reply::whole(body, &self.model)?;
        self.usage = usage::classes(&used);
        Ok(openai::Response::Chat(response))
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        let Some(data) = sse::data(frame).filter(|data| !data.is_empty() && &data[..] != b"[DONE]") else {
            return Ok(());
        };
        let event: Value = serde_json::from_slice(&data).map_err(|problem| unreadable(&problem))?;
        self.event(&event, out)
    }

    fn end(&mut self, _out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if self.ended { Ok(()) } else { Err(ProviderError::truncated()) }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}
