//! `weir models`: the catalog, side by side across providers.

use clap::{Args, ValueEnum};
use serde::Serialize;
use weir_catalog::{Capability, Catalog, Model, PerMillion, Price};
use weir_config::{Environment, Loaded};
use weir_wire::Class;

use super::{CommandError, Global, Output};
use crate::{clock, data};

/// Options of `weir models`.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelsArgs {
    /// Only models whose name holds this text
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Only models that can do all of these
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Capability::ALL.iter().map(|one| one.name())))]
    pub capability: Vec<String>,
    /// Only models of these providers
    #[arg(long, value_name = "PROVIDER", value_delimiter = ',')]
    pub provider: Vec<String>,
    /// Only models whose input costs at most so much, USD per million tokens
    #[arg(long, value_name = "USD", value_parser = PerMillion::parse)]
    pub max_input_price: Option<PerMillion>,
    /// Only models whose output costs at most so much, USD per million tokens
    #[arg(long, value_name = "USD", value_parser = PerMillion::parse)]
    pub max_output_price: Option<PerMillion>,
    /// Only models that take at least so many tokens
    #[arg(long, value_name = "TOKENS")]
    pub min_context: Option<u64>,
    /// In which order
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By the model's name, so that the same model of several providers stands together
    #[default]
    Name,
    /// By provider, then by name
    Provider,
    /// The cheapest first, input and output together; unknown prices last
    Price,
    /// The largest context window first
    Context,
}

/// One model as it is listed. Prices are decimal text, USD per million tokens; `null` is unknown.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Listed {
    id: String,
    provider: String,
    model: String,
    vendor: String,
    context_window: Option<u64>,
    max_output: Option<u64>,
    input: Option<String>,
    output: Option<String>,
    cache_read: Option<String>,
    #[serde(skip)]
    rates: (Option<u64>, Option<u64>),
    local: bool,
    deprecated: Option<String>,
    modes: Vec<&'static str>,
    capabilities: Option<Vec<&'static str>>,
}

/// Prints the list, with the prices of the configuration where it has some.
pub(super) fn run(
    args: &ModelsArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let catalog = match global.load(environment) {
        Ok(loaded) => priced(&loaded)?,
        Err(error) if global.config.is_some() => return Err(error.into()),
        Err(error) => {
            output.note(&format!(
                "note: without the configuration's prices, `weir check` says why: {}",
                error.problems[0]
            ))?;
            builtin()?
        }
    };
    let all = listed(&catalog, clock::unix_seconds());
    if let Some(unknown) = args.provider.iter().find(|name| !all.iter().any(|model| model.provider == **name))
    {
        let known = all.iter().map(|model| model.provider.as_str());
        let meant = weir_config::nearest(unknown, known).map(|meant| format!(", did you mean `{meant}`?"));
        return Err(CommandError::Usage(format!(
            "there is no provider `{unknown}`{}",
            meant.unwrap_or_default()
        )));
    }
    let count = all.len();
    let mut models: Vec<Listed> = all.into_iter().filter(|model| args.takes(model)).collect();
    args.sort.apply(&mut models);
    if output.json {
        return Ok(output.json(&serde_json::json!({ "models": models }))?);
    }
    print(&models, output)?;
    output.note(&format!(
        "{} of {count} models; prices in USD per million tokens, `-` is unknown",
        models.len()
    ))?;
    Ok(())
}

/// The catalog with the prices that the configuration sets.
fn priced(loaded: &Loaded) -> Result<Catalog, CommandError> {
    let catalog = builtin()?;
    let files = loaded.price_files.iter().map(|(_, file)| file.clone()).collect();
    let priced = catalog.with_prices(files, loaded.config.prices.overrides.clone());
    let text = |errors: Vec<weir_catalog::CatalogError>| {
        errors.iter().map(|error| format!("prices: {error}")).collect::<Vec<_>>().join("\n")
    };
    priced.map_err(|errors| CommandError::Failed(text(errors)))
}

fn builtin() -> Result<Catalog, CommandError> {
    data::catalog().map_err(|error| CommandError::Failed(error.to_string()))
}

fn listed(catalog: &Catalog, now: i64) -> Vec<Listed> {
    let models = catalog.models().filter(|model| !model.is_gone_at(now));
    models.map(|model| Listed::of(model, catalog, now)).collect()
}

