//! What a model costs from when on: overrides over price files over the catalog, by day.

use std::sync::Arc;

use crate::date::Date;
use crate::fields::{PriceFields, Terms};
use crate::price::Price;
use crate::rates::Written;

/// A model's prices by time, resolved. A target keeps one for the length of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// Ascending by time; each holds till the next.
    periods: Vec<(i64, Option<Arc<Price>>)>,
}

impl Schedule {
    /// The price at `unix` (seconds since 1970); `None` where none is known.
    pub fn at(&self, unix: i64) -> Option<&Arc<Price>> {
        let after = self.periods.partition_point(|(from, _)| *from <= unix);
        self.periods.get(after.checked_sub(1)?)?.1.as_ref()
    }

    /// Whether there is no price at any time.
    pub fn is_unknown(&self) -> bool {
        self.periods.iter().all(|(_, price)| price.is_none())
    }

    /// The periods, ascending: since when (seconds since 1970, the first `i64::MIN`) and which price.
    pub fn periods(&self) -> &[(i64, Option<Arc<Price>>)] {
        &self.periods
    }
}

/// A price of some layer that concerns the model, with its rank among the layer's.
#[derive(Debug, Clone)]
pub(crate) struct Ranked {
    /// How closely it names the model; the greater goes first.
    pub(crate) closeness: Closeness,
    pub(crate) terms: Terms,
}

/// A name goes before a pattern, the provider's own name before its kind's, more letters before fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Closeness {
    exact: bool,
    own: bool,
    letters: usize,
}

/// The layers of prices that concern one model.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// Overrides, price files, catalog: the first goes before the next.
    pub(crate) layers: [Vec<Ranked>; 3],
    /// Free where no layer says otherwise.
    pub(crate) local: bool,
}

impl Layers {
    /// The price of `name` by time; `day` is the day of the data.
    pub(crate) fn build(&self, name: &str, day: Option<Date>) -> Schedule {
        let day = day.map_or_else(|| "undated".to_owned(), |day| day.to_string());
        let mut periods: Vec<(i64, Option<Arc<Price>>)> = Vec::new();
        for from in self.turns() {
            let price = self.at(from, name, &day);
            if periods.last().is_none_or(|(_, last)| *last != price) {
                periods.push((from, price));
            }
        }
        Schedule { periods }
    }

    /// Every moment at which something may change.
    fn turns(&self) -> Vec<i64> {
        let terms = self.layers.iter().flatten().map(|ranked| &ranked.terms);
        let mut turns: Vec<i64> =
            terms.flat_map(|terms| [terms.from, terms.until]).flatten().map(Date::unix).collect();
        turns.push(i64::MIN);
        turns.sort_unstable();
        turns.dedup();
        turns
    }

    fn at(&self, unix: i64, name: &str, day: &str) -> Option<Arc<Price>> {
        let chosen: Vec<&Terms> = self.layers.iter().filter_map(|layer| choose(layer, unix)).collect();
        if chosen.is_empty() {
            return self.local.then(|| Arc::new(Price::local()));
        }
        let free = Terms { written: Written::FREE, ..Terms::default() };
        let below = if self.local { free } else { Terms::default() };
        let terms = chosen.iter().rev().fold(below, |below, terms| terms.over(&below));
        Some(Arc::new(Price::resolve(name, day, &terms)))
    }
}

/// Of a layer's prices that hold at `unix`: the closest pattern's, of these the latest, of these the last written.
fn choose(layer: &[Ranked], unix: i64) -> Option<&Terms> {
    let holding = layer.iter().filter(|ranked| ranked.terms.holds_at(unix));
    holding.max_by_key(|ranked| (ranked.closeness, ranked.terms.from)).map(|ranked| &ranked.terms)
}

/// Of prices by pattern, as overrides and price files have them, those that concern a model: by one of its names at
/// the provider as configured (`own`), or at the kind of provider.
pub(crate) fn matching<'a>(
    prices: impl Iterator<Item = &'a PriceFields>,
    own: &[String],
    kind: &[String],
) -> Vec<Ranked> {
    let ranked = |fields: &'a PriceFields| {
        let hits = |names: &[String]| names.iter().any(|name| glob(&fields.model, name));
        let own = hits(own);
        let letters = fields.model.len() - fields.model.matches('*').count();
        let closeness = Closeness { exact: letters == fields.model.len(), own, letters };
        (own || hits(kind)).then(|| Ranked { closeness, terms: Terms::from(fields) })
    };
    prices.filter_map(ranked).collect()
}

/// Whether `name` has the form of `pattern`, in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, expected) in [
            ("openai/gpt-4o", "openai/gpt-4o", true),
            ("openai/gpt-4o", "openai/gpt-4o-mini", false),
            ("openai/*", "openai/gpt-4o", true),
            ("*", "anything", true),
            ("*/llama-*-70b", "lab/llama-3-70b", true),
            ("*/llama-*-70b", "lab/llama-70b", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "abbc", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
