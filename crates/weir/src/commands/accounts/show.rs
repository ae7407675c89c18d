//! How accounts stand in tables.

use serde_json::Value;

/// A text, or a dash.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "–".to_owned(), str::to_owned)
}

/// A list of names, or what its absence means.
pub fn names(value: &Value, none: &str) -> String {
    let names: Option<Vec<&str>> =
        value.as_array().map(|names| names.iter().filter_map(Value::as_str).collect());
    names.map_or_else(|| none.to_owned(), |names| names.join(", "))
}

/// Budgets as they are said in commands.
pub fn budgets(value: &Value) -> String {
    let all: Vec<String> = value.as_array().into_iter().flatten().map(budget).collect();
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

/// One budget as it is said in commands.
pub fn budget(value: &Value) -> String {
    let soft = if value["hard"] == false { " (alerts only)" } else { "" };
    format!("{}/{}{soft}", text(&value["limit"]), text(&value["period"]))
}

/// One budget in words: `5 USD per day (it begins anew at midnight, UTC)`.
pub fn spoken_budget(value: &Value) -> String {
    let zone = value["timezone"].as_str().unwrap_or("UTC");
    let when = match value["period"].as_str().unwrap_or_default() {
        "total" => "in all".to_owned(),
        "day" => format!("per day (it begins anew at midnight, {zone})"),
        "week" => format!("per week (it begins anew on Mondays, {zone})"),
        "month" => format!("per month (it begins anew on the first, {zone})"),
        rolling => format!("in any {rolling}"),
    };
    let soft = if value["hard"] == false { "; beyond it, alerts only" } else { "" };
    format!("{} USD {when}{soft}", text(&value["limit"]))
}

/// Limits, shortly.
pub fn limits(value: &Value) -> String {
    let words = [
        ("requests_per_minute", "rpm"),
        ("tokens_per_minute", "tpm"),
        ("requests_per_day", "rpd"),
        ("tokens_per_day", "tpd"),
        ("concurrency", "at once"),
    ];
    let said = words.iter().filter_map(|(name, word)| Some(format!("{} {word}", value[name].as_u64()?)));
    let said: Vec<String> = said.collect();
    if said.is_empty() { "–".to_owned() } else { said.join(", ") }
}

/// The day and the minute of a time, UTC.
pub fn minute(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| "–".to_owned(), |time| time.chars().take(16).collect::<String>().replace('T', " "))
}
