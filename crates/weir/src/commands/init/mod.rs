//! `weir init`: a few questions, then `weir.yaml`.
//!
//! The answers come from the terminal or from options; either way they end in [`Answers`], and the file is written
//! only after it has been read back as `weir check` reads it.

mod ask;
mod write;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use indexmap::IndexMap;
use weir_adapter::Descriptor;
use weir_config::{BaseUrl, Environment, Listen, Outside};

use super::{CommandError, Global, Output};
use crate::data;

/// Options of `weir init`. With any of them nothing is asked.
#[derive(Debug, Clone, Default, Args)]
pub struct InitArgs {
    /// Ask nothing: take the options, and what is found in the environment
    #[arg(long, short)]
    pub yes: bool,
    /// Provider to use, once for each: KIND, or NAME=KIND@BASE_URL for one of your own
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Vec<String>,
    /// Public name and what serves it, once for each; several targets are tried in turn
    #[arg(long, value_name = "NAME=PROVIDER/MODEL,…")]
    pub model: Vec<String>,
    /// Address to listen on
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<Listen>,
    /// Database: sqlite://PATH or postgres://…; `${DATABASE_URL}` keeps a password out of the file
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

/// What the file is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answers {
    pub(super) providers: Vec<ChosenProvider>,
    /// Public names and their targets.
    pub(super) models: Vec<(String, Vec<String>)>,
    pub(super) listen: Option<Listen>,
    pub(super) store: Option<String>,
}

/// A provider that will stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChosenProvider {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) base_url: Option<String>,
    /// The variable of its key; `None` for providers that need none.
    pub(super) variable: Option<String>,
}

type Descriptors = IndexMap<String, Descriptor>;

/// Asks, writes the file, and says what to do next.
pub(super) fn run(
    args: &InitArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let file = global.config.clone().unwrap_or_else(|| PathBuf::from(weir_config::DEFAULT_FILE));
    if file.exists() && !args.force {
        let message =
            format!("{} is there already; --force writes over it, --config names another", file.display());
        return Err(CommandError::Failed(message));
    }
    let descriptors = data::descriptors_in(environment)?;
    let has_options = args.yes || !args.provider.is_empty() || !args.model.is_empty();
    let has_options = has_options || args.listen.is_some() || args.store.is_some();
    let on_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let answers = if has_options || !on_terminal {
        from_options(args, &descriptors, environment)?
    } else {
        ask::answers(&descriptors, environment)?
    };
    let text = write::file(&answers);
    check(&text, &file, &answers, environment)?;
    std::fs::write(&file, &text)
        .map_err(|error| CommandError::Failed(format!("can't write {}: {error}", file.display())))?;
    report(&file, &answers, environment, output)
}

/// The answers that the options give; providers without options are those whose keys are there.
fn from_options(
    args: &InitArgs,
    descriptors: &Descriptors,
    environment: &Environment,
) -> Result<Answers, CommandError> {
    let mut providers = Vec::new();
    for text in &args.provider {
        providers.push(chosen(text, descriptors, environment)?);
    }
    if providers.is_empty() {
        let found = descriptors.values().filter(|descriptor| filled(descriptor, environment).is_some());
        let found = found.filter(|descriptor| !descriptor.local && descriptor.base_url.is_some());
        let found = found.filter(|descriptor| descriptor.lacks().is_none());
        providers.extend(found.map(|descriptor| choose(descriptor, environment)));
    }
    let models = args.model.iter().map(|text| named(text)).collect::<Result<_, _>>()?;
    Ok(Answers { providers, models, listen: args.listen, store: args.store.clone() })
}

