//! Whole files: what loads, what is refused, and with which words.

use std::path::Path;

use weir_config::*;

fn environment() -> Environment {
    Environment::from_iter([("KEY", "sk-canary-1"), ("PORT", "4100"), ("WEIR_TEST_ATTEMPTS", "3")])
}

fn read(text: &str) -> Result<Loaded, ConfigError> {
    load_text(text, Some(Path::new("weir.yaml")), Outside::of(&environment()))
}

/// The file has exactly these problems, in this order.
#[track_caller]
fn refused(text: &str, want: &[&str]) {
    let error = read(text).expect_err("the file should be refused");
    let found: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, want, "\n{text}");
}

/// The file has one problem, which contains these words.
#[track_caller]
fn refused_with(text: &str, words: &str) {
    let error = read(text).expect_err("the file should be refused");
    assert!(error.problems.len() == 1 && error.to_string().contains(words), "\n{text}\n{error}");
}

#[test]
fn nothing_is_the_zero_configuration() {
    for text in ["", "# only a comment\n", "server:\nmodels:\n"] {
        let loaded = read(text).unwrap();
        assert_eq!(loaded.config, Config::default(), "{text}");
    }
    let loaded = load(None, Outside::of(&Environment::default())).unwrap();
    assert_eq!(loaded.config.server.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(loaded.config.store.url.expose(), "sqlite://weir.db");
    assert!(loaded.config.providers.is_none() && loaded.file.is_none());
}

#[test]
fn reads_every_form() {
    let loaded = read(
        "server: {listen: '127.0.0.1:${PORT}', master_key: '${KEY}', sse_keepalive: off, usage_cost: false}\n\
         providers:\n  openai: {api_key: '${KEY}', base_url: 'http://h:1/v1/'}\n  demo:\n\
         models:\n  short: openai/gpt-4o\n  long:\n    targets: [openai/a, {model: openai/b}]\n    fallbacks: [short]\n    \
         retry: {attempts: '${WEIR_TEST_ATTEMPTS}'}\n    defaults: {temperature: 0.2}\n",
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.server.listen.0.port(), 4100);
    assert_eq!((config.server.sse_keepalive, config.server.usage_cost), (OrOff::Off, Switch(false)));
    let providers = config.providers.as_ref().unwrap();
    assert_eq!(providers["openai"].base_url.as_ref().unwrap().as_str(), "http://h:1/v1");
    assert_eq!(providers["openai"].api_key.as_ref().unwrap().expose(), "sk-canary-1");
    assert_eq!(providers["demo"], Provider::default());
    assert_eq!(config.models["short"], Model::of(["openai/gpt-4o"]));
    let long = &config.models["long"];
    assert_eq!(long.targets, Model::of(["openai/a", "openai/b"]).targets);
    assert_eq!((long.retry.attempts, long.retry.base.to_string().as_str()), (3, "200ms"));
    assert_eq!(serde_json::Value::from(long.defaults.clone()), serde_json::json!({"temperature": 0.2}));
}

#[test]
fn unknown_keys_at_every_level() {
    refused("servr: {}\n", &["weir.yaml:1:1: unknown key `servr`, did you mean `server`?"]);
    refused(
        "providers:\n  openai:\n    api_kye: x\n",
        &["weir.yaml:3:5: unknown key `api_kye` in providers.openai, did you mean `api_key`?"],
    );
    refused_with(
        "server: {tls: {cert: a, kee: b}}\n",
        "unknown key `kee` in server.tls, did you mean `key`?",
    );
    refused_with(
        "models: {m: {target: [a/b]}}\n",
        "unknown key `target` in models.m, did you mean `targets`?",
    );
    refused_with(
        "models: {m: {targets: [{modle: a/b}]}}\n",
        "`modle` in models.m.targets[0], did you mean `model`?",
    );
    refused_with("models: {m: {targets: [a/b], retry: {attempt: 1}}}\n", "did you mean `attempts`?");
    refused_with("keys: [{name: a, kay: b}]\n", "unknown key `kay` in keys[0], did you mean `key`?");
    refused_with("prices: {overrides: [{model: a/b, inptu: 1}]}\n", "did you mean `input`?");
    refused_with("ledger: {durabilty: strict}\n", "did you mean `durability`?");
    refused_with("telemetry: {prometeus: on}\n", "did you mean `prometheus`?");
    refused_with("providers: {a: {api_key: {path: x}}}\n", "write text or {file: PATH}");
}

#[test]
fn wrong_types_and_values() {
    for (text, words) in [
        ("server: 5\n", "server: expected a mapping, got a number"),
        ("server: {listen: 4000}\n", "write IP:PORT"),
        ("server: {max_body: lots}\n", "write a whole number and a unit"),
        ("server: {drain_timeout: 30}\n", "`30` is not a duration"),
        ("server: {sse_keepalive: on}\n", "write `off` or the value"),
        ("server: {usage_cost: maybe}\n", "neither on nor off"),
        ("providers: [openai]\n", "providers: expected a mapping, got a list"),
        ("providers: {a: {base_url: api.example.com}}\n", "must start with https:// or http://"),
        ("models: {m: 5}\n", "expected `provider/model` or a mapping with `targets`"),
        ("models: {m: {targets: a/b}}\n", "expected a list, got text"),
        (
            "models: {m: {targets: [a/b], fallback_on: [timeuot]}}\n",
            "unknown value `timeuot`, did you mean `timeout`?",
        ),
        (
            "models: {m: {targets: [a/b], unsupported_params: stay}}\n",
            "unknown value `stay`; known here: report, reject",
        ),
        ("keys: {ci: x}\n", "keys: expected a list, got a mapping"),
        ("keys: [{key: x}]\n", "keys[0]: missing key `name`"),
        ("unknown_price: ignore\n", "unknown value `ignore`; known here: warn, block, allow"),
        ("version: 2\n", "this program knows versions up to 1"),
        ("data_dir: [a]\n", "data_dir: expected text, got a list"),
    ] {
        refused_with(text, words);
    }
}

#[test]
fn sense_is_checked() {
    for (text, words) in [
        (
            "server: {listen: '0.0.0.0:4000'}\n",
            "set `server.master_key` or WEIR_MASTER_KEY, or listen on 127.0.0.1:4000",
        ),
        ("server: {master_key: ''}\n", "server.master_key: is empty"),
        ("server: {master_key: sk-weir-abc}\n", "its checksum is wrong"),
        ("providers: {a/b: {}}\n", "can hold no `/`"),
        ("providers: {a: {api_key: k, api_keys: [l]}}\n", "there is `api_key` too"),
        ("providers: {a: {api_keys: [k, k]}}\n", "providers.a.api_keys[1]: the same key stands above"),
        ("providers: {a: {api_key: \"k\\nl\"}}\n", "no HTTP header can carry"),
        ("providers: {a: {headers: {Host: x}}}\n", "is set by weir itself"),
        ("providers: {a: {headers: {'a b': x}}}\n", "not the name of an HTTP header"),
        ("providers: {a: {client_cert: c.pem}}\n", "needs `client_key` too"),
        ("providers: {a: {proxy: 'socks5://x:1'}}\n", "must be http://HOST:PORT"),
        ("models: {m: {}}\n", "`m` has no targets"),
        ("models: {m: gpt-4o}\n", "`gpt-4o` is not `provider/model`"),
        ("models: {m: 'a/*'}\n", "has no `*`"),
        ("providers: {openai: {}}\nmodels: {m: opnai/x}\n", "did you mean `openai`?"),
        ("providers: {openai: {}}\nmodels: {m: demo/echo}\n", "`demo` must stand under `providers` too"),
        ("models: {a: {targets: [x/y], fallbacks: [b]}}\n", "there is no public name `b`"),
        ("models: {a: {targets: [x/y], fallbacks: [a]}}\n", "can't fall back to itself"),
        ("models: {a: {targets: [x/y], retry: {attempts: 0}}}\n", "must be from 1"),
        ("models: {a: {targets: [x/y], timeouts: {idle: 0s}}}\n", "longer than 0s"),
        ("models: {a: {targets: [x/y], defaults: {stream: true}}}\n", "is the client's alone"),
        ("budgets: [{limit: 5, period: fortnight}]\n", "`fortnight` is no period"),
        ("budgets: [{limit: 5, period: 1s}]\n", "is too short"),
        ("budgets: [{limit: 5, period: day, timezone: Mars/Olympus}]\n", "`Mars/Olympus` is no time zone"),
        ("budgets: [{limit: 5, period: 5h, timezone: Europe/Berlin}]\n", "only days, weeks and months begin"),
        ("budgets: [{limit: -5, period: day}]\n", "is negative"),
        ("budgets: [{limit: .nan, period: day}]\n", "is not a decimal amount"),
        ("budgets: [{limit: 1e300, period: day}]\n", "is too large"),
        ("budgets: [{limit: 5, period: day, key: a, team: b}]\n", "stands there too; write two budgets"),
        ("budgets: [{limit: 5, period: day, team: '*'}]\n", "`*` is for users, sessions and tags"),
        (
            "providers: {openai: {}}\nbudgets: [{limit: 5, period: day, provider: opnai}]\n",
            "`opnai` is no provider",
        ),
        ("keys: [{name: a, key: k, budgets: [{limit: 5, period: day, team: b}]}]\n", "it stands under"),
        ("prices: {overrides: [{model: a/b, input: '-1'}]}\n", "negative"),
        ("prices: {overrides: [{model: a/b, input: .nan}]}\n", "is not a decimal amount"),
        ("prices: {overrides: [{model: a/b, input: 1e300}]}\n", "too large"),
        ("keys: [{name: a, key: k}, {name: a, key: l}]\n", "`a` is also the name of keys[0]"),
        ("keys: [{name: a, key: k}, {name: b, key: k}]\n", "is the same key as that of keys[0]"),
        ("keys: [{name: a}]\n", "`a` needs `key` or `sha256`"),
        ("keys: [{name: a, sha256: abc}]\n", "64 hex digits"),
        ("keys: [{name: a, key: sk-weir-typo}]\n", "its checksum is wrong"),
        ("keys: [{name: a, key: k, team: x}]\n", "there is no team `x`"),
        ("server: {master_key: m}\nkeys: [{name: a, key: m}]\n", "is the master key"),
        ("store: {url: 'mysql://me:sk-canary@h/d'}\n", "must be sqlite://PATH or postgres://"),
        ("ledger: {sync_interval: 0s}\n", "from 1ms to 1m"),
        ("prices: {files: [missing.yaml]}\n", "missing.yaml can't be read"),
    ] {
        refused_with(text, words);
    }
    refused_with(
        "models: {a: {targets: [x/y], fallbacks: [b]}, b: {targets: [x/y], fallbacks: [b]}}\n",
        "to itself",
    );
}

#[test]
fn fallbacks_that_go_round_are_refused() {
    let text = "models:\n  a: {targets: [x/y], fallbacks: [b]}\n  b: {targets: [x/y], fallbacks: [a]}\n";
    refused(
        text,
        &[
            "weir.yaml:2:35: models.a.fallbacks[0]: `b` falls back to `a` again",
            "weir.yaml:3:35: models.b.fallbacks[0]: `a` falls back to `b` again",
        ],
    );
}

/// W-030: 0 is a price only where it is written, and no other nonsense is a price at all.
#[test]
fn prices_that_are_no_prices_are_refused() {
    for price in ["-1", "\"-0.5\"", ".nan", "nan", ".inf", "1e30", "\"1,5\"", "five", "[1]", "1000001"] {
        let text = format!("prices: {{overrides: [{{model: a/b, input: {price}, output: 1}}]}}\n");
        refused_with(&text, "prices.overrides[0].input");
    }
    let free = read("prices: {overrides: [{model: a/b, input: \"0\", output: 0}]}\n").unwrap();
    let price = &free.config.prices.overrides[0];
    assert_eq!(
        (price.input.map(|p| p.picodollars()), price.output.map(|p| p.picodollars())),
        (Some(0), Some(0))
    );
    assert!(price.cache_read.is_none(), "what is not written is not 0");
    refused_with("prices: {overrides: [{model: a/b}]}\n", "sets no price");
    refused_with("prices: {overrides: [{model: a/b, input:, output: }]}\n", "sets no price");
    refused_with(
        "prices: {overrides: [{model: a/b, input: 1, from: 2026-02-01, until: 2026-01-01}]}\n",
        "later than `from`",
    );
}

#[test]
fn numbers_of_prices_are_read_from_their_text() {
    let loaded =
        read("prices: {overrides: [{model: a/b, input: 0.100000000000000000, output: 0.3}]}\n").unwrap();
    assert_eq!(loaded.config.prices.overrides[0].input.unwrap().to_string(), "0.1");
}

#[test]
fn doubled_keys_are_refused() {
    refused(
        "server: {listen: '127.0.0.1:1', listen: '127.0.0.1:2'}\nmodels:\n  a: x/y\n  a: x/z\nserver: {}\n",
        &[
            "weir.yaml:1:33: server.listen: doubled key, first written on line 1",
            "weir.yaml:4:3: models.a: doubled key, first written on line 3",
            "weir.yaml:5:1: server: doubled key, first written on line 1",
        ],
    );
}

#[test]
fn variables_that_are_not_set_name_their_place() {
    refused(
        "providers:\n  openai:\n    api_key: \"${OPENAI_API_KEY}\"\n  claude: {kind: anthropic, api_keys: [\"${A}\", x]}\n",
        &[
            "weir.yaml:3:14: providers.openai.api_key: the environment variable OPENAI_API_KEY is not set; set it, or \
             write a default as in ${OPENAI_API_KEY:-…}",
            "weir.yaml:4:40: providers.claude.api_keys[0]: the environment variable A is not set; set it, or write a \
             default as in ${A:-…}",
        ],
    );
    // Nothing that follows from the missing variable is reported beside it.
    refused_with("keys: [{name: ci, key: '${CI_KEY}'}]\n", "CI_KEY is not set");
    refused_with("server: {listen: '0.0.0.0:1', master_key: '${NONE}'}\n", "NONE is not set");
}

#[test]
fn a_variable_can_not_change_the_structure() {
    let environment =
        Environment::from_iter([("X", "a\nserver: {listen: '0.0.0.0:1'}"), ("Y", "[1, 2]"), ("N", "5")]);
    let loaded =
        load_text("logging: {level: info}\ndata_dir: \"${Y}\"\n", None, Outside::of(&environment)).unwrap();
    assert_eq!(loaded.config.data_dir, Path::new("[1, 2]"));
    let error =
        load_text("logging: {level: \"${X}\"}\n", None, Outside::of(&environment)).unwrap_err().to_string();
    assert!(error.contains("logging.level: unknown value `${X}`"), "what it holds is not shown: {error}");
    let text = "models: {m: {targets: [a/b], max_output_tokens: '${N}'}}\n";
    let loaded = load_text(text, None, Outside::of(&environment)).unwrap();
    assert_eq!(loaded.config.models["m"].max_output_tokens, Some(5));
}

#[test]
fn what_nothing_acts_on_is_refused() {
    for (text, path) in [
        ("models: {m: {strategy: auto, targets: [a/b]}}\n", "models.m.strategy"),
        ("models: {m: {targets: [a/b], cache: {mode: semantic}}}\n", "models.m.cache.mode"),
        ("logging: {content: metadata}\n", "logging.content"),
        ("agents: {helper: {kind: a2a, url: 'https://h'}}\n", "agents"),
    ] {
        refused_with(text, &format!("{path}: not supported by this version yet; "));
    }
    read("server: {allow_faults: off}\nbudgets: []\nmodels: {m: {strategy: ordered, hedge: off, cache: off, targets: [a/b]}}\n")
        .unwrap();
}

#[test]
fn bombs_are_refused() {
    let deep = format!("server: {}1{}\n", "{a: ".repeat(3_000), "}".repeat(3_000));
    let mut aliases = "models: &a0 {m: x/y}\n".to_owned();
    for level in 1..30 {
        let line = format!(
            "l{level}: &a{level} [*a{p}, *a{p}, *a{p}, *a{p}, *a{p}, *a{p}, *a{p}, *a{p}]\n",
            p = level - 1
        );
        aliases.push_str(&line);
    }
    for text in [deep, aliases] {
        assert!(read(&text).is_err());
    }
}

#[test]
fn no_message_shows_a_secret() {
    let secret = "sk-canary-1";
    for text in [
        "providers: {a: {api_kye: sk-canary-1, api_key: [sk-canary-1]}}\n",
        "server: {master_key: {file: x, sk-canary-1: 1}}\nstore: sk-canary-1\n",
        "providers: {a: {base_url: 'https://me:sk-canary-1@h'}}\n",
        "providers: {a: {base_url: '${KEY}'}}\n",
        "server: {listen: '${KEY}', max_body: '${KEY}', usage_cost: '${KEY}'}\n",
        "unknown_price: '${KEY}'\n",
        "keys: [{name: a, key: 'sk-canary-1 x'}]\n",
        "store: {url: 'sk-canary-1'}\n",
    ] {
        let error = read(text).unwrap_err().to_string();
        let shown = error.replace("unknown key `sk-canary-1`", "");
        assert!(!shown.contains(secret), "{text}{error}");
    }
    let loaded =
        read("server: {master_key: '${KEY}'}\nproviders: {a: {api_key: '${KEY}', headers: {x: '${KEY}'}}}\n");
    let loaded = loaded.unwrap();
    let everything = format!("{loaded:?}{}", serde_json::to_string(&loaded.config).unwrap());
    let effective = serde_json::to_string(&loaded.effective()).unwrap();
    assert!(!everything.contains(secret) && !effective.contains(secret));
}

#[test]
fn secrets_from_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "sk-from-file\n").unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let file = folder.path().join("weir.yaml");
    std::fs::write(&file, "providers: {a: {api_key: {file: key}}}\n").unwrap();
    let loaded = load(Some(&file), Outside::of(&Environment::default())).unwrap();
    let key = loaded.config.providers.as_ref().unwrap()["a"].api_key.as_ref().unwrap();
    assert_eq!(key.expose(), "sk-from-file");
    for (name, why) in [("empty", "it is empty"), ("missing", "can't be read"), (".", "can't be read")] {
        std::fs::write(&file, format!("providers: {{a: {{api_key: {{file: {name}}}}}}}\n")).unwrap();
        let error = load(Some(&file), Outside::of(&Environment::default())).unwrap_err().to_string();
        assert!(error.contains("providers.a.api_key") && error.contains(why), "{error}");
    }
}

