//! From a file to a checked [`Config`]: parse, migrate, expand variables, read, apply the environment, validate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use weir_catalog::PriceFile;

use crate::config::Config;
use crate::effective::{Origin, origins_of};
use crate::environment::Environment;
use crate::interpolate::interpolate;
use crate::migrate::migrate;
use crate::path::KeyPath;
use crate::problem::{ConfigError, Location, Problem};
use crate::scalar::{Listen, Secret};
use crate::secrets::resolve_secrets;
use crate::unsupported::refuse_unsupported;
use crate::validate::validate;
use crate::yaml::{self, Document};

/// The file's name where none is given.
pub const DEFAULT_FILE: &str = "weir.yaml";

/// What comes from outside the file.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'e> {
    /// The environment: values of `${NAME}`, and `WEIR_LISTEN`, `WEIR_MASTER_KEY`, `WEIR_DATA_DIR`, which set what
    /// the file doesn't.
    pub environment: &'e Environment,
    /// `--listen`; goes before the file.
    pub listen: Option<Listen>,
}

impl<'e> Outside<'e> {
    /// An environment, and nothing from the command line.
    pub fn of(environment: &'e Environment) -> Self {
        Self { environment, listen: None }
    }
}

/// A configuration that was read and checked.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says. Paths of files to read are complete, secrets in files are read.
    pub config: Config,
    /// The price files that it names, read.
    pub price_files: Vec<(PathBuf, PriceFile)>,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// What the user should know, but need not change now.
    pub warnings: Vec<Problem>,
    pub(crate) origins: BTreeMap<KeyPath, Origin>,
}

impl Loaded {
    /// A problem with a value, found after loading: adds file and line.
    pub fn problem(&self, path: KeyPath, message: impl Into<String>) -> Problem {
        let location = self.locate(&path);
        let file = self.file.as_deref().map(|file| file.display().to_string());
        Problem { file: file.unwrap_or_default(), location, path, message: message.into() }
    }

    /// Where a value, or the closest one above it, stands in the file.
    pub fn locate(&self, path: &KeyPath) -> Option<Location> {
        let mut path = Some(path.clone());
        while let Some(at) = path.filter(|at| !at.is_root()) {
            if let Some(Origin::File { location, .. }) = self.origins.get(&at) {
                return Some(*location);
            }
            path = at.parent();
        }
        None
    }
}

/// The file to load: the one named, else `WEIR_CONFIG`, else `./weir.yaml` where it exists, else none.
pub fn find_file(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let by_variable = || environment.get_filled("WEIR_CONFIG").map(PathBuf::from);
    let by_default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists());
    named.map(Path::to_owned).or_else(by_variable).or_else(by_default)
}

/// Loads a file, or the defaults where there is none.
///
/// # Errors
///
/// Everything that is wrong, each with its place.
pub fn load(file: Option<&Path>, outside: Outside<'_>) -> Result<Loaded, ConfigError> {
    let Some(file) = file else { return load_text("", None, outside) };
    let name = file.display().to_string();
    match std::fs::read(file).map(String::from_utf8) {
        Ok(Ok(text)) => load_text(&text, Some(file), outside),
        Ok(Err(_)) => Err(file_error(&name, "the file is not UTF-8")),
        Err(error) => Err(file_error(&name, &format!("the file can't be read: {error}"))),
    }
}