impl Listed {
    fn of(model: &Model, catalog: &Catalog, now: i64) -> Self {
        let schedule = catalog.schedule(&model.provider, &model.provider, &model.id);
        let price = schedule.at(now);
        let rate = |class| price.and_then(|price: &std::sync::Arc<Price>| price.rate(class));
        Self {
            id: model.name(),
            provider: model.provider.to_string(),
            model: model.id.to_string(),
            vendor: model.vendor.to_string(),
            context_window: model.context_window,
            max_output: model.max_output,
            input: rate(Class::Input).map(per_million),
            output: rate(Class::Output).map(per_million),
            cache_read: rate(Class::CacheRead).map(per_million),
            rates: (rate(Class::Input), rate(Class::Output)),
            local: model.local,
            deprecated: model.deprecated.map(|date| date.to_string()),
            modes: model.modes.iter().map(|mode| mode.name()).collect(),
            capabilities: model.capabilities.map(|known| known.iter().map(|one| one.name()).collect()),
        }
    }

    /// What a million tokens in and a million out cost, for comparisons; for models without output, the input.
    fn total(&self) -> Option<u64> {
        let (input, output) = self.rates;
        input?.checked_add(output.unwrap_or(0))
    }
}

impl ModelsArgs {
    fn takes(&self, model: &Listed) -> bool {
        let at_most = |rate: Option<u64>, limit: Option<PerMillion>| {
            limit.is_none_or(|limit| rate.is_some_and(|rate| rate <= limit.picodollars()))
        };
        let can = |wanted: &String| {
            model.capabilities.as_ref().is_some_and(|known| known.contains(&wanted.as_str()))
        };
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        text.is_none_or(|text| model.id.to_lowercase().contains(&text))
            && self.capability.iter().all(can)
            && (self.provider.is_empty() || self.provider.contains(&model.provider))
            && at_most(model.rates.0, self.max_input_price)
            && at_most(model.rates.1, self.max_output_price)
            && self.min_context.is_none_or(|least| model.context_window.is_some_and(|window| window >= least))
    }
}

impl Sort {
    fn apply(self, models: &mut [Listed]) {
        let name = |model: &Listed| {
            let last = model.model.rsplit('/').next().unwrap_or_default();
            (last.to_lowercase(), model.provider.clone())
        };
        match self {
            Self::Name => models.sort_by_key(name),
            Self::Provider => models.sort_by_key(|model| (model.provider.clone(), name(model))),
            Self::Price => models.sort_by_key(|model| (model.total().is_none(), model.total(), name(model))),
            Self::Context => {
                models.sort_by_key(|model| (std::cmp::Reverse(model.context_window), name(model)))
            }
        }
    }
}

fn print(models: &[Listed], output: &mut Output<'_>) -> Result<(), CommandError> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let price = |model: &Listed, text: &Option<String>| match text {
        Some(_) if model.local => "local".to_owned(),
        text => or_dash(text.clone()),
    };
    let rows = models.iter().map(|model| {
        vec![
            model.id.clone(),
            or_dash(model.context_window.map(tokens)),
            or_dash(model.max_output.map(tokens)),
            price(model, &model.input),
            price(model, &model.output),
            price(model, &model.cache_read),
            or_dash(model.capabilities.as_ref().map(|known| shown(known).join(" "))),
        ]
    });
    let titles = ["MODEL", "CONTEXT", "OUTPUT", "IN $/M", "OUT $/M", "CACHED $/M", "CAN"];
    Ok(output.table(&titles, &[1, 2, 3, 4, 5], rows.collect())?)
}

