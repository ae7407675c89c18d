//! "Did you mean": the known word closest to a mistyped one.

/// The word of `known` that `word` was most likely meant to be, or `None` if none is close.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_far() {
        let known = ["api_key", "api_keys", "base_url", "kind"];
        let check = |word: &str, want: Option<&str>| assert_eq!(nearest(word, known), want, "{word}");
        check("api_kye", Some("api_key"));
        check("apikey", Some("api_key"));
        check("API_KEYS", Some("api_keys"));
        check("baseurl", Some("base_url"));
        check("knd", Some("kind"));
        check("timeout", None);
        check("", None);
    }
}
