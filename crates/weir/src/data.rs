//! The data built into the binary: providers and models, from `config/providers` and `config/models`.

use include_dir::{Dir, File, include_dir};
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use weir_adapter::Descriptor;
use weir_catalog::{Catalog, ModelFile};
use weir_config::{ConfigError, Environment, yaml};

static PROVIDERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../config/providers");
static MODELS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../config/models");

/// All descriptors, by name.
///
/// # Errors
/// A file that does not read; a test reads each.
pub fn descriptors() -> Result<IndexMap<String, Descriptor>, ConfigError> {
    let mut files: Vec<Descriptor> = parse(&PROVIDERS)?;
    let plain: Vec<Descriptor> = files.iter().filter(|file| file.inherits.is_empty()).cloned().collect();
    for file in &mut files {
        file.inherit(|name| plain.iter().find(|other| other.name == name));
    }
    Ok(files.into_iter().map(|descriptor| (descriptor.name.clone(), descriptor)).collect())
}

/// The catalog of these kinds of providers, without any override.
///
/// # Errors
/// Files that don't read or contradict themselves; a test reads all.
pub fn catalog_of(
    wanted: impl Fn(&str) -> bool,
) -> Result<Catalog, Box<dyn std::error::Error + Send + Sync>> {
    let stem = |file: &&File<'_>| file.path().file_stem().is_some_and(|stem| wanted(&stem.to_string_lossy()));
    let files: Vec<&File<'_>> = yaml_files(&MODELS).filter(stem).collect();
    // YAML is slow to read: each file on a thread of its own keeps the start short.
    let read: Vec<Result<ModelFile, ConfigError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| parse_file(file))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the parser does not panic")).collect()
    });
    let files = read.into_iter().collect::<Result<Vec<ModelFile>, ConfigError>>()?;
    Ok(Catalog::new(files)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?)
}

/// The whole catalog, without any override.
///
/// # Errors
/// As [`catalog_of`].
pub fn catalog() -> Result<Catalog, Box<dyn std::error::Error + Send + Sync>> {
    catalog_of(|_| true)
}

fn parse<T: DeserializeOwned>(folder: &'static Dir<'static>) -> Result<Vec<T>, ConfigError> {
    yaml_files(folder).map(parse_file).collect()
}

fn parse_file<T: DeserializeOwned>(file: &File<'_>) -> Result<T, ConfigError> {
    yaml::parse(file.contents_utf8().unwrap_or_default(), &file.path().display().to_string())
}

/// The same with regions and projects that the environment has.
///
/// # Errors
/// As [`descriptors`].
pub fn descriptors_in(environment: &Environment) -> Result<IndexMap<String, Descriptor>, ConfigError> {
    let mut descriptors = descriptors()?;
    for descriptor in descriptors.values_mut() {
        descriptor.place_by(|name| environment.get_filled(name).map(str::to_owned));
    }
    Ok(descriptors)
}

fn yaml_files(folder: &'static Dir<'static>) -> impl Iterator<Item = &'static File<'static>> {
    folder.files().filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_adapter::descriptor::Evidence;

    #[test]
    fn all_data_reads() {
        let descriptors = descriptors().unwrap();
        assert!(descriptors.len() >= 60, "{}", descriptors.len());
        for descriptor in descriptors.values() {
            let known = crate::adapters::ADAPTERS.iter().any(|(dialect, _)| *dialect == descriptor.dialect);
            assert!(known, "{}: no adapter for dialect {}", descriptor.name, descriptor.dialect);
            // Those that everybody reaches at an address of their own.
            let own = ["azure", "cloudflare", "databricks", "litellm", "snowflake", "vllm"];
            assert!(
                descriptor.base_url.is_some()
                    || descriptor.environment.is_empty()
                    || own.contains(&descriptor.name.as_str()),
                "{}",
                descriptor.name
            );
        }
        let verified = descriptors.values().filter(|one| one.evidence == Evidence::Verified).count();
        assert!(verified >= 25, "{verified}");
        assert!(catalog().unwrap().models().count() > 300);
    }

    #[test]
    fn a_variable_turns_one_provider_on() {
        let mut seen = std::collections::HashMap::new();
        for descriptor in descriptors().unwrap().values().filter(|one| !one.local) {
            for variable in &descriptor.environment {
                let other = seen.insert(variable.clone(), descriptor.name.clone());
                assert_eq!(other, None, "{variable} also is {}'s", descriptor.name);
            }
        }
    }
}
