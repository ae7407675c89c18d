//! `weir man`: the manual.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use super::{CommandError, Output};

/// Options of `weir man`.
#[derive(Debug, Clone, Default, Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder instead of printing the first
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the manual page, or writes all of them.
pub(super) fn run(
    args: &ManArgs,
    mut command: clap::Command,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    // Building hands the global options down to the subcommands.
    command.build();
    let Some(folder) = &args.dir else { return Ok(output.text(&page("weir", &command)?)?) };
    let failed =
        |error: std::io::Error| CommandError::Failed(format!("can't write to {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = vec![("weir".to_owned(), &command)];
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    pages.extend(commands.map(|command| (format!("weir-{}", command.get_name()), command)));
    for (title, command) in &pages {
        std::fs::write(folder.join(format!("{title}.1")), page(title, command)?).map_err(failed)?;
    }
    output.note(&format!("wrote {} pages to {}", pages.len(), folder.display()))?;
    Ok(())
}

/// One page, in roff.
fn page(title: &str, command: &clap::Command) -> std::io::Result<String> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(title).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::commands::Cli;
    use crate::commands::output::captured;

    #[test]
    fn prints_a_page_and_writes_them_all() {
        let (result, answer, _) = captured(false, |output| run(&ManArgs::default(), Cli::command(), output));
        result.unwrap();
        assert!(answer.contains(".TH weir 1") && answer.contains("simulate"), "{answer}");
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { dir: Some(folder.path().join("man1")) };
        let (result, answer, notes) = captured(false, |output| run(&args, Cli::command(), output));
        result.unwrap();
        assert!(answer.is_empty() && notes.starts_with("wrote "), "{notes}");
        let models = std::fs::read_to_string(folder.path().join("man1/weir-models.1")).unwrap();
        assert!(models.contains("max\\-input\\-price"), "{models}");
    }
}
