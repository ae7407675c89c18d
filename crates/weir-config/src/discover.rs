//! Providers found from the usual environment variables, where the file names none.

use indexmap::IndexMap;

use crate::environment::Environment;
use crate::scalar::Secret;
use crate::section::providers::Provider;

/// A provider, and the variables that may hold its key (its descriptor names them), the preferred one first.
#[derive(Debug, Clone, Copy)]
pub struct Discovery<'d> {
    /// The provider's name, which is its kind, too.
    pub provider: &'d str,
    /// Names such as `OPENAI_API_KEY`.
    pub variables: &'d [&'d str],
}

/// A provider that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovered {
    /// As it would stand under `providers`.
    pub provider: Provider,
    /// The variable that its key comes from.
    pub variable: String,
}

/// The providers whose variables are set, in the order given.
pub fn discover(environment: &Environment, known: &[Discovery<'_>]) -> IndexMap<String, Discovered> {
    let mut found = IndexMap::new();
    for Discovery { provider, variables } in known {
        let key = variables.iter().find_map(|name| Some((*name, environment.get_filled(name)?.trim())));
        if let Some((variable, key)) = key {
            let provider_section = Provider { api_key: Some(Secret::new(key)), ..Provider::default() };
            let discovered = Discovered { provider: provider_section, variable: variable.to_owned() };
            found.insert((*provider).to_owned(), discovered);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_variable_that_is_filled() {
        let known = [
            Discovery { provider: "openai", variables: &["OPENAI_API_KEY"] },
            Discovery { provider: "gemini", variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"] },
            Discovery { provider: "groq", variables: &["GROQ_API_KEY"] },
        ];
        let environment = Environment::from_iter([
            ("GOOGLE_API_KEY", "g"),
            ("GEMINI_API_KEY", ""),
            ("OPENAI_API_KEY", "o\n"),
        ]);
        let found = discover(&environment, &known);
        let seen: Vec<_> = found
            .iter()
            .map(|(name, one)| {
                (name.as_str(), one.variable.as_str(), one.provider.api_key.as_ref().unwrap().expose())
            })
            .collect();
        assert_eq!(seen, [("openai", "OPENAI_API_KEY", "o"), ("gemini", "GOOGLE_API_KEY", "g")]);
    }
}
