//! Google's usual chain: a file that the configuration or `GOOGLE_APPLICATION_CREDENTIALS` names, what gcloud left, the
//! metadata server.
//!
//! A service account's token is asked for here, at the `token_uri` of its file; workload identity federation,
//! impersonation and users' own credentials are the library's.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, ProvideCredential};
use reqsign_google::{FileCredentialProvider, VmMetadataCredentialProvider};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use weir_adapter::credential::Identity;
use weir_config::Credentials;

use super::renewal::{Find, Found, Resolve, within};
use super::world::{ask, form, told, variable};

/// What it takes of `credentials`.
pub(super) const MEMBERS: &[&str] = &["credentials_file"];

/// What the token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a service account's own statement holds, and a token whose end is not told.
const LIFE: Duration = Duration::from_secs(3600);

struct Google {
    world: Context,
    /// The file that the configuration names.
    file: Option<String>,
}

/// The chain.
pub(super) fn chain(world: Context, written: Credentials) -> Resolve {
    let file = written.credentials_file.map(|path| path.display().to_string());
    within(Google { world, file })
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    name: String,
}

/// A service account's key file.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: Option<String>,
    token_uri: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Find for Google {
    const NAME: &'static str = "Google's chain of credentials";

    async fn find(&self) -> Result<Found, String> {
        let named = self.file.clone().or_else(|| variable(&self.world, "GOOGLE_APPLICATION_CREDENTIALS"));
        if let Some(path) = named {
            let text = self.world.file_read(&path).await.map_err(|error| told(&error))?;
            return self.by_file(&path, &text).await;
        }
        if let Some(path) = self.gclouds()
            && let Ok(text) = self.world.file_read(&path).await
        {
            return self.by_file(&path, &text).await;
        }
        let server = VmMetadataCredentialProvider::new().with_scope(SCOPE);
        let found = server.provide_credential(&self.world).await.map_err(|error| told(&error))?;
        token(found).ok_or_else(|| {
            "no file of credentials is named (`credentials.credentials_file`, GOOGLE_APPLICATION_CREDENTIALS), and there is no metadata server".to_owned()
        })
    }
}

impl Google {
    /// Where `gcloud auth application-default login` leaves a file.
    fn gclouds(&self) -> Option<String> {
        let folder = variable(&self.world, "CLOUDSDK_CONFIG");
        let folder = folder.or_else(|| Some(format!("{}/.config/gcloud", self.world.home_dir()?.display())));
        Some(format!("{}/application_default_credentials.json", folder?))
    }

    async fn by_file(&self, path: &str, text: &[u8]) -> Result<Found, String> {
        let unread = |_| format!("`{path}` holds no credentials of Google's");
        let kind: Kind = serde_json::from_slice(text).map_err(unread)?;
        if kind.name == "service_account" {
            let account: Account = serde_json::from_slice(text).map_err(unread)?;
            return self.by_account(&account).await;
        }
        let file = FileCredentialProvider::new(path).with_scope(SCOPE);
        let found = file.provide_credential(&self.world).await.map_err(|error| told(&error))?;
        token(found).ok_or_else(|| format!("`{path}` gave no token"))
    }

    async fn by_account(&self, account: &Account) -> Result<Found, String> {
        let now = SystemTime::now();
        let statement = statement(account, now)?;
        let request = form(&account.token_uri, &[("grant_type", GRANT), ("assertion", &statement)])?;
        let token: Token = ask(&self.world, request).await?;
        let life = token.expires_in.map_or(LIFE, Duration::from_secs);
        Ok(Found { identity: Identity::Bearer(token.access_token), ends: Some(now + life) })
    }
}

