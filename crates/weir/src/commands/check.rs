//! `weir check`: what is wrong with a configuration, and what it makes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use weir_config::{Environment, migrate};
use weir_gateway::snapshot::Provider;
use weir_gateway::{Metrics, Snapshot};

use super::{CheckArgs, CommandError, Global, Output};
use crate::app::{Found, Source};
use crate::listed;

/// Checks, and prints what the configuration makes.
///
/// # Errors
/// Everything that is wrong.
pub async fn run(
    args: &CheckArgs,
    global: &Global,
    environment: Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let named = args.file.as_deref().or(global.config.as_deref());
    let file = weir_config::find_file(named, &environment);
    if args.migrate {
        return rewrite(file.as_deref(), output);
    }
    let failed = |error: crate::app::Error| CommandError::Failed(error.to_string());
    let source = Source { file, environment, listen: None };
    let resolved = source.resolve().map_err(failed)?;
    let found: Vec<(String, Found)> =
        resolved.providers.iter().map(|(name, (_, found))| (name.clone(), found.clone())).collect();
    let warnings: Vec<String> = resolved.loaded.warnings.iter().map(ToString::to_string).collect();
    let snapshot = resolved.snapshot(&Metrics::new(env!("CARGO_PKG_VERSION")), None).map_err(failed)?;
    let reached = if args.live { reach(&snapshot).await } else { Vec::new() };
    for warning in &warnings {
        output.note(&format!("warning: {warning}"))?;
    }
    match output.json {
        true => output.json(&summary(&snapshot, &found, &reached))?,
        false => print(&snapshot, &found, &reached, output)?,
    }
    match reached.iter().find(|(_, result)| result.is_err()) {
        Some((name, Err(why))) => Err(CommandError::Failed(format!("provider `{name}`: {why}"))),
        _ => Ok(()),
    }
}

type Reached = (Arc<str>, Result<Live, String>);

/// What a provider showed.
pub(super) enum Live {
    /// It answered, with so many models.
    Lists(usize),
    /// It has no list to ask for; what authorizes weir there was found.
    Credential,
    /// It has no list to ask for: there is no question that costs nothing.
    Unasked,
}

impl Live {
    /// In words.
    pub(super) fn told(&self) -> String {
        match self {
            Live::Lists(models) => format!("answers, lists {models} models"),
            Live::Credential => "has no list of models to ask for; its credential is found".to_owned(),
            Live::Unasked => "has no list of models to ask for".to_owned(),
        }
    }

    fn models(&self) -> Option<usize> {
        match self {
            Live::Lists(models) => Some(*models),
            _ => None,
        }
    }
}

/// Asks each provider for the list of its models: the cheapest question that needs the key.
async fn reach(snapshot: &Snapshot) -> Vec<Reached> {
    let mut reached = Vec::new();
    for provider in snapshot.providers.values() {
        reached.push((provider.name.clone(), reach_one(provider).await));
    }
    reached
}

pub(super) async fn reach_one(provider: &Provider) -> Result<Live, String> {
    if !provider.credentials.any()
        && provider.descriptor.auth != weir_adapter::descriptor::Auth::None
        && !provider.descriptor.local
    {
        return Err(format!("has no key; set `providers.{}.api_key`", provider.name));
    }
    let asked = async {
        match (provider.adapter.list_models(), &provider.chain) {
            (Some(_), _) => listed::ask(provider).await.map(|ids| Live::Lists(ids.len())),
            (None, Some(chain)) => chain.wait().await.map(|()| Live::Credential),
            (None, None) => Ok(Live::Unasked),
        }
    };
    match tokio::time::timeout(Duration::from_secs(15), asked).await {
        Ok(answer) => answer,
        Err(_) => Err("does not answer within 15s".to_owned()),
    }
}

fn rewrite(file: Option<&std::path::Path>, output: &mut Output<'_>) -> Result<(), CommandError> {
    let file = file.ok_or_else(|| CommandError::Usage("there is no file to migrate; name one".to_owned()))?;
    let migrated = migrate(&std::fs::read_to_string(file)?, &file.display().to_string())?;
    if migrated.changes.is_empty() {
        output.note(&format!("{} is of the current version", file.display()))?;
        return Ok(());
    }
    std::fs::write(file, &migrated.text)?;
    for change in &migrated.changes {
        output.text(&format!("{}: {change}\n", file.display()))?;
    }
    Ok(())
}

fn summary(snapshot: &Snapshot, found: &[(String, Found)], reached: &[Reached]) -> serde_json::Value {
    let providers: Vec<_> = found
        .iter()
        .filter_map(|(name, found)| {
            let provider = snapshot.providers.get(name.as_str())?;
            let live = reached.iter().find(|(reached, _)| *reached == provider.name).map(|(_, result)| match result {
                Ok(live) => json!({ "ok": true, "models": live.models() }),
                Err(why) => json!({ "ok": false, "error": why }),
            });
            Some(json!({ "name": name, "kind": &*provider.kind, "origin": origin(found), "models": snapshot.catalog.models_of(&provider.kind).count(), "live": live }))
        })
        .collect();
    let routes: Vec<_> = snapshot
        .public_names()
        .map(|route| {
            let targets: Vec<String> = route.targets.iter().map(|target| format!("{}/{}", target.provider.name, target.model)).collect();
            json!({ "name": &*route.name, "targets": targets, "fallbacks": route.fallbacks.iter().map(|name| name.to_string()).collect::<Vec<_>>() })
        })
        .collect();
    json!({ "ok": true, "providers": providers, "routes": routes })
}

fn print(
    snapshot: &Snapshot,
    found: &[(String, Found)],
    reached: &[Reached],
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let rows = found.iter().filter_map(|(name, found)| {
        let provider = snapshot.providers.get(name.as_str())?;
        let live = match reached.iter().find(|(reached, _)| *reached == provider.name) {
            None => String::new(),
            Some((_, Ok(live))) => live.told(),
            Some((_, Err(why))) => why.clone(),
        };
        let models = snapshot.catalog.models_of(&provider.kind).count().to_string();
        Some(vec![name.clone(), provider.kind.to_string(), models, origin(found), live])
    });
    output.table(&["provider", "kind", "known models", "from", ""], &[2], rows.collect())?;
    let rows = snapshot.public_names().map(|route| {
        let targets: Vec<String> =
            route.targets.iter().map(|target| format!("{}/{}", target.provider.name, target.model)).collect();
        let fallbacks: Vec<&str> = route.fallbacks.iter().map(|name| &**name).collect();
        let unpriced = if route.targets.iter().any(|target| target.schedule.is_unknown()) {
            "a target has no known price"
        } else {
            ""
        };
        vec![route.name.to_string(), targets.join(" → "), fallbacks.join(", "), unpriced.to_owned()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        output.text("\n")?;
        output.table(&["public name", "targets", "fallbacks", ""], &[], rows)?;
    }
    output.text("\nok\n")?;
    Ok(())
}

fn origin(found: &Found) -> String {
    match found {
        Found::Written => "the file".to_owned(),
        Found::Variable(variable) => format!("${variable}"),
        Found::Local => "found on this machine".to_owned(),
        Found::BuiltIn => "built in".to_owned(),
    }
}
