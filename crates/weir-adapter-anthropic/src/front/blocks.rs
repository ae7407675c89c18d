//! Anthropic's messages and blocks in OpenAI's form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_wire::openai::chat::{
    Content, File, FilePart, FunctionCall, ImagePart, ImageUrl, KnownPart, Message, Part, ReasoningDetail,
    TextPart, ToolCall,
};

use super::decode::{string, wrong};
use crate::carrier::{self, CallExtra};

/// The name of a document without a title: OpenAI's form demands one.
const UNTITLED: &str = crate::request::UNTITLED;

/// One message: several of OpenAI's where it holds results of tools.
pub(super) fn message(message: Value, path: &str, out: &mut Vec<Message>) -> Result<(), InvalidRequest> {
    let Value::Object(mut members) = message else { return Err(wrong(path, "an object")) };
    let role =
        string(&mut members, "role")?.ok_or_else(|| InvalidRequest::missing(&format!("{path}.role")))?;
    let path = format!("{path}.content");
    let blocks = match members.remove("content") {
        Some(Value::String(text)) => {
            out.push(Message { role, content: Some(Content::Text(text)), ..Message::default() });
            return Ok(());
        }
        Some(Value::Array(blocks)) => objects(blocks, &path)?,
        _ => return Err(wrong(&path, "a string or a list of blocks")),
    };
    match role.as_str() {
        "assistant" => out.push(assistant(blocks, &path)?),
        "user" | "system" => user(&role, blocks, &path, out)?,
        _ => return Err(wrong(&path.replace(".content", ".role"), "`user` or `assistant`")),
    }
    Ok(())
}

/// Blocks as content parts.
pub(super) fn parts(blocks: Vec<Value>, path: &str) -> Result<Vec<Part>, InvalidRequest> {
    let blocks = objects(blocks, path)?;
    blocks.into_iter().enumerate().map(|(at, block)| part(block, &format!("{path}[{at}]"))).collect()
}

fn objects(blocks: Vec<Value>, path: &str) -> Result<Vec<Map<String, Value>>, InvalidRequest> {
    let object = |(at, block)| match block {
        Value::Object(block) => Ok(block),
        _ => Err(wrong(&format!("{path}[{at}]"), "an object")),
    };
    blocks.into_iter().enumerate().map(object).collect()
}

fn kind(block: &Map<String, Value>) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// A user's blocks: results of tools become messages of their own, in order.
fn user(
    role: &str,
    blocks: Vec<Map<String, Value>>,
    path: &str,
    out: &mut Vec<Message>,
) -> Result<(), InvalidRequest> {
    let mut parts = Vec::new();
    let flush = |parts: &mut Vec<Part>, out: &mut Vec<Message>| {
        if !parts.is_empty() {
            let content = Some(Content::Parts(std::mem::take(parts)));
            out.push(Message { role: role.to_owned(), content, ..Message::default() });
        }
    };
    for (at, block) in blocks.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        if kind(&block) == "tool_result" {
            flush(&mut parts, out);
            out.push(tool_result(block, &path)?);
        } else {
            parts.push(part(block, &path)?);
        }
    }
    flush(&mut parts, out);
    Ok(())
}

fn tool_result(mut block: Map<String, Value>, path: &str) -> Result<Message, InvalidRequest> {
    let path = format!("{path}.content");
    let content = match block.remove("content") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(Content::Text(text)),
        Some(Value::Array(blocks)) => Some(Content::Parts(parts(blocks, &path)?)),
        Some(_) => return Err(wrong(&path, "a string or a list of blocks")),
    };
    Ok(Message {
        role: "tool".to_owned(),
        content,
        tool_call_id: string(&mut block, "tool_use_id")?,
        is_error: block.get("is_error").and_then(Value::as_bool),
        cache_control: block.remove("cache_control"),
        ..Message::default()
    })
}

// === The assistant's blocks ===

fn assistant(blocks: Vec<Map<String, Value>>, path: &str) -> Result<Message, InvalidRequest> {
    let mut message = Message { role: "assistant".to_owned(), ..Message::default() };
    let (mut parts, mut calls, mut details, mut text) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    let mut hung = Vec::new();
    for (at, mut block) in blocks.into_iter().enumerate() {
        let index = (at - hung.len()) as u32;
        match kind(&block) {
            "thinking" => {
                let detail = thinking(&mut block, index);
                text.push_str(detail.text.as_deref().unwrap_or_default());
                details.push(detail);
            }
            "redacted_thinking" => {
                let data = string(&mut block, "data")?.unwrap_or_default();
                match carrier::unpack::<CallExtra>(&data) {
                    Some(extra) => hung.push(extra),
                    None => details
                        .push(carrier::unpack(&data).unwrap_or_else(|| carrier::encrypted(data, index))),
                }
            }
            "tool_use" => calls.push(call(block, &format!("{path}[{at}]"))?),
            _ => parts.push(part(block, &format!("{path}[{at}]"))?),
        }
    }
    for CallExtra { tool_call, extra } in hung {
        if let Some(call) = calls.iter_mut().find(|call: &&mut ToolCall| call.id.as_ref() == Some(&tool_call))
        {
            call.extra.extend(extra);
        }
    }
    message.content = (!parts.is_empty()).then_some(Content::Parts(parts));
    message.reasoning_content = (!text.is_empty()).then_some(text);
    // Text without any proof is reasoning of a provider that gives none: the plain member says it all.
    let proven = details.iter().any(|detail| detail.signature.is_some() || detail.text.is_none());
    message.reasoning_details = (!details.is_empty() && proven).then_some(details);
    message.tool_calls = (!calls.is_empty()).then_some(calls);
    Ok(message)
}

