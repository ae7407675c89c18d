//! Tokens of Microsoft Entra, for Azure: by a client secret, a workload identity, or a managed identity.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqsign_core::Context;
use serde::Deserialize;
use serde_json::Value;
use weir_adapter::credential::Identity;
use weir_config::Credentials;

use super::renewal::{Find, Found, Resolve, within};
use super::world::{ask, escaped, form, told, variable};

/// What it takes of `credentials`.
pub(super) const MEMBERS: &[&str] =
    &["tenant_id", "client_id", "client_secret", "federated_token_file", "authority_host", "scope"];

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// A machine's own service of tokens.
const MACHINE: &str = "http://169.254.169.254";
/// What a workload's own token is called where it stands for a secret.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How tokens are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Secret { tenant: String, client: String, secret: String },
    Workload { tenant: String, client: String, file: String },
    Managed { client: Option<String> },
}

struct Entra {
    world: Context,
    way: Way,
    authority: String,
    scope: String,
}

/// The chain.
pub(super) fn chain(world: Context, written: Credentials) -> Result<Resolve, String> {
    let way = way(&world, &written)?;
    let authority = written.authority_host.as_ref().map(|url| url.as_str().to_owned());
    let authority = authority.or_else(|| variable(&world, "AZURE_AUTHORITY_HOST"));
    let authority = authority.as_deref().unwrap_or(AUTHORITY).trim_end_matches('/').to_owned();
    let scope = written.scope.unwrap_or_else(|| SCOPE.to_owned());
    Ok(within(Entra { world, way, authority, scope }))
}

/// By what is written, else by the variables, in the order of Microsoft's own libraries.
fn way(world: &Context, written: &Credentials) -> Result<Way, String> {
    let tenant = written.tenant_id.clone().or_else(|| variable(world, "AZURE_TENANT_ID"));
    let client = written.client_id.clone().or_else(|| variable(world, "AZURE_CLIENT_ID"));
    let file = written.federated_token_file.as_ref().map(|path| path.display().to_string());
    let secret = written.client_secret.as_ref().map(|secret| secret.expose().to_owned());
    let secret = match (secret, &file) {
        (Some(_), Some(_)) => {
            return Err("takes `client_secret` or `federated_token_file`; remove one of them".to_owned());
        }
        (None, None) => variable(world, "AZURE_CLIENT_SECRET"),
        (secret, _) => secret,
    };
    let file = file.or_else(|| variable(world, "AZURE_FEDERATED_TOKEN_FILE"));
    let named = |value: Option<String>, name: &str, variable: &str, by: &str| {
        value.ok_or_else(|| format!("needs `credentials.{name}` (or {variable}) beside {by}"))
    };
    if let Some(secret) = secret {
        let by = "the client's secret";
        let tenant = named(tenant, "tenant_id", "AZURE_TENANT_ID", by)?;
        let client = named(client, "client_id", "AZURE_CLIENT_ID", by)?;
        return Ok(Way::Secret { tenant, client, secret });
    }
    if let Some(file) = file {
        let by = "a workload's token";
        let tenant = named(tenant, "tenant_id", "AZURE_TENANT_ID", by)?;
        let client = named(client, "client_id", "AZURE_CLIENT_ID", by)?;
        return Ok(Way::Workload { tenant, client, file });
    }
    if written.tenant_id.is_some() {
        return Err("needs `credentials.client_secret` or `credentials.federated_token_file` beside `tenant_id`; a managed identity has no `tenant_id`".to_owned());
    }
    Ok(Way::Managed { client })
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    /// Seconds, as a number or as text.
    #[serde(default)]
    expires_in: Value,
    /// Seconds since 1970, likewise.
    #[serde(default)]
    expires_on: Value,
}

impl Find for Entra {
    const NAME: &'static str = "Microsoft Entra";

    async fn find(&self) -> Result<Found, String> {
        let request = match &self.way {
            Way::Secret { tenant, client, secret } => {
                self.granted(tenant, &[("client_id", client), ("client_secret", secret)])?
            }
            Way::Workload { tenant, client, file } => {
                // The platform renews the file.
                let assertion = self.world.file_read_as_string(file).await.map_err(|error| told(&error))?;
                let assertion = assertion.trim();
                self.granted(
                    tenant,
                    &[
                        ("client_id", client),
                        ("client_assertion_type", ASSERTION),
                        ("client_assertion", assertion),
                    ],
                )?
            }
            Way::Managed { client } => self.managed(client.as_deref())?,
        };
        let now = SystemTime::now();
        let token: Token = ask(&self.world, request).await?;
        let life = seconds(&token.expires_in).map(|life| now + life);
        let ends = life.or_else(|| seconds(&token.expires_on).map(|end| SystemTime::UNIX_EPOCH + end));
        Ok(Found { identity: Identity::Bearer(token.access_token), ends })
    }
}

impl Entra {
    fn granted(&self, tenant: &str, proof: &[(&str, &str)]) -> Result<http::Request<Bytes>, String> {
        let url = format!("{}/{}/oauth2/v2.0/token", self.authority, escaped(tenant));
        let mut members = vec![("grant_type", "client_credentials"), ("scope", self.scope.as_str())];
        members.extend_from_slice(proof);
        form(&url, &members)
    }

