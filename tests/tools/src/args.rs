//! Command lines: `--name value`, `--name=value`, `--flag`, and what follows `--`.

use std::str::FromStr;
use std::time::Duration;

/// A command line, taken apart.
#[derive(Debug, Default)]
pub struct Args {
    given: Vec<(String, Option<String>)>,
    /// What follows `--`.
    pub rest: Vec<String>,
}

impl Args {
    /// Reads the arguments. Names in `flags` take no value.
    ///
    /// # Errors
    /// An argument that is no option, or an option without its value.
    pub fn parse(arguments: impl IntoIterator<Item = String>, flags: &[&str]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                args.rest = arguments.collect();
                break;
            }
            let Some(name) = argument.strip_prefix("--") else {
                return Err(format!("unexpected `{argument}`"));
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None if flags.contains(&name) => (name.to_owned(), None),
                None => {
                    let value = arguments.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    (name.to_owned(), Some(value))
                }
            };
            args.given.push((name, value));
        }
        Ok(args)
    }

    /// Whether the flag was given.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.given.len();
        self.given.retain(|(given, _)| given != name);
        self.given.len() < before
    }

    /// All values of an option, in order.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        self.given.retain_mut(|(given, value)| {
            let keep = given != name;
            if !keep {
                values.extend(value.take());
            }
            keep
        });
        values
    }

    /// The last value of an option, read as what is wanted.
    ///
    /// # Errors
    /// A value that cannot be read so.
    pub fn get<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        match self.all(name).pop() {
            None => Ok(None),
            Some(value) => value.parse().map(Some).map_err(|_| format!("--{name}: cannot read `{value}`")),
        }
    }

    /// The same, or a default.
    ///
    /// # Errors
    /// As [`Args::get`].
    pub fn or<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        Ok(self.get(name)?.unwrap_or(default))
    }

    /// A time such as `50ms`, `2s`, `3m`.
    ///
    /// # Errors
    /// A value that is none.
    pub fn time(&mut self, name: &str) -> Result<Option<Duration>, String> {
        match self.all(name).pop() {
            None => Ok(None),
            Some(value) => {
                duration(&value).map(Some).ok_or_else(|| format!("--{name}: cannot read `{value}`"))
            }
        }
    }

    /// Refuses options that nobody asked for.
    ///
    /// # Errors
    /// The first of them.
    pub fn done(self) -> Result<Vec<String>, String> {
        match self.given.first() {
            Some((name, _)) => Err(format!("unknown option --{name}")),
            None => Ok(self.rest),
        }
    }
}

/// `50ms`, `2s`, `3m`, `100us`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    Some(match &text[digits..] {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        _ => return None,
    })
}

/// `1s..5s`, or one time for both ends.
pub fn span(text: &str) -> Option<(Duration, Duration)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (duration(from)?, duration(to)?);
    (from <= to).then_some((from, to))
}

/// Runs a tool's `main`: prints its error with the usage and fails.
pub fn finish(result: Result<bool, String>, usage: &str) -> std::process::ExitCode {
    use std::io::Write as _;
    match result {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why}\n{usage}");
            std::process::ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_flags_and_rest() {
        let line = ["--url=x", "--model", "a", "--model", "b", "--retry", "--", "ls", "--all"];
        let mut args = Args::parse(line.map(str::to_owned), &["retry"]).unwrap();
        assert_eq!(args.get::<String>("url").unwrap().as_deref(), Some("x"));
        assert_eq!(args.all("model"), ["a", "b"]);
        assert!(args.flag("retry") && !args.flag("retry"));
        assert_eq!(args.done().unwrap(), ["ls", "--all"]);
        assert!(Args::parse(["--x=1".to_owned()], &[]).unwrap().done().is_err());
        assert!(Args::parse(["--x".to_owned()], &[]).is_err());
        assert_eq!(span("1s..1m"), Some((Duration::from_secs(1), Duration::from_secs(60))));
        assert_eq!(span("2s..1s"), None);
    }
}
