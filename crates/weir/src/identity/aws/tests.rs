//! The chain, in worlds of its own.

use std::time::{Duration, SystemTime};

use weir_config::Secret;

use super::super::testing::World;
use super::*;

const STS: &str = "https://sts.eu-central-1.amazonaws.com/";

/// What STS answers.
fn granted(action: &str, key: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
    )
}

async fn search(world: &World, written: Credentials) -> Result<Found, String> {
    let bearer = vec!["AWS_BEARER_TOKEN_BEDROCK".to_owned()];
    chain(world.context(), written, "eu-central-1".to_owned(), bearer)?().await
}

/// The key that is found, whether with a token, and whether it ends.
async fn found(world: &World, written: Credentials) -> (String, bool, bool) {
    let found = search(world, written).await.unwrap_or_else(|why| panic!("{why}"));
    let Identity::Aws { access_key, session_token, .. } = found.identity else { panic!("a bearer key") };
    (access_key, session_token.is_some(), found.ends.is_some())
}

async fn why(world: &World, written: Credentials) -> String {
    search(world, written).await.err().expect("nothing is found")
}

fn world(config: &str) -> World {
    let mut world = World::default();
    world.file("/home/.aws/config", config);
    world
}

#[tokio::test]
async fn variables_go_first_and_a_bearer_key_before_them() {
    let mut world = world("[default]\naws_access_key_id = of-the-file\naws_secret_access_key = s\n");
    assert_eq!(found(&world, Credentials::default()).await, ("of-the-file".to_owned(), false, false));
    world.set("AWS_ACCESS_KEY_ID", "of-variables");
    world.set("AWS_SECRET_ACCESS_KEY", "s");
    assert_eq!(found(&world, Credentials::default()).await.0, "of-variables");
    let written = Credentials { profile: Some("default".to_owned()), ..Credentials::default() };
    assert_eq!(found(&world, written).await.0, "of-the-file", "what is written goes before variables");
    world.set("AWS_BEARER_TOKEN_BEDROCK", "b");
    let found = search(&world, Credentials::default()).await.unwrap();
    assert!(found.identity == Identity::Bearer("b".to_owned()) && found.ends.is_none());
}

#[tokio::test]
async fn roles_are_assumed_down_to_their_source() {
    let config = "[profile a]\nrole_arn = arn:aws:iam::123456789012:role/a\nsource_profile = b\nexternal_id = x-y\n\
                  [profile b]\nrole_arn = arn:aws:iam::123456789012:role/b\nsource_profile = c\nrole_session_name = me\n\
                  [profile c]\naws_access_key_id = c\naws_secret_access_key = s\n";
    let mut world = world(config);
    world.set("AWS_PROFILE", "a");
    world.answer(STS, 200, &granted("AssumeRole", "ASIAOFTHEROLEBBB"));
    world.answer(STS, 200, &granted("AssumeRole", "ASIAOFTHEROLEAAA"));
    assert_eq!(found(&world, Credentials::default()).await, ("ASIAOFTHEROLEAAA".to_owned(), true, true));
    let asked: Vec<String> = world.asked().into_iter().map(|(url, _)| url).collect();
    assert!(asked[0].contains("role%2Fb") && asked[0].contains("RoleSessionName=me"), "{asked:?}");
    assert!(asked[1].contains("role%2Fa") && asked[1].contains("RoleSessionName=weir"), "{asked:?}");
    assert!(asked[1].contains("ExternalId=x-y"), "{asked:?}");
}

#[tokio::test]
async fn a_role_of_the_configuration_is_assumed_with_its_keys() {
    let world = World::default();
    world.answer(STS, 200, &granted("AssumeRole", "ASIAOFTHEROLEXXX"));
    let written = Credentials {
        access_key_id: Some("k".to_owned()),
        secret_access_key: Some(Secret::new("s")),
        role_arn: Some("arn:aws:iam::123456789012:role/mine".to_owned()),
        ..Credentials::default()
    };
    assert_eq!(found(&world, written.clone()).await.0, "ASIAOFTHEROLEXXX");
    let refused = World::default();
    refused.answer(
        STS,
        403,
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
    );
    let why = why(&refused, written).await;
    assert!(why.contains("AccessDenied") || why.contains("no"), "{why}");
}

