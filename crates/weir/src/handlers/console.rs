//! `/ui`: the console's files, built into the binary.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use include_dir::{Dir, include_dir};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/console/dist");

/// Nothing but the console's own files runs, nothing is fetched from elsewhere, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file at `path` below `/ui`, the page itself for none; `None` where there is no such file.
pub fn file(path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let path = path.trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let contents = FILES.get_file(path)?.contents();
    let tag = tag();
    let mut response = Response::new(Bytes::from_static(contents));
    if headers.get(IF_NONE_MATCH) == Some(tag) {
        response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    answer.insert(ETAG, tag.clone());
    // Asked for each time, sent only when it changed.
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

/// One tag for all files: they change together.
fn tag() -> &'static HeaderValue {
    static TAG: OnceLock<HeaderValue> = OnceLock::new();
    TAG.get_or_init(|| {
        let mut sum = crc32fast::Hasher::new();
        let mut folders = vec![&FILES];
        while let Some(folder) = folders.pop() {
            folder.files().for_each(|file| sum.update(file.contents()));
            folders.extend(folder.dirs());
        }
        HeaderValue::try_from(format!("\"{:08x}\"", sum.finalize())).expect("hexadecimal digits")
    })
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_its_files_are_there() {
        let page = file("", &HeaderMap::new()).unwrap();
        let text = std::str::from_utf8(page.body()).unwrap().to_owned();
        for path in ["/ui/assets/console.js", "/ui/assets/console.css", "/ui/icon.svg"] {
            assert!(text.contains(path), "{path}");
            assert!(file(path.strip_prefix("/ui").unwrap(), &HeaderMap::new()).is_some(), "{path}");
        }
        // The policy forbids scripts and styles within the page.
        assert!(!text.contains("<style") && text.matches("<script").count() == 1);
        assert!(page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script-src 'self'"));
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let tag = file("", &HeaderMap::new()).unwrap().headers()[ETAG].clone();
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, tag)]);
        let again = file("", &known).unwrap();
        assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
    }

    #[test]
    fn nothing_else_is_reachable() {
        for path in ["../Cargo.toml", "assets/../../package.json", "missing.js", "assets"] {
            assert!(file(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
