//! OpenAI's requests in Bedrock's form.

mod messages;
mod reasoning;
mod tools;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use weir_adapter::descriptor::{Parameters, ToolIds};
use weir_adapter::{Descriptor, EncodeError, EncodeOptions, Request, WireRequest};
use weir_wire::openai;
use weir_wire::openai::chat;
use weir_wire::percent;

/// Members of the body that Bedrock has beyond OpenAI's.
const OWN: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];
/// Members that weir itself acts on, that are written elsewhere, or that say nothing about the answer.
const SILENT: &[&str] =
    &["models", "provider", "safety_identifier", "usage", "thinking", "top_k", "reasoning", "output_config"];

/// What a call becomes. See [`weir_adapter::Adapter::encode`].
pub(crate) fn encode(
    descriptor: &Descriptor,
    request: &Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    match request.typed()? {
        openai::Request::Chat(request) => chat(descriptor, &options.with_defaults(request), options),
        openai::Request::Completions(_) | openai::Request::Embeddings(_) => {
            Err(EncodeError::unsupported("model", "this provider has chat only"))
        }
    }
}

/// A request being written.
struct Draft<'d> {
    descriptor: &'d Descriptor,
    model: &'d str,
    body: Map<String, Value>,
    /// `additionalModelRequestFields`.
    fields: Map<String, Value>,
    /// `inferenceConfig`.
    inference: Map<String, Value>,
    dropped: Vec<String>,
}

fn chat(
    descriptor: &Descriptor,
    request: &chat::Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    let mut draft = Draft {
        descriptor,
        model: options.model,
        body: Map::new(),
        fields: Map::new(),
        inference: Map::new(),
        dropped: Vec::new(),
    };
    let turns = messages::write(&request.messages, draft.tool_ids(), &mut draft.dropped)?;
    draft.body.insert("messages".to_owned(), Value::Array(turns.messages));
    if !turns.system.is_empty() {
        draft.body.insert("system".to_owned(), Value::Array(turns.system));
    }
    let tools = tools::write(request, &turns.called, &mut draft.dropped)?;
    if let Some(config) = tools.config {
        draft.body.insert("toolConfig".to_owned(), config);
    }
    draft.own(request);
    let limit = request.output_limit();
    let limit = options.changed_limit(limit).or(limit);
    let reasons = reasoning::write(&mut draft, request, limit, tools.forced);
    draft.sampling(request, limit, reasons);
    draft.response_format(request)?;
    draft.unknown(request);
    draft.finish(request.stream == Some(true))
}

