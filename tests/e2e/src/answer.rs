//! Answers of the gateway, whole and as events.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

/// One HTTP answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body, as far as it came.
    pub body: Bytes,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name; empty where it has none.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// The client that tests ask with: it trusts the tests' own authority, too.
///
/// # Panics
/// Never on a working machine.
pub fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let authority =
            reqwest::Certificate::from_pem(include_bytes!("../tls/ca.pem")).expect("it is a certificate");
        let builder = reqwest::Client::builder().tls_certs_only([authority]).no_proxy();
        // A connection belongs to the runtime of the test that made it.
        builder.pool_max_idle_per_host(0).build().expect("a client can be made")
    })
}

impl Answer {
    /// Reads an answer to its end, or to where it breaks.
    pub async fn read(mut response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Answer { status, headers, body: body.into(), whole }
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{cause}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as events.
    pub fn events(&self) -> Vec<Event> {
        events(&self.text())
    }

    /// The events' data as JSON, without `[DONE]`.
    pub fn chunks(&self) -> Vec<Value> {
        let data = self.events().into_iter().filter(|event| event.data != "[DONE]");
        data.map(|event| serde_json::from_str(&event.data).expect("each event is JSON")).collect()
    }

    /// Whether the stream has its end marker.
    pub fn finished(&self) -> bool {
        self.events().last().is_some_and(|event| event.data == "[DONE]" || event.name == "message_stop")
    }
}

/// A stream's events.
pub fn events(text: &str) -> Vec<Event> {
    let mut all = Vec::new();
    // Gemini's dialect ends its lines otherwise.
    let text = text.replace("\r\n", "\n");
    for block in text.split("\n\n") {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
        };
        let event = Event { name: field("event:"), data: field("data:") };
        if !event.data.is_empty() {
            all.push(event);
        }
    }
    all
}
