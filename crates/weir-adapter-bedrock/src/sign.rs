//! How a request is authorized: a bearer key, or a signature (AWS's version 4) over all of it.
//!
//! The signature is a keyed hash over the method, the path (encoded once more than it is sent), the query, those headers
//! that are named, and the hash of the body; its key is derived from the secret, the day, the region and the service.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write;
use std::time::SystemTime;

use hmac::{Hmac, Mac};
use http::{HeaderName, HeaderValue, Uri, header};
use sha2::{Digest, Sha256};
use weir_adapter::credential::Identity;
use weir_adapter::{Credential, Descriptor, EncodeError, WireBody, WireRequest};
use weir_wire::percent;

/// What AWS calls this service where it is signed for.
const SERVICE: &str = "bedrock";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Puts the credential on a request.
pub(crate) fn authorize(
    descriptor: &Descriptor,
    request: &mut WireRequest,
    key: &Credential,
    now: SystemTime,
) -> Result<(), EncodeError> {
    let refused = || EncodeError::Credential(key.name.to_string());
    match &*key.identity().ok_or_else(refused)? {
        Identity::Bearer(_) => request.authorize(&descriptor.auth, key),
        Identity::Aws { access_key, secret_key, session_token } => {
            let base: Uri =
                descriptor.base_url.as_deref().and_then(|url| url.parse().ok()).ok_or_else(refused)?;
            let scope = Scope {
                access_key,
                secret_key,
                session_token: session_token.as_deref(),
                region: descriptor.region.as_deref().ok_or_else(refused)?,
                service: SERVICE,
            };
            scope.sign(&base, request, now).ok_or_else(refused)
        }
    }
}

/// Whose signature, and for what.
struct Scope<'a> {
    access_key: &'a str,
    secret_key: &'a str,
    session_token: Option<&'a str>,
    region: &'a str,
    service: &'a str,
}

impl Scope<'_> {
    /// `None` where something can't stand in a header, or the body is not there as a whole.
    fn sign(&self, base: &Uri, request: &mut WireRequest, now: SystemTime) -> Option<()> {
        let WireBody::Bytes(body) = &request.body else { return None };
        let host = HeaderValue::from_str(base.authority()?.as_str()).ok()?;
        let moment = moment(now)?;
        request.headers.insert(DATE, HeaderValue::from_str(&moment).ok()?);
        if let Some(token) = self.session_token {
            let mut token = HeaderValue::from_str(token).ok()?;
            token.set_sensitive(true);
            request.headers.insert(TOKEN, token);
        }
        let mut signed = vec![("host", &host)];
        for name in [header::CONTENT_TYPE, DATE, TOKEN] {
            signed.extend(request.headers.get(&name).map(|value| (stable(&name), value)));
        }
        signed.sort_unstable_by_key(|(name, _)| *name);
        let path = [base.path().trim_end_matches('/'), &request.path].concat();
        let canonical = canonical(request.method.as_str(), &path, &signed, body)?;
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let value = self.authorization(&moment, &names.join(";"), &canonical);
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, value);
        Some(())
    }

    fn authorization(&self, moment: &str, names: &str, canonical: &str) -> String {
        let day = &moment[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hash(canonical.as_bytes()));
        let first = ["AWS4", self.secret_key].concat().into_bytes();
        let steps = [day, self.region, self.service, "aws4_request"];
        let key = steps.iter().fold(first, |key, part| keyed(&key, part.as_bytes()));
        let signature = hex(&keyed(&key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )
    }
}

/// The names that are signed, as text that lives on.
fn stable(name: &HeaderName) -> &'static str {
    match name.as_str() {
        "content-type" => "content-type",
        "x-amz-date" => "x-amz-date",
        _ => "x-amz-security-token",
    }
}

/// The request as it is hashed.
fn canonical(method: &str, path: &str, headers: &[(&str, &HeaderValue)], body: &[u8]) -> Option<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|pair| if pair.contains('=') { (*pair).to_owned() } else { format!("{pair}=") })
        .collect();
    let path = if path.is_empty() { "/" } else { path };
    let mut text = format!("{method}\n{}\n{}\n", encoded(path), pairs.join("&"));
    for (name, value) in headers {
        let words: Vec<&str> = value.to_str().ok()?.split_ascii_whitespace().collect();
        let _ = writeln!(text, "{name}:{}", words.join(" "));
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let _ = write!(text, "\n{}\n{}", names.join(";"), hash(body));
    Some(text)
}

/// The path as it is signed by all services but S3: what is sent, encoded once more.
fn encoded(path: &str) -> String {
    percent::encoded(path, b"-._~/")
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length are taken");
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// `20150830T123600Z`; `None` before 1970.
fn moment(now: SystemTime) -> Option<String> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    Some(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

/// Year, month and day of a day since 1970. Years are counted from March, so that leap days come last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    /// AWS's own example of a key.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn scope<'a>(service: &'a str, session_token: Option<&'a str>) -> Scope<'a> {
        Scope { access_key: "AKIDEXAMPLE", secret_key: SECRET, session_token, region: "us-east-1", service }
    }

    fn request(method: Method, path: &str, kind: Option<&'static str>, body: &'static [u8]) -> WireRequest {
        let headers = kind.map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind)));
        WireRequest {
            method,
            path: path.to_owned().into(),
            headers: HeaderMap::from_iter(headers),
            body: WireBody::Bytes(Bytes::from_static(body)),
            dropped: Vec::new(),
        }
    }

    fn signature(service: &str, host: &str, mut request: WireRequest) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        scope(service, None).sign(&host.parse().unwrap(), &mut request, now).unwrap();
        let value = request.headers[header::AUTHORIZATION].to_str().unwrap();
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// Cases of AWS's test suite for signature version 4, and the example of its documentation (the last).
    #[test]
    fn aws_published_examples() {
        let form = Some("application/x-www-form-urlencoded");
        for (service, host, request, expected) in [
            (
                "service",
                "https://example.amazonaws.com",
                request(Method::GET, "/", None, b""),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "service",
                "https://example.amazonaws.com/",
                request(Method::POST, "/", None, b""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "service",
                "https://example.amazonaws.com",
                request(Method::POST, "/", form, b"Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "service",
                "https://example.amazonaws.com",
                request(Method::GET, "/?Param2=value2&Param1=value1", None, b""),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "iam",
                "https://iam.amazonaws.com",
                request(
                    Method::GET,
                    "/?Action=ListUsers&Version=2010-05-08",
                    Some("application/x-www-form-urlencoded; charset=utf-8"),
                    b"",
                ),
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            assert_eq!(signature(service, host, request), expected, "{host}");
        }
    }

    #[test]
    fn a_token_of_a_session_is_signed_and_never_printed() {
        let mut wire = request(Method::POST, "/model/a%3A0/converse", Some("application/json"), b"{}");
        let base = "http://127.0.0.1:1".parse().unwrap();
        scope(SERVICE, Some("s3ssion")).sign(&base, &mut wire, SystemTime::UNIX_EPOCH).unwrap();
        let value = wire.headers[header::AUTHORIZATION].to_str().unwrap();
        assert!(
            value.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"),
            "{value}"
        );
        assert!(value.contains("AKIDEXAMPLE/19700101/us-east-1/bedrock/aws4_request"), "{value}");
        assert!(!format!("{:?}", wire.headers).contains("s3ssion"));
        assert_eq!(encoded("/model/a%3A0/converse"), "/model/a%253A0/converse");
    }

    #[test]
    fn dates_are_the_calendars() {
        let at = |seconds| moment(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(at(seconds), expected);
        }
    }
}