#[tokio::test]
async fn web_identities_sso_and_commands() {
    let mut world = World::default();
    for (name, value) in
        [("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")]
    {
        world.set(name, value);
    }
    world.file("/token", "ey.pod");
    world.answer(STS, 200, &granted("AssumeRoleWithWebIdentity", "of-the-pod"));
    assert_eq!(found(&world, Credentials::default()).await.0, "of-the-pod");
    assert!(world.asked()[0].1.contains("WebIdentityToken=ey.pod"), "{:?}", world.asked());

    let mut world = self::world(
        "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = eu-west-1\nsso_start_url = https://x\n",
    );
    assert!(why(&world, Credentials::default()).await.contains("aws sso login"));
    // SHA-1 of the session's name.
    world.file(
        "/home/.aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json",
        r#"{"accessToken":"t","expiresAt":"2099-01-01T00:00:00Z"}"#,
    );
    world.answer(
        "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials",
        200,
        r#"{"roleCredentials":{"accessKeyId":"of-sso","secretAccessKey":"s","sessionToken":"t","expiration":4070908800000}}"#,
    );
    assert_eq!(found(&world, Credentials::default()).await, ("of-sso".to_owned(), true, true));

    let mut world = self::world("[default]\ncredential_process = \"/opt/a helper\" --for weir\n");
    assert!(why(&world, Credentials::default()).await.contains("ended with 1"));
    world.command(
        &["/opt/a helper", "--for", "weir"],
        r#"{"Version":1,"AccessKeyId":"of-a-command","SecretAccessKey":"s","Expiration":"2099-01-01T00:00:00Z"}"#,
    );
    assert_eq!(found(&world, Credentials::default()).await, ("of-a-command".to_owned(), false, true));
}

#[tokio::test]
async fn containers_and_instances() {
    let mut world = World::default();
    world.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/keys");
    let keys = r#"{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"KEY","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    world.answer("http://127.0.0.1/keys", 200, &keys.replace("KEY", "of-the-container"));
    let one = search(&world, Credentials::default()).await.unwrap();
    assert!(one.ends.unwrap() > SystemTime::now() + Duration::from_secs(1_000_000));
    assert_eq!(found(&world, Credentials::default()).await.0, "of-the-container");

    let world = World::default();
    let host = "http://169.254.169.254/latest";
    assert!(why(&world, Credentials::default()).await.contains("no instance's"));
    world.answer(&format!("{host}/api/token"), 200, "t");
    world.answer(&format!("{host}/meta-data/iam/security-credentials/"), 200, "role");
    world.answer(
        &format!("{host}/meta-data/iam/security-credentials/role"),
        200,
        &keys.replace("KEY", "of-the-machine"),
    );
    assert_eq!(found(&world, Credentials::default()).await, ("of-the-machine".to_owned(), true, true));

    let mut world = World::default();
    world.set("AWS_EC2_METADATA_DISABLED", "true");
    assert!(why(&world, Credentials::default()).await.contains("turned off"));
}

#[tokio::test]
async fn what_is_wrong_is_told_and_not_passed_over() {
    for (config, expected) in [
        ("", "no profile `p`"),
        ("[profile p]\nregion = x\n", "no credentials"),
        ("[profile p]\naws_access_key_id = k\n", "aws_secret_access_key"),
        ("[profile p]\nrole_arn = r\n", "source_profile"),
        ("[profile p]\nrole_arn = r\ncredential_source = Moon\n", "unknown `credential_source`"),
        (
            "[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nrole_arn = s\nsource_profile = p\n",
            "its own source",
        ),
        ("[profile p]\nrole_arn = r\nsource_profile = q\nmfa_serial = m\n", "mfa_serial"),
    ] {
        let mut world = world(config);
        world.set("AWS_PROFILE", "p");
        let why = why(&world, Credentials::default()).await;
        assert!(why.contains(expected), "{config}: {why}");
    }
    let halves = [
        Credentials { access_key_id: Some("k".to_owned()), ..Credentials::default() },
        Credentials { session_token: Some(Secret::new("t")), ..Credentials::default() },
        Credentials { external_id: Some("x".to_owned()), ..Credentials::default() },
    ];
    for half in halves {
        let refused = chain(World::default().context(), half.clone(), "r".to_owned(), Vec::new());
        assert!(refused.is_err(), "{half:?}");
    }
}