/// What a service account says of itself, signed: a JWT (RFC 7523).
fn statement(account: &Account, now: SystemTime) -> Result<String, String> {
    let unreadable = || "the service account's `private_key` does not read".to_owned();
    let key = PrivateKeyDer::from_pem_slice(account.private_key.as_bytes()).map_err(|_| unreadable())?;
    let key = match &key {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        other => KeyPair::from_der(other.secret_der()),
    };
    let key = key.map_err(|_| unreadable())?;
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": account.private_key_id});
    let claims = json!({"iss": account.client_email, "scope": SCOPE, "aud": account.token_uri,
        "iat": seconds, "exp": seconds + LIFE.as_secs()});
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let text = format!("{}.{}", encoded(head.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| unreadable())?;
    Ok(format!("{text}.{}", encoded(&signature)))
}

/// What the library found.
fn token(found: Option<reqsign_google::Credential>) -> Option<Found> {
    let token = found?.token?;
    let ends = token.expires_at.map_or_else(|| SystemTime::now() + LIFE, Timestamp::as_system_time);
    Some(Found { identity: Identity::Bearer(token.access_token), ends: Some(ends) })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::super::testing::World;
    use super::*;

    const KEY: &str = include_str!("../../../../tests/e2e/tls/rsa.pem");
    const FILE: &str = "/credentials.json";

    async fn found(world: &World, written: Credentials) -> Result<(String, Duration), String> {
        let found = chain(world.context(), written)().await?;
        let Identity::Bearer(token) = found.identity else { panic!("Google has tokens") };
        let left = found.ends.unwrap().duration_since(SystemTime::now()).unwrap_or_default();
        Ok((token, left))
    }

    fn with_file(text: &Value) -> World {
        let mut world = World::default();
        world.set("GOOGLE_APPLICATION_CREDENTIALS", FILE);
        world.file(FILE, &text.to_string());
        world
    }

    fn account() -> Value {
        json!({"type": "service_account", "client_email": "a@b", "private_key": KEY, "private_key_id": "7",
            "token_uri": "https://tokens.example/token"})
    }

    #[tokio::test]
    async fn a_service_account_signs_what_it_says_of_itself() {
        let world = with_file(&account());
        world.answer(
            "https://tokens.example/token",
            200,
            r#"{"access_token":"ya29.1","expires_in":1800,"token_type":"Bearer"}"#,
        );
        let (token, left) = found(&world, Credentials::default()).await.unwrap();
        assert_eq!(token, "ya29.1");
        assert!(left > Duration::from_secs(1700) && left <= Duration::from_secs(1800), "{left:?}");
        let body = world.asked()[0].1.clone();
        let statement = body.rsplit_once("assertion=").unwrap().1;
        let (text, signature) = statement.rsplit_once('.').unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let PrivateKeyDer::Pkcs8(key) = key else { panic!("PKCS #8") };
        let pair = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref().to_vec());
        public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[tokio::test]
    async fn other_files_of_credentials() {
        let user =
            json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"});
        let world = with_file(&user);
        world.answer(
            "https://oauth2.googleapis.com/token",
            200,
            r#"{"access_token":"ya29.user","expires_in":3599}"#,
        );
        assert_eq!(found(&world, Credentials::default()).await.unwrap().0, "ya29.user");

        // Workload identity federation, then the service account that it stands for.
        let federated = json!({"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken",
            "credential_source": {"file": "/subject", "format": {"type": "text"}}});
        let mut world = with_file(&federated);
        world.file("/subject", "ey.subject");
        world.answer(
            "https://sts.googleapis.com/v1/token",
            200,
            r#"{"access_token":"federated","issued_token_type":"t","token_type":"Bearer","expires_in":3600}"#,
        );
        world.answer(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken",
            200,
            r#"{"accessToken":"ya29.account","expireTime":"2099-01-01T00:00:00Z"}"#,
        );
        assert_eq!(found(&world, Credentials::default()).await.unwrap().0, "ya29.account");
    }

    #[tokio::test]
    async fn what_is_written_goes_first_and_the_metadata_server_last() {
        let mut world = with_file(&json!({"type": "nothing known"}));
        world.file("/written.json", &account().to_string());
        world.answer("https://tokens.example/token", 200, r#"{"access_token":"ya29.written"}"#);
        let written =
            Credentials { credentials_file: Some("/written.json".into()), ..Credentials::default() };
        assert_eq!(found(&world, written).await.unwrap().0, "ya29.written");

        let mut world = World::default();
        let server =
            "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
        assert!(found(&world, Credentials::default()).await.is_err());
        world.answer(
            server,
            200,
            r#"{"access_token":"ya29.machine","expires_in":300,"token_type":"Bearer"}"#,
        );
        assert_eq!(found(&world, Credentials::default()).await.unwrap().0, "ya29.machine");
        world.file("/home/.config/gcloud/application_default_credentials.json", &account().to_string());
        world.answer("https://tokens.example/token", 200, r#"{"access_token":"ya29.gcloud"}"#);
        assert_eq!(found(&world, Credentials::default()).await.unwrap().0, "ya29.gcloud");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_without_secrets() {
        let why = async |text: &Value| found(&with_file(text), Credentials::default()).await.unwrap_err();
        assert!(why(&json!({})).await.contains("holds no credentials of Google's"));
        let mut broken = account();
        broken["private_key"] = "-----BEGIN PRIVATE KEY-----\nc3VwZXI=\n-----END PRIVATE KEY-----".into();
        let told = why(&broken).await;
        assert!(told.contains("`private_key` does not read") && !told.contains("c3VwZXI"), "{told}");
        let mut world = World::default();
        world.set("GOOGLE_APPLICATION_CREDENTIALS", "/gone.json");
        assert!(found(&world, Credentials::default()).await.unwrap_err().contains("`/gone.json`"));
        let world = with_file(&account());
        world.answer(
            "https://tokens.example/token",
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
        );
        let told = found(&world, Credentials::default()).await.unwrap_err();
        assert_eq!(told, "tokens.example answered 400: invalid_grant: Invalid JWT Signature.");
    }
}
