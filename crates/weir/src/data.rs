//! The data built into the binary: providers and models, from `config/providers` and `config/models`.

use include_dir::{Dir, include_dir};
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use weir_adapter::Descriptor;
use weir_catalog::{Catalog, ModelFile};
use weir_config::{ConfigError, yaml};

static PROVIDERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../config/providers");
static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../config/models");

/// All descriptors, by name.
///
/// # Errors
/// A file that does not read; a test reads each.
pub fn descriptors() -> Result<IndexMap<String, Descriptor>, ConfigError> {
    let files: Vec<Descriptor> = parse(&PROVIDERS)?;
    Ok(files.into_iter().map(|descriptor| (descriptor.name.clone(), descriptor)).collect())
}

/// All models and prices.
///
/// # Errors
/// A file that does not read; a test reads each.
pub fn models() -> Result<Vec<ModelFile>, ConfigError> {
    parse(&MODELS)
}

/// The catalog without any override.
///
/// # Errors
/// Files that contradict themselves; a test builds it.
pub fn catalog() -> Result<Catalog, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Catalog::new(models()?)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?)
}

fn parse<T: DeserializeOwned>(folder: &Dir<'_>) -> Result<Vec<T>, ConfigError> {
    let yaml_files =
        folder.files().filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"));
    yaml_files
        .map(|file| yaml::parse(file.contents_utf8().unwrap_or_default(), &file.path().display().to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_data_reads() {
        let descriptors = descriptors().unwrap();
        assert!(descriptors.len() >= 14, "{}", descriptors.len());
        for descriptor in descriptors.values() {
            let known = crate::adapters::ADAPTERS.iter().any(|(dialect, _)| *dialect == descriptor.dialect);
            assert!(known, "{}: no adapter for dialect {}", descriptor.name, descriptor.dialect);
            assert!(
                descriptor.base_url.is_some()
                    || descriptor.environment.is_empty()
                    || descriptor.name == "azure",
                "{}",
                descriptor.name
            );
        }
        assert!(catalog().unwrap().models().count() > 300);
    }
}
