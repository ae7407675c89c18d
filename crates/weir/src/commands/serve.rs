//! `weir serve`: runs the gateway.

use weir_config::Environment;

use super::{CommandError, Global, ServeArgs};
use crate::app::Source;

/// Runs the gateway until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn run(args: &ServeArgs, global: &Global, environment: Environment) -> Result<(), CommandError> {
    let file = weir_config::find_file(global.config.as_deref(), &environment);
    let source = Source { file, environment, listen: args.listen };
    crate::run::gateway(source).await.map_err(|error| CommandError::Failed(error.to_string()))
}
