//! Family patterns: names that stand for a model without being listed.
//!
//! A pattern is a literal with one wildcard at its end. `{date}` takes a snapshot's suffix only – a date or a version
//! number, `2024-08-06`, `20250929`, `0613`, `001`, `latest` – so that `gpt-4o-{date}` cannot take `gpt-4o-mini`.
//! `*` takes anything, for catalogs whose owner knows that it may.

use std::cmp::Reverse;
use std::str::FromStr;

/// A parsed pattern. The order is that of matching: the longest literal first, of equal ones `{date}` before `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Family {
    length: Reverse<usize>,
    tail: Tail,
    literal: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tail {
    Date,
    Any,
}

impl Family {
    /// Whether `id` is of this family.
    pub(crate) fn matches(&self, id: &str) -> bool {
        match (id.strip_prefix(&*self.literal), self.tail) {
            (None, _) => false,
            (Some(_), Tail::Any) => true,
            (Some(rest), Tail::Date) => is_snapshot(rest),
        }
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(pattern: &str) -> Result<Family, String> {
        let (literal, tail) = match (pattern.strip_suffix("{date}"), pattern.strip_suffix('*')) {
            (Some(literal), _) => (literal, Tail::Date),
            (None, Some(literal)) => (literal, Tail::Any),
            (None, None) => return Err(format!("family `{pattern}` must end in `{{date}}` or `*`")),
        };
        if literal.contains(['*', '{', '}']) {
            return Err(format!("family `{pattern}` may have one wildcard only, at its end"));
        }
        Ok(Family { length: Reverse(literal.len()), tail, literal: literal.into() })
    }
}

/// Whether `text` names a snapshot: `latest`, or groups of digits that make a date or a version of at least three.
fn is_snapshot(text: &str) -> bool {
    if text == "latest" {
        return true;
    }
    let mut groups =
        text.split('-').map(|group| (group.len(), group.bytes().all(|byte| byte.is_ascii_digit())));
    let digits = |group: Option<(usize, bool)>| group.filter(|(_, digits)| *digits).map(|(length, _)| length);
    let shape = (digits(groups.next()), groups.next(), groups.next(), groups.next());
    matches!(
        shape,
        (Some(3 | 4 | 6 | 8), None, ..)
            | (Some(4), Some((2, true)), None, _)
            | (Some(4), Some((2, true)), Some((2, true)), None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, id: &str, expected: bool) {
        assert_eq!(pattern.parse::<Family>().unwrap().matches(id), expected, "{pattern} {id}");
    }

    #[test]
    fn dates_take_snapshots_only() {
        for id in [
            "gpt-4o-2024-08-06",
            "gpt-4o-latest",
            "gpt-4o-0806",
            "gpt-4o-20240806",
            "gpt-4o-001",
            "gpt-4o-2024-08",
        ] {
            check("gpt-4o-{date}", id, true);
        }
        for id in [
            "gpt-4o",
            "gpt-4o-",
            "gpt-4o-mini",
            "gpt-4o-mini-2024-07-18",
            "gpt-4o-2024-08-06-x",
            "gpt-4o-5",
            "gpt-4o-1106-preview",
            "gpt-4.1",
        ] {
            check("gpt-4o-{date}", id, false);
        }
        check("claude-sonnet-4-{date}", "claude-sonnet-4-5", false);
        check("claude-sonnet-4-{date}", "claude-sonnet-4-5-20250929", false);
        check("claude-sonnet-4-{date}", "claude-sonnet-4-20250514", true);
        check("gpt-5-{date}", "gpt-5-1-2025-08-07", false);
    }

    #[test]
    fn stars_take_anything() {
        check("llama-*", "llama-3:70b", true);
        check("*", "whatever", true);
        check("llama-*", "qwen", false);
    }

    #[test]
    fn longest_comes_first() {
        let mut families: Vec<Family> = ["gpt-*", "gpt-4o-*", "gpt-4o-{date}", "gpt-4o-mini-{date}"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        families.sort();
        let literals: Vec<&str> = families.iter().map(|family| &*family.literal).collect();
        assert_eq!(literals, ["gpt-4o-mini-", "gpt-4o-", "gpt-4o-", "gpt-"]);
        assert_eq!(families[1].tail, Tail::Date);
    }

    #[test]
    fn refuses_other_patterns() {
        for bad in ["gpt-4o", "", "a*b*", "*{date}", "{date}*"] {
            assert!(bad.parse::<Family>().is_err(), "{bad}");
        }
    }
}
