//! The table of the admin API: every path, who may ask it, what it takes and what it answers. What is not here is not
//! served; what is here is described in `/openapi.json` as it is checked.

use serde_json::Value;
use weir_gateway::call::Role;

use super::groups::{teams, users};
use super::{
    Answer, Ask, Desk, audit, budgets, catalog, config, errors, explain, keys, openapi, page, requests, spend,
};

/// What answers an endpoint.
pub type Run = for<'a> fn(&'a Desk<'_>, &'a Ask) -> Answer<'a>;

/// One endpoint.
pub struct Endpoint {
    /// `GET`, `POST`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Its path; `{id}` stands for any one segment.
    pub path: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Who may: this role and those above.
    pub role: Role,
    /// Its parameters.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The schema of its body, if it takes one.
    pub body: Option<fn() -> Value>,
    /// The schema of its answer.
    pub answer: fn() -> Value,
    /// What answers.
    pub run: Run,
}

impl Endpoint {
    /// The status of an answer.
    pub fn status(&self) -> u16 {
        let makes = self.method == "POST" && self.body.is_some() && !self.path.ends_with("/explain");
        if makes && !self.path.contains('{') { 201 } else { 200 }
    }

    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        self.role == Role::Admin
    }
}

type Parameters = &'static [(&'static str, &'static str)];

const fn read(
    path: &'static str,
    summary: &'static str,
    parameters: Parameters,
    answer: fn() -> Value,
    run: Run,
) -> Endpoint {
    Endpoint { method: "GET", path, summary, role: Role::Viewer, parameters, body: None, answer, run }
}

const fn write(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: Option<fn() -> Value>,
    answer: fn() -> Value,
    run: Run,
) -> Endpoint {
    Endpoint { method, path, summary, role: Role::Admin, parameters: &[], body, answer, run }
}

/// All endpoints.
pub const ENDPOINTS: &[Endpoint] = &[
    read("/admin/v1/keys", "Lists keys", page::PARAMETERS, openapi::key_page, keys::list),
    write(
        "POST",
        "/admin/v1/keys",
        "Makes a key; the answer alone has it",
        Some(openapi::new_key),
        openapi::key,
        keys::create,
    ),
    read("/admin/v1/keys/{id}", "Reads a key", &[], openapi::key, keys::one),
    write(
        "PATCH",
        "/admin/v1/keys/{id}",
        "Changes a key",
        Some(openapi::key_change),
        openapi::key,
        keys::update,
    ),
    write("DELETE", "/admin/v1/keys/{id}", "Revokes a key, for good", None, openapi::key, keys::revoke),
    write(
        "POST",
        "/admin/v1/keys/{id}/rotate",
        "Gives a key another secret; the old one holds for a while",
        Some(openapi::rotation),
        openapi::key,
        keys::rotate,
    ),
    read("/admin/v1/teams", "Lists teams", page::PARAMETERS, openapi::group_page, teams::list),
    write("POST", "/admin/v1/teams", "Makes a team", Some(openapi::new_group), openapi::group, teams::create),
    read("/admin/v1/teams/{id}", "Reads a team", &[], openapi::group, teams::one),
    write(
        "PATCH",
        "/admin/v1/teams/{id}",
        "Changes a team",
        Some(openapi::group_change),
        openapi::group,
        teams::update,
    ),
    write(
        "DELETE",
        "/admin/v1/teams/{id}",
        "Removes a team without keys",
        None,
        openapi::group,
        teams::delete,
    ),
    read("/admin/v1/users", "Lists end users", page::PARAMETERS, openapi::group_page, users::list),
    write(
        "POST",
        "/admin/v1/users",
        "Makes an end user",
        Some(openapi::new_group),
        openapi::group,
        users::create,
    ),
    read("/admin/v1/users/{id}", "Reads an end user", &[], openapi::group, users::one),
    write(
        "PATCH",
        "/admin/v1/users/{id}",
        "Changes an end user",
        Some(openapi::group_change),
        openapi::group,
        users::update,
    ),
    write("DELETE", "/admin/v1/users/{id}", "Removes an end user", None, openapi::group, users::delete),
    read("/admin/v1/budgets", "Lists budgets", page::PARAMETERS, openapi::budget_page, budgets::list),
    write(
        "POST",
        "/admin/v1/budgets",
        "Makes a budget",
        Some(openapi::new_budget),
        openapi::budget,
        budgets::create,
    ),
    read("/admin/v1/budgets/{id}", "Reads a budget", &[], openapi::budget, budgets::one),
    write(
        "PATCH",
        "/admin/v1/budgets/{id}",
        "Changes a budget",
        Some(openapi::budget_change),
        openapi::budget,
        budgets::update,
    ),
    write("DELETE", "/admin/v1/budgets/{id}", "Removes a budget", None, openapi::budget, budgets::delete),
    read(
        "/admin/v1/requests",
        "Lists calls with their attempts, latest first",
        requests::PARAMETERS,
        openapi::any_page,
        requests::list,
    ),
    read(
        "/admin/v1/requests/{id}",
        "Reads a call, by the ledger's id or the request's",
        &[],
        openapi::any,
        requests::one,
    ),
    read(
        "/admin/v1/live",
        "Shows calls of this process as they end; ask again with `next`",
        errors::LIVE,
        openapi::any,
        errors::live,
    ),
    read(
        "/admin/v1/errors",
        "Lists what went wrong in this process, grouped by cause, latest first",
        page::PARAMETERS,
        openapi::any_page,
        errors::list,
    ),
    read("/admin/v1/spend", "Adds up what was spent", spend::PARAMETERS, openapi::any, spend::sums),
    read(
        "/admin/v1/models",
        "Lists what can be called",
        page::PARAMETERS,
        openapi::any_page,
        catalog::models,
    ),
    read("/admin/v1/providers", "Lists providers", page::PARAMETERS, openapi::any_page, catalog::providers),
    read(
        "/admin/v1/routes",
        "Lists public names and who serves them",
        page::PARAMETERS,
        openapi::any_page,
        catalog::routes,
    ),
    read(
        "/admin/v1/prices",
        "Lists what is charged now",
        page::PARAMETERS,
        openapi::any_page,
        catalog::prices,
    ),
    read(
        "/admin/v1/config",
        "Shows what is in force, and where it comes from",
        &[],
        openapi::any,
        config::effective,
    ),
    write(
        "POST",
        "/admin/v1/config/reload",
        "Reads the configuration file again",
        None,
        openapi::any,
        config::reload,
    ),
    read(
        "/admin/v1/audit",
        "Lists changes, latest first",
        page::PARAMETERS,
        openapi::audit_page,
        audit::list,
    ),
    read(
        "/admin/v1/alerts",
        "Lists alerts: those that fire, then those that are over",
        page::PARAMETERS,
        openapi::any,
        catalog::alerts,
    ),
    read("/admin/v1/cache", "Shows what stored answers are worth", &[], openapi::any, catalog::cache),
    write("DELETE", "/admin/v1/cache", "Forgets all stored answers", None, openapi::any, catalog::purge),
    Endpoint {
        method: "POST",
        path: "/admin/v1/explain",
        summary: "Shows where a request would go, without sending it",
        role: Role::Viewer,
        parameters: explain::PARAMETERS,
        body: Some(openapi::request),
        answer: openapi::any,
        run: explain::request,
    },
];

