//! `weir chat`: talks with a model through the gateway, and says what it cost.

use std::io::{BufRead, IsTerminal};
use std::time::Instant;

use clap::Args;
use futures_util::StreamExt;
use serde_json::{Value, json};
use weir_config::Environment;

use super::gateway::Gateway;
use super::{CommandError, Global, Output};

/// Options of `weir chat`.
#[derive(Debug, Clone, Default, Args)]
pub struct ChatArgs {
    /// What to say; without it, what is typed, until end of file
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// Whom to ask: a public name, or provider/model [default: the first that can be called]
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// What the model is told before
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// The longest answer, in tokens
    #[arg(long, value_name = "COUNT")]
    pub max_tokens: Option<u64>,
}

/// One conversation.
struct Chat<'g> {
    gateway: &'g Gateway,
    client: reqwest::Client,
    model: String,
    messages: Vec<Value>,
    max_tokens: Option<u64>,
}

/// Talks.
///
/// # Errors
/// Nobody answers, or refuses.
pub async fn run(
    args: &ChatArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let gateway = Gateway::of(global, environment)?;
    let client =
        reqwest::Client::builder().build().map_err(|error| CommandError::Failed(error.to_string()))?;
    let mut chat = Chat {
        gateway: &gateway,
        client,
        model: String::new(),
        messages: Vec::new(),
        max_tokens: args.max_tokens,
    };
    chat.model = match &args.model {
        Some(model) => model.clone(),
        None => chat.first_model().await?,
    };
    chat.messages.extend(args.system.iter().map(|text| json!({ "role": "system", "content": text })));
    if !args.text.is_empty() {
        return chat.say(&args.text.join(" "), output).await;
    }
    let typed = std::io::stdin().is_terminal();
    if typed {
        output.note(&format!("{}; end with Ctrl-D", chat.model))?;
    }
    loop {
        if typed {
            output.text("> ")?;
            output.flush()?;
        }
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(());
        }
        if !line.trim().is_empty() {
            chat.say(line.trim(), output).await?;
        }
    }
}

impl Chat<'_> {
    async fn first_model(&self) -> Result<String, CommandError> {
        let answer = self.send(self.client.get(self.url("/v1/models"))).await?;
        let list: Value = answer.json().await.map_err(|error| self.failed(&error))?;
        let first = list["data"][0]["id"].as_str().map(str::to_owned);
        first.ok_or_else(|| CommandError::Failed("no model can be called; `weir doctor` says why".to_owned()))
    }

    /// Says one thing, and prints the answer as it comes.
    async fn say(&mut self, text: &str, output: &mut Output<'_>) -> Result<(), CommandError> {
        self.messages.push(json!({ "role": "user", "content": text }));
        let mut body = json!({
            "model": self.model,
            "messages": self.messages,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        if let Some(most) = self.max_tokens {
            body["max_tokens"] = most.into();
        }
        let began = Instant::now();
        let response = self.send(self.client.post(self.url("/v1/chat/completions")).json(&body)).await?;
        let mut stream = response.bytes_stream();
        let (mut held, mut said, mut usage) = (Vec::new(), String::new(), Value::Null);
        while let Some(piece) = stream.next().await {
            held.extend_from_slice(&piece.map_err(|error| self.failed(&error))?);
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = held.drain(..=end).collect();
                let Some(chunk) = chunk(&line) else { continue };
                if let Some(message) = chunk["error"]["message"].as_str() {
                    return Err(CommandError::Failed(message.to_owned()));
                }
                if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
                    said.push_str(text);
                    if !output.json {
                        output.text(text)?;
                        output.flush()?;
                    }
                }
                if chunk["usage"].is_object() {
                    usage = chunk["usage"].clone();
                }
            }
        }
        self.messages.push(json!({ "role": "assistant", "content": said }));
        let seconds = began.elapsed().as_secs_f64();
        if output.json {
            return Ok(output
                .json(&json!({ "model": self.model, "text": said, "usage": usage, "seconds": seconds }))?);
        }
        output.text("\n")?;
        Ok(output.note(&account(&self.model, &usage, seconds))?)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, CommandError> {
        let request = match self.gateway.key() {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => CommandError::Failed(format!(
                "nothing listens at {}; start the gateway with `weir`, or name it with --url",
                self.gateway.client_url
            )),
            false => self.failed(&error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap_or_default();
        let message = body["error"]["message"].as_str().unwrap_or("refused").to_owned();
        Err(CommandError::Failed(format!("{status}: {message}")))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway.client_url)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> CommandError {
        CommandError::Failed(format!("{}: {error}", self.gateway.client_url))
    }
}

/// The object in a line of a stream.
fn chunk(line: &[u8]) -> Option<Value> {
    let data = std::str::from_utf8(line).ok()?.strip_prefix("data:")?.trim();
    serde_json::from_str(data).ok()
}

/// What an answer took, on one line.
fn account(model: &str, usage: &Value, seconds: f64) -> String {
    let number = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cost = match &usage["cost"] {
        Value::Null => "cost unknown".to_owned(),
        cost => {
            let text = format!("{:.9}", cost.as_f64().unwrap_or(0.0));
            format!("${}", text.trim_end_matches('0').trim_end_matches('.'))
        }
    };
    format!(
        "{model}: {} + {} tokens, {cost}, {seconds:.1} s",
        number("prompt_tokens"),
        number("completion_tokens")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_stream_are_read_or_left() {
        assert_eq!(chunk(b"data: {\"a\":1}\r\n"), Some(json!({ "a": 1 })));
        for other in [&b"data: [DONE]\n"[..], b": keepalive\n", b"\n", b"event: x\n", b"data: \xff\n"] {
            assert_eq!(chunk(other), None);
        }
        let usage = json!({ "prompt_tokens": 3, "completion_tokens": 4, "cost": 0.000012 });
        assert_eq!(account("m", &usage, 1.25), "m: 3 + 4 tokens, $0.000012, 1.2 s");
        assert_eq!(account("m", &Value::Null, 0.5), "m: 0 + 0 tokens, cost unknown, 0.5 s");
    }
}
