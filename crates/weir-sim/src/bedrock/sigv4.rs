//! AWS's signature, version 4, checked as AWS describes it; tested against its published examples.

use http::request::Parts;
use sha2::{Digest as _, Sha256};

/// How far the clock of a signer may be off, in seconds.
const SKEW: u64 = 300;

/// Fails, saying why, unless the request is signed with these keys at about `now` (seconds since 1970).
pub(super) fn verify(head: &Parts, body: &[u8], keys: (&str, &str), now: u64) -> Result<(), String> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or("no authorization")?;
    let claims = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not AWS4-HMAC-SHA256")?;
    let claim = |name: &str| {
        claims.split(',').map(str::trim).find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let credential = claim("Credential").ok_or("no Credential")?;
    let (access, scope) = credential.split_once('/').ok_or("no scope")?;
    if access != keys.0 {
        return Err("The security token included in the request is invalid.".to_owned());
    }
    let moment = header("x-amz-date").ok_or("no x-amz-date")?;
    if !scope.starts_with(moment.get(..8).ok_or("x-amz-date does not read")?) {
        return Err("the scope is of another day".to_owned());
    }
    let signed_at = seconds(moment).ok_or("x-amz-date does not read")?;
    if signed_at.abs_diff(now) > SKEW {
        return Err(format!("Signature expired: {moment} is not within 5 minutes"));
    }
    let names: Vec<&str> = claim("SignedHeaders").ok_or("no SignedHeaders")?.split(';').collect();
    for needed in ["host", "x-amz-date", "x-amz-security-token"] {
        let there = header(needed).is_some() || needed == "host";
        if there && !names.contains(&needed) {
            return Err(format!("{needed} must be signed"));
        }
    }
    let mut headers = Vec::new();
    for name in &names {
        let host = head.uri.authority().map(http::uri::Authority::as_str);
        let value = header(name).or_else(|| host.filter(|_| *name == "host"));
        headers.push((*name, value.ok_or_else(|| format!("{name} is signed and not there"))?));
    }
    let path = twice_encoded(head.uri.path());
    let canonical = canonical(head.method.as_str(), &path, head.uri.query().unwrap_or(""), &headers, body);
    let expected = signature(keys.1, moment, scope, &canonical);
    if claim("Signature") == Some(expected.as_str()) {
        return Ok(());
    }
    Err("The request signature we calculated does not match the signature you provided.".to_owned())
}

/// The path as it is signed by all services but S3: what was sent, encoded once more.
fn twice_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(byte).collect()
}

fn canonical(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let trimmed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{}:{}\n", name.to_ascii_lowercase(), trimmed(value)))
        .collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    format!(
        "{method}\n{path}\n{}\n{lines}\n{}\n{}",
        pairs.join("&"),
        names.join(";"),
        hex(&Sha256::digest(body))
    )
}

/// `scope` is `day/region/service/aws4_request`.
fn signature(secret: &str, moment: &str, scope: &str, canonical: &str) -> String {
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| hmac(&key, part.as_bytes()));
    hex(&hmac(&key, text.as_bytes()))
}

/// RFC 2104 with SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20150830T123600Z` in seconds since 1970.
fn seconds(moment: &str) -> Option<u64> {
    let number = |from: usize, to: usize| moment.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    // Days since 1970, counting years from March so that leap days come last.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * shifted_year + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (153 * shifted_month + 2) / 5
        + day
        - 1
        - 719_468;
    Some(days * 86_400 + number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const MOMENT: &str = "20150830T123600Z";

    /// Method, query, headers, body, service, signature.
    type Example<'e> = (&'e str, &'e str, &'e [(&'e str, &'e str)], &'e [u8], &'e str, &'e str);

    /// AWS's test suite for signature version 4, and the example of its documentation (the last).
    #[test]
    fn aws_published_examples() {
        let example = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", MOMENT);
        let form = ("content-type", "application/x-www-form-urlencoded");
        let cases: [Example<'_>; 4] = [
            (
                "GET",
                "",
                &[example, date],
                b"",
                "service",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "",
                &[example, date],
                b"",
                "service",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "POST",
                "",
                &[form, example, date],
                b"Param1=value1",
                "service",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "GET",
                "Action=ListUsers&Version=2010-05-08",
                &[
                    ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                    ("host", "iam.amazonaws.com"),
                    date,
                ],
                b"",
                "iam",
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ];
        for (method, query, headers, body, service, expected) in cases {
            let canonical = canonical(method, "/", query, headers, body);
            let scope = format!("20150830/us-east-1/{service}/aws4_request");
            assert_eq!(signature(SECRET, MOMENT, &scope, &canonical), expected, "{method} {query}");
        }
    }

    #[test]
    fn a_changed_request_is_refused() {
        let at = seconds(MOMENT).unwrap();
        assert_eq!(at, 1_440_938_160);
        let head = |signature: &str| {
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
            );
            let request = http::Request::post("/")
                .header("host", "example.amazonaws.com")
                .header("x-amz-date", MOMENT)
                .header("authorization", authorization);
            request.body(()).unwrap().into_parts().0
        };
        let good = head("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        let keys = ("AKIDEXAMPLE", SECRET);
        assert_eq!(verify(&good, b"", keys, at + 100), Ok(()));
        assert!(verify(&good, b"x", keys, at).is_err(), "another body");
        assert!(verify(&good, b"", keys, at + 1000).is_err(), "an old signature");
        assert!(verify(&good, b"", ("AKIDEXAMPLE", "other"), at).is_err(), "another secret");
        assert!(verify(&head("00"), b"", keys, at).is_err());
    }

    #[test]
    fn what_is_encoded_is_encoded_again() {
        assert_eq!(twice_encoded("/model/a.b-v1%3A0/converse"), "/model/a.b-v1%253A0/converse");
    }
}
