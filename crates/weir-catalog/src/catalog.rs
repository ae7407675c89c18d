//! All models, found by provider and name.

use std::collections::HashMap;

use crate::date::Date;
use crate::family::Family;
use crate::fields::{ModelPrice, PriceFields, StepFields, Terms};
use crate::file::{ModelFile, PriceFile};
use crate::model::Model;
use crate::schedule::{Closeness, Layers, Ranked, Schedule, matching};

/// The longest name that is compared with others for a suggestion.
const MAX_SUGGESTED: usize = 128;

/// What is wrong with the data; each names its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct CatalogError {
    /// `provider/model`, or the model pattern of a price.
    pub place: String,
    /// What to change.
    pub problem: String,
}

/// Every model of every provider, and the prices that go before theirs.
#[derive(Debug, Default)]
pub struct Catalog {
    models: Vec<Model>,
    providers: HashMap<Box<str>, Provider>,
    /// Models by id or alias alone, for names without a provider.
    bare: HashMap<Box<str>, Vec<usize>>,
    files: Vec<PriceFields>,
    overrides: Vec<PriceFields>,
}

/// One provider's names, each to an index of `models`.
#[derive(Debug, Default)]
struct Provider {
    ids: HashMap<Box<str>, usize>,
    aliases: HashMap<Box<str>, usize>,
    families: Vec<(Family, usize)>,
    listed: Vec<usize>,
}

impl Catalog {
    /// Builds the catalog. Of two files with the same model of the same provider, the later one's holds.
    ///
    /// # Errors
    /// Everything that is wrong, at once: names given twice in a file, bad patterns, prices that end before they begin.
    pub fn new(files: Vec<ModelFile>) -> Result<Catalog, Vec<CatalogError>> {
        let mut catalog = Catalog::default();
        let mut errors = Vec::new();
        for file in files {
            catalog.add_file(file, &mut errors);
        }
        for provider in catalog.providers.values_mut() {
            provider.families.sort();
        }
        if errors.is_empty() { Ok(catalog) } else { Err(errors) }
    }

    /// Adds prices that go before the catalog's: `overrides` before `files`, the later file before the earlier where
    /// both are as close.
    ///
    /// # Errors
    /// Every price that ends before it begins or whose steps are out of order.
    pub fn with_prices(
        mut self,
        files: Vec<PriceFile>,
        overrides: Vec<PriceFields>,
    ) -> Result<Catalog, Vec<CatalogError>> {
        self.files = files.into_iter().flat_map(dated).collect();
        self.overrides = overrides;
        let prices = self.files.iter().chain(&self.overrides);
        let errors: Vec<CatalogError> =
            prices.flat_map(|price| problems(&price.model, &Terms::from(price))).collect();
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// The model that `provider` (a kind) serves under `name`: by its id, else an alias, else the longest family.
    pub fn find(&self, provider: &str, name: &str) -> Option<&Model> {
        let names = self.providers.get(provider)?;
        let exact = names.ids.get(name).or_else(|| names.aliases.get(name)).copied();
        let family =
            || names.families.iter().find(|(family, _)| family.matches(name)).map(|(_, model)| *model);
        self.models.get(exact.or_else(family)?)
    }

    /// The models with this id or alias, whoever serves them; the vendor's own first.
    pub fn find_bare(&self, name: &str) -> Vec<&Model> {
        let named = self.bare.get(name).into_iter().flatten().map(|index| &self.models[*index]);
        let mut models: Vec<&Model> = named.filter(|model| self.is_listed(model)).collect();
        models.sort_by_key(|model| model.provider != model.vendor);
        models
    }

    /// The models of `provider` in the order of its file; none for a provider not known.
    pub fn models_of(&self, provider: &str) -> impl Iterator<Item = &Model> {
        let listed = self.providers.get(provider).map(|names| names.listed.as_slice()).unwrap_or_default();
        listed.iter().map(|index| &self.models[*index])
    }

    /// All models, provider by provider in the order of the files.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| self.is_listed(model) && !model.is_pattern())
    }