/// Reads `KIND` or `NAME=KIND@BASE_URL`.
fn chosen(
    text: &str,
    descriptors: &Descriptors,
    environment: &Environment,
) -> Result<ChosenProvider, CommandError> {
    let (name, rest) = text.split_once('=').map_or((None, text), |(name, rest)| (Some(name), rest));
    let (kind, url) = rest.split_once('@').map_or((rest, None), |(kind, url)| (kind, Some(url)));
    let Some(descriptor) = descriptors.get(kind) else {
        let meant = weir_config::nearest(kind, descriptors.keys().map(String::as_str));
        let known = descriptors.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let hint =
            meant.map_or_else(|| format!("; known: {known}"), |meant| format!(", did you mean `{meant}`?"));
        return Err(CommandError::Usage(format!("there is no kind of provider `{kind}`{hint}")));
    };
    let mut provider = choose(descriptor, environment);
    if let Some(name) = name {
        name.clone_into(&mut provider.name);
    }
    if let Some(url) = url {
        let url: BaseUrl = url.parse().map_err(CommandError::Usage)?;
        provider.base_url = Some(url.to_string());
    }
    if descriptor.base_url.is_none() && provider.base_url.is_none() {
        let message = format!(
            "`{kind}` runs at an address of your own; write --provider {name}={kind}@https://…",
            name = provider.name
        );
        return Err(CommandError::Usage(message));
    }
    if let Some(lacks) = descriptor.lacks() {
        let variable = match lacks {
            "region" => descriptor.region_environment.first(),
            _ => descriptor.project_environment.first(),
        };
        let set = variable.map_or_else(String::new, |variable| format!("set {variable}, or "));
        let message = format!(
            "`{kind}` needs a `{lacks}`: {set}write `providers.{}.{lacks}` into the file by hand",
            provider.name
        );
        return Err(CommandError::Usage(message));
    }
    Ok(provider)
}

/// Reads `NAME=PROVIDER/MODEL,PROVIDER/MODEL`.
fn named(text: &str) -> Result<(String, Vec<String>), CommandError> {
    let (name, targets) = text.split_once('=').unwrap_or((text, ""));
    let targets: Vec<String> = targets.split(',').map(|target| target.trim().to_owned()).collect();
    if name.is_empty() || targets.iter().any(|target| !target.contains('/')) {
        return Err(CommandError::Usage(format!("--model {text} is not NAME=PROVIDER/MODEL")));
    }
    Ok((name.to_owned(), targets))
}

/// A provider under its own name, with the variable that is set, else the usual one.
pub(super) fn choose(descriptor: &Descriptor, environment: &Environment) -> ChosenProvider {
    let usual = descriptor.environment.first().filter(|_| !descriptor.local);
    ChosenProvider {
        name: descriptor.name.clone(),
        kind: descriptor.name.clone(),
        base_url: None,
        // Where a credential is found anyway, a key is an exception.
        variable: filled(descriptor, environment)
            .or_else(|| usual.filter(|_| descriptor.chain.is_none()).cloned()),
    }
}

/// The first of a provider's variables that is set.
pub(super) fn filled(descriptor: &Descriptor, environment: &Environment) -> Option<String> {
    descriptor.environment.iter().find(|name| environment.get_filled(name).is_some()).cloned()
}

/// Reads the file back as `weir check` will, as if the variables were set that are still to be set.
fn check(text: &str, file: &Path, answers: &Answers, environment: &Environment) -> Result<(), CommandError> {
    let names = write::variables(answers);
    let set = |name: &String| {
        let usual = if name == "DATABASE_URL" { "postgres://localhost/weir" } else { "to-be-set" };
        (name.clone(), environment.get_filled(name).unwrap_or(usual).to_owned())
    };
    let pretended = Environment::from_iter(names.iter().map(set));
    weir_config::load_text(text, Some(file), Outside::of(&pretended))?;
    Ok(())
}

