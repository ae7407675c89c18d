//! Items that an input only names. Clients that rely on answers being kept send `{"type": "item_reference", "id": …}` for
//! what they were given before, as Vercel's AI SDK does with reasoning.

use std::collections::HashMap;

use serde_json::Value;
use weir_gateway::{Caller, GatewayError};

use super::unavailable;
use crate::app::App;

/// The most answers that one input may refer to; further references stay as they are.
const MOST: usize = 1_000;
/// Hex digits of an answer's id, with which the ids of its items begin.
const DIGITS: usize = 32;

/// Puts the items of kept answers where the input only names them, and says whether there were any. What is not known here
/// stays: its provider may know it.
pub(super) async fn resolve(app: &App, caller: &Caller, input: &mut [Value]) -> Result<bool, GatewayError> {
    let mut answers: HashMap<String, Vec<Value>> = HashMap::new();
    let mut changed = false;
    for item in input {
        let Some((id, answer)) = reference(item) else { continue };
        if !answers.contains_key(&answer) && answers.len() < MOST {
            let found = output(app, caller, &answer).await?;
            answers.insert(answer.clone(), found);
        }
        let named = answers.get(&answer).and_then(|items| items.iter().find(|known| known["id"] == *id));
        if let Some(named) = named.cloned() {
            *item = named;
            changed = true;
        }
    }
    Ok(changed)
}

/// The id that an item refers to, and the id of the answer that it was part of, if weir made it.
fn reference(item: &Value) -> Option<(String, String)> {
    let members = item.as_object()?;
    if members.get("type").is_some_and(|kind| kind != "item_reference" && !kind.is_null())
        || members.keys().any(|name| name != "type" && name != "id")
    {
        return None;
    }
    let id = members.get("id")?.as_str()?;
    let (_, digits) = id.split_once('_')?;
    let answer =
        digits.get(..DIGITS).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    Some((id.to_owned(), format!("resp_{answer}")))
}

/// What a kept answer says.
async fn output(app: &App, caller: &Caller, id: &str) -> Result<Vec<Value>, GatewayError> {
    let now = crate::clock::unix_micros();
    let chain = app.ledger.store().responses().chain(&caller.name, id, now).await.map_err(unavailable)?;
    let body = chain.last().and_then(|kept| serde_json::from_str::<Value>(&kept.body).ok());
    Ok(body.and_then(|body| body["output"].as_array().cloned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_bare_names_of_own_items_are_references() {
        let id = "rs_0198c0ffee007000800000000000000100";
        let known = Some((id.to_owned(), "resp_0198c0ffee0070008000000000000001".to_owned()));
        assert_eq!(reference(&json!({"type": "item_reference", "id": id})), known);
        assert_eq!(reference(&json!({"id": id})), known);
        for other in [
            json!({"type": "reasoning", "id": id}),
            json!({"id": id, "role": "user", "content": "x"}),
            json!({"type": "item_reference", "id": "rs_1"}),
            json!({"type": "item_reference", "id": "rs_0198c0ffeeé07000800000000000000100"}),
            json!({"type": "item_reference"}),
            json!("text"),
        ] {
            assert_eq!(reference(&other), None, "{other}");
        }
    }
}