    /// What `model` costs at the provider called `provider` in the configuration, which is of kind `kind`.
    /// Overrides match either `provider/model` or `kind/model`.
    pub fn schedule(&self, provider: &str, kind: &str, model: &str) -> Schedule {
        let found = self.find(provider, model).or_else(|| self.find(kind, model));
        let listed = found.filter(|found| !found.is_pattern());
        let names = |provider: &str| -> Vec<String> {
            let ids = std::iter::once(model).chain(listed.map(|found| &*found.id));
            ids.map(|id| format!("{provider}/{id}")).collect()
        };
        let (own, of_kind) = (names(provider), names(kind));
        let catalog = found.map(|found| found.prices.as_slice()).unwrap_or_default();
        let layers = Layers {
            layers: [
                matching(self.overrides.iter(), &own, &of_kind),
                matching(self.files.iter(), &own, &of_kind),
                catalog
                    .iter()
                    .map(|price| Ranked { closeness: Closeness::default(), terms: price.into() })
                    .collect(),
            ],
            local: found.is_some_and(|found| found.local),
        };
        let name = listed.map_or_else(|| own[0].clone(), Model::name);
        layers.build(&name, found.map(|found| found.date))
    }

    /// At most `limit` names like `name`, the nearest first and of equal ones the vendor's own, as
    /// `provider/id`.
    pub fn nearest(&self, name: &str, limit: usize) -> Vec<String> {
        if name.len() > MAX_SUGGESTED {
            return Vec::new();
        }
        let wanted = name.to_lowercase();
        let whole = wanted.contains('/');
        let mut near: Vec<(usize, bool, String)> = Vec::new();
        for model in self.models() {
            let full = model.name();
            let by_id = strsim::osa_distance(&wanted, &model.id.to_lowercase());
            let distance =
                if whole { by_id.min(strsim::osa_distance(&wanted, &full.to_lowercase())) } else { by_id };
            if distance <= 2.max(wanted.chars().count() / 3) {
                near.push((distance, model.provider != model.vendor, full));
            }
        }
        near.sort();
        near.into_iter().take(limit).map(|(.., name)| name).collect()
    }

    fn is_listed(&self, model: &Model) -> bool {
        let index = self.providers.get(&*model.provider).and_then(|names| names.ids.get(&model.id));
        index.is_some_and(|index| std::ptr::eq(&self.models[*index], model))
    }

    fn add_file(&mut self, file: ModelFile, errors: &mut Vec<CatalogError>) {
        let start = self.models.len();
        let names = self.providers.entry(file.provider.as_str().into()).or_default();
        for model in Model::all_of(file) {
            errors.extend(names.add(&model, self.models.len(), start));
            for name in std::iter::once(&*model.id).chain(model.aliases.iter().map(String::as_str)) {
                self.bare.entry(name.into()).or_default().push(self.models.len());
            }
            self.models.push(model);
        }
    }
}

impl Provider {
    /// Enters the names of `model`, which will stand at `index`; those of the same file start at `start`.
    fn add(&mut self, model: &Model, index: usize, start: usize) -> Vec<CatalogError> {
        let mut errors = Vec::new();
        let mut wrong = |problem: String| errors.push(CatalogError { place: model.name(), problem });
        let pattern = model.is_pattern().then_some(&*model.id);
        match self.ids.insert(model.id.clone(), index) {
            Some(old) if old >= start => wrong("stands twice in its file".to_owned()),
            Some(old) => self.forget(old),
            None => {}
        }
        if pattern.is_none() {
            self.listed.push(index);
        }
        for alias in &model.aliases {
            if self.aliases.insert(alias.as_str().into(), index).is_some_and(|old| old >= start) {
                wrong(format!("alias `{alias}` stands twice in its file"));
            }
        }
        for family in model.families.iter().map(String::as_str).chain(pattern) {
            match family.parse() {
                Ok(family) => self.families.push((family, index)),
                Err(problem) => wrong(problem),
            }
        }
        errors.extend(
            model.prices.iter().flat_map(|price: &ModelPrice| problems(&model.name(), &Terms::from(price))),
        );
        errors
    }

    /// A later file has the model: the earlier one's names go.
    fn forget(&mut self, old: usize) {
        self.listed.retain(|index| *index != old);
        self.aliases.retain(|_, index| *index != old);
        self.families.retain(|(_, index)| *index != old);
    }
}

/// A file's prices; those without a day of their own hold since the file's.
fn dated(file: PriceFile) -> Vec<PriceFields> {
    let day: Option<Date> = file.date;
    file.prices.into_iter().map(|price| PriceFields { from: price.from.or(day), ..price }).collect()
}

