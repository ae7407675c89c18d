//! `/admin/v1/errors`: what went wrong, grouped by cause; and `/admin/v1/live`: calls as they end.

use std::time::Instant;

use serde_json::{Value, json};
use weir_gateway::errors::Group;

use super::catalog::running;
use super::input::invalid;
use super::time::text;
use super::{Answer, Ask, Desk, page, requests};

/// The parameters of what is live.
pub const LIVE: &[(&str, &str)] =
    &[("after", "`next` of the answer before; without it, what ends from now on")];

/// Causes, the one seen last first.
pub fn list<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let groups = running(desk)?.metrics.errors.list();
        page::of_all(ask, groups.iter().map(shown).collect())
    })
}

fn shown(group: &Group) -> Value {
    json!({
        "fingerprint": format!("{:016x}", group.fingerprint),
        "class": group.class,
        "provider": group.provider,
        "message": group.shape,
        "count": group.count,
        "first_seen": text(group.first),
        "last_seen": text(group.last),
        "sample": {
            "id": group.sample.call,
            "request_id": group.sample.request_id,
            "key": group.sample.key,
            "route": group.sample.route,
            "status": group.sample.status,
        },
    })
}

/// Calls of this process that ended since the last time.
pub fn live<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let app = running(desk)?;
        let number = |text: &str| text.parse().map_err(|_| invalid("`after` is `next` of the answer before"));
        let after = ask.parameter("after").map(number).transpose()?;
        let since = app.live.since(&app.metrics, after, Instant::now());
        let calls: Vec<Value> =
            since.calls.iter().map(|ended| requests::line(&ended.row, &ended.attempts)).collect();
        let instance = app.ledger.instance().to_string();
        Ok(json!({ "data": calls, "next": since.next, "missed": since.missed, "instance": instance }))
    })
}
