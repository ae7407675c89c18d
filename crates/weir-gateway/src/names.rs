//! Names near to one that nobody serves.

use crate::call::Caller;
use crate::snapshot::Snapshot;

/// How many names are suggested.
const SUGGESTIONS: usize = 3;

/// The nearest names that this caller may call.
pub fn nearest(snapshot: &Snapshot, caller: &Caller, name: &str) -> Vec<String> {
    if name.len() > 128 {
        return Vec::new();
    }
    let wanted = name.to_lowercase();
    let mut near: Vec<(usize, String)> = snapshot
        .listed()
        .filter(|listed| caller.may_call(listed))
        .map(|listed| (distance(&wanted, &listed.to_lowercase()), listed))
        .filter(|(distance, _)| *distance <= wanted.len().div_ceil(2))
        .collect();
    near.sort();
    near.truncate(SUGGESTIONS);
    near.into_iter().map(|(_, listed)| listed).collect()
}

/// Edits from one name to another; a missing `provider/` costs one.
fn distance(wanted: &str, listed: &str) -> usize {
    let whole = strsim::osa_distance(wanted, listed);
    match (wanted.contains('/'), listed.split_once('/')) {
        (false, Some((_, id))) => whole.min(1 + strsim::osa_distance(wanted, id)),
        _ => whole,
    }
}
