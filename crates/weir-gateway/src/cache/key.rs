//! What makes two calls the same: everything that can change the answer, and who may share it.

use sha2::{Digest, Sha256};
use weir_config::CacheScope;

use super::canonical::{part, value};
use crate::call::{Call, Caller};
use crate::routing::Plan;
use crate::snapshot::Route;

/// The key of an answer. It is a digest: it says nothing of what was asked, nor of who did.
pub type Key = [u8; 32];

/// The largest request that is looked up, in bytes: a longer one is never stored.
const MAX_REQUEST: usize = 1 << 20;

/// The key of a call; `None` where its answer is neither looked up nor stored.
pub(crate) fn of(call: &Call, plan: &Plan) -> Option<Key> {
    let request = &call.request;
    if request.operation.has_units() {
        return None;
    }
    let replay = request.front().replay()?;
    let raw = request.raw();
    if raw.len() > MAX_REQUEST {
        return None;
    }
    let mut hasher = Sha256::new();
    part(&mut hasher, b"weir exact 1");
    scope(&mut hasher, call.snapshot.settings.cache.scope, &call.caller);
    part(&mut hasher, request.front().dialect().as_bytes());
    part(&mut hasher, request.operation.name().as_bytes());
    part(&mut hasher, request.query.as_deref().unwrap_or_default().as_bytes());
    let options = &call.options;
    hasher.update([options.strict, options.no_fallback, call.snapshot.settings.usage_cost].map(u8::from));
    for (name, value) in &request.headers {
        part(&mut hasher, name.as_str().as_bytes());
        part(&mut hasher, value.as_bytes());
    }
    if options.preferences.is_some() || options.strategy.is_some() {
        part(&mut hasher, format!("{:?} {:?}", options.preferences, options.strategy).as_bytes());
    }
    if let Some(defaults) = &call.caller.defaults {
        part(&mut hasher, b"defaults");
        part(&mut hasher, serde_json::to_string(defaults).unwrap_or_default().as_bytes());
    }
    part(&mut hasher, b"routes");
    for route in Plan::chain(call, &plan.route).0 {
        identity(&mut hasher, &route);
    }
    part(&mut hasher, b"body");
    let mut members: Vec<_> = request.peek().members.list.iter().collect();
    members.sort_unstable_by_key(|member| &raw[member.key.clone()]);
    for member in members {
        let name = weir_wire::peek::key_bytes(raw, member);
        if !replay.insignificant().iter().any(|other| other.as_bytes() == name) {
            part(&mut hasher, name);
            value(&raw[member.value.clone()], &mut hasher)?;
        }
    }
    Some(hasher.finalize().into())
}

/// Who may share the answer. A key without a team shares with nobody.
fn scope(hasher: &mut Sha256, scope: CacheScope, caller: &Caller) {
    match (scope, &caller.team) {
        (CacheScope::Global, _) => part(hasher, b"all"),
        (CacheScope::Team, Some(team)) => {
            part(hasher, b"team");
            part(hasher, team.as_bytes());
        }
        (CacheScope::Key | CacheScope::Team, team) => {
            part(hasher, b"key");
            part(hasher, caller.name.as_bytes());
            part(hasher, team.as_deref().unwrap_or_default().as_bytes());
        }
    }
}

/// What a route would send, and where.
fn identity(hasher: &mut Sha256, route: &Route) {
    part(hasher, route.name.as_bytes());
    if let Some(defaults) = &route.defaults {
        part(hasher, serde_json::to_string(defaults).unwrap_or_default().as_bytes());
    }
    part(hasher, &route.max_output_tokens.unwrap_or_default().to_le_bytes());
    hasher.update([u8::from(route.reject_unsupported)]);
    for target in &route.targets {
        let provider = &target.provider;
        let base = provider.entry.base_url.as_ref().map(|url| url.as_str()).unwrap_or_default();
        let version = provider.entry.api_version.as_deref().unwrap_or_default();
        for text in [&*provider.name, &*provider.kind, base, version, &*target.model] {
            part(hasher, text.as_bytes());
        }
        for (name, value) in &provider.headers {
            part(hasher, name.as_str().as_bytes());
            part(hasher, value.as_bytes());
        }
    }
}
