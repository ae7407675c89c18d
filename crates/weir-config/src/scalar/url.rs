//! Where a provider is reached: `https://api.openai.com/v1`.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use super::text_value;

/// An `http` or `https` address without query, fragment or credentials. Trailing slashes are cut, nothing else is
/// guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is left out of messages where it may hold a password.
        if text.contains('@') {
            return Err("the URL holds a user or password; use `api_key` or `headers` instead".to_owned());
        }
        let refuse = |why: &str| Err(format!("`{text}` is not a base URL: {why}"));
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return refuse("it must start with https:// or http://");
        }
        if text.contains(['?', '#']) {
            return refuse("it can have no query and no fragment");
        }
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse("it has characters that no URL has, or no host");
        };
        let authority = uri.authority().map(|at| at.as_str()).unwrap_or_default();
        let port = authority.strip_prefix(uri.host().unwrap_or_default()).unwrap_or_default();
        if port == authority {
            return refuse("the host is missing");
        }
        if !port.is_empty() && port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_none() {
            return refuse("the port must be a number up to 65535");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(BaseUrl, "BaseUrl", {
    "type": "string",
    "pattern": "^https?://[^/?#@]+(/[^?#]*)?$|\\$\\{",
    "examples": ["https://api.openai.com/v1", "http://127.0.0.1:11434"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_only_trailing_slashes() {
        for (text, want) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
            ("http://[::1]:8000/v1//", "http://[::1]:8000/v1"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().as_str(), want);
        }
    }

    #[test]
    fn refuses_and_says_why() {
        for (text, why) in [
            ("api.openai.com/v1", "must start with"),
            ("ftp://x", "must start with"),
            ("https://", "no host"),
            ("https://x y/", "characters"),
            ("https://x/v1?a=b", "no query"),
            ("https://x:99999/v1", "the port"),
            ("http://:80/", ""),
            ("https://x:/v1", "the port"),
            ("https://me:secret@x/v1", "user or password"),
        ] {
            let error = text.parse::<BaseUrl>().unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
