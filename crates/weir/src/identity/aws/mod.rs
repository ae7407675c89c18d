//! AWS's usual chain: variables, profiles (also roles to assume, SSO and processes), web identities, containers, instances.

mod profile;

use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, AssumeRoleWithWebIdentityCredentialProvider, Credential,
    ECSCredentialProvider, EnvCredentialProvider, IMDSv2CredentialProvider, RequestSigner,
    StaticCredentialProvider,
};
use reqsign_core::{Context, ProvideCredential, Signer};
use weir_adapter::credential::Identity;
use weir_config::Credentials;

use super::renewal::{Find, Found, Resolve, within};
use super::world::{told, variable};

/// What it takes of `credentials`.
pub(super) const MEMBERS: &[&str] = &[
    "profile",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "role_arn",
    "external_id",
    "role_session_name",
];

/// How weir's sessions are called, where nothing else is written.
const SESSION: &str = "weir";

struct Aws {
    world: Context,
    region: String,
    written: Credentials,
    /// Variables that hold a bearer key.
    bearer: Vec<String>,
}

/// A role to assume.
struct Role<'a> {
    arn: &'a str,
    external_id: Option<&'a str>,
    session: Option<&'a str>,
    /// Seconds.
    duration: Option<u32>,
}

/// The chain, as it stands for this region.
pub(super) fn chain(
    world: Context,
    written: Credentials,
    region: String,
    bearer: Vec<String>,
) -> Result<Resolve, String> {
    if written.access_key_id.is_some() != written.secret_access_key.is_some() {
        return Err(
            "takes `credentials.access_key_id` and `credentials.secret_access_key` together".to_owned()
        );
    }
    if written.session_token.is_some() && written.access_key_id.is_none() {
        return Err("takes `credentials.session_token` with `access_key_id` only".to_owned());
    }
    if written.profile.is_some() && written.access_key_id.is_some() {
        return Err(
            "takes `credentials.profile` or `credentials.access_key_id`; remove one of them".to_owned()
        );
    }
    let rest = written.external_id.is_some() || written.role_session_name.is_some();
    if rest && written.role_arn.is_none() {
        return Err("takes `external_id` and `role_session_name` with `credentials.role_arn` only".to_owned());
    }
    Ok(within(Aws { world, region, written, bearer }))
}

impl Find for Aws {
    const NAME: &'static str = "AWS's chain of credentials";

    async fn find(&self) -> Result<Found, String> {
        if self.written == Credentials::default()
            && let Some(key) = self.bearer.iter().find_map(|name| variable(&self.world, name))
        {
            return Ok(Found { identity: Identity::Bearer(key), ends: None });
        }
        let mut found = self.first().await?;
        if let Some(arn) = &self.written.role_arn {
            let role = Role {
                arn,
                external_id: self.written.external_id.as_deref(),
                session: self.written.role_session_name.as_deref(),
                duration: None,
            };
            found = self.assume(found, &role).await?;
        }
        Ok(Found {
            ends: found.expires_in.map(reqsign_core::time::Timestamp::as_system_time),
            identity: Identity::Aws {
                access_key: found.access_key_id,
                secret_key: found.secret_access_key,
                session_token: found.session_token,
            },
        })
    }
}

impl Aws {
    /// The first in the chain that has any. What is there and does not work ends the search: it was meant.
    async fn first(&self) -> Result<Credential, String> {
        if let (Some(key), Some(secret)) = (&self.written.access_key_id, &self.written.secret_access_key) {
            return Ok(Credential {
                access_key_id: key.clone(),
                secret_access_key: secret.expose().to_owned(),
                session_token: self.written.session_token.as_ref().map(|token| token.expose().to_owned()),
                expires_in: None,
            });
        }
        if let Some(name) = &self.written.profile {
            let profiles = profile::Profiles::read(&self.world).await;
            return profiles.credential(self, name).await;
        }
        if let Some(found) = self.ask(EnvCredentialProvider::new()).await? {
            return Ok(found);
        }
        let profiles = profile::Profiles::read(&self.world).await;
        let named = variable(&self.world, "AWS_PROFILE");
        match named {
            Some(name) => return profiles.credential(self, &name).await,
            None if profiles.has("default") => return profiles.credential(self, "default").await,
            None => {}
        }
        if variable(&self.world, "AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
            && let Some(found) = self.web_identity(None).await?
        {
            return Ok(found);
        }
        if let Some(found) = self.container().await? {
            return Ok(found);
        }
        self.instance().await
    }

    async fn ask(
        &self,
        provider: impl ProvideCredential<Credential = Credential>,
    ) -> Result<Option<Credential>, String> {
        provider.provide_credential(&self.world).await.map_err(|error| told(&error))
    }

    /// By a role and a file of a token; without them by the variables that Kubernetes sets.
    async fn web_identity(&self, named: Option<(&Role<'_>, &str)>) -> Result<Option<Credential>, String> {
        let mut provider = AssumeRoleWithWebIdentityCredentialProvider::new()
            .with_region(self.region.clone())
            .with_regional_sts_endpoint();
        let session = variable(&self.world, "AWS_ROLE_SESSION_NAME");
        let mut session = session.unwrap_or_else(|| SESSION.to_owned());
        if let Some((role, file)) = named {
            provider = provider.with_role_arn(role.arn).with_web_identity_token_file(file);
            session = role.session.map_or(session, str::to_owned);
        }
        self.ask(provider.with_role_session_name(session)).await
    }

    async fn container(&self) -> Result<Option<Credential>, String> {
        let there = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
        match there.iter().any(|name| variable(&self.world, name).is_some()) {
            true => self.ask(ECSCredentialProvider::new()).await,
            false => Ok(None),
        }
    }

    async fn instance(&self) -> Result<Credential, String> {
        let none = "no credentials in variables, profiles, web identities or containers";
        match self.ask(IMDSv2CredentialProvider::new()).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(format!("{none}, and an instance's are turned off")),
            Err(why) => Err(format!("{none}, and no instance's: {why}")),
        }
    }

    async fn assume(&self, source: Credential, role: &Role<'_>) -> Result<Credential, String> {
        let mut keys = StaticCredentialProvider::new(&source.access_key_id, &source.secret_access_key);
        if let Some(token) = &source.session_token {
            keys = keys.with_session_token(token);
        }
        let signer = Signer::new(self.world.clone(), keys, RequestSigner::new("sts", &self.region));
        let session = role.session.unwrap_or(SESSION).to_owned();
        let mut provider = AssumeRoleCredentialProvider::new(role.arn.to_owned(), signer)
            .with_role_session_name(session)
            .with_region(self.region.clone())
            .with_regional_sts_endpoint();
        if let Some(id) = role.external_id {
            provider = provider.with_external_id(id.to_owned());
        }
        if let Some(seconds) = role.duration {
            provider = provider.with_duration_seconds(seconds);
        }
        let found = self.ask(provider).await?;
        found.ok_or_else(|| format!("the role `{}` gave no keys", role.arn))
    }
}

#[cfg(test)]
mod tests;
