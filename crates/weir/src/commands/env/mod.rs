//! `weir env`: the lines that point a client here.

mod clients;

use clap::Args;
use serde::Serialize;
use weir_config::{Environment, Loaded};

use super::{CommandError, Global, Output};
use clients::CLIENTS;

/// Stands for the key where none is needed: clients want one.
const ANY_KEY: &str = "any";
/// Stands for the key where one is needed but not known.
const YOUR_KEY: &str = "YOUR-KEY";

/// Options of `weir env`.
#[derive(Debug, Clone, Args)]
pub struct EnvArgs {
    /// Which client
    #[arg(value_name = "CLIENT", value_parser = clap::builder::PossibleValuesParser::new(CLIENTS.iter().map(|client| client.name)))]
    pub client: String,
    /// Model to name where the client wants one [default: the file's first public name, else demo/echo]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// A program or library that talks to language models.
pub(super) struct Client {
    pub(super) name: &'static str,
    /// What to set or write.
    pub(super) parts: fn(&Point) -> Vec<Part>,
    /// What the user must know first.
    pub(super) note: Option<&'static str>,
}

/// Where clients are pointed to.
pub(super) struct Point {
    /// The gateway's address, without `/v1`.
    pub(super) root: String,
    pub(super) key: String,
    pub(super) model: String,
}

impl Point {
    /// Where OpenAI's API starts.
    pub(super) fn v1(&self) -> String {
        format!("{}/v1", self.root)
    }
}

/// Something to set, write or call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Part {
    /// An environment variable.
    Variable { name: &'static str, value: String },
    /// Lines of a file.
    File { path: &'static str, text: String },
    /// Lines of a program, in a comment for the shell.
    Code { language: &'static str, text: String },
    /// A command to run.
    Run { line: String },
}

/// Prints what points a client here. The text can be given to `eval` of a shell.
pub(super) fn run(
    args: &EnvArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let client = CLIENTS.iter().find(|client| client.name == args.client);
    let client =
        client.ok_or_else(|| CommandError::Usage(format!("there is no client `{}`", args.client)))?;
    let loaded = global.load(environment);
    let readable = loaded.is_ok();
    if let Err(error) = &loaded {
        // The address may still be right; what is wrong with the file is for `weir check`.
        output.note(&format!(
            "note: the configuration is not used, `weir check` says why: {}",
            error.problems[0]
        ))?;
    }
    let loaded = loaded.ok();
    let point = Point {
        root: root_of(&global.gateway_url(environment, loaded.as_ref())),
        key: if readable || global.key.is_some() {
            key_to_show(global, environment, loaded.as_ref())
        } else {
            YOUR_KEY.to_owned()
        },
        model: args.model.clone().unwrap_or_else(|| model_to_name(loaded.as_ref())),
    };
    let parts = (client.parts)(&point);
    if let Some(note) = client.note {
        output.note(&format!("note: {note}"))?;
    }
    if point.key == YOUR_KEY {
        output.note(&format!(
            "note: put one of your keys for {YOUR_KEY} (`keys` in weir.yaml), or give it by --key"
        ))?;
    }
    if output.json {
        let answer = serde_json::json!({ "client": client.name, "url": point.root, "note": client.note, "parts": parts });
        return Ok(output.json(&answer)?);
    }
    Ok(output.text(&render(&parts))?)
}

/// The address without `/v1`, as `--url` may well have it.
fn root_of(url: &str) -> String {
    url.strip_suffix("/v1").unwrap_or(url).to_owned()
}

/// The key for clients. The master key is the administrator's and is not handed to them.
fn key_to_show(global: &Global, environment: &Environment, loaded: Option<&Loaded>) -> String {
    if let Some(key) = &global.key {
        return key.clone();
    }
    let is_open = loaded
        .is_none_or(|loaded| loaded.config.keys.is_empty() && loaded.config.server.master_key.is_none());
    let elsewhere = global.url.is_some() || environment.get_filled("WEIR_URL").is_some();
    if is_open && !elsewhere { ANY_KEY.to_owned() } else { YOUR_KEY.to_owned() }
}

fn model_to_name(loaded: Option<&Loaded>) -> String {
    let names = loaded.into_iter().flat_map(|loaded| loaded.config.models.keys());
    names.into_iter().find(|name| !name.contains('*')).map_or_else(|| "demo/echo".to_owned(), Clone::clone)
}

/// The parts as a shell can read them: what is not for a shell stands in comments.
fn render(parts: &[Part]) -> String {
    let commented = |text: &str| {
        text.lines().map(|line| format!("#   {line}").trim_end().to_owned() + "\n").collect::<String>()
    };
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Variable { name, value } => out.push_str(&format!("export {name}={}\n", quoted(value))),
            Part::Run { line } => out.push_str(&format!("# then: {line}\n")),
            Part::File { path, text } => out.push_str(&format!("# in {path}:\n{}", commented(text))),
            Part::Code { language, text } => out.push_str(&format!("# in {language}:\n{}", commented(text))),
        }
    }
    out
}

/// A word for a shell, in quotes where it needs them.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::captured;

