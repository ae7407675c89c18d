//! W-077, W-079, W-080, W-085, W-096: keys, teams and budgets over the admin API: who may what, and that no trick helps.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Answer, Weir, client, figure};

pub(crate) const MASTER: &str = "canary-master-7f3a";
const PROVIDER: &str = "canary-provider-91bc";

/// Asks the admin API, or any other path, with a key.
pub(crate) async fn ask(weir: &Weir, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    ask_with(weir, key, method, path, body, &[]).await
}

pub(crate) async fn ask_with(
    weir: &Weir,
    key: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> Answer {
    let method = method.parse().expect("it is a method");
    let mut request = client().request(method, format!("{}{path}", weir.url)).bearer_auth(key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    Answer::read(request.send().await.expect("weir answers")).await
}

/// Makes a key; its id and the key itself.
pub(crate) async fn make(weir: &Weir, body: Value) -> (String, String) {
    let made = ask(weir, MASTER, "POST", "/admin/v1/keys", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let text = |name: &str| made[name].as_str().expect("it is there").to_owned();
    (text("id"), text("key"))
}

/// The status of a call with this key.
pub(crate) async fn call(weir: &Weir, key: &str) -> u16 {
    let body = json!({"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]});
    ask(weir, key, "POST", "/v1/chat/completions", Some(body)).await.status
}

pub(crate) async fn within<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < limit, "{what} did not happen within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn on(store: &str, more: &str) -> String {
    format!(
        "server: {{ master_key: {MASTER}, wrong_keys_per_minute: 0 }}\nproviders:\n  demo: {{}}\n  openai: {{ base_url: \"http://127.0.0.1:9/v1\", api_key: {PROVIDER} }}\nstore: {{ url: \"{store}\"{more} }}\n"
    )
}

pub(crate) fn alone() -> String {
    on("sqlite://weir.db", "")
}

/// Roles × endpoints, as the API's own description says them.
#[tokio::test(flavor = "multi_thread")]
async fn w080_the_matrix_of_roles_is_as_described() {
    let weir = Weir::start(&alone()).await;
    let mut holders = vec![("admin", MASTER.to_owned())];
    for role in ["admin", "viewer", "caller"] {
        holders.push((role, make(&weir, json!({"name": role, "role": role})).await.1));
    }
    let described = ask(&weir, MASTER, "GET", "/openapi.json", None).await.json();
    let paths = described["paths"].as_object().unwrap();
    let mut checked = 0;
    for (path, operations) in paths.iter().filter(|(path, _)| path.starts_with("/admin/v1")) {
        for (method, operation) in operations.as_object().unwrap() {
            let needed = operation["x-weir-role"].as_str().expect("each says who may");
            let real = path.replace("{id}", "00000000-0000-7000-8000-000000000000");
            let fields = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            for (role, key) in &holders {
                let allowed = *role == "admin" || (*role == "viewer" && needed == "viewer");
                let got = ask(&weir, key, &method.to_uppercase(), &real, None).await;
                assert_eq!(got.status != 403, allowed, "{role} {method} {path}: {}", got.text());
                assert!(got.status < 500, "{method} {path}: {}", got.text());
                let code = got.status.to_string();
                assert!(
                    operation["responses"][&code].is_object(),
                    "{method} {path} answers {code}, which is not described"
                );
                checked += 1;
            }
            // Fields that are not described are refused, whatever they are.
            if !fields.is_object() || path.ends_with("explain") {
                continue;
            }
            for field in ["created_at", "owner", "id", "hash", "key_hash", "is_admin", "__proto__"] {
                let sent = ask(&weir, MASTER, &method.to_uppercase(), &real, Some(json!({field: "x"}))).await;
                assert!([400, 404].contains(&sent.status), "{method} {path} {field}: {}", sent.text());
            }
        }
    }
    assert!(checked > 100, "{checked}");
    figure(format_args!("{checked} pairs of role and endpoint"));
}

#[tokio::test(flavor = "multi_thread")]
async fn w080_nobody_grants_more_than_they_hold() {
    let weir = Weir::start(&alone()).await;
    let (_, limited) = make(&weir, json!({"name": "limited", "role": "admin", "models": ["demo/*"]})).await;
    let grant = async |models: Value| {
        let body = json!({"name": format!("x{}", rand::random::<u32>()), "models": models});
        ask(&weir, &limited, "POST", "/admin/v1/keys", Some(body)).await.status
    };
    assert_eq!(grant(json!(["demo/echo"])).await, 201);
    assert_eq!(grant(json!(["*"])).await, 403);
    assert_eq!(grant(Value::Null).await, 403);
    for (name, status) in
        [("master", 400), ("local", 400), ("", 400), (" x", 400), ("a\nb", 400), ("limited", 409)]
    {
        let made = ask(&weir, MASTER, "POST", "/admin/v1/keys", Some(json!({"name": name}))).await;
        assert_eq!(made.status, status, "{name:?}: {}", made.text());
    }
    let typo = ask(&weir, MASTER, "POST", "/admin/v1/keys", Some(json!({"name": "y", "modles": []}))).await;
    assert!(typo.text().contains("did you mean `models`?"), "{}", typo.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn w079_no_trick_with_paths_or_credentials_gets_in() {
    let weir = Weir::start(&alone()).await;
    let (_, caller) = make(&weir, json!({"name": "caller"})).await;
    let address = weir.address.clone();
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut state = seed;
    let mut pick = move |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    let bend = |path: &str, how: usize, at: usize| -> String {
        let slash: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        let cut = slash[at % slash.len()];
        let (head, tail) = path.split_at(cut);
        match how {
            0 => format!("{head}/{tail}"),
            1 => format!("{head}/.{tail}"),
            2 => format!("{head}/x/..{tail}"),
            3 => format!("{head}/%2e%2e{tail}"),
            4 => format!("{head}%2f{}", &tail[1..]),
            5 => format!("{path};jsession=1"),
            6 => path.to_uppercase(),
            7 => format!("{path}/"),
            8 => format!("/v1{path}"),
            9 => format!("http://{}{path}", "127.0.0.1"),
            10 => format!("{path}%00"),
            11 => format!("{path}?role=admin"),
            12 => format!("{head}\\{}", &tail[1..]),
            13 => format!("{head}/%61dmin{tail}"),
            _ => path.to_owned(),
        }
    };
    let tricks = [
        "",
        "authorization: Bearer ' OR '1'='1",
        "authorization: Bearer",
        "authorization: Basic YTpi",
        "authorization: bearer\tx",
        "x-api-key: x\r\nx-api-key: y",
        "api-key: \u{fc}\u{fc}",
        "x-original-url: /v1/models",
        "x-rewrite-url: /health",
        "x-forwarded-for: 127.0.0.1",
        "host: localhost",
        "x-http-method-override: GET",
        "authorization: Bearer %MASTER%",
        "x-weir-role: admin",
        "authorization: Bearer null",
    ];
    let routes = [
        ("GET", "/admin/v1/keys"),
        ("POST", "/admin/v1/keys"),
        ("GET", "/admin/v1/config"),
        ("GET", "/v1/models"),
    ];
    let mut connection = None;
    for (method, path) in routes {
        for _ in 0..5_000 {
            let mut bent = bend(path, pick(15), pick(9));
            if pick(3) == 0 {
                bent = bend(&bent, pick(8), pick(9));
            }
            let bent = bent.replace(' ', "");
            let trick = tricks[pick(tricks.len())];
            // A caller's key may list models and nothing else; without a key nothing is open.
            let key = match pick(3) {
                0 if path.starts_with("/admin") => format!("x-goog-api-key: {caller}\r\n"),
                _ => String::new(),
            };
            let trick = if key.is_empty() || trick.contains("key:") { trick } else { "" };
            let line = if trick.is_empty() { String::new() } else { format!("{trick}\r\n") };
            let head = format!(
                "{method} {bent} HTTP/1.1\r\nhost: {address}\r\n{key}{line}content-length: 2\r\n\r\n{{}}"
            );
            let (status, body) = raw(&address, &mut connection, head.as_bytes()).await;
            let public = bent == "/" || bent == "http://127.0.0.1/";
            assert!(
                public || matches!(status, 400 | 401 | 403 | 404 | 405 | 421 | 431),
                "{status} to {head}\n{body}"
            );
            assert!(!body.contains("next_cursor") && !body.contains("\"data\""), "{head}\n{body}");
        }
    }
    // 64 KiB of key is no key.
    let long = "x".repeat(60_000);
    assert_eq!(call(&weir, &long).await, 401);
    assert_eq!(weir.log().matches("panicked").count(), 0);
}

/// Sends bytes on a connection that is kept where that goes, and reads one answer.
async fn raw(address: &str, kept: &mut Option<tokio::net::TcpStream>, head: &[u8]) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for _ in 0..2 {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => tokio::net::TcpStream::connect(address).await.expect("it listens"),
        };
        if stream.write_all(head).await.is_err() {
            continue;
        }
        let (mut bytes, mut piece) = (Vec::new(), [0_u8; 4096]);
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((front, body)) = text.split_once("\r\n\r\n") {
                let lower = front.to_lowercase();
                let length =
                    lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                let status = front.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
                if length.is_none_or(|length: usize| body.len() >= length) {
                    if status != 400 && length.is_some() && !lower.contains("connection: close") {
                        *kept = Some(stream);
                    }
                    return (status, body.to_owned());
                }
            }
            match tokio::time::timeout(Duration::from_secs(15), stream.read(&mut piece)).await {
                Ok(Ok(count)) if count > 0 => bytes.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
    }
    (400, String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn w077_no_secret_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{}logging: {{ level: debug }}\nkeys: [{{ name: declared, key: canary-declared-55aa55aa }}]\n",
        alone()
    );
    let mut weir = Weir::prepare(&config).data_in(folder.path());
    weir.run().await;
    let (id, key) = make(&weir, json!({"name": "ci"})).await;
    let once = [("idempotency-key", "canary-once-3d")];
    let made = ask_with(&weir, MASTER, "POST", "/admin/v1/keys", Some(json!({"name": "again"})), &once).await;
    let again = made.json()["key"].as_str().unwrap().to_owned();
    let rotated = ask(&weir, MASTER, "POST", &format!("/admin/v1/keys/{id}/rotate"), None).await;
    let rotated = rotated.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(call(&weir, &rotated).await, 200);
    call(&weir, "canary-wrong-key-12").await;
    let body = json!({"model": "openai/gpt-4o", "messages": []});
    let mut seen = String::new();
    for (who, method, path, body) in [
        (rotated.as_str(), "POST", "/v1/chat/completions", Some(body)),
        (&rotated, "GET", "/admin/v1/keys", None),
        (MASTER, "GET", "/admin/v1/keys", None),
        (MASTER, "GET", "/admin/v1/audit", None),
        (MASTER, "GET", "/admin/v1/config", None),
        (MASTER, "GET", "/admin/v1/providers", None),
        (MASTER, "GET", "/admin/v1/routes", None),
        (MASTER, "GET", "/admin/v1/requests", None),
        (MASTER, "POST", "/admin/v1/explain", Some(json!({"model": "openai/gpt-4o"}))),
        (MASTER, "GET", "/metrics", None),
        (MASTER, "GET", "/health", None),
        (MASTER, "PATCH", "/admin/v1/keys/file:declared", Some(json!({"role": "admin"}))),
    ] {
        let answer = ask(&weir, who, method, path, body).await;
        seen.push_str(&answer.text());
        seen.push_str(&format!("{:?}", answer.headers));
    }
    weir.stop().await;
    seen.push_str(&weir.log());
    let mut files = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    files += 1;
                    seen.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
                }
            }
        }
    }
    assert!(files >= 1 && seen.len() > 20_000, "{files} files, {} bytes", seen.len());
    for secret in [
        MASTER,
        PROVIDER,
        "canary-declared-55aa55aa",
        "canary-wrong-key-12",
        "canary-once-3d",
        &key,
        &again,
        &rotated,
    ] {
        let at = seen.find(secret);
        assert!(at.is_none(), "a secret left: …{}…", &seen[at.unwrap_or(0).saturating_sub(200)..][..200]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w096_odd_searches_find_nothing_and_break_nothing() {
    let weir = Weir::start(&alone()).await;
    make(&weir, json!({"name": "ci"})).await;
    for path in [
        "/admin/v1/requests/%25",
        "/admin/v1/requests/_",
        "/admin/v1/requests/%25%25%25",
        "/admin/v1/keys/%25",
        "/admin/v1/keys/'%20OR%201=1--",
        "/admin/v1/users/..",
        "/admin/v1/teams/%00",
    ] {
        let got = ask(&weir, MASTER, "GET", path, None).await;
        assert!([400, 404].contains(&got.status), "{path}: {} {}", got.status, got.text());
    }
    for query in [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=99999999999999999999",
        "limit=x",
        "cursor=%25",
        "cursor=f-1",
        "limit=1&limit=2",
        "sort=name",
        "lmit=5",
    ] {
        let got = ask(&weir, MASTER, "GET", &format!("/admin/v1/keys?{query}"), None).await;
        assert_eq!(got.status, 400, "{query}: {}", got.text());
    }
    let far = ask(&weir, MASTER, "GET", "/admin/v1/keys?cursor=f99999999", None).await;
    assert_eq!(far.status, 200, "{}", far.text());
    assert_eq!(
        ask(&weir, MASTER, "GET", "/admin/v1/keys?limit=200", None).await.json()["data"][0]["name"],
        "ci"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w085_clients_never_choose_destinations() {
    let attacker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let evil = format!("http://{}", attacker.local_addr().unwrap());
    let weir = Weir::start(&alone()).await;
    let (_, key) = make(&weir, json!({"name": "ci"})).await;
    let messages = json!([{"role": "user", "content": "x"}]);
    for (body, headers) in [
        (json!({"model": "demo/echo", "messages": messages, "api_base": evil, "base_url": evil}), vec![]),
        (json!({"model": evil, "messages": messages}), vec![]),
        (json!({"model": format!("demo/../{evil}"), "messages": messages}), vec![]),
        (json!({"model": format!("{evil}/v1"), "messages": messages}), vec![]),
        (
            json!({"model": "demo/echo", "messages": messages}),
            vec![
                ("x-portkey-custom-host", evil.as_str()),
                ("x-base-url", &evil),
                ("x-forwarded-host", &evil),
                ("forwarded", &evil),
            ],
        ),
    ] {
        let got = ask_with(&weir, &key, "POST", "/v1/chat/completions", Some(body), &headers).await;
        assert!(got.status < 500, "{}", got.text());
    }
    let connected = tokio::time::timeout(Duration::from_millis(300), attacker.accept()).await;
    assert!(connected.is_err(), "somebody connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_moves_to_a_listener_of_its_own() {
    let admin = format!("127.0.0.1:{}", weir_e2e::free_port());
    let config = format!("server: {{ admin_listen: \"{admin}\", master_key: {MASTER} }}\n");
    let mut weir = Weir::start(&config).await;
    let at = |base: &str, path: &str| client().get(format!("{base}{path}")).bearer_auth(MASTER).send();
    let operators = format!("http://{admin}");
    for path in ["/admin/v1/keys", "/metrics"] {
        assert_eq!(at(&weir.url, path).await.unwrap().status(), 404, "{path}");
        assert_eq!(at(&operators, path).await.unwrap().status(), 200, "{path}");
    }
    for path in ["/health/ready", "/openapi.json", "/"] {
        assert_eq!(at(&weir.url, path).await.unwrap().status(), 200, "{path}");
        assert_eq!(at(&operators, path).await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(at(&weir.url, "/v1/models").await.unwrap().status(), 200);
    assert_eq!(at(&operators, "/v1/models").await.unwrap().status(), 404);
    let call =
        client().post(format!("{operators}/v1/chat/completions")).bearer_auth(MASTER).body("{}").send().await;
    assert_eq!(call.unwrap().status(), 404);
    assert_eq!(weir.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_ask_the_gateway_and_else_the_store() {
    let weir = &mut Weir::prepare("providers:\n  demo: {}\n");
    let run = |weir: &Weir, words: &str| {
        let done = std::process::Command::new(weir_e2e::binary())
            .args(words.split(' '))
            .env_clear()
            .env("WEIR_LISTEN", &weir.address)
            .env("WEIR_DATA_DIR", weir.data())
            .current_dir(weir.folder())
            .output()
            .expect("it runs");
        (
            done.status.success(),
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)),
        )
    };
    // Nothing listens yet: the store is opened.
    let (ok, said) = run(weir, "keys create --name ci --budget 5/day --rpm 60 --models demo/*");
    assert!(ok && said.contains("OPENAI_API_KEY=sk-weir-"), "{said}");
    assert!(said.contains("It may spend 5 USD per day") && said.contains("not shown again"), "{said}");
    let key = said.split_whitespace().find(|word| word.starts_with("sk-weir-")).unwrap().to_owned();
    let (ok, said) = run(weir, "keys create --name ci");
    assert!(!ok && said.contains("already"), "{said}");
    weir.run().await;
    assert_eq!(call(weir, &key).await, 200);
    // Without a master key this machine administers.
    let (ok, said) = run(weir, "teams create --name platform --budget 500/month");
    assert!(ok && said.contains("500/month"), "{said}");
    let (ok, said) =
        run(weir, "keys update ci --team platform --budget 9/day --budget 50/month --expires 30d");
    assert!(ok && said.contains("9/day, 50/month") && said.contains("platform"), "{said}");
    let (ok, said) = run(weir, "keys create --name other --team platfrom");
    assert!(!ok && said.contains("did you mean `platform`?"), "{said}");
    let (ok, said) = run(weir, "budgets create 100/day");
    assert!(ok && said.contains("the whole gateway"), "{said}");
    let (ok, said) = run(weir, "keys rotate ci --grace 0s");
    assert!(ok && said.contains("sk-weir-"), "{said}");
    assert_eq!(call(weir, &key).await, 401);
    let (ok, said) = run(weir, "keys revoke ci");
    assert!(ok && said.contains("revoked"), "{said}");
    let (ok, said) = run(weir, "keys list --json --all");
    assert!(ok && serde_json::from_str::<Value>(&said).unwrap()[0]["revoked_at"].is_string(), "{said}");
    let (ok, said) = run(weir, "keys show nobody");
    assert!(!ok && said.contains("there is no key `nobody`"), "{said}");
    let (ok, said) = run(weir, "teams delete platform");
    assert!(ok, "{said}");
}
