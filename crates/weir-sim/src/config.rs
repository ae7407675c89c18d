//! What a simulator is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::script::Script;

/// Whose wire format the simulator speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// OpenAI's: `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/models`.
    OpenAi,
    /// Anthropic's: `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`.
    Anthropic,
    /// Gemini's: `/v1beta/models/{model}:generateContent` and its neighbours.
    Gemini,
    /// Ollama's own: `/api/chat` and its neighbours.
    Ollama,
    /// Amazon Bedrock's: `/model/{id}/converse` and `/converse-stream`.
    Bedrock,
    /// All of them, told apart by path; `/v1/models` is Anthropic's when the request has `anthropic-version`.
    #[default]
    All,
}

impl Provider {
    /// The provider of that name: `openai`, `anthropic`, `gemini`, `bedrock`, `ollama` or `all`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "openai" => Self::OpenAi,
            "anthropic" => Self::Anthropic,
            "gemini" => Self::Gemini,
            "ollama" => Self::Ollama,
            "bedrock" => Self::Bedrock,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// The name that [`Provider::from_name`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
            Self::All => "all",
        }
    }
}

/// Certificate chain and key, both PEM, with which the simulator serves TLS (ALPN `h2`, `http/1.1`).
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub cert_pem: Vec<u8>,
    /// The private key (PKCS #8, PKCS #1 or SEC 1).
    pub key_pem: Vec<u8>,
}

/// Settings of one simulator. `SimConfig::default()` is a strict one on a free loopback port.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whose format to speak.
    pub provider: Provider,
    /// Rules in force from the start; more can come by `POST /_sim/script`.
    pub script: Script,
    /// File to which the truth log is appended; none, no log.
    pub truth_log: Option<PathBuf>,
    /// TLS, or plain text (HTTP/1.1 and h2c with prior knowledge) when absent.
    pub tls: Option<Tls>,
    /// Whether a request without a key is refused.
    pub require_key: bool,
    /// Keys that are accepted; none: any non-empty key but those that start with `bad` or `invalid`.
    pub keys: Option<Vec<String>>,
    /// Whether fields that the vendor does not know are refused.
    pub strict_fields: bool,
    /// The only models there are; none: the vendor's families, by prefix.
    pub models: Option<Vec<String>>,
    /// How many requests are kept for `GET /_sim/requests`; 0 keeps none.
    pub capture: usize,
    /// Largest request body, in bytes; a larger one is a 413.
    pub max_body: usize,
    /// Secret with which thinking signatures are made and verified.
    pub secret: String,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            provider: Provider::All,
            script: Script::default(),
            truth_log: None,
            tls: None,
            require_key: true,
            keys: None,
            strict_fields: true,
            models: None,
            capture: 0,
            max_body: 64 * 1024 * 1024,
            secret: "weir-sim".to_owned(),
        }
    }
}

/// The models of the built-in provider.
const DEMO: [&str; 10] =
    ["echo", "story", "tools", "flaky", "embed", "image", "speech", "transcribe", "moderation", "rerank"];

impl SimConfig {
    /// The gateway's built-in `demo` provider: OpenAI's format, a few models of each kind, no key needed, unknown fields let pass.
    pub fn demo() -> Self {
        Self {
            provider: Provider::OpenAi,
            require_key: false,
            strict_fields: false,
            models: Some(DEMO.map(str::to_owned).to_vec()),
            ..Self::default()
        }
    }
}

/// Why a simulator could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The address could not be bound.
    Listen(SocketAddr, std::io::Error),
    /// The truth log could not be opened.
    TruthLog(PathBuf, std::io::Error),
    /// The certificate or the key is unusable.
    Tls(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, cause) => write!(f, "listening on {address}: {cause}"),
            Self::TruthLog(path, cause) => write!(f, "opening the truth log {}: {cause}", path.display()),
            Self::Tls(why) => write!(f, "reading the certificate or key: {why}"),
        }
    }
}

impl std::error::Error for StartError {}
