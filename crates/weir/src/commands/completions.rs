//! `weir completions`: for the shells.

use clap::Args;
use clap_complete::Shell;

use super::{CommandError, Output};

/// Options of `weir completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the completions.
pub(super) fn run(
    args: &CompletionsArgs,
    mut command: clap::Command,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "weir", &mut script);
    Ok(output.text(&String::from_utf8_lossy(&script))?)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;
    use crate::commands::Cli;
    use crate::commands::output::captured;

    #[test]
    fn every_shell_knows_the_commands() {
        for shell in Shell::value_variants() {
            let args = CompletionsArgs { shell: *shell };
            let (result, answer, _) = captured(false, |output| run(&args, Cli::command(), output));
            result.unwrap();
            assert!(answer.contains("simulate") && answer.contains("max-input-price"), "{shell}");
        }
    }
}