/// What a path is asked for.
pub enum Found {
    /// By this endpoint, with this id.
    Endpoint(&'static Endpoint, String),
    /// The path is there, but not with this method.
    OtherMethod,
    /// Nothing is there.
    Nothing,
}

/// The endpoint of a request. The path is split once and each piece is decoded once: what was authorized is what runs.
pub fn find(method: &str, path: &str) -> Found {
    let mut other = false;
    for endpoint in ENDPOINTS {
        let Some(id) = matched(endpoint.path, path) else { continue };
        if endpoint.method == method {
            return Found::Endpoint(endpoint, id);
        }
        other = true;
    }
    if other { Found::OtherMethod } else { Found::Nothing }
}

/// The id in the path; empty where the pattern has none.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let mut pieces = path.split('/');
    for wanted in pattern.split('/') {
        let piece = pieces.next()?;
        if wanted == "{id}" {
            id = decoded(piece).filter(|id| !id.is_empty())?;
        } else if wanted != piece {
            return None;
        }
    }
    pieces.next().is_none().then_some(id)
}

/// A piece of a path, or of a query, with its `%XX` decoded.
pub fn decoded(piece: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(piece.len());
    let mut rest = piece.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_once_and_exactly() {
        let id = |method: &str, path: &str| match find(method, path) {
            Found::Endpoint(_, id) => Some(id),
            _ => None,
        };
        assert_eq!(id("GET", "/admin/v1/keys").as_deref(), Some(""));
        assert_eq!(id("GET", "/admin/v1/keys/file:ci").as_deref(), Some("file:ci"));
        assert_eq!(id("GET", "/admin/v1/keys/file:a%2Fb").as_deref(), Some("file:a/b"));
        assert_eq!(id("POST", "/admin/v1/keys/x/rotate").as_deref(), Some("x"));
        for odd in [
            "/admin/v1/keys/",
            "/admin/v1//keys",
            "/admin/v1/Keys",
            "/admin/v1/%6beys",
            "/admin/v1/keys/x/rotate/",
            "/admin/v1/keys/%zz",
            "/admin/v1/keys/%ff",
            "/admin/v1/keys;x",
            "/admin/v1/keys/../keys",
        ] {
            assert_eq!(id("GET", odd), None, "{odd}");
        }
        assert!(matches!(find("PUT", "/admin/v1/keys"), Found::OtherMethod));
        assert!(matches!(find("GET", "/admin/v1/nothing"), Found::Nothing));
    }

    #[test]
    fn only_admins_change_anything() {
        for endpoint in ENDPOINTS {
            let changes = endpoint.method != "GET" && !endpoint.path.ends_with("/explain");
            assert_eq!(endpoint.writes(), changes, "{} {}", endpoint.method, endpoint.path);
        }
    }
}
