//! Input items as chat messages.
//!
//! What the assistant did in one turn stands in several items: reasoning, text, calls. They become one message, since
//! chat wants the answers of tools right behind the message that calls them.

use serde_json::{Map, Value};
use weir_adapter::InvalidRequest;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{
    Content, File, FilePart, FunctionCall, ImagePart, ImageUrl, InputAudio, KnownPart, Message, Part,
    ReasoningDetail, RefusalPart, TextPart, ToolCall,
};

use super::carrier::{self, CallExtra};
use super::{tools, wrong};

type Object = Map<String, Value>;

/// Reads the input. Items that chat has no place for go to `extra` under their path.
pub(super) fn messages(
    input: Value,
    out: &mut Vec<Message>,
    extra: &mut Extra,
) -> Result<(), InvalidRequest> {
    let list = match input {
        Value::String(text) => {
            let content = Some(Content::Text(text));
            out.push(Message { role: "user".to_owned(), content, ..Message::default() });
            return Ok(());
        }
        Value::Array(list) => list,
        _ => return Err(wrong("input", "a text or a list of items")),
    };
    let mut turns = Turns { out, open: None, hung: Vec::new() };
    for (at, item) in list.into_iter().enumerate() {
        let path = format!("input[{at}]");
        let Value::Object(item) = item else { return Err(wrong(&path, "an object")) };
        if let Some(other) = turns.item(item, &path)? {
            extra.insert(path, Value::Object(other));
        }
    }
    turns.close();
    Ok(())
}

struct Turns<'o> {
    out: &'o mut Vec<Message>,
    /// The assistant's message that is being put together.
    open: Option<Message>,
    /// What hangs on calls to come.
    hung: Vec<CallExtra>,
}

impl Turns<'_> {
    /// Takes one item; gives it back where chat has no place for it.
    fn item(&mut self, mut item: Object, path: &str) -> Result<Option<Object>, InvalidRequest> {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
        match kind.as_str() {
            "message" => self.message(item, path)?,
            "function_call" | "custom_tool_call" => self.call(&mut item, kind == "custom_tool_call", path)?,
            "function_call_output" | "custom_tool_call_output" => self.output(&mut item, path)?,
            "reasoning" => self.reasoning(&mut item),
            "item_reference" => {
                return Err(InvalidRequest::value(
                    path,
                    format!("`{path}` refers to an item that is not known here; send the item itself"),
                ));
            }
            _ => return Ok(Some(item)),
        }
        Ok(None)
    }

    fn close(&mut self) {
        self.out.extend(self.open.take());
    }

    fn assistant(&mut self) -> &mut Message {
        self.open.get_or_insert_with(|| Message { role: "assistant".to_owned(), ..Message::default() })
    }

    fn message(&mut self, mut item: Object, path: &str) -> Result<(), InvalidRequest> {
        let role = text(&item, "role", path)?;
        let content = match item.remove("content") {
            Some(Value::String(text)) => Content::Text(text),
            Some(Value::Array(list)) => Content::Parts(parts(list, &format!("{path}.content"))?),
            _ => return Err(wrong(&format!("{path}.content"), "a text or a list of parts")),
        };
        match role.as_str() {
            "assistant" => {
                let message = self.assistant();
                message.content = Some(match (message.content.take(), content) {
                    (None, content) => content,
                    (Some(before), content) => {
                        Content::Parts(as_parts(before).into_iter().chain(as_parts(content)).collect())
                    }
                });
            }
            "user" | "system" | "developer" => {
                self.close();
                self.out.push(Message { role, content: Some(content), ..Message::default() });
            }
            _ => return Err(wrong(&format!("{path}.role"), "`user`, `assistant`, `system` or `developer`")),
        }
        Ok(())
    }

    fn call(&mut self, item: &mut Object, custom: bool, path: &str) -> Result<(), InvalidRequest> {
        let id = text(item, "call_id", path)?;
        let mut name = text(item, "name", path)?;
        if let Some(namespace) = item.get("namespace").and_then(Value::as_str) {
            name = tools::qualified(namespace, &name);
        }
        let arguments = match custom {
            true => tools::custom_arguments(&text(item, "input", path)?),
            false => text(item, "arguments", path)?,
        };
        let hung = self.hung.iter().position(|hung| hung.tool_call == id);
        let extra = hung.map(|at| self.hung.swap_remove(at).extra).unwrap_or_default();
        let function =
            FunctionCall { name: Some(name), arguments: Some(arguments), ..FunctionCall::default() };
        let kind = Some("function".to_owned());
        let call = ToolCall { id: Some(id), kind, function: Some(function), extra, ..ToolCall::default() };
        self.assistant().tool_calls.get_or_insert_default().push(call);
        Ok(())
    }

    fn output(&mut self, item: &mut Object, path: &str) -> Result<(), InvalidRequest> {
        self.close();
        let content = match item.remove("output") {
            Some(Value::String(text)) => Content::Text(text),
            Some(Value::Array(list)) => Content::Parts(parts(list, &format!("{path}.output"))?),
            Some(other @ Value::Object(_)) => Content::Text(other.to_string()),
            _ => return Err(wrong(&format!("{path}.output"), "a text or a list of parts")),
        };
        self.out.push(Message {
            role: "tool".to_owned(),
            content: Some(content),
            tool_call_id: Some(text(item, "call_id", path)?),
            ..Message::default()
        });
        Ok(())
    }

    fn reasoning(&mut self, item: &mut Object) {
        let texts = |name: &str| -> String {
            let list = item.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n\n")
        };
        let said = Some(texts("content")).filter(|text| !text.is_empty()).unwrap_or_else(|| texts("summary"));
        let proof = item.get("encrypted_content").and_then(Value::as_str).unwrap_or_default();
        if let Some(hung) = carrier::unpack::<CallExtra>(proof) {
            self.hung.push(hung);
            return;
        }
        let detail = match carrier::unpack::<ReasoningDetail>(proof) {
            Some(detail) if detail.kind == "reasoning.summary" => {
                Some(ReasoningDetail { summary: Some(said.clone()), ..detail })
            }
            Some(detail) if detail.kind == "reasoning.text" => {
                Some(ReasoningDetail { text: Some(said.clone()), ..detail })
            }
            Some(detail) => Some(detail),
            None if proof.is_empty() => None,
            None => Some(ReasoningDetail {
                kind: "reasoning.encrypted".to_owned(),
                data: Some(proof.to_owned()),
                format: Some(carrier::FORMAT.to_owned()),
                id: item.get("id").and_then(Value::as_str).map(str::to_owned),
                ..ReasoningDetail::default()
            }),
        };
        let message = self.assistant();
        if !said.is_empty() {
            message.reasoning_content.get_or_insert_default().push_str(&said);
        }
        message.reasoning_details = match (message.reasoning_details.take(), detail) {
            (details, None) => details,
            (details, Some(detail)) => {
                let mut details = details.unwrap_or_default();
                details.push(detail);
                Some(details)
            }
        };
    }
}

