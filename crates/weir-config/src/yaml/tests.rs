use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    on: Option<bool>,
    #[serde(default)]
    list: Vec<Sample>,
    #[serde(default)]
    map: BTreeMap<String, Mode>,
    #[serde(default)]
    json: serde_json::Value,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Fast,
    Slow { by: u32 },
    Of(Vec<u8>),
}

#[track_caller]
fn problems(text: &str, want: &[&str]) {
    let error = parse::<Sample>(text, "f.yaml").unwrap_err();
    let found: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, want, "{text}");
}

#[test]
fn reads_what_serde_knows() {
    let text = "name: 1.50\ncount: 7\non: true\nmap: {a: fast, b: {slow: {by: 2}}, c: {of: [1, 2]}}\n\
                json: {x: [1, 2.5, on, ~, -3]}\nlist:\n- name: \"7\"\n";
    let sample: Sample = parse(text, "f").unwrap();
    assert_eq!(sample.name, "1.50", "the text of a number, as written");
    assert_eq!((sample.count, sample.on, sample.list[0].name.as_str()), (Some(7), Some(true), "7"));
    assert_eq!(sample.map["a"], Mode::Fast);
    assert_eq!(sample.map["b"], Mode::Slow { by: 2 });
    assert_eq!(sample.map["c"], Mode::Of(vec![1, 2]));
    assert_eq!(sample.json, serde_json::json!({"x": [1, 2.5, "on", null, -3]}));
}

#[test]
fn empty_sections_are_empty() {
    let sample: Sample = parse("name: x\nlist:\nmap:\n", "f").unwrap();
    assert!(sample.list.is_empty() && sample.map.is_empty());
}

#[test]
fn follows_aliases_and_merges() {
    let sample: Sample =
        parse("name: &n x\nlist:\n- &l {name: *n, count: 1}\n- {<<: *l, count: 2}\n", "f").unwrap();
    assert_eq!((sample.list[1].name.as_str(), sample.list[1].count), ("x", Some(2)));
}

#[test]
fn names_the_nearest_key() {
    problems("name: x\ncuont: 1\n", &["f.yaml:2:1: unknown key `cuont`, did you mean `count`?"]);
    problems(
        "name: x\nlist:\n  - naem: y\n",
        &["f.yaml:3:5: unknown key `naem` in list[0], did you mean `name`?"],
    );
    problems(
        "name: x\nzzz: 1\n",
        &["f.yaml:2:1: unknown key `zzz`; known here: name, count, on, list, map, json"],
    );
    problems(
        "name: x\nmap: {a: fsat}\n",
        &["f.yaml:2:10: map.a: unknown value `fsat`, did you mean `fast`?"],
    );
}

#[test]
fn reports_everything_at_once() {
    problems(
        "name: [1]\ncount: many\non: maybe\nlist: 5\nextra: 1\nextra: 2\n",
        &[
            "f.yaml:1:7: name: expected text, got a list",
            "f.yaml:2:8: count: expected a whole number, got text",
            "f.yaml:3:5: on: expected true or false, got text",
            "f.yaml:4:7: list: expected a list, got a number",
            "f.yaml:5:1: unknown key `extra`; known here: name, count, on, list, map, json",
            "f.yaml:6:1: extra: doubled key, first written on line 5",
        ],
    );
}

#[test]
fn says_what_is_missing() {
    problems("count: 1\n", &["f.yaml:1:1: missing key `name`"]);
    problems("name: x\nlist: [{count: 1}]\n", &["f.yaml:2:8: list[0]: missing key `name`"]);
    problems("", &["f.yaml:1:1: missing key `name`"]);
}

#[test]
fn numbers_are_not_text_and_have_bounds() {
    problems("name: x\ncount: \"7\"\n", &["f.yaml:2:8: count: expected a whole number, got text"]);
    problems("name: x\ncount: -1\n", &["f.yaml:2:8: count: expected a whole number, got a number"]);
    problems("name: x\ncount: 4294967296\n", &["f.yaml:2:8: count: expected a whole number, got a number"]);
    problems("name: x\ncount: .nan\n", &["f.yaml:2:8: count: expected a whole number, got text"]);
    problems("name: x\ncount: 1.0\n", &["f.yaml:2:8: count: expected a whole number, got a number"]);
}

#[test]
fn never_shows_values() {
    let error =
        parse::<Sample>("name: {x: sk-canary}\ncount: sk-canary\nlist: sk-canary\n", "f").unwrap_err();
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn broken_yaml_has_a_place() {
    for (text, place) in [
        ("name: [1\n", "f.yaml:1:7: "),
        ("name: x\n---\nname: y\n", "f.yaml:3:1: "),
        ("a: b: c\n", "f.yaml:1:"),
    ] {
        let error = parse::<Sample>(text, "f.yaml").unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains("not readable as YAML"), "{error}");
    }
}

#[test]
fn bombs_are_refused() {
    let deep = format!("name: x\njson: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    let mut laughs = "name: x\njson:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let line = format!("  - &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "));
        laughs.push_str(&line);
    }
    let itself = "name: x\njson: &a [*a]\n".to_owned();
    let large = format!("name: {}\n", "x".repeat(MAX_FILE));
    for text in [deep, laughs, itself, large] {
        let error = parse::<Sample>(&text, "f").unwrap_err();
        let message = error.to_string();
        assert!(message.len() < 200, "{message}");
    }
}

#[test]
fn many_problems_end() {
    let text: String = (0..500).map(|number| format!("bad{number}: 1\n")).collect();
    assert_eq!(parse::<Sample>(&text, "f").unwrap_err().problems.len(), MAX_PROBLEMS);
}
