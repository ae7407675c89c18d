//! Calls of tools while they are written. They stay open until the answer ends: their pieces may come in any order.

use bytes::BytesMut;
use serde_json::{Value, json};
use weir_wire::openai::chat::ToolCall;

use super::encode::ResponseEncoder;
use super::tools::{Form, Forms, custom_input};

/// The calls of one answer.
#[derive(Default)]
pub(super) struct Calls {
    forms: Forms,
    list: Vec<Call>,
}

struct Call {
    /// Its number in chat's stream.
    index: u32,
    place: usize,
    id: String,
    call_id: String,
    name: String,
    arguments: String,
    form: Option<Form>,
}

impl Call {
    fn item(&self, status: &str) -> Value {
        let (id, call_id) = (&self.id, &self.call_id);
        match &self.form {
            Some(Form::Custom) => json!({
                "id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": self.name,
                "input": if self.arguments.is_empty() { String::new() } else { custom_input(&self.arguments) },
            }),
            Some(Form::Namespaced(namespace, name)) => json!({
                "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
                "namespace": namespace, "arguments": self.arguments,
            }),
            None => json!({
                "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": self.name,
                "arguments": self.arguments,
            }),
        }
    }
}

impl Calls {
    pub(super) fn new(forms: Forms) -> Calls {
        Calls { forms, list: Vec::new() }
    }

    /// A piece of a call.
    pub(super) fn piece(&mut self, answer: &mut ResponseEncoder, call: ToolCall, out: &mut BytesMut) {
        let index = call.index.unwrap_or(self.list.len() as u32);
        let at = match self.list.iter().position(|known| known.index == index) {
            Some(at) => at,
            None => self.begin(answer, index, &call, out),
        };
        let known = &mut self.list[at];
        let arguments = call.function.and_then(|function| function.arguments).unwrap_or_default();
        known.arguments.push_str(&arguments);
        // A custom tool's text stands within its arguments: it is written once these are whole.
        if !arguments.is_empty() && known.form != Some(Form::Custom) {
            let event = json!({"item_id": known.id, "output_index": known.place, "delta": arguments});
            answer.events.write(out, "response.function_call_arguments.delta", event);
        }
    }

    fn begin(
        &mut self,
        answer: &mut ResponseEncoder,
        index: u32,
        call: &ToolCall,
        out: &mut BytesMut,
    ) -> usize {
        let call_id = call.id.clone().filter(|id| !id.is_empty());
        let call_id = call_id.unwrap_or_else(|| answer.call_id(self.list.len()));
        answer.hang(&call_id, call.extra.clone(), out);
        let name = call.function.as_ref().and_then(|function| function.name.clone()).unwrap_or_default();
        let form = self.forms.get(&name).cloned();
        let (place, id) = answer.place(if form == Some(Form::Custom) { "ctc" } else { "fc" });
        let call = Call { index, place, id, call_id, name, arguments: String::new(), form };
        answer.added(place, call.item("in_progress"), out);
        self.list.push(call);
        self.list.len() - 1
    }

    /// The end of all of them.
    pub(super) fn close(&mut self, answer: &mut ResponseEncoder, status: &str, out: &mut BytesMut) {
        for call in &mut self.list {
            let at = |name: &str, value: Value| json!({"item_id": call.id, "output_index": call.place, name: value});
            if call.form == Some(Form::Custom) {
                let input = custom_input(&call.arguments);
                answer.events.write(
                    out,
                    "response.custom_tool_call_input.delta",
                    at("delta", input.as_str().into()),
                );
                answer.events.write(out, "response.custom_tool_call_input.done", at("input", input.into()));
            } else {
                if call.arguments.trim().is_empty() && status == "completed" {
                    call.arguments = "{}".to_owned();
                }
                let mut event =
                    json!({"item_id": call.id, "output_index": call.place, "arguments": call.arguments});
                event["name"] = call.name.as_str().into();
                answer.events.write(out, "response.function_call_arguments.done", event);
            }
            answer.done(call.place, call.item(status), out);
        }
    }
}