    /// App Service and its like say where to ask; machines have one address.
    fn managed(&self, client: Option<&str>) -> Result<http::Request<Bytes>, String> {
        let resource = self.scope.strip_suffix("/.default").unwrap_or(&self.scope);
        let named = client.map_or_else(String::new, |client| format!("&client_id={}", escaped(client)));
        let query = format!("resource={}{named}", escaped(resource));
        let service =
            variable(&self.world, "IDENTITY_ENDPOINT").zip(variable(&self.world, "IDENTITY_HEADER"));
        let request = match service {
            Some((url, header)) => http::Request::get(format!("{url}?api-version=2019-08-01&{query}"))
                .header("x-identity-header", header),
            None => {
                let host = variable(&self.world, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.as_deref().unwrap_or(MACHINE).trim_end_matches('/').to_owned();
                http::Request::get(format!(
                    "{host}/metadata/identity/oauth2/token?api-version=2018-02-01&{query}"
                ))
                .header("metadata", "true")
            }
        };
        request.body(Bytes::new()).map_err(|_| "IDENTITY_ENDPOINT is no URL".to_owned())
    }
}

fn seconds(value: &Value) -> Option<Duration> {
    let count = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(count))
}

#[cfg(test)]
mod tests {
    use weir_config::Secret;

    use super::super::testing::World;
    use super::*;

    fn written(edit: impl FnOnce(&mut Credentials)) -> Credentials {
        let mut written = Credentials::default();
        edit(&mut written);
        written
    }

    async fn found(world: &World, written: Credentials) -> Found {
        chain(world.context(), written).unwrap()().await.unwrap()
    }

    #[tokio::test]
    async fn a_clients_secret_gives_a_token() {
        let world = World::default();
        world.answer(
            "https://login.microsoftonline.com/t%20t/oauth2/v2.0/token",
            200,
            r#"{"token_type":"Bearer","expires_in":3599,"access_token":"token-1"}"#,
        );
        let found = found(
            &world,
            written(|one| {
                one.tenant_id = Some("t t".to_owned());
                one.client_id = Some("c".to_owned());
                one.client_secret = Some(Secret::new("s&cret"));
            }),
        )
        .await;
        assert!(found.identity == Identity::Bearer("token-1".to_owned()));
        let life = found.ends.unwrap().duration_since(SystemTime::now()).unwrap();
        assert!(life > Duration::from_secs(3500) && life < Duration::from_secs(3600));
        assert_eq!(
            world.asked()[0].1,
            "grant_type=client_credentials&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default&client_id=c&client_secret=s%26cret"
        );
    }

    #[tokio::test]
    async fn a_workloads_token_stands_for_a_secret() {
        let mut world = World::default();
        for (name, value) in [
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
        ] {
            world.set(name, value);
        }
        world.file("/token", "ey.workload\n");
        world.answer(
            "https://login.microsoftonline.us/t/oauth2/v2.0/token",
            200,
            r#"{"expires_in":"60","access_token":"token-2"}"#,
        );
        let found = found(&world, Credentials::default()).await;
        assert!(found.identity == Identity::Bearer("token-2".to_owned()));
        assert!(world.asked()[0].1.ends_with("&client_assertion=ey.workload"), "{:?}", world.asked());
    }

    #[tokio::test]
    async fn a_managed_identity_is_asked_for_where_it_is() {
        let world = World::default();
        let url = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com";
        world.answer(url, 200, r#"{"access_token":"token-3","expires_on":"4102444800"}"#);
        let one = found(&world, Credentials::default()).await;
        assert_eq!(one.ends, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800)));

        let mut world = World::default();
        world.set("IDENTITY_ENDPOINT", "http://127.0.0.1:42356/msi/token");
        world.set("IDENTITY_HEADER", "h");
        let url = "http://127.0.0.1:42356/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fml.azure.com&client_id=mine";
        world.answer(url, 200, r#"{"access_token":"token-4","expires_in":60}"#);
        let one = found(
            &world,
            written(|one| {
                one.client_id = Some("mine".to_owned());
                one.scope = Some("https://ml.azure.com/.default".to_owned());
            }),
        )
        .await;
        assert!(one.identity == Identity::Bearer("token-4".to_owned()));
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_holds_no_secret() {
        let world = World::default();
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1"}"#;
        world.answer("https://login.microsoftonline.com/t/oauth2/v2.0/token", 401, body);
        let written = written(|one| {
            one.tenant_id = Some("t".to_owned());
            one.client_id = Some("c".to_owned());
            one.client_secret = Some(Secret::new("s3cret"));
        });
        let why = chain(world.context(), written).unwrap()().await.err().unwrap();
        assert_eq!(
            why,
            "login.microsoftonline.com answered 401: invalid_client: AADSTS7000215: Invalid client secret provided."
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let world = World::default().context();
        let secret = |one: &mut Credentials| one.client_secret = Some(Secret::new("s"));
        let why = |edit: &dyn Fn(&mut Credentials)| way(&world, &written(|one| edit(one))).unwrap_err();
        assert!(why(&secret).contains("`credentials.tenant_id`"));
        assert!(
            why(&|one| {
                secret(one);
                one.tenant_id = Some("t".to_owned());
            })
            .contains("`credentials.client_id`")
        );
        assert!(
            why(&|one| {
                secret(one);
                one.federated_token_file = Some("f".into());
            })
            .contains("remove one")
        );
        assert!(why(&|one| one.tenant_id = Some("t".to_owned())).contains("beside `tenant_id`"));
        assert_eq!(way(&world, &Credentials::default()), Ok(Way::Managed { client: None }));
    }
}
