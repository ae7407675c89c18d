//! The text of the file that `weir init` writes.

use super::{Answers, ChosenProvider};

/// The file, with what a reader needs to know beside each setting.
pub(super) fn file(answers: &Answers) -> String {
    let mut text = String::from(
        "# Written by `weir init`. Everything that can be set stands in config/weir.example.yaml.\n\
         # ${NAME} is taken from the environment.\n\nversion: 1\n",
    );
    if let Some(listen) = answers.listen {
        text.push_str(&format!("\nserver:\n  listen: \"{listen}\"\n"));
        if !listen.is_loopback() {
            text.push_str(
                "  master_key: ${WEIR_MASTER_KEY}   # the administrator's key: any long random text\n",
            );
        }
    }
    text.push_str("\nproviders:\n");
    for provider in &answers.providers {
        push_provider(&mut text, provider);
    }
    if !answers.providers.iter().any(|provider| provider.name == "demo") {
        text.push_str("  demo: {}   # built in, answers without any key\n");
    }
    if !answers.models.is_empty() {
        text.push_str("\n# Public names. Any provider/model works without an entry here.\nmodels:\n");
        for (name, targets) in &answers.models {
            push_model(&mut text, name, targets);
        }
    }
    if let Some(store) = &answers.store {
        text.push_str(&format!("\nstore:\n  url: {}\n", quoted(store)));
    }
    text
}

/// The variables that the file refers to, in its order.
pub(super) fn variables(answers: &Answers) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if answers.listen.is_some_and(|listen| !listen.is_loopback()) {
        names.push("WEIR_MASTER_KEY".to_owned());
    }
    names.extend(answers.providers.iter().filter_map(|provider| provider.variable.clone()));
    let store = answers.store.as_deref().and_then(|url| url.strip_prefix("${")?.strip_suffix('}'));
    names.extend(store.map(str::to_owned));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn push_provider(text: &mut String, provider: &ChosenProvider) {
    let mut settings = Vec::new();
    if provider.kind != provider.name {
        settings.push(format!("kind: {}", quoted(&provider.kind)));
    }
    settings.extend(provider.base_url.iter().map(|url| format!("base_url: {}", quoted(url))));
    settings.extend(provider.variable.iter().map(|name| format!("api_key: ${{{name}}}")));
    text.push_str(&format!("  {}:", quoted(&provider.name)));
    if settings.is_empty() {
        text.push_str(" {}\n");
    } else {
        text.push('\n');
        settings.iter().for_each(|setting| text.push_str(&format!("    {setting}\n")));
    }
}

fn push_model(text: &mut String, name: &str, targets: &[String]) {
    match targets {
        [target] => text.push_str(&format!("  {}: {}\n", quoted(name), quoted(target))),
        targets => {
            let list = targets.iter().map(|target| quoted(target)).collect::<Vec<_>>().join(", ");
            text.push_str(&format!("  {}:\n    targets: [{list}]   # tried in turn\n", quoted(name)));
        }
    }
}

/// A text as YAML, in quotes where it needs them.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word =
        ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if starts_well && !is_word && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted() {
        for (text, want) in [
            ("gpt-4o", "gpt-4o"),
            ("openai/gpt-4.1", "openai/gpt-4.1"),
            ("4o", "\"4o\""),
            ("on", "\"on\""),
            ("a: b", "\"a: b\""),
            ("https://h:1/v1", "\"https://h:1/v1\""),
            ("${DATABASE_URL}", "\"${DATABASE_URL}\""),
        ] {
            assert_eq!(quoted(text), want);
        }
    }
}
