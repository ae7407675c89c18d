//! Lists in pages: what the file declares first, then what the store has.

use serde_json::{Value, json};
use weir_gateway::GatewayError;
use weir_ledger::accounts::{Account, Kind, Slice};

use super::input::invalid;
use super::{Ask, Desk, unavailable};

/// How long a page is where nothing is said.
const LIMIT: u32 = 50;
/// The longest page.
const MOST: u32 = 200;

/// The parameters of all lists.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("limit", "how many, 1 to 200; 50 where it is not said"),
    ("cursor", "`next_cursor` of the page before"),
];

/// How many are asked for.
///
/// # Errors
/// A number that is none, or out of range.
pub fn limit(ask: &Ask) -> Result<u32, GatewayError> {
    let Some(text) = ask.parameter("limit") else { return Ok(LIMIT) };
    let number = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    number.ok_or_else(|| invalid(format!("`limit` is a number from 1 to {MOST}")))
}

/// A page and where the next begins.
pub fn page(data: Vec<Value>, next: Option<String>) -> Value {
    json!({ "data": data, "next_cursor": next })
}

fn bad_cursor() -> GatewayError {
    invalid("`cursor` is none of weir's; take `next_cursor` of the page before as it is")
}

/// A page of a list that is at hand.
///
/// # Errors
/// A cursor that is none.
pub fn of_all(ask: &Ask, all: Vec<Value>) -> Result<Value, GatewayError> {
    let limit = limit(ask)? as usize;
    let start: usize = match ask.parameter("cursor") {
        None => 0,
        Some(text) => text.parse().map_err(|_| bad_cursor())?,
    };
    let end = start.saturating_add(limit);
    let next = (end < all.len()).then(|| end.to_string());
    Ok(page(all.into_iter().skip(start).take(limit).collect(), next))
}

/// A page of accounts: the declared ones, then those of the store.
///
/// # Errors
/// A cursor that is none, a store that does not answer.
pub async fn of_accounts(
    desk: &Desk<'_>,
    ask: &Ask,
    kind: Kind,
    declared: Vec<Value>,
    show: impl Fn(&Account) -> Result<Value, GatewayError>,
) -> Result<Value, GatewayError> {
    let limit = limit(ask)? as usize;
    let (skip, beyond) = match ask.parameter("cursor").map(|cursor| cursor.split_at_checked(1)) {
        None => (0, None),
        Some(Some(("f", number))) => (number.parse().map_err(|_| bad_cursor())?, None),
        Some(Some(("d", id))) => (declared.len(), Some(id.to_owned())),
        Some(_) => return Err(bad_cursor()),
    };
    let total = declared.len();
    let mut data: Vec<Value> = declared.into_iter().skip(skip).take(limit).collect();
    if data.len() == limit && skip.saturating_add(limit) < total {
        return Ok(page(data, Some(format!("f{}", skip + limit))));
    }
    let room = limit - data.len();
    let slice = Slice { limit: u32::try_from(room).unwrap_or(MOST) + 1, beyond };
    let found = desk.store.accounts().list(kind, &slice).await.map_err(|error| unavailable(&error))?;
    let next = match (found.len() > room, room) {
        (false, _) => None,
        (true, 0) => Some(format!("f{total}")),
        (true, room) => found.get(room - 1).map(|last| format!("d{}", last.id)),
    };
    for account in found.iter().take(room) {
        data.push(show(account)?);
    }
    Ok(page(data, next))
}
