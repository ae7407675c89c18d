//! Profiles: `~/.aws/config` and `~/.aws/credentials`.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>. A profile has keys itself, or says where they come
//! from: a role with another profile (or what runs here) as its source, a web identity, SSO, or a command.

use std::collections::HashMap;

use reqsign_aws_v4::{Credential, EnvCredentialProvider, SSOCredentialProvider};
use reqsign_core::Context;
use reqsign_core::time::Timestamp;
use serde::Deserialize;

use super::{Aws, Role};
use crate::identity::world::{told, variable};

/// How many profiles may name each other in a row.
const DEPTH: usize = 8;

type Section = HashMap<String, String>;

/// Both files, by their sections: `profile NAME` or `sso-session NAME`.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    sections: HashMap<String, Section>,
}

/// What a command of a profile prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
    #[serde(default)]
    expiration: Option<String>,
}

impl Profiles {
    /// Files that are not there are empty ones.
    pub(super) async fn read(world: &Context) -> Profiles {
        let home = world.home_dir();
        let file = |name: &str, usual: &str| {
            let usual = home.as_ref().map(|home| home.join(".aws").join(usual).display().to_string());
            let written = variable(world, name).and_then(|path| world.expand_home_dir(&path));
            written.or(usual).unwrap_or_default()
        };
        let mut profiles = Profiles::default();
        for (path, of_profiles) in [
            (file("AWS_CONFIG_FILE", "config"), false),
            (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), true),
        ] {
            if let Ok(text) = world.file_read_as_string(&path).await {
                profiles.add(&text, of_profiles);
            }
        }
        profiles
    }

    /// In the file of credentials each section is a profile; what stands there goes before.
    fn add(&mut self, text: &str, of_profiles: bool) {
        let mut section: Option<String> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
                section = Some(match of_profiles || name == "default" {
                    true => format!("profile {name}"),
                    false => name,
                });
                continue;
            }
            // Members of members are no concern of ours.
            if line.starts_with([' ', '\t']) {
                continue;
            }
            if let (Some(section), Some((name, value))) = (&section, trimmed.split_once('=')) {
                let value = value.split(" #").next().unwrap_or_default().trim().to_owned();
                let members = self.sections.entry(section.clone()).or_default();
                members.insert(name.trim().to_ascii_lowercase(), value);
            }
        }
    }

    /// Whether a profile says anything of credentials.
    pub(super) fn has(&self, name: &str) -> bool {
        let says = ["aws_access_key_id", "role_arn", "sso_session", "sso_start_url", "credential_process"];
        self.profile(name).is_some_and(|profile| says.iter().any(|member| profile.contains_key(*member)))
    }

    fn profile(&self, name: &str) -> Option<&Section> {
        self.sections.get(&format!("profile {name}"))
    }

    /// The credential of a profile.
    pub(super) async fn credential(&self, aws: &Aws, name: &str) -> Result<Credential, String> {
        let mut roles = Vec::new();
        let mut name = name.to_owned();
        // A role's source may be a role with a source: down to the first, then up again.
        let mut found = loop {
            let profile = self.profile(&name).ok_or_else(|| format!("AWS has no profile `{name}`"))?;
            let Some(arn) = profile.get("role_arn") else { break self.plain(aws, &name, profile).await? };
            if profile.contains_key("mfa_serial") {
                return Err(format!(
                    "the profile `{name}` wants a code of a device (`mfa_serial`): nobody is here to type it"
                ));
            }
            let role = Role {
                arn,
                external_id: profile.get("external_id").map(String::as_str),
                session: profile.get("role_session_name").map(String::as_str),
                duration: profile.get("duration_seconds").and_then(|seconds| seconds.parse().ok()),
            };
            if let Some(file) = profile.get("web_identity_token_file") {
                let found = aws.web_identity(Some((&role, file))).await?;
                break found.ok_or_else(|| format!("the profile `{name}` has no token in `{file}`"))?;
            }
            roles.push(role);
            if roles.len() > DEPTH {
                return Err(format!("the profile `{name}` is its own source, by way of others"));
            }
            match (profile.get("source_profile"), profile.get("credential_source")) {
                (Some(source), None) if *source == name => break keys(&name, profile)?,
                (Some(source), None) => name.clone_from(source),
                (None, Some(source)) => break from(aws, &name, source).await?,
                _ => {
                    return Err(format!(
                        "the profile `{name}` needs `source_profile` or `credential_source`, and one of them only"
                    ));
                }
            }
        };
        for role in roles.iter().rev() {
            found = aws.assume(found, role).await?;
        }
        Ok(found)
    }

    /// A profile without a role.
    async fn plain(&self, aws: &Aws, name: &str, profile: &Section) -> Result<Credential, String> {
        if profile.contains_key("aws_access_key_id") {
            return keys(name, profile);
        }
        if profile.contains_key("sso_session") || profile.contains_key("sso_start_url") {
            return self.sso(aws, name, profile).await;
        }
        match profile.get("credential_process") {
            Some(command) => run(&aws.world, name, command).await,
            None => Err(format!("the profile `{name}` has no credentials")),
        }
    }

    async fn sso(&self, aws: &Aws, name: &str, profile: &Section) -> Result<Credential, String> {
        let session = profile.get("sso_session");
        let shared = session.and_then(|session| self.sections.get(&format!("sso-session {session}")));
        let member = |key: &str| {
            let value = profile.get(key).or_else(|| shared?.get(key));
            value.ok_or_else(|| format!("the profile `{name}` has no `{key}`"))
        };
        // The file that `aws sso login` leaves is named for the session, or for the address where there is none.
        let left = match session {
            Some(session) => session,
            None => member("sso_start_url")?,
        };
        let provider = SSOCredentialProvider::new()
            .with_account_id(member("sso_account_id")?)
            .with_role_name(member("sso_role_name")?)
            .with_region(member("sso_region")?)
            .with_start_url(left);
        let found = aws.ask(provider).await.map_err(|why| format!("{why}; try `aws sso login`"))?;
        found.ok_or_else(|| {
            format!("the profile `{name}` is not logged in: run `aws sso login --profile {name}`")
        })
    }
}