fn report(
    file: &Path,
    answers: &Answers,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let unset: Vec<String> =
        write::variables(answers).into_iter().filter(|name| environment.get_filled(name).is_none()).collect();
    if output.json {
        let answer = serde_json::json!({ "file": file.display().to_string(), "variables_to_set": unset });
        return Ok(output.json(&answer)?);
    }
    output.text(&format!("wrote {}\n", file.display()))?;
    for name in &unset {
        output.text(&format!(
            "  set    export {name}={}\n",
            if name == "WEIR_MASTER_KEY" { "$(openssl rand -hex 32)" } else { "…" }
        ))?;
    }
    let named = if file == Path::new(weir_config::DEFAULT_FILE) {
        String::new()
    } else {
        format!(" --config {}", super::env::quoted(&file.display().to_string()))
    };
    output.text(&format!("  check  weir check{named}\n  start  weir serve{named}\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::captured;

    fn init(
        args: InitArgs,
        variables: &[(&str, &str)],
    ) -> (Result<(), CommandError>, String, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        let global = Global { config: Some(file.clone()), ..Global::default() };
        let environment = Environment::from_iter(variables.iter().copied());
        let (result, answer, _) = captured(false, |output| run(&args, &global, &environment, output));
        (result, answer, std::fs::read_to_string(file).ok())
    }

    fn with(providers: &[&str], models: &[&str]) -> InitArgs {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        InitArgs { yes: true, provider: owned(providers), model: owned(models), ..InitArgs::default() }
    }

    #[test]
    fn takes_what_is_in_the_environment() {
        let (result, answer, text) = init(with(&[], &[]), &[("OPENAI_API_KEY", "sk-canary")]);
        result.unwrap();
        let text = text.unwrap();
        assert!(text.contains("api_key: ${OPENAI_API_KEY}") && !text.contains("canary"), "{text}");
        assert!(!answer.contains("export"), "{answer}");
        let environment = Environment::from_iter([("OPENAI_API_KEY", "k")]);
        let loaded = weir_config::load_text(&text, None, Outside::of(&environment)).unwrap();
        let names: Vec<&String> = loaded.config.providers.as_ref().unwrap().keys().collect();
        assert_eq!(names, ["openai", "demo"]);
    }

    #[test]
    fn nothing_found_is_the_demo() {
        let (result, _, text) = init(with(&[], &[]), &[]);
        result.unwrap();
        let loaded =
            weir_config::load_text(&text.unwrap(), None, Outside::of(&Environment::default())).unwrap();
        assert_eq!(loaded.config.providers.unwrap().keys().collect::<Vec<_>>(), ["demo"]);
    }

    #[test]
    fn writes_what_the_options_say() {
        let mut args = with(
            &["openai", "lab=openai-compatible@https://llm.lab/v1/"],
            &["smart=openai/gpt-4o,lab/llama", "weird name: \"x\"=demo/echo"],
        );
        args.model.pop();
        args.listen = Some("0.0.0.0:4000".parse().unwrap());
        args.store = Some("${DATABASE_URL}".to_owned());
        let (result, answer, text) = init(args, &[]);
        result.unwrap();
        for name in ["OPENAI_API_KEY", "WEIR_MASTER_KEY", "DATABASE_URL"] {
            assert!(answer.contains(&format!("export {name}=")), "{answer}");
        }
        let set = [("OPENAI_API_KEY", "k"), ("WEIR_MASTER_KEY", "m"), ("DATABASE_URL", "postgres://h/d")];
        let environment = Environment::from_iter(set);
        let config = weir_config::load_text(&text.unwrap(), None, Outside::of(&environment)).unwrap().config;
        assert_eq!(config.models["smart"].targets.len(), 2);
        assert_eq!(
            config.providers.unwrap()["lab"].base_url.as_ref().unwrap().as_str(),
            "https://llm.lab/v1"
        );
        assert_eq!(config.store.url.expose(), "postgres://h/d");
        assert!(!config.server.listen.is_loopback());
    }

    #[test]
    fn wrong_options_are_refused() {
        for (args, words) in [
            (with(&["opnai"], &[]), "did you mean `openai`?"),
            (with(&["openai-compatible"], &[]), "runs at an address of your own"),
            (with(&["lab=openai-compatible@ftp://x"], &[]), "must start with https://"),
            (with(&["bedrock"], &[]), "needs a `region`: set AWS_REGION"),
            (with(&["openai"], &["smart"]), "is not NAME=PROVIDER/MODEL"),
            (with(&["openai"], &["smart=gpt-4o"]), "is not NAME=PROVIDER/MODEL"),
        ] {
            let (result, _, text) = init(args, &[]);
            let error = result.unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(words) && text.is_none(), "{error}");
        }
        // What only the whole file shows is refused before it is written.
        let (result, _, text) = init(with(&["openai"], &["smart=anthropic/x"]), &[]);
        assert!(
            result.unwrap_err().to_string().contains("there is no provider `anthropic`") && text.is_none()
        );
    }

    #[test]
    fn writes_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        std::fs::write(&file, "mine").unwrap();
        let global = Global { config: Some(file.clone()), ..Global::default() };
        let mut args = with(&[], &[]);
        let environment = Environment::default();
        let (result, ..) = captured(false, |output| run(&args, &global, &environment, output));
        assert!(result.unwrap_err().to_string().contains("--force"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        args.force = true;
        captured(false, |output| run(&args, &global, &environment, output)).0.unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains("providers:"));
    }
}
