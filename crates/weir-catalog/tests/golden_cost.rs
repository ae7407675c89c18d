//! W-033, the second half: what the golden usages cost, to the nanodollar. That the readers find the classes in them is
//! tested with the adapters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use weir_catalog::{Catalog, PriceFields, ServiceTier};
use weir_wire::usage::{Class, Usage};

#[derive(Deserialize)]
struct Golden {
    name: String,
    tier: Option<String>,
    price: serde_json::Map<String, serde_json::Value>,
    classes: BTreeMap<Class, u64>,
    cost_nanousd: Option<i64>,
}

fn check(golden: &Golden) {
    let mut price = golden.price.clone();
    price.insert("model".to_owned(), "golden/model".into());
    let price: PriceFields = serde_json::from_value(price.into()).unwrap();
    let catalog = Catalog::default().with_prices(Vec::new(), vec![price]).unwrap();
    let schedule = catalog.schedule("golden", "golden", "model");
    let usage = golden.classes.iter().fold(Usage::new(), |usage, (class, count)| usage.with(*class, *count));
    let tier = golden.tier.as_deref().map_or(ServiceTier::Standard, ServiceTier::from_name);
    let cost = schedule.at(0).unwrap().cost_in(&usage, tier);
    assert_eq!(cost.map(|cost| cost.0), golden.cost_nanousd, "{}", golden.name);
}

/// What is counted in images, seconds, characters, pages and searches, beside tokens or alone.
#[test]
fn golden_units_cost_what_they_must() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/units/units.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let mut price = golden.price.clone();
        price.insert("model".to_owned(), "golden/model".into());
        let price: PriceFields = serde_json::from_value(price.into()).unwrap();
        let catalog = Catalog::default().with_prices(Vec::new(), vec![price]).unwrap();
        let schedule = catalog.schedule("golden", "golden", "model");
        let price = schedule.at(0).unwrap();
        let usage =
            golden.classes.iter().fold(Usage::new(), |usage, (class, count)| usage.with(*class, *count));
        let charged = price.charged(&usage, ServiceTier::Standard);
        let cost = charged.map(|charged| price.cost(&charged).expect("what is charged has a price").0);
        assert_eq!(cost, golden.cost_nanousd, "{}", golden.name);
        count += 1;
    }
    assert!(count >= 40, "{count}");
}

#[test]
fn golden_usages_cost_what_they_must() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/usage");
    let mut counts = BTreeMap::new();
    for dialect in ["openai", "anthropic", "gemini"] {
        let text = fs::read_to_string(folder.join(dialect).with_extension("jsonl")).unwrap();
        let golden: Vec<Golden> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        golden.iter().for_each(check);
        counts.insert(dialect, golden.len());
    }
    println!("{counts:?}");
    assert!(counts.values().sum::<usize>() >= 120 && counts.values().all(|count| *count >= 30), "{counts:?}");
}