#[test]
fn price_files_are_read_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.yaml");
    let prices = folder.path().join("prices.yaml");
    std::fs::write(&file, "prices: {files: [prices.yaml]}\n").unwrap();
    std::fs::write(&prices, "prices:\n  - {model: lab/x, input: 0.10, output: 0.20}\n").unwrap();
    let loaded = load(Some(&file), Outside::of(&Environment::default())).unwrap();
    assert_eq!(loaded.price_files.len(), 1);
    assert_eq!(loaded.price_files[0].0, prices);
    std::fs::write(&prices, "prices:\n  - {model: lab/x, input: -1}\n").unwrap();
    let error = load(Some(&file), Outside::of(&Environment::default())).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2:27: prices[0].input: ", prices.display())), "{error}");
}

#[test]
fn the_environment_sets_what_the_file_does_not() {
    let environment = Environment::from_iter([
        ("WEIR_LISTEN", "0.0.0.0:4000"),
        ("WEIR_MASTER_KEY", "m"),
        ("WEIR_DATA_DIR", "/data"),
        ("WEIR_CONFIG", "/etc/weir.yaml"),
    ]);
    let load = |text| load_text(text, None, Outside::of(&environment)).unwrap();
    let config = load("").config;
    assert_eq!(
        (config.server.listen.to_string().as_str(), config.data_dir.to_str()),
        ("0.0.0.0:4000", Some("/data"))
    );
    assert_eq!(config.server.master_key.unwrap().expose(), "m");
    let loaded = load("server: {listen: '127.0.0.1:5', master_key: n}\ndata_dir: d\n");
    assert_eq!(loaded.config.server.listen.0.port(), 5);
    assert_eq!(loaded.config.server.master_key.unwrap().expose(), "n");
    let outside = Outside { environment: &environment, listen: Some("127.0.0.1:6".parse().unwrap()) };
    let loaded = load_text("server: {listen: '127.0.0.1:5'}\n", None, outside).unwrap();
    assert_eq!(loaded.config.server.listen.0.port(), 6);
    assert_eq!(find_file(None, &environment).unwrap(), Path::new("/etc/weir.yaml"));
    assert_eq!(find_file(Some(Path::new("a")), &environment).unwrap(), Path::new("a"));
    let bad = Environment::from_iter([("WEIR_LISTEN", "4000")]);
    assert!(load_text("", None, Outside::of(&bad)).unwrap_err().to_string().starts_with("WEIR_LISTEN: "));
}