    fn answer(client: &str, global: &Global, environment: &Environment) -> (String, String) {
        let args = EnvArgs { client: client.to_owned(), model: None };
        let (result, answer, notes) = captured(global.json, |output| run(&args, global, environment, output));
        result.unwrap();
        (answer, notes)
    }

    fn at(url: &str, key: Option<&str>) -> Global {
        // A file that is there and empty, so that no weir.yaml of the folder is read.
        let config = Some("/dev/null".into());
        Global { url: Some(url.to_owned()), key: key.map(str::to_owned), config, json: false }
    }

    #[test]
    fn the_contract_names_these_clients() {
        let names: Vec<&str> = CLIENTS.iter().map(|client| client.name).collect();
        let contract = "openai, anthropic, gemini, codex, claude, opencode, aider, langchain, llama-index, ag2, crewai, \
                        vercel-ai, open-webui";
        assert_eq!(names.join(", "), contract);
    }

    #[test]
    fn every_client_gets_address_and_key() {
        for client in CLIENTS {
            let (text, _) =
                answer(client.name, &at("https://weir.example/v1/", Some("sk-k")), &Environment::default());
            assert!(
                text.contains("https://weir.example") && text.contains("sk-k"),
                "{}:\n{text}",
                client.name
            );
            assert!(!text.contains("/v1/v1"), "{}:\n{text}", client.name);
        }
    }

    #[test]
    fn lines_are_for_a_shell() {
        for client in CLIENTS {
            let (text, _) =
                answer(client.name, &at("http://h:1", Some("it's $HOME")), &Environment::default());
            for line in text.lines() {
                assert!(line.starts_with("export ") || line.starts_with('#'), "{}: {line}", client.name);
                assert!(
                    !line.starts_with("export ")
                        || !line.contains("$HOME")
                        || line.ends_with(r"='it'\''s $HOME'"),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn says_what_is_missing() {
        let (text, notes) = answer("openai", &at("https://weir.example", None), &Environment::default());
        assert_eq!(text, "export OPENAI_BASE_URL=https://weir.example/v1\nexport OPENAI_API_KEY=YOUR-KEY\n");
        assert!(notes.contains("put one of your keys"), "{notes}");
        let open = Global { config: Some("/dev/null".into()), ..Global::default() };
        let (text, notes) = answer("anthropic", &open, &Environment::default());
        assert_eq!(text, "export ANTHROPIC_BASE_URL=http://127.0.0.1:4000\nexport ANTHROPIC_API_KEY=any\n");
        assert!(notes.is_empty(), "{notes}");
    }

    #[test]
    fn a_file_that_can_not_be_read_may_hold_keys() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        std::fs::write(&file, "server: {master_key: '${NOT_SET}'}\n").unwrap();
        let (text, notes) =
            answer("openai", &Global { config: Some(file), ..Global::default() }, &Environment::default());
        assert!(text.contains("OPENAI_API_KEY=YOUR-KEY") && notes.contains("NOT_SET"), "{text}{notes}");
    }

    #[test]
    fn never_hands_out_the_master_key() {
        let environment = Environment::from_iter([("WEIR_MASTER_KEY", "sk-canary")]);
        let open = Global { config: Some("/dev/null".into()), ..Global::default() };
        for client in CLIENTS {
            let (text, notes) = answer(client.name, &open, &environment);
            assert!(
                !text.contains("canary") && !notes.contains("canary") && text.contains(YOUR_KEY),
                "{text}"
            );
        }
    }

    #[test]
    fn json_has_the_same() {
        let global = Global { json: true, ..at("http://h:1", Some("k")) };
        let (text, _) = answer("openai", &global, &Environment::default());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json["parts"][0],
            serde_json::json!({"kind": "variable", "name": "OPENAI_BASE_URL", "value": "http://h:1/v1"})
        );
    }
}
