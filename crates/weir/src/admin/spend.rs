//! `/admin/v1/spend`: what was spent, as `weir spend --json` has it.

use super::{Answer, Ask, Desk};
use crate::handlers::spend;

/// The parameters.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("group_by", "one or several, with commas: model, provider, route, key, team, user, session, tag, day"),
    ("since", "how far back, as in 7d or 12h; all where it is not said"),
];

/// What was spent.
pub fn sums<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let groups = ask.parameter("group_by").unwrap_or_default().split(',');
        let groups: Vec<String> = groups.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let query = spend::query(&groups, ask.parameter("since"), ask.now)?;
        spend::ask(desk.store, &query).await
    })
}
