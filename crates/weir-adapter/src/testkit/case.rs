//! One recorded exchange.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// One recorded exchange of the fixtures' folder.
#[derive(Debug, Clone)]
pub struct Case {
    /// The provider's folder.
    pub provider: String,
    /// The case's own name.
    pub name: String,
    /// `chat`, `completions`, `embeddings`, `messages`, `generate_content`, …
    pub api: String,
    /// The model, where the recording tells.
    pub model: Option<String>,
    /// The status of the reply.
    pub status: u16,
    /// `json`, `sse`, `ndjson`, …
    pub response_kind: String,
    /// `raw`, `reserialized`, `redacted`, `reframed`, `vendor_mock`, `sdk_parsed`.
    pub fidelity: String,
    /// What it has: `tools`, `streaming`, `error`, …
    pub features: Vec<String>,
    folder: PathBuf,
}

/// The fixtures' folder beside the project, where there is one. `manifest_dir` is the testing crate's
/// `CARGO_MANIFEST_DIR`, two levels below the project's root.
pub fn fixtures(manifest_dir: &str) -> Option<PathBuf> {
    let folder = Path::new(manifest_dir).join("../../../shared/fixtures");
    folder.join("index.json").is_file().then_some(folder)
}

/// The cases of these providers and APIs, in the index's order.
pub fn load(fixtures: &Path, providers: &[&str], apis: &[&str]) -> Vec<Case> {
    let index = read_json(&fixtures.join("index.json"));
    let cases = index["cases"].as_array().expect("the index has cases");
    let text = |case: &Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    cases
        .iter()
        .filter(|case| providers.contains(&case["provider"].as_str().unwrap_or_default()))
        .filter(|case| apis.contains(&case["api"].as_str().unwrap_or_default()))
        .map(|case| Case {
            provider: text(case, "provider"),
            name: text(case, "case"),
            api: text(case, "api"),
            model: case["model"].as_str().map(str::to_owned),
            status: case["status"].as_u64().unwrap_or(0) as u16,
            response_kind: text(case, "response_kind"),
            fidelity: text(case, "fidelity"),
            features: serde_json::from_value(case["features"].clone()).unwrap_or_default(),
            folder: fixtures.join(text(case, "provider")).join(text(case, "case")),
        })
        .collect()
}

impl Case {
    /// `provider/case`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.provider, self.name)
    }

    /// Whether the recording has this feature.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|has| has == feature)
    }

    /// Whether the reply is an error by its status.
    pub fn is_error(&self) -> bool {
        self.status >= 400
    }

    /// `request.json`: `method`, `host`, `path`, `query`, `headers`, `body` (`null` where it was not recorded).
    pub fn request(&self) -> Value {
        read_json(&self.folder.join("request.json"))
    }

    /// The recorded request's body, where it is a JSON object that is not empty.
    pub fn request_body(&self) -> Option<Value> {
        let body = self.request()["body"].take();
        body.as_object().is_some_and(|body| !body.is_empty()).then_some(body)
    }

    /// `meta.json`.
    pub fn meta(&self) -> Value {
        read_json(&self.folder.join("meta.json"))
    }

    /// The headers of the reply that were kept.
    pub fn response_headers(&self) -> HeaderMap {
        let meta = self.meta();
        let headers = meta["response_headers"].as_object().into_iter().flatten();
        headers
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.as_str()?).ok()?))
            })
            .collect()
    }

    /// How many bytes each network read of the reply had; empty where the recording does not tell.
    pub fn chunk_lengths(&self) -> Vec<usize> {
        serde_json::from_value(self.meta()["chunk_lengths"].take()).unwrap_or_default()
    }

    /// The reply's body: the one file whose name begins with `response.`, as it stands.
    pub fn response(&self) -> Vec<u8> {
        let names = std::fs::read_dir(&self.folder).expect("the index names folders that are there");
        let path = names
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("response.")))
            .unwrap_or_else(|| panic!("{} has no reply", self.id()));
        std::fs::read(path).expect("the reply is readable")
    }
}

fn read_json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
