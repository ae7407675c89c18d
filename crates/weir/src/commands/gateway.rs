//! Asking the admin API: of the running gateway, or of the store itself where nothing listens.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use weir_config::{Environment, Loaded};
use weir_gateway::Caller;
use weir_gateway::call::Role;

use super::{CommandError, Global};
use crate::admin::api::{Found, find};
use crate::admin::{Ask, Desk, ask_endpoint};
use crate::app::with_cause;

/// Who answers.
pub struct Gateway {
    url: String,
    key: Option<String>,
    /// Whether the address was given: then nothing else is asked.
    named: bool,
    loaded: Loaded,
    /// Where clients call.
    pub client_url: String,
}

impl Gateway {
    /// As the options, the environment and the configuration say.
    ///
    /// # Errors
    /// A configuration that is wrong.
    pub fn of(global: &Global, environment: &Environment) -> Result<Gateway, CommandError> {
        let loaded = global.load(environment)?;
        let master = loaded.config.server.master_key.as_ref().map(|key| key.expose().to_owned());
        Ok(Gateway {
            url: global.admin_url(environment, Some(&loaded)),
            key: global.gateway_key(environment).map(str::to_owned).or(master),
            named: global.url.is_some() || environment.get_filled("WEIR_URL").is_some(),
            client_url: global.gateway_url(environment, Some(&loaded)),
            loaded,
        })
    }

    /// The key to show.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The answer.
    ///
    /// # Errors
    /// What the gateway refuses, nobody who answers.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CommandError> {
        match over_http(&self.url, self.key.as_deref(), method, path, body).await? {
            Some(answer) => Ok(answer),
            None if self.named => Err(CommandError::Failed(format!("nothing listens at {}", self.url))),
            None => self.ask_store(method, path, body).await,
        }
    }

    /// All pages of a list.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub async fn all(&self, path: &str) -> Result<Vec<Value>, CommandError> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.ask("GET", &format!("{path}?limit=200{next}"), None).await?;
            if let Value::Array(data) = page["data"].take() {
                all.extend(data);
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return Ok(all),
            }
        }
    }

    /// The one with this name or id, of those that are not revoked if one is.
    ///
    /// # Errors
    /// There is none; the message has the nearest name.
    pub async fn named(&self, path: &str, what: &str, name: &str) -> Result<Value, CommandError> {
        let all = self.all(path).await?;
        let is = |one: &&Value| one["name"] == name || one["id"] == name;
        let live = all.iter().filter(|one| one["revoked_at"].is_null()).find(is);
        if let Some(found) = live.or_else(|| all.iter().rev().find(is)) {
            return Ok(found.clone());
        }
        let names: Vec<&str> = all.iter().filter_map(|one| one["name"].as_str()).collect();
        let hint = match weir_config::nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("`weir {what}s list` shows those that there are"),
        };
        Err(CommandError::Failed(format!("there is no {what} `{name}`; {hint}")))
    }

    /// The same endpoint, asked without a gateway.
    async fn ask_store(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CommandError> {
        let failed = |error: String| CommandError::Failed(error);
        let config = &self.loaded.config;
        let store = weir_store::open(config.store.url.expose(), &config.data_dir)
            .await
            .map_err(|error| failed(with_cause(&error).to_string()))?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let Found::Endpoint(endpoint, id) = find(method, path) else {
            return Err(failed(format!("nothing answers {method} {path}")));
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let ask = Ask {
            actor: Arc::new(Caller::named("command line", Role::Admin)),
            credential: String::new(),
            id,
            query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
            once: None,
            what: format!("{method} {path}"),
            now: crate::clock::unix_micros(),
        };
        let desk = Desk { store: store.as_ref(), config, app: None };
        let answer = ask_endpoint(endpoint, &desk, &ask).await.map_err(|error| failed(error.to_string()));
        store.close().await.map_err(|error| failed(error.to_string()))?;
        answer
    }
}

/// An id as a piece of a path.
pub fn piece(id: &str) -> String {
    weir_wire::percent::encoded(id, b"-_.")
}

/// What the admin API at `url` answers; `None` where nothing listens.
///
/// # Errors
/// What it refuses, what is no gateway.
pub(super) async fn over_http(
    url: &str,
    key: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Option<Value>, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::Failed(format!("{url}: {error}"));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .connect_timeout(Duration::from_secs(3))
        .build()
        .map_err(|error| failed(&error))?;
    let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| failed(&error))?;
    let mut request = client.request(method, format!("{url}{path}"));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let status = response.status();
    let answer: Value = response.json().await.map_err(|_| failed(&"this is no weir"))?;
    if status.is_success() {
        return Ok(Some(answer));
    }
    let message = answer["error"]["message"].as_str().unwrap_or("refused");
    let hint = match (status.as_u16(), key) {
        (401, None) => "; give the master key with --key or WEIR_MASTER_KEY",
        _ => "",
    };
    Err(failed(&format!("{message}{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_into_paths() {
        assert_eq!(piece("file:a/b ü"), "file%3Aa%2Fb%20%C3%BC");
    }
}
