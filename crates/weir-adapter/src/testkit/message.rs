//! What a reply says, whether it came whole or in pieces: what a test compares.

use std::collections::BTreeMap;

use weir_wire::openai::chat::{Content, Delta, KnownPart, Message, Part, ReasoningDetail, ToolCall};
use weir_wire::openai::{self, usage};

/// What a reply says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Whole {
    /// The answers, by index.
    pub answers: BTreeMap<u32, Answer>,
    /// The last usage that was not null.
    pub usage: Option<usage::Usage>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Its reasoning as text, from either member.
    pub reasoning: String,
    /// Its refusal.
    pub refusal: String,
    /// Reasoning blocks: pieces with the same index joined.
    pub reasoning_details: Vec<ReasoningDetail>,
    /// What it calls, by index.
    pub calls: BTreeMap<u32, Call>,
    /// Why it ended.
    pub finish_reason: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, as text.
    pub arguments: String,
}

impl Whole {
    /// Of a whole reply. Embeddings have no answers.
    pub fn of_response(response: &openai::Response) -> Whole {
        let mut whole = Whole::default();
        match response {
            openai::Response::Chat(chat) => {
                whole.usage = chat.usage.clone();
                for choice in &chat.choices {
                    let answer = whole.answers.entry(choice.index).or_default();
                    answer.message(&choice.message);
                    answer.finish_reason = choice.finish_reason.clone();
                }
            }
            openai::Response::Completions(completions) => whole.add_completions(completions),
            openai::Response::Embeddings(embeddings) => whole.usage = embeddings.usage.clone(),
        }
        whole
    }

    /// Of a stream.
    pub fn of_chunks(chunks: &[openai::Chunk]) -> Whole {
        let mut whole = Whole::default();
        for chunk in chunks {
            match chunk {
                openai::Chunk::Completions(completions) => whole.add_completions(completions),
                openai::Chunk::Chat(chat) => {
                    whole.usage = chat.usage.clone().or(whole.usage);
                    for choice in &chat.choices {
                        let answer = whole.answers.entry(choice.index).or_default();
                        answer.delta(&choice.delta);
                        if choice.finish_reason.is_some() {
                            answer.finish_reason = choice.finish_reason.clone();
                        }
                    }
                }
            }
        }
        whole
    }

    fn add_completions(&mut self, completions: &openai::completions::Response) {
        if completions.usage.is_some() {
            self.usage = completions.usage.clone();
        }
        for choice in &completions.choices {
            let answer = self.answers.entry(choice.index).or_default();
            answer.text.push_str(&choice.text);
            if choice.finish_reason.is_some() {
                answer.finish_reason = choice.finish_reason.clone();
            }
        }
    }
}

impl Answer {
    fn message(&mut self, message: &Message) {
        self.text = message.text();
        self.reasoning = message.reasoning_text().unwrap_or_default().to_owned();
        self.refusal = message.refusal.clone().unwrap_or_default();
        self.details(message.reasoning_details.as_deref().unwrap_or_default());
        for (at, call) in message.tool_calls.iter().flatten().enumerate() {
            self.call(call, at as u32);
        }
    }

    fn delta(&mut self, delta: &Delta) {
        match &delta.content {
            Some(Content::Text(text)) => self.text.push_str(text),
            Some(Content::Parts(parts)) => parts.iter().for_each(|part| {
                if let Part::Known(KnownPart::Text(text)) = part {
                    self.text.push_str(&text.text);
                }
            }),
            None => {}
        }
        let reasoning = delta.reasoning_content.as_deref().or(delta.reasoning.as_deref());
        self.reasoning.push_str(reasoning.unwrap_or_default());
        self.refusal.push_str(delta.refusal.as_deref().unwrap_or_default());
        self.details(delta.reasoning_details.as_deref().unwrap_or_default());
        for (at, call) in delta.tool_calls.iter().flatten().enumerate() {
            self.call(call, at as u32);
        }
    }

    fn call(&mut self, piece: &ToolCall, position: u32) {
        let call = self.calls.entry(piece.index.unwrap_or(position)).or_default();
        if let Some(id) = piece.id.as_ref().filter(|id| !id.is_empty()) {
            call.id.clone_from(id);
        }
        let Some(function) = &piece.function else { return };
        call.name.push_str(function.name.as_deref().unwrap_or_default());
        call.arguments.push_str(function.arguments.as_deref().unwrap_or_default());
    }

    fn details(&mut self, pieces: &[ReasoningDetail]) {
        for piece in pieces {
            let same = |known: &&mut ReasoningDetail| {
                piece.index.is_some() && known.index == piece.index && known.kind == piece.kind
            };
            match self.reasoning_details.iter_mut().find(same) {
                Some(known) => {
                    append(&mut known.text, &piece.text);
                    append(&mut known.summary, &piece.summary);
                    append(&mut known.data, &piece.data);
                    append(&mut known.signature, &piece.signature);
                }
                None => self.reasoning_details.push(piece.clone()),
            }
        }
    }
}

fn append(whole: &mut Option<String>, piece: &Option<String>) {
    if let Some(piece) = piece {
        whole.get_or_insert_default().push_str(piece);
    }
}