fn problems(place: &str, terms: &Terms) -> Vec<CatalogError> {
    let mut problems = Vec::new();
    if let (Some(from), Some(until)) = (terms.from, terms.until)
        && until <= from
    {
        problems.push(format!("`until: {until}` is not after `from: {from}`"));
    }
    let tiers = [&terms.batch, &terms.flex, &terms.priority].into_iter().flatten();
    let lists = tiers.map(|tier| &tier.above).chain([&terms.above]).flatten();
    for list in lists {
        let ascending = |steps: &[StepFields]| steps[0].input_tokens < steps[1].input_tokens;
        if !list.windows(2).all(ascending) {
            problems.push("`above` must be in ascending order of `input_tokens`, each once".to_owned());
        }
    }
    if terms.written.is_empty()
        && terms.above.is_none()
        && terms.batch.is_none()
        && terms.flex.is_none()
        && terms.priority.is_none()
    {
        problems.push("the price says nothing; write `\"0\"` where it is free".to_owned());
    }
    problems.into_iter().map(|problem| CatalogError { place: place.to_owned(), problem }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::NanoUsd;
    use weir_wire::usage::{Class, Usage};

    const FILE: &str = r#"
        provider: openai
        source: test
        date: 2026-08-01
        models:
          - { id: gpt-4, prices: [{input: "30", output: "60"}], families: ["gpt-4-{date}"] }
          - { id: gpt-4o, aliases: [chatgpt-4o], prices: [{input: "2.5", output: "10", cache_read: "1.25"}], families: ["gpt-4o-{date}"] }
          - { id: gpt-4o-2024-05-13, prices: [{input: "5", output: "15"}] }
          - { id: gpt-4o-mini, prices: [{input: "0.15", output: "0.6"}], families: ["gpt-4o-mini-{date}"] }
          - { id: gpt-4.1, prices: [{input: "2", output: "8"}], families: ["gpt-4.1-{date}"] }
          - { id: gpt-5, prices: [{input: "1.25", output: "10"}], families: ["gpt-5-{date}"] }
          - { id: gpt-5-mini, prices: [{input: "0.25", output: "2"}], families: ["gpt-5-mini-{date}"] }
          - { id: gpt-next }
          - { id: any, prices: [{input: "99"}], families: ["lab-*"] }
          - { id: lab, prices: [{input: "98"}], families: ["lab-{date}", "lab-large-*"] }
          - id: gpt-old
            prices: [{until: 2026-01-01, input: "9"}, {from: 2026-01-01, until: 2026-06-01, input: "8"}, {from: 2026-07-01, input: "7"}]
    "#;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_saphyr::from_str(text).unwrap()
    }

    fn catalog(overrides: &str) -> Catalog {
        Catalog::new(vec![read(FILE)]).unwrap().with_prices(Vec::new(), read(overrides)).unwrap()
    }

    fn day(text: &str) -> i64 {
        text.parse::<Date>().unwrap().unix()
    }

    /// The cost of a million tokens of input, in USD.
    fn input(catalog: &Catalog, provider: &str, model: &str, at: &str) -> Option<String> {
        let schedule = catalog.schedule(provider, "openai", model);
        schedule.at(day(at))?.cost(&Usage::new().with(Class::Input, 1_000_000)).map(|cost| cost.to_string())
    }

    #[test]
    fn exact_then_alias_then_the_longest_family() {
        let catalog = catalog("[]");
        for (name, id) in [
            ("gpt-4o", "gpt-4o"),
            ("chatgpt-4o", "gpt-4o"),
            ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
            ("gpt-4o-2024-11-20", "gpt-4o"),
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("gpt-4.1-2025-04-14", "gpt-4.1"),
            ("gpt-4-0613", "gpt-4"),
            ("gpt-5-2025-08-07", "gpt-5"),
            ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
            ("gpt-5-latest", "gpt-5"),
            ("lab-2025-01-01", "lab"),
            ("lab-large-7b", "lab"),
            ("lab-small", "any"),
        ] {
            assert_eq!(catalog.find("openai", name).map(|model| &*model.id), Some(id), "{name}");
        }
        for name in [
            "gpt-4o-nano",
            "gpt-4.1-mini",
            "gpt-5-nano",
            "gpt-5-mini-high",
            "gpt-4-1106-preview",
            "gpt-4.5",
            "gpt",
            "",
        ] {
            assert!(catalog.find("openai", name).is_none(), "{name}");
        }
        assert!(catalog.find("azure", "gpt-4o").is_none());
    }

    #[test]
    fn unknown_is_not_free() {
        let catalog =
            catalog("[{model: mine/free, input: \"0\", output: \"0\"}, {model: mine/half, input: \"1\"}]");
        assert!(catalog.schedule("openai", "openai", "gpt-next").is_unknown());
        assert!(catalog.schedule("openai", "openai", "nothing").is_unknown());
        assert_eq!(input(&catalog, "mine", "free", "2026-08-01").as_deref(), Some("0"));
        let schedule = catalog.schedule("mine", "x", "half");
        let half = schedule.at(0).unwrap();
        assert_eq!(half.cost(&Usage::new().with(Class::Input, 1)), Some(NanoUsd(1_000)));
        assert_eq!(half.cost(&Usage::new().with(Class::Input, 1).with(Class::Output, 1)), None);
    }

    #[test]
    fn prices_follow_each_other_by_day() {
        let catalog = catalog("[]");
        let at = |day: &str| input(&catalog, "openai", "gpt-old", day);
        assert_eq!(at("2025-12-31").as_deref(), Some("9"));
        assert_eq!(at("2026-01-01").as_deref(), Some("8"));
        assert_eq!(at("2026-05-31").as_deref(), Some("8"));
        assert_eq!(at("2026-06-01"), None, "a gap is unknown");
        assert_eq!(at("2026-07-01").as_deref(), Some("7"));
    }

    #[test]
    fn overrides_win_field_by_field() {
        let catalog = catalog(
            "[{model: openai/gpt-4o, input: 1}, {model: 'openai/*', cache_read: 0.5, from: 2026-03-01}]",
        );
        let schedule = catalog.schedule("openai", "openai", "gpt-4o");
        let price = schedule.at(day("2026-08-01")).unwrap();
        let rate = |class| price.rate(class).unwrap();
        assert_eq!(
            [Class::Input, Class::Output, Class::CacheRead].map(rate),
            [1_000_000, 10_000_000, 1_250_000],
            "the closest pattern"
        );
        let schedule = catalog.schedule("openai", "openai", "gpt-5");
        assert_eq!(
            schedule.at(day("2026-02-28")).unwrap().rate(Class::CacheRead),
            Some(1_250_000),
            "not yet"
        );
        assert_eq!(schedule.at(day("2026-03-01")).unwrap().rate(Class::CacheRead), Some(500_000));
        assert_eq!(schedule.periods().len(), 2);
    }

    #[test]
    fn overrides_go_before_files_and_files_before_the_catalog() {
        let files: Vec<PriceFile> =
            read("[{date: 2026-05-01, prices: [{model: openai/gpt-4o, input: 2, output: 3}]}]");
        let overrides: Vec<PriceFields> = read("[{model: openai/gpt-4o, input: 1, from: 2026-06-01}]");
        let catalog = Catalog::new(vec![read(FILE)]).unwrap().with_prices(files, overrides).unwrap();
        let rates = |at: &str| {
            let schedule = catalog.schedule("openai", "openai", "gpt-4o");
            let price = schedule.at(day(at)).unwrap().clone();
            [Class::Input, Class::Output, Class::CacheRead].map(|class| price.rate(class).unwrap() / 10_000)
        };
        assert_eq!(rates("2026-04-30"), [250, 1_000, 125]);
        assert_eq!(rates("2026-05-01"), [200, 300, 125]);
        assert_eq!(rates("2026-06-01"), [100, 300, 125]);
    }

    #[test]
    fn the_latest_from_wins_for_either_name_of_the_provider() {
        let catalog = catalog(
            "[{model: eu/gpt-5, input: 4, from: 2026-02-01}, {model: openai/gpt-5, input: 3, from: 2026-01-01}, {model: eu/gpt-5, input: 5, from: 2026-03-01}]",
        );
        assert_eq!(input(&catalog, "eu", "gpt-5", "2026-03-01").as_deref(), Some("5"));
        assert_eq!(input(&catalog, "openai", "gpt-5", "2026-03-01").as_deref(), Some("3"));
        assert_eq!(
            input(&catalog, "us", "gpt-5-2025-08-07", "2026-03-01").as_deref(),
            Some("3"),
            "by its snapshot too"
        );
    }

    #[test]
    fn ids_are_stable_and_tell_prices_apart() {
        let id = |overrides: &str| {
            let catalog = catalog(overrides);
            catalog
                .schedule("openai", "openai", "gpt-4o-2024-11-20")
                .at(day("2026-08-01"))
                .unwrap()
                .id()
                .to_string()
        };
        let plain = id("[]");
        assert_eq!(plain, "openai/gpt-4o@2026-08-01#aa7d9ac967");
        assert_eq!(plain, id("[]"));
        assert_ne!(plain, id("[{model: openai/gpt-4o, input: 1}]"));
        assert!(
            id("[{model: openai/gpt-4o, input: 1, from: 2026-02-01}]")
                .starts_with("openai/gpt-4o@2026-02-01#")
        );
    }

    #[test]
    fn a_later_file_replaces_a_model() {
        let later = "{provider: openai, source: t, date: 2026-09-01, models: [{id: gpt-4o, prices: [{input: \"3\"}]}, {id: '*', prices: [{input: \"1\"}]}]}";
        let catalog = Catalog::new(vec![read(FILE), read(later)]).unwrap();
        assert_eq!(input(&catalog, "openai", "gpt-4o", "2026-09-01").as_deref(), Some("3"));
        assert_eq!(&*catalog.find("openai", "chatgpt-4o").unwrap().id, "*", "the alias went with its model");
        assert_eq!(catalog.models().filter(|model| &*model.id == "gpt-4o").count(), 1);
        assert_eq!(catalog.find_bare("gpt-4o").len(), 1);
        assert!(catalog.models_of("openai").all(|model| !model.is_pattern()));
    }

    #[test]
    fn local_is_free_unless_priced() {
        let file = "{provider: ollama, source: t, date: 2026-08-01, local: true, models: [{id: '*'}]}";
        let overrides: Vec<PriceFields> = read("[{model: ollama/big, output: 2}]");
        let catalog = Catalog::new(vec![read(file)]).unwrap().with_prices(Vec::new(), overrides).unwrap();
        let price = |model| catalog.schedule("ollama", "ollama", model).at(0).unwrap().clone();
        let usage =
            Usage::new().with(Class::Input, 1_000_000).with(Class::Output, 1_000_000).with(Class::Image, 1);
        assert_eq!((price("small").cost(&usage), &**price("small").id()), (Some(NanoUsd::ZERO), "local"));
        assert_eq!(price("big").cost(&usage), Some(NanoUsd(2_000_000_000)));
        assert!(price("big").id().starts_with("ollama/big@2026-08-01#"), "{}", price("big").id());
    }

    #[test]
    fn bare_names_prefer_the_vendor() {
        let reseller = "{provider: azure, vendor: openai, source: t, date: 2026-08-01, models: [{id: gpt-4o}, {id: gpt-azure}]}";
        let catalog = Catalog::new(vec![read(reseller), read(FILE)]).unwrap();
        let providers: Vec<&str> = catalog.find_bare("gpt-4o").iter().map(|model| &*model.provider).collect();
        assert_eq!(providers, ["openai", "azure"]);
        assert_eq!(catalog.find_bare("gpt-azure").len(), 1);
        assert_eq!(catalog.find_bare("chatgpt-4o").len(), 1);
        assert!(catalog.find_bare("gpt-4o-2024-11-20").is_empty(), "families need a provider");
    }

    #[test]
    fn suggests_near_names() {
        let catalog = catalog("[]");
        assert_eq!(
            catalog.nearest("gpt-4p", 2),
            ["openai/gpt-4", "openai/gpt-4.1"][..1]
                .iter()
                .chain(&["openai/gpt-4o"])
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        );
        assert_eq!(catalog.nearest("openai/gpt-5-mni", 1), ["openai/gpt-5-mini"]);
        assert!(catalog.nearest("llama", 3).is_empty());
        assert!(catalog.nearest(&"x".repeat(10_000), 3).is_empty());
    }

    #[test]
    fn says_everything_that_is_wrong() {
        let file = r#"{provider: p, source: t, date: 2026-08-01, models: [
            {id: a, aliases: [x]}, {id: a}, {id: b, aliases: [x], families: ["b"]},
            {id: c, prices: [{from: 2026-02-01, until: 2026-02-01, input: "1"}, {}]},
            {id: d, prices: [{input: "1", above: [{input_tokens: 2}, {input_tokens: 1}]}]}]}"#;
        let errors = Catalog::new(vec![read(file)]).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 6, "{errors:#?}");
        assert!(errors.iter().any(|error| error == "p/a: stands twice in its file"), "{errors:#?}");
        let overrides: Vec<PriceFields> = read("[{model: a/b}]");
        assert!(Catalog::default().with_prices(Vec::new(), overrides).is_err());
    }
}