/// Loads the text of a file. Relative paths in it start at the folder of `file`.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(text: &str, file: Option<&Path>, outside: Outside<'_>) -> Result<Loaded, ConfigError> {
    let name = file.map(|file| file.display().to_string()).unwrap_or_default();
    let folder = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let migrated = migrate(text, &name)?;
    let (mut document, mut problems) = Document::read(&migrated.text, &name)?;
    refuse_unsupported(&mut document, &mut problems);
    interpolate(&mut document, outside.environment, &mut problems);
    let Some(mut config) = document.build::<Config>(&mut problems) else {
        return Err(ConfigError::new(problems));
    };
    config.version = crate::migrate::CURRENT_VERSION;

    let mut origins = origins_of(&document);
    apply_outside(&mut config, &mut origins, outside, &mut problems);
    complete_paths(&mut config, &folder);
    let mut found = Vec::new();
    resolve_secrets(&mut config, &folder, &mut found);
    let unread = found.len();
    let price_files = read_price_files(&config, &mut problems, &mut found);
    if unread == 0 {
        found.extend(
            validate(&config).into_iter().filter(|finding| finding.is_certain(&document)).map(Problem::from),
        );
    }
    problems.extend(found.into_iter().map(|problem| document.problem(problem.path, None, problem.message)));
    if !problems.is_empty() {
        return Err(ConfigError::new(problems));
    }
    let mut loaded =
        Loaded { config, price_files, file: file.map(Path::to_owned), warnings: Vec::new(), origins };
    if !migrated.changes.is_empty() {
        let message = format!(
            "the file is of an older version: {}; `weir check --migrate` rewrites it",
            migrated.changes.join(", ")
        );
        loaded.warnings.push(loaded.problem(KeyPath::from(["version"]), message));
    }
    Ok(loaded)
}

fn file_error(name: &str, message: &str) -> ConfigError {
    ConfigError::one(Problem { file: name.to_owned(), ..Problem::at(KeyPath::root(), message) })
}

/// Sets what the command line says, and what the environment says and the file doesn't.
fn apply_outside(
    config: &mut Config,
    origins: &mut BTreeMap<KeyPath, Origin>,
    outside: Outside<'_>,
    problems: &mut Vec<Problem>,
) {
    let mut variable = |path: &KeyPath, name: &'static str| {
        let value = outside.environment.get_filled(name).filter(|_| !origins.contains_key(path))?;
        origins.insert(path.clone(), Origin::Variable(name.to_owned()));
        Some(value)
    };
    let listen = KeyPath::from(["server", "listen"]);
    if let Some(text) = variable(&listen, "WEIR_LISTEN") {
        match text.parse() {
            Ok(address) => config.server.listen = address,
            Err(why) => problems.push(Problem::at(listen.clone(), format!("WEIR_LISTEN: {why}"))),
        }
    }
    if let Some(text) = variable(&KeyPath::from(["server", "master_key"]), "WEIR_MASTER_KEY") {
        config.server.master_key = Some(Secret::new(text));
    }
    if let Some(text) = variable(&KeyPath::from(["data_dir"]), "WEIR_DATA_DIR") {
        config.data_dir = PathBuf::from(text);
    }
    if let Some(address) = outside.listen {
        config.server.listen = address;
        origins.insert(listen, Origin::CommandLine);
    }
}

/// Makes the paths of files to read start where the configuration file is.
fn complete_paths(config: &mut Config, folder: &Path) {
    let complete = |path: &mut PathBuf| *path = folder.join(&*path);
    if let Some(tls) = &mut config.server.tls {
        complete(&mut tls.cert);
        complete(&mut tls.key);
    }
    config.prices.files.iter_mut().for_each(complete);
    for provider in config.providers.iter_mut().flat_map(|providers| providers.values_mut()) {
        let files = [&mut provider.ca_file, &mut provider.client_cert, &mut provider.client_key];
        files.into_iter().flatten().for_each(complete);
        if let Some(credentials) = &mut provider.credentials {
            let files = [&mut credentials.credentials_file, &mut credentials.federated_token_file];
            files.into_iter().flatten().for_each(complete);
        }
    }
}

/// Reads the price files. Problems inside them name them; `found` gets those about the configuration itself.
fn read_price_files(
    config: &Config,
    problems: &mut Vec<Problem>,
    found: &mut Vec<Problem>,
) -> Vec<(PathBuf, PriceFile)> {
    let mut files = Vec::new();
    for (index, file) in config.prices.files.iter().enumerate() {
        let path = KeyPath::from(["prices", "files"]).index(index);
        match std::fs::read_to_string(file) {
            Err(error) => {
                let message = format!("{path}: {} can't be read: {error}", file.display());
                found.push(Problem::at(path, message));
            }
            Ok(text) => match yaml::parse::<PriceFile>(&text, &file.display().to_string()) {
                Ok(prices) => files.push((file.clone(), prices)),
                Err(error) => problems.extend(error.problems),
            },
        }
    }
    files
}
