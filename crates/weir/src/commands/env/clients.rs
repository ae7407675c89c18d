//! The clients, one entry each. What they read was seen in their documentation and in requests they sent.

use super::{Client, Part, Point};

pub(super) const CLIENTS: &[Client] = &[
    Client { name: "openai", note: None, parts: openai },
    Client { name: "anthropic", note: None, parts: |point| anthropic(point, "ANTHROPIC_API_KEY") },
    Client {
        name: "gemini",
        note: Some(
            "Gemini's own API (/v1beta) is not served by this version yet; use OpenAI's with the same models",
        ),
        parts: |point| {
            vec![variable("GOOGLE_GEMINI_BASE_URL", &point.root), variable("GEMINI_API_KEY", &point.key)]
        },
    },
    Client {
        name: "codex",
        note: Some("Codex speaks only /v1/responses, which is not served by this version yet"),
        parts: codex,
    },
    Client {
        name: "claude",
        note: None,
        parts: |point| {
            let mut parts = anthropic(point, "ANTHROPIC_AUTH_TOKEN");
            parts.push(variable("ANTHROPIC_MODEL", &point.model));
            parts.push(run("claude"));
            parts
        },
    },
    Client { name: "opencode", note: None, parts: opencode },
    Client {
        name: "aider",
        note: None,
        parts: |point| {
            vec![
                variable("OPENAI_API_BASE", &point.v1()),
                variable("OPENAI_API_KEY", &point.key),
                run(&format!("aider --model {}", super::quoted(&format!("openai/{}", point.model)))),
            ]
        },
    },
    Client { name: "langchain", note: None, parts: langchain },
    Client { name: "llama-index", note: None, parts: llama_index },
    Client { name: "ag2", note: None, parts: ag2 },
    Client { name: "crewai", note: None, parts: crewai },
    Client { name: "vercel-ai", note: None, parts: vercel_ai },
    Client {
        name: "open-webui",
        note: None,
        parts: |point| {
            vec![
                variable("OPENAI_API_BASE_URL", &point.v1()),
                variable("OPENAI_API_KEY", &point.key),
                run("open-webui serve"),
            ]
        },
    },
];

fn variable(name: &'static str, value: &str) -> Part {
    Part::Variable { name, value: value.to_owned() }
}

fn run(line: &str) -> Part {
    Part::Run { line: line.to_owned() }
}

/// A text in double quotes, as JSON, TOML, Python and JavaScript all read it.
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn openai(point: &Point) -> Vec<Part> {
    vec![variable("OPENAI_BASE_URL", &point.v1()), variable("OPENAI_API_KEY", &point.key)]
}

/// Anthropic's own clients add `/v1` themselves.
fn anthropic(point: &Point, key: &'static str) -> Vec<Part> {
    vec![variable("ANTHROPIC_BASE_URL", &point.root), variable(key, &point.key)]
}

fn codex(point: &Point) -> Vec<Part> {
    let lines = [
        format!("model = {}", text(&point.model)),
        "model_provider = \"weir\"".to_owned(),
        "[model_providers.weir]".to_owned(),
        "name = \"weir\"".to_owned(),
        format!("base_url = {}", text(&point.v1())),
        "env_key = \"WEIR_KEY\"".to_owned(),
        "wire_api = \"responses\"".to_owned(),
    ];
    vec![
        variable("WEIR_KEY", &point.key),
        Part::File { path: "~/.codex/config.toml", text: lines.join("\n") },
    ]
}

fn opencode(point: &Point) -> Vec<Part> {
    let config = serde_json::json!({
        "provider": {
            "weir": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "weir",
                "options": { "baseURL": point.v1(), "apiKey": "{env:WEIR_KEY}" },
                "models": { point.model.as_str(): {} }
            }
        },
        "model": format!("weir/{}", point.model)
    });
    vec![variable("WEIR_KEY", &point.key), Part::File { path: "opencode.json", text: format!("{config:#}") }]
}

fn python(point: &Point, lines: &[String]) -> Vec<Part> {
    let mut parts = openai(point);
    parts.push(Part::Code { language: "Python", text: lines.join("\n") });
    parts
}

fn langchain(point: &Point) -> Vec<Part> {
    let model = text(&point.model);
    python(
        point,
        &[
            "from langchain_openai import ChatOpenAI".to_owned(),
            // With an address of one's own it leaves the usage of streams out unless told otherwise.
            format!("llm = ChatOpenAI(model={model}, stream_usage=True)"),
        ],
    )
}

fn llama_index(point: &Point) -> Vec<Part> {
    let (model, base, key) = (text(&point.model), text(&point.v1()), text(&point.key));
    // The class `OpenAI` refuses names it does not know, `OpenAILike` takes all.
    let lines = [
        "from llama_index.llms.openai_like import OpenAILike".to_owned(),
        format!("llm = OpenAILike(model={model}, api_base={base}, api_key={key},"),
        "                 is_chat_model=True, is_function_calling_model=True)".to_owned(),
    ];
    vec![Part::Code { language: "Python", text: lines.join("\n") }]
}

fn ag2(point: &Point) -> Vec<Part> {
    let (model, base, key) = (text(&point.model), text(&point.v1()), text(&point.key));
    let lines = [
        "from ag2.config import OpenAIConfig".to_owned(),
        format!("config = OpenAIConfig(model={model}, base_url={base}, api_key={key})"),
    ];
    vec![Part::Code { language: "Python", text: lines.join("\n") }]
}

fn crewai(point: &Point) -> Vec<Part> {
    let model = text(&format!("openai/{}", point.model));
    python(point, &["from crewai import LLM".to_owned(), format!("llm = LLM(model={model})")])
}

fn vercel_ai(point: &Point) -> Vec<Part> {
    let (model, base, key) = (text(&point.model), text(&point.v1()), text(&point.key));
    let lines = [
        "import { createOpenAICompatible } from '@ai-sdk/openai-compatible';".to_owned(),
        format!("const weir = createOpenAICompatible({{ name: 'weir', baseURL: {base}, apiKey: {key} }});"),
        format!("const model = weir({model});"),
    ];
    vec![Part::Code { language: "TypeScript", text: lines.join("\n") }]
}