fn thinking(block: &mut Map<String, Value>, index: u32) -> ReasoningDetail {
    let take = |block: &mut Map<String, Value>, name: &str| match block.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let text = take(block, "thinking").unwrap_or_default();
    let signature = take(block, "signature").filter(|signature| !signature.is_empty());
    match signature.as_deref().and_then(carrier::unpack::<ReasoningDetail>) {
        Some(detail) if detail.kind == "reasoning.summary" => {
            ReasoningDetail { summary: Some(text), ..detail }
        }
        Some(detail) => ReasoningDetail { text: Some(text), ..detail },
        None => carrier::text(text, signature, index),
    }
}

fn call(mut block: Map<String, Value>, path: &str) -> Result<ToolCall, InvalidRequest> {
    let input = block.remove("input").unwrap_or_else(|| json!({}));
    let id = string(&mut block, "id")?.ok_or_else(|| InvalidRequest::missing(&format!("{path}.id")))?;
    let name = string(&mut block, "name")?.ok_or_else(|| InvalidRequest::missing(&format!("{path}.name")))?;
    block.remove("type");
    // The usual caller is the model itself: that says nothing.
    if block.get("caller").is_some_and(|caller| caller["type"] == "direct") {
        block.remove("caller");
    }
    Ok(ToolCall {
        id: Some(id),
        kind: Some("function".to_owned()),
        function: Some(FunctionCall {
            name: Some(name),
            arguments: Some(input.to_string()),
            ..FunctionCall::default()
        }),
        extra: block,
        ..ToolCall::default()
    })
}

// === Parts ===

/// One block as a part; what OpenAI lacks stays as it is.
fn part(mut block: Map<String, Value>, path: &str) -> Result<Part, InvalidRequest> {
    let known = match kind(&block) {
        "" => return Err(InvalidRequest::missing(&format!("{path}.type"))),
        "text" => {
            let text = string(&mut block, "text")?
                .ok_or_else(|| InvalidRequest::missing(&format!("{path}.text")))?;
            let cache_control = marker(&mut block);
            Some(KnownPart::Text(TextPart { text, cache_control, extra: rest(block.clone()) }))
        }
        "image" => {
            let source = block.get("source");
            let source = source.ok_or_else(|| InvalidRequest::missing(&format!("{path}.source")))?;
            image_url(source).map(|url| {
                let image_url = ImageUrl { url, ..ImageUrl::default() };
                let cache_control = marker(&mut block);
                block.remove("source");
                KnownPart::ImageUrl(ImagePart { image_url, cache_control, extra: rest(block.clone()) })
            })
        }
        "document" => file(&block).map(|file| {
            let cache_control = marker(&mut block);
            block.retain(|name, _| !matches!(name.as_str(), "source" | "title"));
            KnownPart::File(FilePart { file, cache_control, extra: rest(block.clone()) })
        }),
        _ => None,
    };
    Ok(known.map_or(Part::Other(block), Part::Known))
}

fn marker(block: &mut Map<String, Value>) -> Option<Value> {
    block.remove("cache_control").filter(|marker| !marker.is_null())
}

fn rest(mut block: Map<String, Value>) -> Map<String, Value> {
    block.remove("type");
    block.retain(|_, value| !value.is_null());
    block
}

/// The picture as a URL; none where it is an uploaded file.
fn image_url(source: &Value) -> Option<String> {
    match source["type"].as_str()? {
        "url" => source["url"].as_str().map(str::to_owned),
        "base64" => {
            Some(format!("data:{};base64,{}", source["media_type"].as_str()?, source["data"].as_str()?))
        }
        _ => None,
    }
}

/// The document as a file; none where it is a list of blocks.
fn file(block: &Map<String, Value>) -> Option<File> {
    let source = block.get("source")?;
    let text = |name: &str| source[name].as_str();
    let title = block.get("title").and_then(Value::as_str);
    let filename = Some(title.unwrap_or(UNTITLED).to_owned());
    let data = match text("type")? {
        "file" => {
            return Some(File {
                file_id: text("file_id").map(str::to_owned),
                filename: title.map(str::to_owned),
                ..File::default()
            });
        }
        "url" => text("url")?.to_owned(),
        "base64" => format!("data:{};base64,{}", text("media_type")?, text("data")?),
        "text" => format!("data:text/plain;base64,{}", STANDARD.encode(text("data")?)),
        _ => return None,
    };
    Some(File { file_data: Some(data), filename, ..File::default() })
}