/// What tells models apart; what nearly all can is left to `--json`.
fn shown(capabilities: &[&'static str]) -> Vec<&'static str> {
    const TELLING: [&str; 10] = [
        "tools",
        "json_schema",
        "vision",
        "pdf",
        "audio_in",
        "audio_out",
        "video",
        "reasoning",
        "web_search",
        "embeddings",
    ];
    TELLING.into_iter().filter(|name| capabilities.contains(name)).collect()
}

/// Picodollars per token as USD per million tokens: `2.5`.
fn per_million(rate: u64) -> String {
    let text = format!("{}.{:06}", rate / 1_000_000, rate % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number of tokens in short: `128k`, `1.05M`.
fn tokens(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1_000),
        _ => {
            let text = format!("{}.{:02}", count / 1_000_000, count % 1_000_000 / 10_000);
            format!("{}M", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::captured;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ModelsArgs,
    }

    fn args(line: &str) -> ModelsArgs {
        Line::try_parse_from(line.split(' ')).unwrap().args
    }

    fn list(line: &str, config: &str) -> Vec<serde_json::Value> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        std::fs::write(&file, config).unwrap();
        let global = Global { config: Some(file), ..Global::default() };
        let (result, answer, _) =
            captured(true, |output| run(&args(line), &global, &Environment::default(), output));
        result.unwrap();
        let json: serde_json::Value = serde_json::from_str(&answer).unwrap();
        json["models"].as_array().unwrap().clone()
    }

    #[test]
    fn filters_hold_for_every_model() {
        let all = list("models", "").len();
        let some = list("models --capability vision,tools --max-input-price 1.00 --sort price", "");
        assert!(all > 300 && some.len() > 5 && some.len() < all, "{} of {all}", some.len());
        let limit = PerMillion::parse("1.00").unwrap();
        for model in &some {
            let can = model["capabilities"].as_array().unwrap();
            assert!(can.contains(&"vision".into()) && can.contains(&"tools".into()), "{model}");
            assert!(PerMillion::parse(model["input"].as_str().unwrap()).unwrap() <= limit, "{model}");
        }
        let rate = |model: &serde_json::Value, key: &str| {
            model[key].as_str().map_or(0, |text| PerMillion::parse(text).unwrap().picodollars())
        };
        let totals: Vec<u64> =
            some.iter().map(|model| rate(model, "input") + rate(model, "output")).collect();
        assert!(totals.is_sorted());
        assert!(
            list("models --min-context 1000000 --provider gemini", "")
                .iter()
                .all(|m| m["provider"] == "gemini")
        );
    }

    #[test]
    fn the_same_model_stands_together() {
        let ids: Vec<String> = list("models gpt-4o-mini", "")
            .iter()
            .map(|model| model["model"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect();
        let first = ids.iter().position(|id| id == "gpt-4o-mini").unwrap();
        let of_others = ids.iter().filter(|id| *id == "gpt-4o-mini").count();
        assert!(
            of_others >= 2 && ids[first..first + of_others].iter().all(|id| id == "gpt-4o-mini"),
            "{ids:?}"
        );
    }

    #[test]
    fn the_configuration_sets_prices() {
        let config = "prices: {overrides: [{model: openai/gpt-4o, input: 1.25, output: \"0\"}]}\n";
        let models = list("models --provider openai", config);
        let model = models.iter().find(|model| model["id"] == "openai/gpt-4o").unwrap();
        assert_eq!((&model["input"], &model["output"]), (&"1.25".into(), &"0".into()));
    }

    #[test]
    fn tables_are_for_people() {
        let global = Global { config: Some("/dev/null".into()), ..Global::default() };
        let (result, answer, notes) =
            captured(false, |output| run(&args("models demo/"), &global, &Environment::default(), output));
        result.unwrap();
        let lines: Vec<&str> = answer.lines().collect();
        assert!(lines[0].starts_with("MODEL") && lines[0].ends_with("CAN"), "{answer}");
        assert!(
            lines[1].starts_with("demo/echo") && lines[1].contains("128k") && lines[1].contains("0.1"),
            "{answer}"
        );
        assert!(notes.starts_with("10 of "), "{notes}");
    }

    #[test]
    fn unknown_providers_are_refused() {
        let global = Global { config: Some("/dev/null".into()), ..Global::default() };
        let args = args("models --provider opnai");
        let (result, ..) = captured(false, |output| run(&args, &global, &Environment::default(), output));
        let error = result.unwrap_err();
        assert_eq!(
            (error.exit_code(), error.to_string().as_str()),
            (2, "there is no provider `opnai`, did you mean `openai`?")
        );
    }

    #[test]
    fn numbers_are_short() {
        for (count, text) in [(8_192, "8192"), (128_000, "128k"), (1_000_000, "1M"), (1_047_576, "1.04M")] {
            assert_eq!(tokens(count), text);
        }
        for (rate, text) in [(2_500_000, "2.5"), (0, "0"), (75_000, "0.075"), (15_000_000, "15")] {
            assert_eq!(per_million(rate), text);
        }
    }
}
