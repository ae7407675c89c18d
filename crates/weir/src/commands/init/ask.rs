//! The questions of `weir init`.

use inquire::{Confirm, InquireError, MultiSelect, Select, Text};
use weir_catalog::Mode;
use weir_config::{BaseUrl, Environment, Listen};

use super::{Answers, CommandError, Descriptors, choose, filled};
use crate::data;

/// How many models are offered for a public name.
const OFFERED: usize = 400;

/// Asks everything.
pub(super) fn answers(descriptors: &Descriptors, environment: &Environment) -> Result<Answers, CommandError> {
    let mut answers = Answers::default();
    ask_providers(&mut answers, descriptors, environment).map_err(stopped)?;
    ask_model(&mut answers).map_err(stopped)?;
    ask_server(&mut answers).map_err(stopped)?;
    Ok(answers)
}

fn stopped(error: InquireError) -> CommandError {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => {
            CommandError::Failed("stopped; nothing was written".to_owned())
        }
        other => CommandError::Failed(format!("can't ask: {other}")),
    }
}

fn ask_providers(
    answers: &mut Answers,
    descriptors: &Descriptors,
    environment: &Environment,
) -> Result<(), InquireError> {
    let offered: Vec<_> = descriptors
        .values()
        .filter(|descriptor| descriptor.name != "demo" && descriptor.lacks().is_none())
        .collect();
    let titles: Vec<String> = offered
        .iter()
        .map(|descriptor| match filled(descriptor, environment) {
            Some(variable) => format!("{}  ({variable} is set)", descriptor.title),
            None => descriptor.title.clone(),
        })
        .collect();
    let found: Vec<usize> = offered
        .iter()
        .enumerate()
        .filter(|(_, descriptor)| filled(descriptor, environment).is_some())
        .map(|(index, _)| index)
        .collect();
    let picked = MultiSelect::new("Which providers?", titles)
        .with_default(&found)
        .with_help_message("space picks, enter goes on; with none, the built-in demo answers")
        .raw_prompt()?;
    for one in picked {
        let descriptor = offered[one.index];
        let mut provider = choose(descriptor, environment);
        if descriptor.base_url.is_none() {
            let question = format!("Where is {} reached?", descriptor.title);
            let url =
                Text::new(&question).with_help_message("as in https://llm.example/v1").with_validator(is_url);
            provider.base_url = Some(url.prompt()?.trim_end_matches('/').to_owned());
        }
        answers.providers.push(provider);
    }
    Ok(())
}

fn is_url(text: &str) -> Result<inquire::validator::Validation, inquire::CustomUserError> {
    Ok(match text.parse::<BaseUrl>() {
        Ok(_) => inquire::validator::Validation::Valid,
        Err(why) => inquire::validator::Validation::Invalid(why.into()),
    })
}

fn ask_model(answers: &mut Answers) -> Result<(), InquireError> {
    let catalog = data::catalog().unwrap_or_default();
    let known = |kind: &str| {
        let chat = catalog.models_of(kind).filter(|model| model.modes.contains(Mode::Chat));
        chat.map(|model| model.id.to_string()).collect::<Vec<_>>()
    };
    let chat = answers.providers.iter().flat_map(|provider| {
        known(&provider.kind).into_iter().map(|id| format!("{}/{id}", provider.name)).collect::<Vec<_>>()
    });
    let mut offered: Vec<String> = chat.take(OFFERED).collect();
    let wanted = !offered.is_empty()
        && Confirm::new("Give a model a name of your own, with a fallback?")
            .with_default(false)
            .with_help_message("clients then ask for the name; what serves it can change")
            .prompt()?;
    if !wanted {
        return Ok(());
    }
    let name = Text::new("Which name?").with_default("smart").prompt()?;
    let first = Select::new("Which model serves it?", offered.clone()).prompt()?;
    offered.retain(|model| *model != first);
    let second = Select::new("Which one when that fails?", offered)
        .with_help_message("escape for none")
        .prompt_skippable()?;
    answers.models.push((name.trim().to_owned(), std::iter::once(first).chain(second).collect()));
    Ok(())
}

fn ask_server(answers: &mut Answers) -> Result<(), InquireError> {
    let here = "only this machine (127.0.0.1:4000)";
    let all = "other machines too (0.0.0.0:4000, needs a master key)";
    if Select::new("Who may connect?", vec![here, all]).prompt()? == all {
        answers.listen = "0.0.0.0:4000".parse::<Listen>().ok();
    }
    let sqlite = "SQLite, a file (nothing to set up)";
    let postgres = "Postgres, at ${DATABASE_URL}";
    if Select::new("Where are rows kept?", vec![sqlite, postgres]).prompt()? == postgres {
        answers.store = Some("${DATABASE_URL}".to_owned());
    }
    Ok(())
}