#[test]
fn every_value_knows_its_origin() {
    let loaded = read("server:\n  listen: 127.0.0.1:${PORT}\nmodels:\n  gpt-4.1: openai/gpt-4.1\n").unwrap();
    let values = loaded.effective();
    let find = |path: &str| {
        let one = values.iter().find(|value| value.path.to_string() == path);
        let one = one.unwrap_or_else(|| panic!("{path} is missing"));
        (one.value.to_string(), one.origin.to_string())
    };
    assert_eq!(find("server.listen"), (r#""127.0.0.1:4100""#.to_owned(), "line 2, PORT".to_owned()));
    assert_eq!(find("server.max_body"), (r#""32MiB""#.to_owned(), "default".to_owned()));
    assert_eq!(
        find("models.\"gpt-4.1\".targets[0].model"),
        (r#""openai/gpt-4.1""#.to_owned(), "line 4".to_owned())
    );
    assert_eq!(find("store.url").0, r#""[redacted]""#);
    assert_eq!(loaded.locate(&KeyPath::from(["server", "listen"])), Some(Location { line: 2, column: 11 }));
}

#[test]
fn older_files_load_and_say_so() {
    let loaded = read("version: 0\nserver: {bind: 127.0.0.1:9}\n").unwrap();
    assert_eq!((loaded.config.version, loaded.config.server.listen.0.port()), (1, 9));
    let warning = loaded.warnings[0].to_string();
    assert!(warning.starts_with("weir.yaml:1:10: ") && warning.contains("weir check --migrate"), "{warning}");
}

#[test]
fn what_others_may_watch_is_checked() {
    let config = read(
        "telemetry: {genai_semconv: both, each_key: on, otlp: {endpoint: 'http://h:4317', sample: 0.01, headers: {a: '${KEY}'}}}\n\
         logging: {content: full, calls: {to: stdout, keep_for: 7d, content_sample: 0.5}}\n",
    )
    .unwrap()
    .config;
    let otlp = config.telemetry.otlp.unwrap();
    assert_eq!((otlp.spoken(), otlp.sample.millionths), (OtlpProtocol::Grpc, 10_000));
    assert_eq!(config.logging.calls.unwrap().content_sample, Share::percent(50));
    let spoken = |text: &str| read(text).unwrap().config.telemetry.otlp.unwrap().spoken();
    assert_eq!(spoken("telemetry: {otlp: {endpoint: 'http://h:4318'}}\n"), OtlpProtocol::Http);
    assert_eq!(spoken("telemetry: {otlp: {endpoint: 'https://h', protocol: grpc}}\n"), OtlpProtocol::Grpc);
    for (text, words) in [
        ("logging: {content: full}\n", "say where to"),
        ("logging: {calls: {to: ''}}\n", "write `stdout`, or a file"),
        ("logging: {calls: {to: a, max_size: 1KiB}}\n", "at least 64KiB"),
        ("logging: {calls: {to: a, keep_for: 1s}}\n", "at least 1m"),
        ("telemetry: {max_series: 5}\n", "at least 100"),
        ("telemetry: {otlp: {endpoint: 'http://h', interval: 1ms}}\n", "at least 1s"),
        ("telemetry: {otlp: {endpoint: 'http://h', headers: {'a b': c}}}\n", "is no header"),
    ] {
        refused_with(text, words);
    }
}
