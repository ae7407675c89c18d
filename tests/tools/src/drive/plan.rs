//! Which request has which number: the same for the same seed.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole chat answer.
    Chat,
    /// A streamed chat answer.
    Stream,
    /// A whole answer in Anthropic's dialect.
    Messages,
    /// A streamed one.
    MessagesStream,
    /// An embedding.
    Embeddings,
    /// A legacy completion.
    Completions,
    /// A chat answer with a tool on offer.
    Tools,
}

impl Kind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "chat" => Self::Chat,
            "stream" => Self::Stream,
            "messages" => Self::Messages,
            "messages-stream" => Self::MessagesStream,
            "embeddings" => Self::Embeddings,
            "completions" => Self::Completions,
            "tools" => Self::Tools,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Stream => "stream",
            Self::Messages => "messages",
            Self::MessagesStream => "messages-stream",
            Self::Embeddings => "embeddings",
            Self::Completions => "completions",
            Self::Tools => "tools",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Chat | Self::Stream | Self::Tools => "/v1/chat/completions",
            Self::Messages | Self::MessagesStream => "/v1/messages",
            Self::Embeddings => "/v1/embeddings",
            Self::Completions => "/v1/completions",
        }
    }
}

/// A kind of request to a model, and its share.
#[derive(Debug, Clone)]
pub struct Mix {
    /// What is asked.
    pub kind: Kind,
    /// Of which model.
    pub model: String,
    /// How often, against the other entries' shares.
    pub share: u32,
}

impl Mix {
    /// Reads `kind:model:share`; the share may be left out, a model may hold `:` itself if it is given.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (model, share) =
            match rest.rsplit_once(':').and_then(|(model, share)| Some((model, share.parse().ok()?))) {
                Some((model, share)) => (model, share),
                None => (rest, 1),
            };
        Some(Self { kind: Kind::from_name(kind)?, model: model.to_owned(), share })
    }
}

/// All requests of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Chooses everything.
    pub seed: u64,
    /// Begins each request's id, so that runs against one ledger do not meet.
    pub prefix: String,
    /// What to choose from.
    pub mix: Vec<Mix>,
    /// Words for the simulator, put into the last message as `[[sim:…]]`; one of them is chosen.
    pub words: Vec<String>,
    /// Bytes of text in each request, about.
    pub body_bytes: usize,
    /// How many different questions there are, drawn at random; none: each request asks its own.
    pub questions: Option<u64>,
    /// Most output tokens asked for.
    pub max_tokens: Option<u64>,
    /// Whether streams ask for usage.
    pub include_usage: bool,
    /// How many in a hundred leave early.
    pub abort_percent: u32,
    /// When they leave: after a random time up to this.
    pub abort_within: Duration,
    /// Bytes a second that a reader takes; none: as fast as they come.
    pub slow: Option<u64>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its `x-request-id`.
    pub id: String,
    /// Which question it asks.
    pub question: u64,
    /// What is asked.
    pub kind: Kind,
    /// Of which model.
    pub model: String,
    /// Where to.
    pub path: &'static str,
    /// The body.
    pub body: Bytes,
    /// Leave after this time.
    pub abort: Option<Duration>,
    /// Bytes a second to read.
    pub slow: Option<u64>,
}

impl Ask {
    /// Whether the answer is a stream.
    pub fn stream(&self) -> bool {
        matches!(self.kind, Kind::Stream | Kind::MessagesStream)
    }
}

impl Plan {
    /// The request with that number.
    pub fn ask(&self, number: u64) -> Ask {
        let mut random = StdRng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mix = self.choose(&mut random);
        let words = match self.words.len() {
            0 => String::new(),
            count => {
                let words = &self.words[random.random_range(0..count)];
                if words.is_empty() { String::new() } else { format!(" [[sim:{words}]]") }
            }
        };
        let question = self.questions.map_or(number, |count| random.random_range(0..count.max(1)));
        let text = format!("request {question} {}{words}", "lorem ipsum ".repeat(self.body_bytes / 12));
        let aborts = random.random_range(0..100) < self.abort_percent;
        let within = u64::try_from(self.abort_within.as_micros()).unwrap_or(u64::MAX).max(1);
        let abort = aborts.then(|| Duration::from_micros(random.random_range(0..within)));
        Ask {
            id: format!("{}-{number}", self.prefix),
            question,
            kind: mix.kind,
            model: mix.model.clone(),
            path: mix.kind.path(),
            body: Bytes::from(self.body(mix, &text).to_string()),
            abort,
            slow: self.slow,
        }
    }

    fn choose(&self, random: &mut StdRng) -> &Mix {
        let total: u32 = self.mix.iter().map(|mix| mix.share).sum();
        let mut at = random.random_range(0..total.max(1));
        for mix in &self.mix {
            if at < mix.share {
                return mix;
            }
            at -= mix.share;
        }
        &self.mix[0]
    }

    fn body(&self, mix: &Mix, text: &str) -> Value {
        let messages = json!([{"role": "user", "content": text}]);
        let mut body = match mix.kind {
            Kind::Embeddings => return json!({"model": mix.model, "input": text}),
            Kind::Completions => json!({"model": mix.model, "prompt": text}),
            _ => json!({"model": mix.model, "messages": messages}),
        };
        match mix.kind {
            Kind::Stream => {
                body["stream"] = json!(true);
                if self.include_usage {
                    body["stream_options"] = json!({"include_usage": true});
                }
            }
            Kind::Tools => {
                let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
                body["tools"] =
                    json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}]);
            }
            Kind::MessagesStream => body["stream"] = json!(true),
            _ => {}
        }
        if let Some(limit) = self.max_tokens {
            body["max_tokens"] = json!(limit);
        } else if matches!(mix.kind, Kind::Messages | Kind::MessagesStream) {
            body["max_tokens"] = json!(1024);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            seed: 7,
            prefix: "r".into(),
            mix: vec![Mix::parse("stream:gpt-4o:3").unwrap(), Mix::parse("chat:a:b:1").unwrap()],
            words: vec!["gap=1ms".into(), String::new()],
            body_bytes: 120,
            questions: None,
            max_tokens: None,
            include_usage: true,
            abort_percent: 10,
            abort_within: Duration::from_millis(5),
            slow: None,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        let plan = plan();
        let asks: Vec<Ask> = (0..400).map(|number| plan.ask(number)).collect();
        let again: Vec<Ask> = (0..400).map(|number| plan.ask(number)).collect();
        assert!(
            asks.iter().zip(&again).all(|(one, other)| one.body == other.body && one.abort == other.abort)
        );
        let streams = asks.iter().filter(|ask| ask.stream()).count();
        assert!((250..350).contains(&streams), "{streams}");
        let aborts = asks.iter().filter(|ask| ask.abort.is_some()).count();
        assert!((15..70).contains(&aborts), "{aborts}");
        assert!(asks.iter().any(|ask| ask.model == "a:b"));
        let marked = asks.iter().filter(|ask| memchr::memmem::find(&ask.body, b"[[sim:gap=1ms]]").is_some());
        assert!((150..250).contains(&marked.count()));
    }
}
