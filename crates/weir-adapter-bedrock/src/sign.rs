//! How a request is authorized: a bearer key, or a signature (AWS's version 4) over all of it.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue, header};
use weir_adapter::credential::Identity;
use weir_adapter::{Credential, Descriptor, EncodeError, WireBody, WireRequest};

/// What AWS calls this service where it is signed for.
const SERVICE: &str = "bedrock";

/// Puts the credential on a request.
pub(crate) fn authorize(
    descriptor: &Descriptor,
    request: &mut WireRequest,
    key: &Credential,
    now: SystemTime,
) -> Result<(), EncodeError> {
    let refused = || EncodeError::Credential(key.name.clone());
    match &*key.identity().ok_or_else(refused)? {
        Identity::Bearer(token) if token.is_empty() => Ok(()),
        Identity::Bearer(token) => {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| refused())?;
            value.set_sensitive(true);
            request.headers.insert(header::AUTHORIZATION, value);
            Ok(())
        }
        Identity::Aws { access_key, secret_key, session_token } => {
            let credentials = Credentials::new(access_key, secret_key, session_token.clone(), None, "weir");
            signed(descriptor, request, credentials, now).ok_or_else(refused)
        }
    }
}

fn signed(
    descriptor: &Descriptor,
    request: &mut WireRequest,
    credentials: Credentials,
    now: SystemTime,
) -> Option<()> {
    let WireBody::Bytes(body) = &request.body else { return None };
    let base = descriptor.base_url.as_deref()?.trim_end_matches('/');
    let region = descriptor.region.as_deref()?;
    let url = format!("{base}{}", request.path);
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    // The path is encoded once where it is sent, and once more where it is signed.
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(settings)
        .build()
        .ok()?
        .into();
    // What stands on the request already, as it may be tried a second time.
    request.headers.remove(header::AUTHORIZATION);
    let content_type = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let headers = content_type.map(|value| ("content-type", value)).into_iter();
    let signable =
        SignableRequest::new(request.method.as_str(), url, headers, SignableBody::Bytes(body)).ok()?;
    let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
    let (headers, _) = instructions.into_parts();
    for added in headers {
        let name = HeaderName::try_from(added.name()).ok()?;
        let mut value = HeaderValue::try_from(added.value()).ok()?;
        value.set_sensitive(name == header::AUTHORIZATION || name.as_str() == "x-amz-security-token");
        request.headers.insert(name, value);
    }
    Some(())
}
