//! `${NAME}` and `${NAME:-default}` in values.
//!
//! Expansion happens in the parsed tree, so a value can change neither the structure nor a key, and what a variable
//! holds is not expanded again. `$${` stands for a literal `${`.

use crate::environment::Environment;
use crate::path::KeyPath;
use crate::problem::Problem;
use crate::yaml::Document;

/// Expands every value of a document. A value that can't be expanded is reported and taken out.
pub(crate) fn interpolate(document: &mut Document, environment: &Environment, problems: &mut Vec<Problem>) {
    let file = document.file.clone();
    document.root.walk_scalars(&KeyPath::root(), &mut |path, location, scalar| {
        if !scalar.text.contains("${") {
            return true;
        }
        match expand(&scalar.text, environment) {
            Ok(expanded) => {
                scalar.written = Some(std::mem::replace(&mut scalar.text, expanded));
                true
            }
            Err(why) => {
                let message = format!("{path}: {why}");
                problems.push(Problem {
                    file: file.clone(),
                    location: Some(location),
                    path: path.clone(),
                    message,
                });
                false
            }
        }
    });
}

/// The names of the variables that a text refers to.
pub(crate) fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let escaped = rest[..start].ends_with('$');
        rest = &rest[start + 2..];
        if let Some(end) = rest.find('}').filter(|_| !escaped) {
            let name = rest[..end].split_once(":-").map_or(&rest[..end], |(name, _)| name);
            names.push(name.to_owned());
        }
    }
    names
}

/// Expands the variables of one text.
fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let before = &rest[..start];
        rest = &rest[start + 2..];
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            continue;
        }
        expanded.push_str(before);
        let end = rest.find('}').ok_or("`${` without `}`; write `$${` where no variable is meant")?;
        expanded.push_str(value_of(&rest[..end], environment)?);
        rest = &rest[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The value of `NAME` or `NAME:-default`.
fn value_of<'v>(reference: &'v str, environment: &'v Environment) -> Result<&'v str, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("`${{{reference}}}` names no variable; write ${{NAME}} or ${{NAME:-default}}"));
    }
    if environment.is_unreadable(name) {
        return Err(format!("the environment variable {name} is not valid UTF-8"));
    }
    // As in shells, a default also stands in for an empty variable.
    let value = if default.is_some() { environment.get_filled(name) } else { environment.get(name) };
    value.or(default).ok_or_else(|| {
        format!("the environment variable {name} is not set; set it, or write a default as in ${{{name}:-…}}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::from_iter([("A", "1"), ("EMPTY", ""), ("NESTED", "${A}")])
    }

    #[test]
    fn expands() {
        for (text, want) in [
            ("${A}", "1"),
            ("x${A}y${A}", "x1y1"),
            ("${B:-two}", "two"),
            ("${A:-two}", "1"),
            ("${B:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NESTED}", "${A}"),
            ("$${A}", "${A}"),
            ("$A and $", "$A and $"),
            ("${B:-http://h:1/}", "http://h:1/"),
        ] {
            assert_eq!(expand(text, &environment()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for (text, why) in [
            ("${B}", "variable B is not set"),
            ("${A", "without `}`"),
            ("${}", "names no variable"),
            ("${A B}", "names no variable"),
            ("${1A}", "names no variable"),
        ] {
            let error = expand(text, &environment()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn finds_names() {
        assert_eq!(variables("${A}-${B:-x} $${C}"), ["A", "B"]);
    }
}
