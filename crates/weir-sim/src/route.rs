//! Which endpoint of which vendor a path is.

use http::{HeaderMap, Method};

use crate::config::Provider;

/// Whose shapes an answer, or an error, has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
    Ollama,
}

impl Vendor {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
        }
    }
}

/// An endpoint; a model in the path comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Rerank,
    Moderations,
    /// Images made: from a text, from images, like an image.
    Images(&'static str),
    Speech,
    /// Text made from sound; `true`: in English.
    Transcribe(bool),
    Messages,
    /// Messages at Vertex. `true`: as a stream.
    RawPredict(String, bool),
    CountTokens,
    Generate(String),
    /// `true`: server-sent events; `false`: one JSON array.
    StreamGenerate(String, bool),
    Embed(String),
    BatchEmbed(String),
    GeminiCount(String),
    /// `true`: as a stream.
    Converse(String, bool),
    OllamaChat,
    OllamaGenerate,
    OllamaEmbed,
    Tags,
    Models,
    Model(String),
    Unknown,
}

impl Endpoint {
    /// The name in the truth log.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Chat | Self::OllamaChat => "chat",
            Self::Completions | Self::OllamaGenerate => "completions",
            Self::Embeddings | Self::Embed(_) | Self::BatchEmbed(_) | Self::OllamaEmbed => "embeddings",
            Self::Responses => "responses",
            Self::Rerank => "rerank",
            Self::Moderations => "moderations",
            Self::Images(kind) => kind,
            Self::Speech => "speech",
            Self::Transcribe(false) => "transcriptions",
            Self::Transcribe(true) => "translations",
            Self::Messages | Self::RawPredict(..) => "messages",
            Self::Converse(..) => "converse",
            Self::CountTokens | Self::GeminiCount(_) => "count_tokens",
            Self::Generate(_) | Self::StreamGenerate(..) => "generate_content",
            Self::Models | Self::Model(_) | Self::Tags => "models",
            Self::Unknown => "unknown",
        }
    }

    /// The model that the path names.
    pub(crate) fn path_model(&self) -> Option<&str> {
        match self {
            Self::Generate(model)
            | Self::Converse(model, _)
            | Self::RawPredict(model, _)
            | Self::StreamGenerate(model, _)
            | Self::Embed(model)
            | Self::BatchEmbed(model)
            | Self::GeminiCount(model) => Some(model),
            _ => None,
        }
    }
}

