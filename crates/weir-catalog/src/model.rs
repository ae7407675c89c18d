//! A model of the catalog.

use std::sync::Arc;

use crate::capability::{Capabilities, Capability, Modalities, Modality, Mode, Modes};
use crate::date::Date;
use crate::fields::ModelPrice;
use crate::file::{ModelFields, ModelFile};

/// A model as one provider serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The kind of provider that serves it.
    pub provider: Arc<str>,
    /// The provider's name for it.
    pub id: Box<str>,
    /// Who makes it; the provider itself unless it resells.
    pub vendor: Arc<str>,
    /// Other names of the very same model.
    pub aliases: Vec<String>,
    /// Patterns of names that are priced as this model.
    pub families: Vec<String>,
    /// The APIs that serve it.
    pub modes: Modes,
    /// Tokens that prompt and answer may have together; `None`: not known.
    pub context_window: Option<u64>,
    /// Tokens that an answer may have; `None`: not known.
    pub max_output: Option<u64>,
    /// Numbers in a vector, for embeddings.
    pub dimensions: Option<u32>,
    /// What it reads.
    pub input: Modalities,
    /// What it writes.
    pub output: Modalities,
    /// What it can do; `None`: not known.
    pub capabilities: Option<Capabilities>,
    /// The day on which the provider takes it away.
    pub deprecated: Option<Date>,
    /// What it costs by the file alone, in the order written; [`crate::Catalog::schedule`] adds overrides.
    pub prices: Vec<ModelPrice>,
    /// Whether it runs on the user's own machines, free of charge.
    pub local: bool,
    /// The day of the file.
    pub date: Date,
}

impl Model {
    /// `provider/id`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider, self.id)
    }

    /// Whether it can do `capability`; `None` where that is not known.
    pub fn can(&self, capability: Capability) -> Option<bool> {
        self.capabilities.map(|known| known.contains(capability))
    }

    /// Whether it stands for names that the catalog does not list, as the models of a local server.
    pub fn is_pattern(&self) -> bool {
        self.id.ends_with(['*', '}'])
    }

    /// Whether its provider takes it away at or before `unix`.
    pub fn is_gone_at(&self, unix: i64) -> bool {
        self.deprecated.is_some_and(|date| date.unix() <= unix)
    }

    /// The models of a file, in its order.
    pub(crate) fn all_of(file: ModelFile) -> Vec<Model> {
        let provider: Arc<str> = file.provider.into();
        let vendor: Arc<str> = file.vendor.map_or_else(|| provider.clone(), Arc::from);
        let model = |fields| Model::from_fields(fields, &provider, &vendor, file.local, file.date);
        file.models.into_iter().map(model).collect()
    }

    fn from_fields(
        fields: ModelFields,
        provider: &Arc<str>,
        vendor: &Arc<str>,
        local: bool,
        date: Date,
    ) -> Model {
        let text = Modalities::from_iter([Modality::Text]);
        let modes = fields.modes.unwrap_or_else(|| Modes::from_iter([Mode::Chat]));
        let mut capabilities = fields.capabilities;
        if modes.contains(Mode::Embeddings) {
            capabilities.get_or_insert_default().insert(Capability::Embeddings);
        }
        Model {
            provider: provider.clone(),
            id: fields.id.into(),
            vendor: fields.vendor.map_or_else(|| vendor.clone(), Arc::from),
            aliases: fields.aliases,
            families: fields.families,
            modes,
            context_window: fields.context_window,
            max_output: fields.max_output,
            dimensions: fields.dimensions,
            input: fields.input.unwrap_or(text),
            output: fields.output.unwrap_or(text),
            capabilities,
            deprecated: fields.deprecated,
            prices: fields.prices,
            local,
            date,
        }
    }
}
