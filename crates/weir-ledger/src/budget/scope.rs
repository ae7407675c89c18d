//! A budget, and whom it is for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::tz::TimeZone;

use super::account::Account;
use super::period::{Period, Window};
use crate::row::{Micros, Text};

/// The longest id, in bytes; what would be longer ends in a digest.
pub(crate) const ID_CAP: usize = 200;

/// Whom a budget is for. As a name, `*` means one such budget for each user, session or tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    Gateway,
    /// Calls to a provider.
    Provider(Text),
    /// Calls of a team.
    Team(Text),
    /// Calls with a key.
    Key(Text),
    /// Calls of an end user.
    User(Text),
    /// Calls of an agent run.
    Session(Text),
    /// Calls with a label.
    Tag(Text),
}

impl Scope {
    /// The kind's word: `gateway`, `provider`, `team`, `key`, `user`, `session`, `tag`.
    pub fn kind(&self) -> &'static str {
        match self {
            Scope::Gateway => "gateway",
            Scope::Provider(_) => "provider",
            Scope::Team(_) => "team",
            Scope::Key(_) => "key",
            Scope::User(_) => "user",
            Scope::Session(_) => "session",
            Scope::Tag(_) => "tag",
        }
    }

    /// The name, empty for the gateway.
    pub fn name(&self) -> &str {
        match self {
            Scope::Gateway => "",
            Scope::Provider(name)
            | Scope::Team(name)
            | Scope::Key(name)
            | Scope::User(name)
            | Scope::Session(name)
            | Scope::Tag(name) => name,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Gateway => f.write_str("gateway"),
            named => write!(f, "{}:{}", named.kind(), named.name()),
        }
    }
}

/// What may be spent by whom in which period.
pub struct Budget {
    /// The same over restarts, reloads and replicas; at most 200 bytes where made by [`Budget::declared_id`].
    pub id: Text,
    /// Whom it is for.
    pub scope: Scope,
    /// The limit in nano-dollars.
    pub limit_nanousd: i64,
    /// How long money is counted together.
    pub period: Period,
    /// Where days begin.
    pub zone: TimeZone,
    /// Whether calls are refused when it is spent.
    pub hard: bool,
    /// Shares of the limit that alert, in millionths.
    pub alert_at: Vec<u32>,
    /// The account in the engine that it was used with first, and that engine's number.
    pub(super) account: OnceLock<(u64, Arc<Account>)>,
}

/// A name that fits, made of one that may not.
fn fitting(id: String) -> Text {
    if id.len() <= ID_CAP {
        return id.into();
    }
    let digest = digest(&SHA256, id.as_bytes());
    let tail: String = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}~{tail}", &id[..id.floor_char_boundary(ID_CAP - 40)]).into()
}

impl Budget {
    /// A hard budget in UTC without alerts.
    pub fn new(id: Text, scope: Scope, limit_nanousd: i64, period: Period) -> Budget {
        Budget {
            id,
            scope,
            limit_nanousd,
            period,
            zone: TimeZone::UTC,
            hard: true,
            alert_at: Vec::new(),
            account: OnceLock::new(),
        }
    }

    /// The id of a declared budget: whose it is, its period (`day`, `1h`, …, with the time zone), and which of several
    /// alike it is, counted from 0.
    pub fn declared_id(scope: &Scope, period: &str, timezone: Option<&str>, ordinal: usize) -> Text {
        let zone = timezone.filter(|zone| *zone != "UTC").map(|zone| format!("@{zone}")).unwrap_or_default();
        let nth = if ordinal == 0 { String::new() } else { format!("#{ordinal}") };
        fitting(format!("{scope}/{period}{zone}{nth}"))
    }

    /// The one for `value` of a budget whose name is `*`.
    pub(super) fn for_value(&self, value: &str) -> Budget {
        let value = Text::from(value);
        let scope = match &self.scope {
            Scope::User(_) => Scope::User(value.clone()),
            Scope::Session(_) => Scope::Session(value.clone()),
            Scope::Tag(_) => Scope::Tag(value.clone()),
            other => other.clone(),
        };
        Budget {
            id: fitting(format!("{}={value}", self.id)),
            scope,
            limit_nanousd: self.limit_nanousd,
            period: self.period,
            zone: self.zone.clone(),
            hard: self.hard,
            alert_at: self.alert_at.clone(),
            account: OnceLock::new(),
        }
    }

    /// The window that `at` lies in.
    pub fn window(&self, at: Micros) -> Window {
        self.period.window(&self.zone, at)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("id", &self.id)
            .field("limit_nanousd", &self.limit_nanousd)
            .field("period", &self.period)
            .field("hard", &self.hard)
            .finish_non_exhaustive()
    }
}

/// Who makes a call, as far as budgets ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallScopes<'a> {
    /// The key's name.
    pub key: &'a str,
    /// The key's team.
    pub team: Option<&'a str>,
    /// The end user.
    pub user: Option<&'a str>,
    /// The agent run.
    pub session: Option<&'a str>,
    /// Labels.
    pub tags: &'a [Text],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_fit() {
        let key = Scope::Key("ci".into());
        assert_eq!(&*Budget::declared_id(&key, "day", None, 0), "key:ci/day");
        assert_eq!(
            &*Budget::declared_id(&key, "day", Some("Europe/Berlin"), 1),
            "key:ci/day@Europe/Berlin#1"
        );
        assert_eq!(&*Budget::declared_id(&Scope::Gateway, "total", Some("UTC"), 0), "gateway/total");
        let all = Budget::new("user:*/day".into(), Scope::User("*".into()), 1, Period::Day);
        assert_eq!(&*all.for_value("ann").id, "user:*/day=ann");
        let (one, other) = (all.for_value(&"ä".repeat(300)), all.for_value(&("ä".repeat(299) + "b")));
        assert!(one.id.len() <= ID_CAP && one.id != other.id);
    }
}