/// Finds vendor and endpoint.
pub(crate) fn find(
    provider: Provider,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> (Vendor, Endpoint) {
    let path = path.trim_end_matches('/');
    let vendor = match provider {
        Provider::OpenAi => Vendor::OpenAi,
        Provider::Anthropic => Vendor::Anthropic,
        Provider::Gemini => Vendor::Gemini,
        Provider::Ollama => Vendor::Ollama,
        Provider::Bedrock => Vendor::Bedrock,
        Provider::All => vendor_of(path, headers),
    };
    let endpoint = match vendor {
        Vendor::OpenAi => openai(method, path),
        Vendor::Anthropic => anthropic(method, path),
        Vendor::Gemini => gemini(method, path, query),
        Vendor::Ollama => ollama(method, path),
        Vendor::Bedrock => bedrock(method, path),
    };
    (vendor, endpoint)
}

fn vendor_of(path: &str, headers: &HeaderMap) -> Vendor {
    let gemini =
        path.contains("/v1beta/") && !path.contains("/openai/") || path.contains("/publishers/google/");
    if gemini {
        Vendor::Gemini
    } else if path.contains("/api/") {
        Vendor::Ollama
    } else if path.starts_with("/model/") {
        Vendor::Bedrock
    } else if path.contains("/publishers/anthropic/")
        || path.contains("/messages")
        || headers.contains_key("anthropic-version")
    {
        Vendor::Anthropic
    } else {
        Vendor::OpenAi
    }
}

fn openai(method: &Method, path: &str) -> Endpoint {
    let is = |end: &str| method == Method::POST && path.ends_with(end);
    if is("/chat/completions") {
        Endpoint::Chat
    } else if is("/completions") {
        Endpoint::Completions
    } else if is("/embeddings") {
        Endpoint::Embeddings
    } else if is("/responses") {
        Endpoint::Responses
    } else if is("/rerank") {
        Endpoint::Rerank
    } else if is("/moderations") {
        Endpoint::Moderations
    } else if is("/images/generations") {
        Endpoint::Images("images")
    } else if is("/images/edits") {
        Endpoint::Images("image_edits")
    } else if is("/images/variations") {
        Endpoint::Images("image_variations")
    } else if is("/audio/speech") {
        Endpoint::Speech
    } else if is("/audio/transcriptions") {
        Endpoint::Transcribe(false)
    } else if is("/audio/translations") {
        Endpoint::Transcribe(true)
    } else {
        models(method, path)
    }
}

fn anthropic(method: &Method, path: &str) -> Endpoint {
    if let Some((_, rest)) = path.split_once("/publishers/anthropic/models/") {
        return match rest.rsplit_once(':') {
            Some((model, "rawPredict")) => Endpoint::RawPredict(decoded(model), false),
            Some((model, "streamRawPredict")) => Endpoint::RawPredict(decoded(model), true),
            _ => Endpoint::Unknown,
        };
    }
    if method == Method::POST && path.ends_with("/messages") {
        Endpoint::Messages
    } else if method == Method::POST && path.ends_with("/messages/count_tokens") {
        Endpoint::CountTokens
    } else {
        models(method, path)
    }
}

fn models(method: &Method, path: &str) -> Endpoint {
    if method != Method::GET {
        return Endpoint::Unknown;
    }
    if path.ends_with("/models") {
        return Endpoint::Models;
    }
    match path.split_once("/models/") {
        Some((_, model)) => Endpoint::Model(decoded(model)),
        None => Endpoint::Unknown,
    }
}

fn gemini(method: &Method, path: &str, query: &str) -> Endpoint {
    if method == Method::GET {
        return models(method, path);
    }
    let Some((_, rest)) = path.split_once("/models/") else { return Endpoint::Unknown };
    let Some((model, verb)) = rest.rsplit_once(':').or_else(|| rest.rsplit_once("%3A")) else {
        return Endpoint::Unknown;
    };
    let model = decoded(model);
    match verb {
        "generateContent" => Endpoint::Generate(model),
        "streamGenerateContent" => {
            Endpoint::StreamGenerate(model, query.split('&').any(|pair| pair.eq_ignore_ascii_case("alt=sse")))
        }
        "embedContent" => Endpoint::Embed(model),
        "batchEmbedContents" => Endpoint::BatchEmbed(model),
        "countTokens" => Endpoint::GeminiCount(model),
        _ => Endpoint::Unknown,
    }
}

fn bedrock(method: &Method, path: &str) -> Endpoint {
    let parts = path.strip_prefix("/model/").and_then(|rest| rest.split_once('/'));
    match (method == Method::POST, parts) {
        (true, Some((model, "converse"))) => Endpoint::Converse(decoded(model), false),
        (true, Some((model, "converse-stream"))) => Endpoint::Converse(decoded(model), true),
        _ => Endpoint::Unknown,
    }
}

fn ollama(method: &Method, path: &str) -> Endpoint {
    let Some((_, name)) = path.split_once("/api/") else { return Endpoint::Unknown };
    match (method.as_str(), name) {
        ("POST", "chat") => Endpoint::OllamaChat,
        ("POST", "generate") => Endpoint::OllamaGenerate,
        ("POST", "embed") => Endpoint::OllamaEmbed,
        ("GET", "tags") => Endpoint::Tags,
        _ => Endpoint::Unknown,
    }
}

/// Undoes percent encoding; what is not valid stays.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, query: &str, vendor: Vendor, endpoint: Endpoint) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(
            find(Provider::All, &method, path, query, &HeaderMap::new()),
            (vendor, endpoint),
            "{path}"
        );
    }

    #[test]
    fn paths_of_all_vendors() {
        check("POST", "/v1/chat/completions", "", Vendor::OpenAi, Endpoint::Chat);
        check("POST", "/openai/v1/completions/", "", Vendor::OpenAi, Endpoint::Completions);
        check("GET", "/v1/models/ft:a%2Fb", "", Vendor::OpenAi, Endpoint::Model("ft:a/b".into()));
        check("POST", "/v1/messages", "", Vendor::Anthropic, Endpoint::Messages);
        check("POST", "/v1/messages/count_tokens", "beta=true", Vendor::Anthropic, Endpoint::CountTokens);
        let path = "/v1beta/models/gemini-2.5-flash%2Bgap=2s:streamGenerateContent";
        let model = "gemini-2.5-flash+gap=2s".to_owned();
        check("POST", path, "key=k&alt=sse", Vendor::Gemini, Endpoint::StreamGenerate(model.clone(), true));
        check("POST", path, "key=k", Vendor::Gemini, Endpoint::StreamGenerate(model, false));
        check("GET", "/v1beta/models", "", Vendor::Gemini, Endpoint::Models);
        check("POST", "/v1beta/openai/chat/completions", "", Vendor::OpenAi, Endpoint::Chat);
        check("POST", "/v2/rerank", "", Vendor::OpenAi, Endpoint::Rerank);
        check("POST", "/v1/audio/translations", "", Vendor::OpenAi, Endpoint::Transcribe(true));
        let model = "anthropic.claude-v1:0".to_owned();
        let path = "/model/anthropic.claude-v1%3A0/converse-stream";
        check("POST", path, "", Vendor::Bedrock, Endpoint::Converse(model, true));
        check("POST", "/api/chat", "", Vendor::Ollama, Endpoint::OllamaChat);
        check("GET", "/api/tags", "", Vendor::Ollama, Endpoint::Tags);
        check("DELETE", "/v1/models/x", "", Vendor::OpenAi, Endpoint::Unknown);
    }
}
