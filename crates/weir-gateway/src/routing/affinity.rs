//! What belongs together goes to the same target and key, since a warm prompt cache is often the largest saving.
//!
//! Rendezvous hashing: every process picks alike, a target that rests moves only what was at it, and the spread follows
//! the weights.

use serde_json::value::RawValue;
use weir_config::Affinity;

use crate::call::Call;

/// What the call belongs to, as a number; `None` where it belongs to nothing. Without a word in the configuration a
/// session or a cache key that the client names is followed; `session` follows the beginning of the prompt, too.
pub fn of(call: &Call, setting: Option<Affinity>) -> Option<u64> {
    let own = hash(0, call.caller.name.as_bytes());
    match setting {
        Some(Affinity::Off) => None,
        Some(Affinity::Key) => Some(own),
        Some(Affinity::Session) => named(call, own).or_else(|| prefix(call, own)),
        None => named(call, own),
    }
}

fn named(call: &Call, own: u64) -> Option<u64> {
    if let Some(session) = &call.facts.session {
        return Some(hash(own, session.as_bytes()));
    }
    let peek = call.request.peek();
    let key = peek.members.value(call.request.raw(), "prompt_cache_key")?;
    Some(hash(own, key))
}

/// The system prompt and the first message that is none: what stays the same over the turns of a conversation.
fn prefix(call: &Call, own: u64) -> Option<u64> {
    let (peek, raw) = (call.request.peek(), call.request.raw());
    let value = |name: &str| peek.members.value(raw, name);
    let mut seed = hash(own, value("system").or_else(|| value("instructions")).unwrap_or_default());
    let list = value("messages").or_else(|| value("contents")).or_else(|| value("input"))?;
    let Ok(messages) = serde_json::from_slice::<Vec<&RawValue>>(list) else { return Some(hash(seed, list)) };
    for message in messages {
        let text = message.get();
        seed = hash(seed, text.as_bytes());
        let head = ["\"system\"", "\"developer\""];
        if !head.iter().any(|role| text.contains(role)) {
            break;
        }
    }
    Some(seed)
}

/// FNV-1a from a seed, mixed: the same in every process and version.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(state, bytes.len() as u64)
}

/// Two numbers into one that has nothing of either's order left.
pub fn mix(one: u64, other: u64) -> u64 {
    let mut state = one ^ other.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// How strongly what belongs to `affinity` is drawn to a target: the strongest has it. Each has a share of all in
/// proportion to its weight.
pub fn pull(affinity: u64, target: u64, weight: u32) -> f64 {
    let unit = ((mix(affinity, target) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight.max(1)) / unit.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spread is within 10 % of the weights, and a target that goes moves only what was at it.
    #[test]
    fn sessions_spread_by_weight_and_stay() {
        let targets = [(hash(0, b"a/x"), 1), (hash(0, b"b/x"), 2), (hash(0, b"c/x"), 3)];
        let choose = |session: u64, gone: usize| {
            let all = (0..3).filter(|index| *index != gone);
            let pull_of = |index: &usize| pull(mix(session, 1), targets[*index].0, targets[*index].1);
            all.max_by(|one, other| pull_of(one).total_cmp(&pull_of(other))).unwrap()
        };
        let mut counts = [0.0; 3];
        for session in 0..12_000 {
            let chosen = choose(session, 9);
            counts[chosen] += 1.0;
            let without = choose(session, 2);
            assert!(chosen == 2 || chosen == without, "only what was at the third moves");
        }
        for (count, weight) in counts.into_iter().zip([2000.0, 4000.0, 6000.0_f64]) {
            assert!((count / weight - 1.0).abs() < 0.1, "{counts:?}");
        }
    }
}