fn keys(name: &str, profile: &Section) -> Result<Credential, String> {
    let member =
        |key: &str| profile.get(key).cloned().ok_or_else(|| format!("the profile `{name}` has no `{key}`"));
    Ok(Credential {
        access_key_id: member("aws_access_key_id")?,
        secret_access_key: member("aws_secret_access_key")?,
        session_token: profile.get("aws_session_token").cloned(),
        expires_in: None,
    })
}

/// What `credential_source` names.
async fn from(aws: &Aws, name: &str, source: &str) -> Result<Credential, String> {
    let found = match source {
        "Environment" => aws.ask(EnvCredentialProvider::new()).await?,
        "EcsContainer" => aws.container().await?,
        "Ec2InstanceMetadata" => Some(aws.instance().await?),
        _ => return Err(format!("the profile `{name}` has an unknown `credential_source`, `{source}`")),
    };
    found.ok_or_else(|| format!("the profile `{name}` finds nothing in its `credential_source`, `{source}`"))
}

async fn run(world: &Context, name: &str, command: &str) -> Result<Credential, String> {
    let words = words(command);
    let Some((program, rest)) = words.split_first() else {
        return Err(format!("the profile `{name}` has an empty `credential_process`"));
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let output = world.command_execute(program, &rest).await.map_err(|error| told(&error))?;
    if output.status != 0 {
        return Err(format!("`credential_process` of the profile `{name}` ended with {}", output.status));
    }
    let printed: Printed = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("`credential_process` of the profile `{name}` printed no credentials"))?;
    if printed.version != 1 {
        return Err(format!(
            "`credential_process` of the profile `{name}` printed version {}",
            printed.version
        ));
    }
    let ends = printed.expiration.map(|end| end.parse::<Timestamp>()).transpose();
    Ok(Credential {
        access_key_id: printed.access_key_id,
        secret_access_key: printed.secret_access_key,
        session_token: printed.session_token,
        expires_in: ends.map_err(|_| {
            format!("`credential_process` of the profile `{name}` printed no time in `Expiration`")
        })?,
    })
}

/// The words of a command: blanks part them, but not between quotes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in command.chars() {
        match (letter, quote) {
            (_, Some(open)) if open == letter => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        for (command, expected) in [
            ("helper --a b", vec!["helper", "--a", "b"]),
            ("\"/opt/a helper\"  'x \"y'", vec!["/opt/a helper", "x \"y"]),
            ("helper ''", vec!["helper", ""]),
            ("  ", vec![]),
        ] {
            assert_eq!(words(command), expected, "{command}");
        }
    }

    #[test]
    fn both_files_make_one_profile() {
        let mut profiles = Profiles::default();
        profiles.add("# mine\n[default]\nregion = a\ns3 =\n  role_arn = no\n[profile  b]\nrole_arn=r # why\n[sso-session s]\nsso_region = z\n", false);
        profiles.add("[default]\naws_access_key_id = k\n[b]\n", true);
        assert!(profiles.has("default") && profiles.has("b") && !profiles.has("s"));
        assert_eq!(profiles.profile("b").unwrap()["role_arn"], "r");
        assert!(!profiles.profile("default").unwrap().contains_key("role_arn"));
        assert_eq!(profiles.sections["sso-session s"]["sso_region"], "z");
    }
}
