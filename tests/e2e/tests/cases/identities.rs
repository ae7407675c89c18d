//! Credentials that end: found by each cloud's chain, renewed ahead of their end, replaced where a provider refuses them;
//! services of tokens that fail, and what then becomes of calls.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_e2e::{Answer, Bench};

use super::dialects::{carries, fails, seen};

/// A service of tokens: what it was asked, and where it is.
struct Tokens {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tokens {
    /// Answers the nth request (from 0) as `answer` says.
    async fn start(answer: impl Fn(usize) -> (u16, Value) + Send + 'static) -> Tokens {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept: Arc<Mutex<Vec<String>>> = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                while !is_whole(&bytes) {
                    let mut piece = [0; 4096];
                    let count = stream.read(&mut piece).await.unwrap_or(0);
                    if count == 0 {
                        break;
                    }
                    bytes.extend_from_slice(&piece[..count]);
                }
                if bytes.is_empty() {
                    continue;
                }
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(String::from_utf8_lossy(&bytes).into_owned());
                    kept.len() - 1
                };
                let (status, body) = answer(number);
                let body = body.to_string();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Tokens { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Whether a request is there with as much body as it says.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn token(name: &str, life: u64) -> (u16, Value) {
    (200, json!({"token_type": "Bearer", "access_token": name, "expires_in": life}))
}

/// Asks until `found` says so.
async fn until(what: &str, mut found: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !found().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: it never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Azure behind a client's secret, whose tokens are asked for at `tokens`.
async fn azure(tokens: &Tokens, more: &str) -> Bench {
    let entry = format!(
        "  azure:\n    base_url: \"{{sim}}\"\n    credentials: {{ tenant_id: t, client_id: c, client_secret: canary-secret, authority_host: \"{}\" }}\n{more}",
        tokens.url
    );
    Bench::start(&entry).await
}

const AZURE: &str = "azure/gpt-4o-mini";

/// What each request to the simulator was authorized with.
fn authorizations(bench: &Bench) -> Vec<String> {
    let captured = bench.sim.state.captured();
    let of = |name: &str, headers: &[(String, String)]| {
        headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    };
    captured.iter().filter_map(|one| of("authorization", &one.headers)).collect()
}

fn served(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
}

// === Microsoft Entra ===

#[tokio::test(flavor = "multi_thread")]
async fn azure_takes_entras_tokens_and_however_many_wait_one_asks() {
    let tokens = Tokens::start(|_| token("entra-1", 3600)).await;
    let bench = azure(&tokens, "").await;
    assert!(tokens.asked().is_empty(), "nothing is asked for before it is wanted");
    let calls = (0..20).map(|_| bench.chat(AZURE, "Hello", false));
    for answer in futures_util::future::join_all(calls).await {
        served(&answer);
    }
    assert_eq!(tokens.asked().len(), 1);
    let asked = &tokens.asked()[0];
    assert!(asked.starts_with("POST /t/oauth2/v2.0/token "), "{asked}");
    assert!(asked.contains("scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"), "{asked}");
    assert!(authorizations(&bench).iter().all(|one| one == "Bearer entra-1"));
    carries(&bench, AZURE).await;
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_ahead_of_their_end() {
    let tokens = Tokens::start(|n| token(&format!("entra-{n}"), 2)).await;
    let bench = azure(&tokens, "").await;
    until("the third token", async || {
        served(&bench.chat(AZURE, "Hello", false).await);
        authorizations(&bench).iter().any(|one| one == "Bearer entra-2")
    })
    .await;
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_tokens_that_fails_is_noticed_when_the_token_has_ended() {
    let up = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let shown = up.clone();
    let tokens = Tokens::start(move |n| match shown.load(std::sync::atomic::Ordering::SeqCst) {
        true => token(&format!("entra-{n}"), 3),
        false => (503, json!({"error": "temporarily_unavailable"})),
    })
    .await;
    let more = "models:\n  smart: { targets: [azure/gpt-4o-mini, openai/gpt-4o-mini] }\n";
    let bench = azure(&tokens, more).await;
    served(&bench.chat(AZURE, "Hello", false).await);
    up.store(false, std::sync::atomic::Ordering::SeqCst);
    // As long as the token holds, nothing is to be seen.
    served(&bench.chat(AZURE, "Hello", false).await);
    let mut refused = None;
    until("the end of the token", async || {
        let answer = bench.chat(AZURE, "Hello", false).await;
        refused = (answer.status != 200).then_some(answer);
        refused.is_some()
    })
    .await;
    let refused = refused.unwrap();
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains("found no credential"), "{}", refused.text());
    assert!(!refused.text().contains("temporarily_unavailable"), "why is for the log: {}", refused.text());
    // Another target has one.
    let answer = bench.chat("smart", "Hello", true).await;
    assert_eq!(seen(&answer, true).finish, "stop");
    assert_eq!(answer.headers["x-weir-provider"], "openai");
    up.store(true, std::sync::atomic::Ordering::SeqCst);
    until("another token", async || bench.chat(AZURE, "Hello", false).await.status == 200).await;
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_early_is_replaced_within_the_call() {
    let tokens = Tokens::start(|n| token(if n == 0 { "bad-token" } else { "entra-2" }, 3600)).await;
    let bench = azure(&tokens, "").await;
    for stream in [false, true] {
        assert_eq!(seen(&bench.chat(AZURE, "Hello", stream).await, stream).finish, "stop");
    }
    assert_eq!(tokens.asked().len(), 2);
    assert_eq!(authorizations(&bench), ["Bearer bad-token", "Bearer entra-2", "Bearer entra-2"]);
    let (calls, attempts) = bench.rows().await;
    assert_eq!((calls.len(), attempts.len()), (2, 3), "each try has a row of its own");
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_always_refused_are_not_asked_for_again_and_again() {
    let tokens = Tokens::start(|n| token(&format!("bad-{n}"), 3600)).await;
    let bench = azure(&tokens, "").await;
    for _ in 0..5 {
        let answer = bench.chat(AZURE, "Hello", false).await;
        assert!(answer.status >= 500, "{}", answer.text());
    }
    assert_eq!(tokens.asked().len(), 2, "{:?}", tokens.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_identity_is_asked_at_its_machine() {
    let tokens = Tokens::start(|_| token("managed-1", 3600)).await;
    let mut bench = Bench::prepare("  azure: { base_url: \"{sim}\" }\n", None).await;
    bench.weir.set_env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &tokens.url);
    bench.weir.run().await;
    served(&bench.chat(AZURE, "Hello", false).await);
    let asked = &tokens.asked()[0];
    assert!(asked.starts_with("GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com "), "{asked}");
    assert!(asked.to_ascii_lowercase().contains("metadata: true"), "{asked}");
    assert_eq!(authorizations(&bench), ["Bearer managed-1"]);
}

// === AWS ===

const BEDROCK: &str = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// The simulator's pair of keys, as a container's service gives them.
fn keys(session: &str, life: Duration) -> (u16, Value) {
    let ends = jiff::Timestamp::now() + life;
    let body = json!({"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "Token": session, "Expiration": ends.to_string(), "RoleArn": "arn:aws:iam::1:role/r"});
    (200, body)
}

async fn in_a_container(tokens: &Tokens) -> Bench {
    in_a_container_with(tokens, "{sim}").await
}

async fn in_a_container_with(tokens: &Tokens, base_url: &str) -> Bench {
    let entry = format!(
        "  bedrock: {{ base_url: \"{base_url}\", region: us-east-1 }}\nmodels:\n  smart: {{ targets: [bedrock/amazon.nova-lite-v1:0, openai/gpt-4o-mini] }}\n"
    );
    let mut bench = Bench::prepare(&entry, None).await;
    for (name, value) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/keys", tokens.url)),
        ("AWS_CONFIG_FILE", "/nowhere".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ] {
        bench.weir.set_env(name, &value);
    }
    bench.weir.run().await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_container_are_renewed_and_replaced_where_they_ended_early() {
    let tokens = Tokens::start(|n| match n {
        0 => keys("expired already", Duration::from_secs(3600)),
        _ => keys(&format!("session-{n}"), Duration::from_secs(2)),
    })
    .await;
    let bench = in_a_container(&tokens).await;
    // What is refused with an exception (and 403) for its age is replaced within the call.
    assert_eq!(seen(&bench.chat(BEDROCK, "Hello", false).await, false).finish, "stop");
    assert_eq!(tokens.asked().len(), 2);
    until("more keys", async || {
        assert_eq!(seen(&bench.chat(BEDROCK, "Hello", true).await, true).finish, "stop");
        tokens.asked().len() >= 4
    })
    .await;
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_another_target_serves() {
    let tokens = Tokens::start(|_| (500, json!({"message": "no role"}))).await;
    let bench = in_a_container(&tokens).await;
    for stream in [false, true] {
        let answer = bench.chat("smart", "Hello", stream).await;
        assert_eq!(seen(&answer, stream).finish, "stop");
        assert_eq!(answer.headers["x-weir-provider"], "openai");
    }
    // And where Bedrock itself fails, before an answer or in place of one.
    for answer in [
        (503, json!({"message": "busy"})),
        (400, json!({"message": "Input is too long for requested model."})),
    ] {
        let tokens = Tokens::start(|_| keys("session", Duration::from_secs(3600))).await;
        let provider = Tokens::start(move |_| answer.clone()).await;
        let bench = in_a_container_with(&tokens, &provider.url).await;
        let answer = bench.chat("smart", "Hello", true).await;
        assert_eq!((seen(&answer, true).finish.as_str(), provider.asked().len()), ("stop", 1));
        assert!(provider.asked()[0].contains("/model/amazon.nova-lite-v1%3A0/converse-stream"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_through_is_signed_too() {
    let tokens = Tokens::start(|_| keys("session", Duration::from_secs(3600))).await;
    let bench = in_a_container(&tokens).await;
    let body = json!({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]});
    let answer = bench.post("/passthrough/bedrock/model/amazon.nova-lite-v1%3A0/converse", &body).await;
    served(&answer);
    assert!(answer.json()["output"]["message"]["content"][0]["text"].is_string(), "{}", answer.text());
    assert!(authorizations(&bench).iter().all(|one| one.starts_with("AWS4-HMAC-SHA256 ")));
}

// === Google ===

/// A service account of nobody, with a key of these tests' own.
fn service_account(folder: &Path, tokens: &Tokens) -> PathBuf {
    let file = folder.join("account.json");
    let key = std::fs::read_to_string(weir_e2e::root().join("tests/e2e/tls/rsa.pem")).unwrap();
    let account = json!({"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": key,
        "client_email": "weir@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": format!("{}/token", tokens.url)});
    std::fs::write(&file, account.to_string()).unwrap();
    file
}

const PLACE: &str = "vertex: { base_url: \"{sim}\", project: p, region: europe-west4 }";
const CLAUDE: &str = "vertex/claude-sonnet-4-5@20250929";

#[tokio::test(flavor = "multi_thread")]
async fn vertex_reaches_both_publishers_by_googles_chain() {
    let tokens = Tokens::start(|n| token(&format!("ya29.{n}"), 3600)).await;
    let more = format!("  {PLACE}\nmodels:\n  smart: {{ targets: [{CLAUDE}] }}\n");
    let mut bench = Bench::prepare(&more, None).await;
    let account = service_account(bench.weir.folder(), &tokens);
    bench.weir.set_env("GOOGLE_APPLICATION_CREDENTIALS", &account.display().to_string());
    bench.weir.run().await;
    for model in ["vertex/gemini-2.5-flash-lite", CLAUDE, "smart"] {
        carries(&bench, model).await;
    }
    fails(&bench, "smart").await;
    let paths: Vec<String> = bench.sim.state.captured().iter().map(|one| one.path.clone()).collect();
    let place = "/v1/projects/p/locations/europe-west4/publishers/";
    assert!(paths.iter().all(|path| path.starts_with(place)), "{paths:?}");
    assert_eq!(authorizations(&bench)[0], "Bearer ya29.0");
    bench.audit(&[]).await;
    // What the account says of itself.
    let asked = &tokens.asked()[0];
    assert!(asked.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"), "{asked}");
    let statement = asked.rsplit_once("assertion=").unwrap().1;
    let parts: Vec<&str> = statement.split('.').collect();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(read(parts[0])["alg"], "RS256");
    let claims = read(parts[1]);
    assert_eq!(
        (&claims["iss"], &claims["scope"]),
        (&json!("weir@p.iam.gserviceaccount.com"), &json!("https://www.googleapis.com/auth/cloud-platform"))
    );
    assert_eq!(claims["aud"], format!("{}/token", tokens.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn vertex_takes_a_token_as_a_key_and_what_a_machine_has() {
    let bench = Bench::start(&format!("  {}\n", PLACE.replace(" }", ", api_key: ya29.mine }"))).await;
    served(&bench.chat("vertex/gemini-2.5-flash", "Hello", false).await);
    assert_eq!(authorizations(&bench), ["Bearer ya29.mine"]);
    let tokens = Tokens::start(|n| token(if n == 0 { "bad-token" } else { "ya29.machine" }, 3600)).await;
    let mut bench = Bench::prepare(&format!("  {PLACE}\n"), None).await;
    bench.weir.set_env("GCE_METADATA_HOST", tokens.url.strip_prefix("http://").unwrap());
    let home = bench.weir.folder().display().to_string();
    bench.weir.set_env("HOME", &home);
    bench.weir.run().await;
    for model in ["vertex/gemini-2.5-flash", CLAUDE] {
        for stream in [false, true] {
            assert_eq!(seen(&bench.chat(model, "Hello", stream).await, stream).finish, "stop", "{model}");
        }
    }
    let asked = &tokens.asked()[0];
    assert!(asked.to_ascii_lowercase().contains("metadata-flavor: google"), "{asked}");
    assert_eq!(authorizations(&bench).last().unwrap(), "Bearer ya29.machine");
    bench.audit(&[]).await;
}

// === Configuration ===

#[tokio::test(flavor = "multi_thread")]
async fn region_and_project_are_taken_from_the_usual_variables() {
    let entry = "  bedrock: { base_url: \"{sim}\" }\n  vertex: { base_url: \"{sim}\", api_key: ya29.mine }\n";
    let mut bench = Bench::prepare(entry, None).await;
    for (name, value) in [
        ("AWS_DEFAULT_REGION", "eu-west-3"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        ("GOOGLE_CLOUD_PROJECT", "p"),
        ("GOOGLE_CLOUD_LOCATION", "global"),
    ] {
        bench.weir.set_env(name, value);
    }
    bench.weir.run().await;
    served(&bench.chat(BEDROCK, "Hello", false).await);
    served(&bench.chat(CLAUDE, "Hello", false).await);
    assert!(authorizations(&bench)[0].contains("/eu-west-3/bedrock/aws4_request"));
    let path = &bench.sim.state.captured()[1].path;
    assert!(path.starts_with("/v1/projects/p/locations/global/publishers/anthropic/"), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_is_refused_and_says_what_to_change() {
    for (entry, expected) in [
        ("bedrock: {}", "`bedrock` needs a `region`"),
        ("bedrock: { base_url: \"http://127.0.0.1:1\" }", "signs for a region"),
        (
            "bedrock: { region: r, credentials: { access_key_id: k } }",
            "`credentials.secret_access_key` together",
        ),
        (
            "bedrock: { region: r, credentials: { tenant_id: t } }",
            "does not take `tenant_id`; it takes `profile`",
        ),
        ("bedrock: { region: r, api_key: k, credentials: { profile: p } }", "remove one of them"),
        ("vertex: { region: r }", "`vertex` needs a `project`"),
        ("vertex: { project: p }", "`vertex` needs a `region`"),
        (
            "azure: { base_url: \"http://127.0.0.1:1\", credentials: { client_secret: s } }",
            "`credentials.tenant_id`",
        ),
        ("azure: { base_url: \"http://127.0.0.1:1\", region: r }", "`azure` has no regions"),
        ("groq: { api_key: k, credentials: { profile: p } }", "remove `credentials`"),
        ("bedrock: { region: r, credentials: { rolearn: x } }", "rolearn"),
    ] {
        let mut bench = Bench::prepare(&format!("  {entry}\n"), None).await;
        bench.weir.spawn();
        until("its end", async || bench.weir.ended().is_some()).await;
        let said = bench.weir.log();
        assert!(said.contains(expected), "{entry}: {said}");
    }
}
