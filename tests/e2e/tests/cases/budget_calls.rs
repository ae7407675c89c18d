//! Calls and budgets: W-013, W-022, W-023, W-030, W-031, W-034, what a caller over budget reads, and what the headers say.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, client};

const CHAT: &str = "/v1/chat/completions";
const MODEL: &str = "openai/gpt-4o-mini";
/// Input is free and a token of output costs 1,000 nano-dollars, so that a bound is a round number.
const ROUND: &str = "prices: { overrides: [{ model: openai/gpt-4o-mini, input: \"0\", cache_read: \"0\", output: \"1\" }, { model: anthropic/claude-haiku-4-5, input: \"0\", cache_read: \"0\", cache_write_5m: \"0\", cache_write_1h: \"0\", output: \"1\" }] }\n";

fn body(text: &str, more: &Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn ask(bench: &Bench, text: &str, more: Value) -> Answer {
    bench.post(CHAT, &body(text, &more)).await
}

fn error(answer: &Answer) -> Value {
    answer.json()["error"].clone()
}

/// What the simulator was sent last.
async fn sent(bench: &Bench) -> Value {
    let answer = client().get(format!("{}/_sim/requests", bench.sim.url())).send().await.unwrap();
    let all: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let body = all["requests"].as_array().unwrap().last().unwrap()["body"].as_str().unwrap().to_owned();
    serde_json::from_str(&body).unwrap()
}

fn is_over(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let error = error(answer);
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!("insufficient_quota"), &json!("insufficient_quota"))
    );
    assert_eq!(answer.header("x-should-retry"), "false");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_over_budget_reads_which_how_much_until_when_and_whom_to_ask() {
    let more = "keys:\n  - { name: day, key: d, budgets: [{ limit: 0.00001, period: day }] }\n  - { name: ever, key: e, budgets: [{ limit: 0.00001, period: total }] }\n";
    let bench = Bench::start(more).await;
    let with = async |key: &str, path: &str, body: &Value| {
        bench.post_with(path, body, &[("authorization", &format!("Bearer {key}"))]).await
    };
    let daily = with("d", CHAT, &body("hi", &json!({"max_tokens": 100}))).await;
    is_over(&daily);
    let message = error(&daily)["message"].as_str().unwrap().to_owned();
    for part in
        ["daily budget of key `day`", "0 of 0.00001 USD", "up to 0.0001", "resets at 20", "administrator"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let after: u64 = daily.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&after), "{after}");
    let total = with("e", CHAT, &body("hi", &json!({"max_tokens": 100}))).await;
    is_over(&total);
    assert_eq!((total.header("retry-after"), total.header("retry-after-ms")), ("", ""));
    let message = error(&total)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("does not reset"), "{message}");
    let anthropic =
        json!({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    let told = with("d", "/v1/messages", &anthropic).await;
    assert_eq!((told.status, &told.json()["type"]), (429, &json!("error")));
    let message = told.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("daily budget of key `day`"), "{message}");
    let (calls, attempts) = bench.rows_of(3).await;
    assert!(calls.iter().all(|call| call.end == "refused" && call.attempts == 0) && attempts.is_empty());
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_calls_are_let_in_as_the_budget_pays_for() {
    let bench = Bench::start(&format!("{ROUND}budgets: [{{ limit: 0.0005, period: total }}]\n")).await;
    let calls = (0..80).map(|_| ask(&bench, "[[sim:len=10+delay=20ms]]", json!({"max_tokens": 10})));
    let answers = futures_all(calls).await;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    answers.iter().filter(|answer| answer.status != 200).for_each(is_over);
    assert_eq!(served, 50, "each costs 0.00001");
    is_over(&ask(&bench, "x", json!({"max_tokens": 1})).await);
    let metric = bench.metric("weir_budget_used_ratio", &["scope=\"gateway\""]).await;
    assert!((metric - 1.0).abs() < 0.001, "{metric}");
}

/// Joins futures without a crate for it.
async fn futures_all<F: Future<Output = Answer>>(all: impl Iterator<Item = F>) -> Vec<Answer> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut answers: Vec<Option<Answer>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, answer) in all.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *answer = Some(ready);
            }
        }
        match answers.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_sent_where_a_hard_budget_applies() {
    let more = "models: { own: { targets: [openai/gpt-4o-mini], max_output_tokens: 77 }, claude: anthropic/claude-haiku-4-5 }\nkeys: [{ name: held, key: h, budgets: [{ limit: 5, period: day }] }, { name: free, key: f }]\n";
    let bench = Bench::start(more).await;
    let with = async |key: &str, path: &str, body: Value| {
        bench.post_with(path, &body, &[("authorization", &format!("Bearer {key}"))]).await
    };
    let prompt = json!([{"role": "user", "content": "hi"}]);
    let own = with("h", CHAT, json!({"model": "own", "messages": prompt})).await;
    assert_eq!((own.status, own.header("x-weir-max-tokens")), (200, "77"), "{}", own.text());
    assert_eq!(sent(&bench).await["max_tokens"], 77);
    let catalog = with("h", CHAT, json!({"model": MODEL, "messages": prompt})).await;
    assert_eq!(catalog.header("x-weir-max-tokens"), "16384");
    let foreign = with("h", CHAT, json!({"model": "claude", "messages": prompt})).await;
    assert_eq!(foreign.header("x-weir-max-tokens"), "64000", "{}", foreign.text());
    assert_eq!(sent(&bench).await["max_tokens"], 64000);
    let set = with("h", CHAT, json!({"model": "own", "max_tokens": 5, "messages": prompt})).await;
    assert_eq!(set.header("x-weir-max-tokens"), "");
    let free = with("f", CHAT, json!({"model": "own", "messages": prompt})).await;
    assert_eq!((free.status, free.header("x-weir-max-tokens")), (200, ""));
    assert_eq!(sent(&bench).await["max_tokens"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outruns_its_limit_is_cut_when_the_budget_is_spent() {
    // 50 tokens are paid for, and each call asks for 20.
    for (model, path) in
        [(MODEL, CHAT), ("anthropic/claude-haiku-4-5", CHAT), ("anthropic/claude-haiku-4-5", "/v1/messages")]
    {
        let bench = Bench::start(&format!("{ROUND}budgets: [{{ limit: 0.00005, period: total }}]\n")).await;
        let request = json!({"model": model, "max_tokens": 20, "stream": true,
            "messages": [{"role": "user", "content": "[[sim:ignore_max_tokens+len=300+gap=20ms]]"}]});
        let answer = bench.post(path, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let last = answer.chunks().pop().unwrap();
        let message = last["error"]["message"].as_str().unwrap_or_else(|| panic!("{}", answer.text()));
        assert!(message.contains("budget of this gateway") && message.contains("cut"), "{message}");
        if path == CHAT {
            assert_eq!(last["error"]["code"], "insufficient_quota");
        }
        assert!(!answer.finished(), "no clean end");
        let (calls, attempts) = bench.rows_of(1).await;
        assert_eq!(calls[0].end, "cut");
        assert_eq!(attempts[0].state, "budget_exhausted");
        let cost = attempts[0].cost_nanousd.unwrap();
        assert!(
            (50_000..=65_000).contains(&cost),
            "{model} {path}: at most what came while more was asked for: {cost}"
        );
        is_over_any(&bench.post(path, &request).await);
    }
}

fn is_over_any(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_costs_no_more_than_its_client_wants_to_pay() {
    let bench = Bench::start(ROUND).await;
    let with = async |most: &str, text: &str, more: Value| {
        bench.post_with(CHAT, &body(text, &more), &[("x-weir-max-cost", most)]).await
    };
    let dear = with("0.00001", "hi", json!({"max_tokens": 11})).await;
    assert_eq!((dear.status, &error(&dear)["code"]), (400, &json!("max_cost_exceeded")), "{}", dear.text());
    let message = error(&dear)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("0.000011") && message.contains("0.00001"), "{message}");
    assert_eq!(dear.header("x-should-retry"), "false");
    let fits = with("0.00001", "hi", json!({"max_tokens": 10})).await;
    assert_eq!(fits.status, 200, "{}", fits.text());
    let whole = with("0.00001", "[[sim:len=300]]", json!({})).await;
    assert_eq!((whole.status, whole.header("x-weir-max-tokens")), (200, "10"));
    assert_eq!(whole.header("x-weir-cost"), "0.00001");
    let stream = with("0.00002", "[[sim:len=300+gap=1ms]]", json!({"stream": true})).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.chunks().pop().unwrap()["error"]["code"], "max_cost_exceeded", "{}", stream.text());
    for bad in ["0", "-1", "nonsense", "1e-12"] {
        let refused = with(bad, "hi", json!({})).await;
        assert_eq!((refused.status, &error(&refused)["param"]), (400, &json!("x-weir-max-cost")), "{bad}");
    }
    let (calls, _) = bench.rows_of(4).await;
    let mut ends: Vec<_> = calls.iter().map(|call| call.end.as_str()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["complete", "complete", "cut", "refused"]);
    let cut = calls.iter().find(|call| call.end == "cut").unwrap().cost_nanousd.unwrap();
    assert!((20_000..=40_000).contains(&cut), "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_budget_of_its_own() {
    let bench = Bench::start(ROUND).await;
    let with = async |session: &str, budget: &str| {
        let headers = [("x-weir-session", session), ("x-weir-session-budget", budget)];
        bench.post_with(CHAT, &body("[[sim:len=10]]", &json!({"max_tokens": 10})), &headers).await
    };
    assert_eq!(with("a", "0.00002").await.status, 200);
    assert_eq!(with("a", "0.00002").await.status, 200);
    let over = with("a", "0.00002").await;
    is_over(&over);
    let message = error(&over)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("session `a`") && message.contains("x-weir-session-budget"), "{message}");
    assert_eq!(with("b", "0.00002").await.status, 200, "another session has its own");
    assert_eq!(with("a", "0.00003").await.status, 200, "the last word counts");
    is_over(&with("a", "0.00003").await);
    let nobody = bench.post_with(CHAT, &body("hi", &json!({})), &[("x-weir-session-budget", "1")]).await;
    assert_eq!((nobody.status, &error(&nobody)["param"]), (400, &json!("x-weir-session-budget")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_budget_is_spent_leaves_the_plan() {
    let more = format!(
        "{ROUND}models:\n  both: {{ targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5] }}\n  stays: {{ targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5], fallback_on: [error] }}\nbudgets: [{{ limit: 0.00002, period: day, provider: openai }}]\n"
    );
    let bench = Bench::start(&more).await;
    let served = async |model: &str| {
        let answer = ask(&bench, "[[sim:len=10]]", json!({"model": model, "max_tokens": 10})).await;
        (answer.status, answer.header("x-weir-provider").to_owned(), answer)
    };
    for provider in ["openai", "openai", "anthropic", "anthropic"] {
        let (status, by, answer) = served("both").await;
        assert_eq!((status, by.as_str()), (200, provider), "{}", answer.text());
    }
    let (status, _, answer) = served("stays").await;
    assert_eq!(status, 429, "{}", answer.text());
    assert!(answer.text().contains("daily budget of provider `openai`"), "{}", answer.text());
    let (_, attempts) = bench.rows_of(5).await;
    assert_eq!(attempts.iter().filter(|attempt| attempt.provider == "openai").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_price_there_is_no_bound() {
    let limited = "budgets: [{ limit: 5, period: day }]\n";
    let free = "prices: { overrides: [{ model: openai/new, input: \"0\", output: \"0\" }] }\n";
    for (more, status) in [
        (format!("unknown_price: warn\n{limited}"), 400),
        (format!("unknown_price: block\n{limited}"), 400),
        (format!("unknown_price: allow\n{limited}"), 404),
        (format!("{free}{limited}"), 404),
        ("unknown_price: warn\n".to_owned(), 404),
    ] {
        let bench = Bench::start(&more).await;
        // 404: the simulator was asked, and does not know it either.
        let answer = ask(&bench, "hi", json!({"model": "openai/new", "max_tokens": 5})).await;
        assert_eq!(answer.status, status, "{more}: {}", answer.text());
        if status == 400 {
            assert_eq!(error(&answer)["code"], "unknown_price");
            assert!(answer.text().contains("prices.overrides"), "{}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clamping_lowers_the_limit_to_what_is_left() {
    let more = format!("{ROUND}budgets: [{{ limit: 0.0001, period: total }}]\nbudget_admission: clamp\n");
    let bench = Bench::start(&more).await;
    let first = ask(&bench, "[[sim:len=300]]", json!({"max_tokens": 5000})).await;
    assert_eq!((first.status, first.header("x-weir-max-tokens")), (200, "100"), "{}", first.text());
    assert_eq!(sent(&bench).await["max_tokens"], 100);
    assert_eq!(first.json()["choices"][0]["finish_reason"], "length");
    is_over(&ask(&bench, "[[sim:len=300]]", json!({"max_tokens": 5000})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn growing_lets_a_stream_begin_that_the_budget_may_not_pay_to_its_end() {
    let more = format!("{ROUND}budgets: [{{ limit: 0.0003, period: total }}]\nbudget_admission: grow\n");
    let bench = Bench::start(&more).await;
    let long = json!({"max_tokens": 16000, "stream": true});
    let short = ask(&bench, "[[sim:len=40]]", long.clone()).await;
    assert!(short.finished(), "{}", short.text());
    let cut = ask(&bench, "[[sim:len=600+gap=5ms]]", long.clone()).await;
    assert_eq!(cut.chunks().pop().unwrap()["error"]["code"], "insufficient_quota");
    let (_, attempts) = bench.rows_of(2).await;
    let spent: i64 = attempts.iter().filter_map(|attempt| attempt.cost_nanousd).sum();
    assert!((300_000..=400_000).contains(&spent), "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_charged_by_the_price_of_its_admission() {
    let priced = |output: &str| {
        format!(
            "prices: {{ overrides: [{{ model: openai/gpt-4o-mini, input: \"0\", cache_read: \"0\", output: \"{output}\" }}] }}\nbudgets: [{{ limit: 1, period: total }}]\n"
        )
    };
    let bench = Bench::start(&priced("1")).await;
    let slow = json!({"max_tokens": 50, "stream": true});
    let streams = (0..100).map(|_| ask(&bench, "[[sim:len=50+gap=30ms]]", slow.clone()));
    let change = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &priced("2")));
        let mut cost = String::new();
        for _ in 0..100 {
            cost = ask(&bench, "[[sim:len=10]]", json!({"max_tokens": 10}))
                .await
                .header("x-weir-cost")
                .to_owned();
            if cost == "0.00002" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cost
    };
    let (answers, changed) = tokio::join!(futures_all(streams), change);
    assert_eq!(changed, "0.00002");
    assert!(answers.iter().all(Answer::finished));
    let (calls, attempts) = bench.rows().await;
    let streamed: Vec<_> = calls.iter().filter(|call| call.stream).map(|call| call.cost_nanousd).collect();
    assert_eq!(
        (streamed.len(), streamed.iter().all(|cost| *cost == Some(50_000))),
        (100, true),
        "{streamed:?}"
    );
    assert!(attempts.iter().all(|attempt| attempt.price_id.is_some()));
}

/// Every route that calls a model moves the same budget, by what the call cost.
#[tokio::test(flavor = "multi_thread")]
async fn w031_every_route_that_costs_money_moves_the_same_budget() {
    let models = "models: { chat: { targets: [openai/gpt-4o-mini] }, text: { targets: [openai/gpt-3.5-turbo-instruct] }, vector: { targets: [openai/text-embedding-3-small] }, claude: { targets: [anthropic/claude-haiku-4-5] } }\nbudgets: [{ limit: 100, period: total }]\nledger: { lease: 1s }\n";
    let bench = Bench::start(models).await;
    let (messages, contents) =
        (json!([{"role": "user", "content": "hi"}]), json!([{"parts": [{"text": "hi"}]}]));
    let routes = [
        ("/v1/chat/completions", json!({"model": "chat", "messages": messages})),
        ("/v1/completions", json!({"model": "text", "prompt": "hi", "max_tokens": 10})),
        ("/v1/embeddings", json!({"model": "vector", "input": "hi"})),
        ("/v1/responses", json!({"model": "claude", "input": "hi"})),
        ("/v1/messages", json!({"model": "claude", "max_tokens": 10, "messages": messages})),
        ("/v1beta/models/{model}:generateContent", json!({"contents": contents})),
        ("/v1beta/models/{model}:streamGenerateContent", json!({"contents": contents})),
        ("/v1beta/models/{model}:embedContent", json!({"content": contents[0]})),
        ("/v1beta/models/{model}:batchEmbedContents", json!({"requests": [{"content": contents[0]}]})),
    ];
    let described = bench.get("/openapi.json").await.json()["paths"].as_object().unwrap().clone();
    let store = weir_store::open(&bench.books, std::path::Path::new("/")).await.unwrap();
    let spent = async || {
        bench.drained().await;
        let budget = [("gateway/total".into(), 0, 0)];
        store.spent(&budget).await.unwrap()[0]
    };
    let mut before = 0;
    for (path, body) in &routes {
        assert!(described.contains_key(*path), "{path} is not described");
        let model = if path.contains("mbed") { "vector" } else { "chat" };
        let answer = bench.post(&path.replace("{model}", model), body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let after = spent().await;
        let cost = answer.header("x-weir-cost").to_owned();
        println!("{path}: {before} to {after}, {cost}");
        assert!(after > before, "{path} spent nothing");
        before = after;
    }
    let (_, attempts) = bench.rows_of(routes.len()).await;
    assert_eq!(attempts.iter().filter_map(|row| row.cost_nanousd).sum::<i64>(), before);
    // What is described beyond these either calls no model or is for its own test to prove.
    let ours: Vec<&str> = routes.iter().map(|(path, _)| *path).collect();
    let others =
        described.iter().filter(|(path, what)| what["post"].is_object() && !ours.contains(&path.as_str()));
    println!("further routes: {:?}", others.map(|(path, _)| path).collect::<Vec<_>>());
}