fn as_parts(content: Content) -> Vec<Part> {
    match content {
        Content::Parts(parts) => parts,
        Content::Text(text) => vec![Part::Known(KnownPart::Text(TextPart { text, ..TextPart::default() }))],
    }
}

fn text(item: &Object, name: &str, path: &str) -> Result<String, InvalidRequest> {
    let path = format!("{path}.{name}");
    match item.get(name) {
        None | Some(Value::Null) => Err(InvalidRequest::missing(&path)),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(wrong(&path, "a text")),
    }
}

// === Parts ===

fn parts(list: Vec<Value>, path: &str) -> Result<Vec<Part>, InvalidRequest> {
    let part = |(at, part): (usize, Value)| match part {
        Value::Object(part) => one(part, &format!("{path}[{at}]")),
        _ => Err(wrong(&format!("{path}[{at}]"), "an object")),
    };
    list.into_iter().enumerate().map(part).collect()
}

/// One part; what chat lacks stays as it is.
fn one(mut part: Object, path: &str) -> Result<Part, InvalidRequest> {
    let own = |part: &Object, name: &str| part.get(name).and_then(Value::as_str).map(str::to_owned);
    let known = match own(&part, "type").unwrap_or_default().as_str() {
        "" => return Err(InvalidRequest::missing(&format!("{path}.type"))),
        "input_text" | "output_text" | "text" | "summary_text" => {
            let text = text(&part, "text", path)?;
            Some(KnownPart::Text(TextPart { text, ..TextPart::default() }))
        }
        "refusal" => {
            let refusal = text(&part, "refusal", path)?;
            Some(KnownPart::Refusal(RefusalPart { refusal, ..RefusalPart::default() }))
        }
        "input_image" => own(&part, "image_url").map(|url| {
            // `original` is the Responses API's own word.
            let detail = own(&part, "detail").filter(|word| word != "original");
            let image_url = ImageUrl { url, detail, ..ImageUrl::default() };
            KnownPart::ImageUrl(ImagePart { image_url, cache_control: None, extra: Extra::new() })
        }),
        "input_file" => file(&part)
            .map(|file| KnownPart::File(FilePart { file, cache_control: None, extra: Extra::new() })),
        "input_audio" => part.remove("input_audio").and_then(|audio| {
            let input_audio: InputAudio = serde_json::from_value(audio).ok()?;
            let extra = Extra::new();
            Some(KnownPart::InputAudio(weir_wire::openai::chat::AudioPart { input_audio, extra }))
        }),
        _ => None,
    };
    Ok(known.map_or(Part::Other(part), Part::Known))
}

fn file(part: &Object) -> Option<File> {
    let own = |name: &str| part.get(name).and_then(Value::as_str).map(str::to_owned);
    let (file_data, file_id) = (own("file_data").or_else(|| own("file_url")), own("file_id"));
    (file_data.is_some() || file_id.is_some()).then(|| File {
        file_data,
        file_id,
        filename: own("filename"),
        ..File::default()
    })
}
