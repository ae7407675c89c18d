//! All models, found by provider and name.

use std::collections::HashMap;

use crate::date::Date;
use crate::family::Family;
use crate::fields::{ModelPrice, PriceFields, StepFields, Terms};
use crate::file::{ModelFile, PriceFile};
use crate::model::Model;
use crate::schedule::{Layers, Ranked, Schedule, matching};

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
        let mut names = vec![format!("{provider}/{model}"), format!("{kind}/{model}")];
        let listed = found.filter(|found| !found.is_pattern());
        names.extend(listed.map(|found| format!("{provider}/{}", found.id)));
        names.extend(listed.map(Model::name));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let own = found.map(|found| found.prices.as_slice()).unwrap_or_default();
        let layers = Layers {
            layers: [
                matching(self.overrides.iter(), &names),
                matching(self.files.iter(), &names),
                own.iter().map(|price| Ranked { closeness: 0, terms: Terms::from(price) }).collect(),
            ],
            local: found.is_some_and(|found| found.local),
        };
        let name = listed.map_or_else(|| names[0].to_owned(), Model::name);
        layers.build(&name, found.map(|found| found.date))
    }

    /// At most `limit` names like `name`, the nearest first, as `provider/id`.
    pub fn nearest(&self, name: &str, limit: usize) -> Vec<String> {
        if name.len() > MAX_SUGGESTED {
            return Vec::new();
        }
        let wanted = name.to_lowercase();
        let whole = wanted.contains('/');
        let mut near: Vec<(usize, String)> = Vec::new();
        for model in self.models() {
            let full = model.name();
            let by_id = strsim::osa_distance(&wanted, &model.id.to_lowercase());
            let distance =
                if whole { by_id.min(strsim::osa_distance(&wanted, &full.to_lowercase())) } else { by_id };
            if distance <= 2.max(wanted.chars().count() / 3) {
                near.push((distance, full));
            }
        }
        near.sort();
        near.into_iter().take(limit).map(|(_, name)| name).collect()
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
