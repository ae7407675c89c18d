//! `weir schema`: generated files.

use clap::{Args, ValueEnum};

use super::{CommandError, Output};

/// Options of `weir schema`.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Which file
    #[arg(value_name = "WHICH")]
    pub kind: SchemaKind,
}

/// A generated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// JSON schema of weir.yaml, for editors
    Config,
    /// OpenAPI description of the gateway
    Openapi,
    /// Table of all kinds of providers (docs/providers.md)
    Providers,
}

/// Prints the JSON schema of `weir.yaml`.
pub(super) fn run_config(output: &mut Output<'_>) -> Result<(), CommandError> {
    Ok(output.text(&weir_config::schema_text())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::captured;

    #[test]
    fn prints_what_stands_in_the_repository() {
        let (result, answer, _) = captured(false, run_config);
        result.unwrap();
        assert_eq!(answer, include_str!("../../../../config/schema.json"));
    }
}
