//! The files in `config/models`: they load, and say what they must.

use std::fs;
use std::path::Path;
use std::time::Instant;

use weir_catalog::price::LOCAL;
use weir_catalog::{Catalog, Mode, ModelFile, NanoUsd, ServiceTier};
use weir_wire::usage::{Class, Usage};

/// 2026-11-22, in seconds since 1970.
const NOW: i64 = 1_795_305_600;

fn files() -> Vec<ModelFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/models");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let file: ModelFile =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(Some(file.provider.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        file
    };
    paths.iter().map(read).collect()
}

fn catalog() -> Catalog {
    Catalog::new(files()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// The cost of a million of `class` at `provider/model` now.
fn million(catalog: &Catalog, provider: &str, model: &str, class: Class) -> Option<String> {
    let schedule = catalog.schedule(provider, provider, model);
    let price = schedule.at(NOW)?;
    // A thousand tokens stay below every long-context step.
    price.cost(&Usage::new().with(class, 1_000)).map(|cost| NanoUsd(cost.0 * 1_000).to_string())
}

#[test]
fn loads_every_provider() {
    let catalog = catalog();
    for provider in
        "openai azure anthropic gemini deepseek mistral groq together openrouter xai perplexity demo"
            .split(' ')
    {
        assert!(catalog.models_of(provider).count() >= 5, "{provider}");
        for model in catalog.models_of(provider) {
            let schedule = catalog.schedule(provider, provider, &model.id);
            if let Some(price) = schedule.at(NOW) {
                assert!(price.rate(Class::Input).is_some(), "{}", model.name());
                assert!(
                    price.rate(Class::Output).is_some() || model.modes.contains(Mode::Embeddings),
                    "{}",
                    model.name()
                );
                assert_eq!(price.is_local(), model.local, "{}", model.name());
            }
        }
    }
    assert!(catalog.models().count() > 1_000);
}

#[test]
fn loads_in_a_few_milliseconds() {
    let files = files();
    let started = Instant::now();
    let catalog = Catalog::new(files).unwrap();
    let elapsed = started.elapsed();
    assert!(catalog.find("openai", "gpt-4o").is_some());
    assert!(elapsed.as_millis() < 100, "{elapsed:?}, unoptimized");
}

#[test]
fn well_known_prices() {
    let catalog = catalog();
    let check = |provider: &str, model: &str, class: Class, usd: &str| {
        assert_eq!(
            million(&catalog, provider, model, class).as_deref(),
            Some(usd),
            "{provider}/{model} {}",
            class.name()
        );
    };
    check("openai", "gpt-4o", Class::Input, "2.5");
    check("openai", "gpt-4o", Class::CacheRead, "1.25");
    check("openai", "gpt-4o-2024-08-06", Class::Output, "10");
    check("openai", "gpt-4o-2024-05-13", Class::Output, "15");
    check("openai", "gpt-4o-mini", Class::Input, "0.15");
    check("openai", "gpt-4o-mini-2024-07-18", Class::Input, "0.15");
    check("openai", "gpt-4.1", Class::Input, "2");
    check("openai", "gpt-5-mini", Class::Output, "2");
    check("openai", "gpt-5-mini-2025-08-07", Class::Output, "2");
    check("openai", "gpt-audio", Class::AudioOut, "64");
    check("openai", "text-embedding-3-small", Class::Input, "0.02");
    check("anthropic", "claude-sonnet-4-5-20250929", Class::CacheWrite5m, "3.75");
    check("anthropic", "claude-sonnet-4-5", Class::CacheWrite1h, "6");
    check("anthropic", "claude-opus-4-5", Class::CacheRead, "0.5");
    check("gemini", "gemini-2.5-flash", Class::AudioIn, "1");
    check("gemini", "gemini-2.5-flash", Class::Reasoning, "2.5");
    check("xai", "grok-4.3", Class::Input, "1.25");
    check("demo", "echo", Class::Input, "0.1");
}

#[test]
fn names_that_are_not_known_have_no_price() {
    let catalog = catalog();
    for (provider, model) in [
        ("openai", "gpt-4o-nano"),
        ("openai", "gpt-5-mini-mini"),
        ("openai", "gpt-99"),
        ("anthropic", "claude-sonnet-4-7"),
        ("gemini", "gemini-2.5-pro-preview-tts"),
        ("demo", "other"),
        ("nobody", "gpt-4o"),
    ] {
        assert!(catalog.find(provider, model).is_none(), "{provider}/{model}");
        assert!(catalog.schedule(provider, provider, model).is_unknown(), "{provider}/{model}");
    }
}

#[test]
fn long_prompts_and_tiers() {
    let catalog = catalog();
    let schedule = catalog.schedule("gemini", "gemini", "gemini-2.5-pro");
    let price = schedule.at(NOW).unwrap();
    let cost = |prompt| price.cost(&Usage::new().with(Class::Input, prompt)).unwrap();
    assert_eq!(cost(200_000), NanoUsd(250_000_000));
    assert_eq!(cost(200_001), NanoUsd(500_002_500));
    let batch = price.cost_in(&Usage::new().with(Class::Reasoning, 1_000_000), ServiceTier::Batch);
    assert_eq!(batch, Some(NanoUsd(5_000_000_000)));
}

#[test]
fn local_models_are_free_by_name() {
    let catalog = catalog();
    for provider in ["vllm", "lmstudio", "ollama", "ollama-openai"] {
        let schedule = catalog.schedule("mine", provider, "llama3.2:3b");
        let price = schedule.at(NOW).unwrap();
        assert_eq!(&**price.id(), LOCAL);
        assert_eq!(price.cost(&Usage::new().with(Class::Input, u64::MAX)), Some(NanoUsd::ZERO));
        assert_eq!(catalog.models_of(provider).count(), 0, "a pattern is no model");
    }
}

#[test]
fn data_names_its_source_and_day() {
    for file in files() {
        assert!(!file.source.is_empty() && file.date.unix() > 1_790_000_000, "{}", file.provider);
    }
}