impl Draft<'_> {
    fn tool_ids(&self) -> ToolIds {
        let rules = self.descriptor.rules(self.model);
        rules.filter_map(|rule| rule.messages.as_ref()).last().map_or(ToolIds::Any, |rule| rule.tool_ids)
    }

    /// Whether this model never takes a parameter.
    fn takes_none(&self, name: &str) -> bool {
        let mut rules = self.descriptor.rules(self.model);
        rules.any(|rule| rule.parameters.drop.iter().any(|dropped| dropped == name))
    }

    /// Whether a parameter is left out for this model, which is then reported.
    fn drops(&mut self, name: &str, reasons: bool) -> bool {
        let listed = |parameters: &Parameters| parameters.drop.iter().any(|dropped| dropped == name);
        let mut rules = self.descriptor.rules(self.model);
        let dropped = listed(&self.descriptor.parameters)
            || rules.any(|rule| listed(&rule.parameters) || reasons && listed(&rule.while_reasoning));
        if dropped {
            self.dropped.push(name.to_owned());
        }
        dropped
    }

    fn sampling(&mut self, request: &chat::Request, limit: Option<u64>, reasons: bool) {
        if let Some(limit) = limit {
            self.inference.insert("maxTokens".to_owned(), limit.into());
        }
        // Temperature 1 is what a model does that takes none.
        let usual = |value: &serde_json::Number| value.as_f64() == Some(1.0);
        if let Some(temperature) = &request.temperature
            && !(usual(temperature) && self.takes_none("temperature"))
            && !self.drops("temperature", reasons && !usual(temperature))
        {
            let value = match temperature.as_f64() {
                Some(value) if value > 1.0 => {
                    self.dropped.push("temperature".to_owned());
                    1.into()
                }
                _ => temperature.clone().into(),
            };
            self.inference.insert("temperature".to_owned(), value);
        }
        if let Some(top_p) = request.top_p.as_ref().filter(|top_p| !(usual(top_p) && reasons))
            && !self.drops("top_p", reasons)
        {
            self.inference.insert("topP".to_owned(), top_p.clone().into());
        }
        if let Some(stop) = request.stop.as_ref().map(chat::OneOrMany::as_slice)
            && !self.drops("stop", reasons)
        {
            let said: Vec<&String> = stop.iter().filter(|stop| !stop.is_empty()).collect();
            self.inference.insert("stopSequences".to_owned(), json!(said));
        }
        if let Some(top_k) = request.extra.get("top_k").filter(|top_k| !top_k.is_null()).cloned()
            && !self.drops("top_k", reasons)
        {
            match self.descriptor.fact(self.model, "top_k") {
                Some("nested") => {
                    self.fields.insert("inferenceConfig".to_owned(), json!({"topK": top_k}));
                }
                Some(name) => drop(self.fields.insert(name.to_owned(), top_k)),
                None => self.dropped.push("top_k".to_owned()),
            }
        }
    }

    fn response_format(&mut self, request: &chat::Request) -> Result<(), EncodeError> {
        let Some(format) = &request.response_format else { return Ok(()) };
        match (format.kind.as_str(), &format.json_schema) {
            ("text" | "", _) => Ok(()),
            ("json_schema", Some(named)) => {
                let schema = named.schema.clone().unwrap_or_else(|| json!({"type": "object"}));
                let mut written = Map::new();
                if !named.name.is_empty() {
                    written.insert("name".to_owned(), named.name.as_str().into());
                }
                written.insert("schema".to_owned(), schema.to_string().into());
                if let Some(description) = &named.description {
                    written.insert("description".to_owned(), description.as_str().into());
                }
                let format = json!({"type": "json_schema", "structure": {"jsonSchema": written}});
                self.output("textFormat", format);
                Ok(())
            }
            (kind, _) => Err(EncodeError::unsupported(
                "response_format.type",
                format!("this provider knows `text` and `json_schema`, not `{kind}`"),
            )),
        }
    }

    /// Puts a member into `outputConfig`.
    fn output(&mut self, name: &str, value: Value) {
        let config = self.body.entry("outputConfig").or_insert_with(|| json!({}));
        config[name] = value;
    }

    /// Bedrock's own members, as they are.
    fn own(&mut self, request: &chat::Request) {
        for (name, value) in request.extra.iter().filter(|(name, _)| OWN.contains(&name.as_str())) {
            match (name.as_str(), value) {
                ("additionalModelRequestFields", Value::Object(fields)) => self.fields.extend(fields.clone()),
                _ => drop(self.body.insert(name.clone(), value.clone())),
            }
        }
        let tier = request.service_tier.as_deref().filter(|tier| *tier != "auto");
        if let Some(tier) = tier.filter(|_| !self.body.contains_key("serviceTier")) {
            match tier {
                "default" | "flex" | "priority" => {
                    self.body.insert("serviceTier".to_owned(), json!({"type": tier}));
                }
                _ => self.dropped.push("service_tier".to_owned()),
            }
        }
    }

    /// A report of what Bedrock has not.
    fn unknown(&mut self, request: &chat::Request) {
        for (name, value) in &request.extra {
            let known = OWN.contains(&name.as_str()) || SILENT.contains(&name.as_str());
            if !known && !value.is_null() && value != false {
                self.dropped.push(name.clone());
            }
        }
        let nonzero = |value: &Option<serde_json::Number>| {
            value.as_ref().and_then(serde_json::Number::as_f64).is_some_and(|value| value != 0.0)
        };
        let biased =
            request.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|o| !o.is_empty()));
        let spoken = request.modalities.as_ref().is_some_and(|kinds| kinds.iter().any(|kind| kind != "text"));
        let some = [
            ("n", request.n.is_some_and(|n| n != 1)),
            ("seed", request.seed.is_some()),
            ("frequency_penalty", nonzero(&request.frequency_penalty)),
            ("presence_penalty", nonzero(&request.presence_penalty)),
            ("logit_bias", biased),
            ("logprobs", request.logprobs == Some(true)),
            ("top_logprobs", request.top_logprobs.is_some()),
            ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
            ("modalities", spoken),
            ("audio", request.audio.is_some()),
            ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ];
        let sent = some.into_iter().filter(|(_, sent)| *sent).map(|(name, _)| name.to_owned());
        self.dropped.extend(sent);
    }

    fn finish(mut self, stream: bool) -> Result<WireRequest, EncodeError> {
        for (name, members) in
            [("inferenceConfig", self.inference), ("additionalModelRequestFields", self.fields)]
        {
            if !members.is_empty() {
                self.body.insert(name.to_owned(), Value::Object(members));
            }
        }
        let bytes = serde_json::to_vec(&self.body).expect("string keys and numbers that JSON has");
        let verb = if stream { "converse-stream" } else { "converse" };
        let path = format!("/model/{}/{verb}", percent::encoded(self.model, percent::UNRESERVED));
        let mut wire = WireRequest::json(path, Bytes::from(bytes));
        wire.dropped = self.dropped;
        Ok(wire)
    }
}

#[cfg(test)]
mod tests;
