//! Who may call: keys by their hash.
//!
//! The file's keys belong to the snapshot; the store's come and go while it runs. Both are held merged in memory, so
//! that a key is found by one look-up, without the store. What ends by itself (an expired key, the time of grace after
//! a rotation) ends by the clock, with nobody's doing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use weir_ledger::Micros;
use weir_ledger::key::{Form, KeyHash, form};

use crate::accounts::{Book, Held, KeyBody};
use crate::call::{Caller, Role};
use crate::limits::Limits;

/// All keys that are known. Only hashes are kept.
#[derive(Debug)]
pub struct Keys {
    declared: Declared,
    merged: RwLock<Merged>,
}

/// What the file says.
#[derive(Debug, Default)]
struct Declared {
    master: Option<KeyHash>,
    keys: HashMap<KeyHash, Arc<Caller>>,
    /// The file's teams; they own their names.
    teams: HashMap<Arc<str>, Option<Limits>>,
    local: Option<Arc<Caller>>,
    admin: Option<Arc<Caller>>,
}

/// The file's keys and the store's.
#[derive(Debug, Default)]
struct Merged {
    /// The version of the book that is in it.
    version: i64,
    keys: HashMap<KeyHash, Entry, RandomState>,
    users: HashMap<String, Limits>,
    /// Nobody needs a key.
    open: bool,
    /// The store's keys are not known yet: nobody can be told apart.
    unknown: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    caller: Arc<Caller>,
    /// Until when it holds, and why then no longer.
    until: Option<(Micros, Ended)>,
}

/// Why a key that is known may not call any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time is over.
    Expired,
    /// It was rotated, and its time of grace is over.
    Rotated,
}

/// What a key, or its absence, says about who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A caller.
    Is(Arc<Caller>),
    /// No key came, and one is needed.
    Missing,
    /// The key was good once.
    Ended(Ended),
    /// The store's keys are not known yet.
    Unknown,
    /// The key is none of these; it may be mistyped.
    Wrong {
        /// It looks like a key of weir's, but its checksum does not fit.
        mistyped: bool,
    },
}

impl Keys {
    /// A master key, and declared ones. `open`: without a key at all, everybody on loopback may call.
    pub fn new(master: Option<KeyHash>, declared: HashMap<KeyHash, Arc<Caller>>) -> Keys {
        Keys::with_teams(master, declared, HashMap::new())
    }

    /// The same, with the file's teams and their limits, which hold for the store's keys, too.
    pub fn with_teams(
        master: Option<KeyHash>,
        keys: HashMap<KeyHash, Arc<Caller>>,
        teams: HashMap<Arc<str>, Option<Limits>>,
    ) -> Keys {
        let named = |name: &str, role| Some(Arc::new(Caller::named(name, role)));
        let (local, admin) = (named("local", Role::Caller), named("master", Role::Admin));
        let declared = Declared { master, keys, teams, local, admin };
        let merged = merge(&declared, &Book::default());
        Keys { declared, merged: RwLock::new(merged) }
    }

    /// Takes over the store's accounts, unless newer ones are here already. Whether it did.
    pub fn adopt(&self, book: &Book) -> bool {
        let merged = merge(&self.declared, book);
        let mut current = self.merged.write();
        let newer = current.unknown || book.version >= current.version;
        if newer {
            *current = merged;
        }
        newer
    }

    /// Lets nobody but the master key in until the store's accounts are known.
    pub fn close_until_known(&self) {
        *self.merged.write() = Merged { unknown: true, ..Merged::default() };
    }

    /// Whether the store's accounts are known.
    pub fn known(&self) -> bool {
        !self.merged.read().unknown
    }

    /// Whether calls need a key.
    pub fn needed(&self) -> bool {
        !self.merged.read().open
    }

    /// Whether there is a master key.
    pub fn has_master(&self) -> bool {
        self.declared.master.is_some()
    }

    /// How much an end user may call.
    pub fn user_limits(&self, name: &str) -> Option<Limits> {
        self.merged.read().users.get(name).copied()
    }

    /// Who calls with the key of this name.
    pub fn named(&self, name: &str) -> Option<Arc<Caller>> {
        let merged = self.merged.read();
        merged.keys.values().map(|entry| &entry.caller).find(|caller| &*caller.name == name).cloned()
    }

    /// Whose key this is at this time. A key whose checksum is wrong is refused without a look-up.
    pub fn verify(&self, key: Option<&str>, now: Micros) -> Verdict {
        self.verify_by(key, now, KeyHash::of)
    }

    /// The same, where `hash` knows the hash of a key, or makes it.
    pub fn verify_by(&self, key: Option<&str>, now: Micros, hash: impl FnOnce(&str) -> KeyHash) -> Verdict {
        let merged = self.merged.read();
        let local = self.declared.local.as_ref().filter(|_| merged.open);
        if let Some(local) = local {
            return Verdict::Is(local.clone());
        }
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return if merged.unknown && !self.has_master() { Verdict::Unknown } else { Verdict::Missing };
        };
        if form(key) == Form::Mistyped {
            return Verdict::Wrong { mistyped: true };
        }
        let hash = hash(key);
        if self.declared.master.as_ref() == Some(&hash) {
            return self.declared.admin.clone().map_or(Verdict::Missing, Verdict::Is);
        }
        if merged.unknown {
            return Verdict::Unknown;
        }
        match merged.keys.get(&hash) {
            None => Verdict::Wrong { mistyped: false },
            Some(entry) => match entry.until {
                Some((until, ended)) if now >= until => Verdict::Ended(ended),
                _ => Verdict::Is(entry.caller.clone()),
            },
        }
    }
}

/// The file owns its names: a key or a team of the store with the name of a declared one does not hold.
fn merge(declared: &Declared, book: &Book) -> Merged {
    let own: HashSet<&str> = declared.keys.values().map(|caller| &*caller.name).collect();
    let teams: HashMap<&str, Option<Limits>> =
        book.teams.iter().map(|team| (team.name.as_str(), Limits::of(team.body.limits.as_ref()))).collect();
    let mut keys =
        HashMap::with_capacity_and_hasher(declared.keys.len() + book.keys.len(), RandomState::default());
    for key in book.keys.iter().filter(|key| !own.contains(key.name.as_str())) {
        let team = key.body.team.as_deref();
        let limits = team.and_then(|team| {
            declared.teams.get(team).copied().unwrap_or_else(|| teams.get(team).copied().flatten())
        });
        add(&mut keys, key, limits);
    }
    for (hash, caller) in &declared.keys {
        keys.insert(*hash, Entry { caller: caller.clone(), until: None });
    }
    let users = book.users.iter();
    let users = users.filter_map(|user| Some((user.name.clone(), Limits::of(user.body.limits.as_ref())?)));
    Merged {
        version: book.version,
        users: users.collect(),
        open: declared.master.is_none() && declared.keys.is_empty() && !book.any_key,
        unknown: false,
        keys,
    }
}

fn add(keys: &mut HashMap<KeyHash, Entry, RandomState>, key: &Held<KeyBody>, team_limits: Option<Limits>) {
    let body = &key.body;
    let caller = Arc::new(Caller {
        name: key.name.as_str().into(),
        team: body.team.as_deref().map(Into::into),
        models: body.models.clone(),
        role: body.role.into(),
        limits: Limits::of(body.limits.as_ref()),
        team_limits,
        defaults: body.defaults.clone(),
    });
    let expires = body.expires_at.map(|at| (at, Ended::Expired));
    if let Some(previous) = &body.previous
        && let Some(hash) = KeyHash::from_hex(&previous.sha256)
    {
        let grace = (previous.until, Ended::Rotated);
        let until = expires.filter(|(at, _)| *at < previous.until).unwrap_or(grace);
        keys.insert(hash, Entry { caller: caller.clone(), until: Some(until) });
    }
    if let Some(hash) = key.hash {
        keys.insert(hash, Entry { caller, until: expires });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{GroupBody, Previous};

    fn caller(name: &str) -> Arc<Caller> {
        Arc::new(Caller::named(name, Role::Caller))
    }

    fn held(name: &str, secret: &str, body: KeyBody) -> Held<KeyBody> {
        Held { id: name.into(), name: name.into(), hash: Some(KeyHash::of(secret)), body }
    }

    fn book(version: i64, keys: Vec<Held<KeyBody>>) -> Book {
        Book { version, keys, any_key: true, ..Book::default() }
    }

    fn who(verdict: Verdict) -> String {
        match verdict {
            Verdict::Is(caller) => caller.name.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn without_any_key_everybody_is_local() {
        assert_eq!(who(Keys::new(None, HashMap::new()).verify(Some("anything"), 0)), "local");
    }

    #[test]
    fn a_key_is_needed_once_one_exists() {
        let keys = Keys::new(Some(KeyHash::of("m")), HashMap::from([(KeyHash::of("k"), caller("ci"))]));
        assert_eq!(keys.verify(None, 0), Verdict::Missing);
        assert_eq!(keys.verify(Some(""), 0), Verdict::Missing);
        assert_eq!(keys.verify(Some("x"), 0), Verdict::Wrong { mistyped: false });
        assert_eq!(keys.verify(Some("sk-weir-short"), 0), Verdict::Wrong { mistyped: true });
        assert_eq!(keys.verify(Some("k"), 0), Verdict::Is(caller("ci")));
        assert!(matches!(keys.verify(Some("m"), 0), Verdict::Is(who) if who.role == Role::Admin));
    }

    #[test]
    fn a_key_of_the_store_closes_what_was_open_also_when_it_is_revoked() {
        let keys = Keys::new(None, HashMap::new());
        assert!(keys.adopt(&book(1, vec![held("ci", "k", KeyBody::default())])));
        assert_eq!(who(keys.verify(Some("k"), 0)), "ci");
        assert_eq!(keys.verify(None, 0), Verdict::Missing);
        keys.adopt(&book(2, Vec::new()));
        assert_eq!(keys.verify(Some("k"), 0), Verdict::Wrong { mistyped: false });
        assert!(keys.needed());
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let keys = Keys::new(Some(KeyHash::of("m")), HashMap::new());
        assert!(keys.adopt(&book(5, Vec::new())));
        assert!(!keys.adopt(&book(4, vec![held("revoked", "k", KeyBody::default())])));
        assert_eq!(keys.verify(Some("k"), 0), Verdict::Wrong { mistyped: false });
    }

    #[test]
    fn what_ends_by_itself_ends_by_the_clock() {
        let previous = Previous { sha256: KeyHash::of("old").to_hex(), until: 100 };
        let body = KeyBody { expires_at: Some(200), previous: Some(previous), ..KeyBody::default() };
        let keys = Keys::new(Some(KeyHash::of("m")), HashMap::new());
        keys.adopt(&book(1, vec![held("ci", "new", body)]));
        for (key, now, expected) in [
            ("old", 99, "ci"),
            ("old", 100, "Ended(Rotated)"),
            ("new", 199, "ci"),
            ("new", 200, "Ended(Expired)"),
        ] {
            assert_eq!(who(keys.verify(Some(key), now)), expected, "{key} at {now}");
        }
    }

    #[test]
    fn the_file_owns_its_names() {
        let teams =
            HashMap::from([(Arc::from("t"), Some(Limits { concurrency: Some(1), ..Limits::default() }))]);
        let keys = Keys::with_teams(None, HashMap::from([(KeyHash::of("file"), caller("ci"))]), teams);
        let of_team = KeyBody { team: Some("t".into()), ..KeyBody::default() };
        let wide = weir_config::Limits { concurrency: Some(9), ..Default::default() };
        let team = GroupBody { limits: Some(wide), ..GroupBody::default() };
        let team = Held { id: "t".into(), name: "t".into(), hash: None, body: team };
        let store = vec![held("ci", "store", KeyBody::default()), held("cd", "other", of_team)];
        keys.adopt(&Book { teams: vec![team], ..book(1, store) });
        assert_eq!(keys.verify(Some("store"), 0), Verdict::Wrong { mistyped: false });
        assert_eq!(who(keys.verify(Some("file"), 0)), "ci");
        let Verdict::Is(cd) = keys.verify(Some("other"), 0) else { panic!("refused") };
        assert_eq!(cd.team_limits.and_then(|limits| limits.concurrency), Some(1));
    }

    #[test]
    fn nobody_but_the_master_key_comes_in_before_the_store_is_known() {
        let keys = Keys::new(Some(KeyHash::of("m")), HashMap::from([(KeyHash::of("k"), caller("ci"))]));
        keys.close_until_known();
        assert_eq!(keys.verify(Some("k"), 0), Verdict::Unknown);
        assert_eq!(who(keys.verify(Some("m"), 0)), "master");
        let open = Keys::new(None, HashMap::new());
        open.close_until_known();
        assert_eq!(open.verify(None, 0), Verdict::Unknown);
        open.adopt(&Book::default());
        assert_eq!(who(open.verify(None, 0)), "local");
    }

    /// W-076: how much of a key is right can't be told by the time that its refusal takes.
    #[test]
    fn refusing_takes_the_same_time_however_near_the_guess() {
        let real = "a-declared-key-of-forty-eight-characters-0123456";
        let near = "a-declared-key-of-forty-eight-characters-0123457";
        let far = "z9qk3vXw81mmPoe72LrTyNcbd05UiAsHgJfEQ64xRt-._zzz";
        let keys = Keys::new(Some(KeyHash::of("m")), HashMap::from([(KeyHash::of(real), caller("ci"))]));
        let time = |key: &str| {
            let began = std::time::Instant::now();
            for _ in 0..8 {
                assert_eq!(
                    std::hint::black_box(keys.verify(Some(key), 0)),
                    Verdict::Wrong { mistyped: false }
                );
            }
            began.elapsed().as_nanos() as f64
        };
        let timings =
            std::env::var("WEIR_TIMINGS").ok().and_then(|count| count.parse().ok()).unwrap_or(4_000);
        // What else runs on the machine shows in single rounds: a leak would show in each.
        let welch: Vec<f64> = (0..9)
            .map(|_| {
                let (mut nears, mut fars) = (Vec::new(), Vec::new());
                for n in 0..timings {
                    let (one, other) = if n % 2 == 0 { (near, far) } else { (far, near) };
                    let (first, second) = (time(one), time(other));
                    let (is_near, is_far) = if n % 2 == 0 { (first, second) } else { (second, first) };
                    nears.push(is_near);
                    fars.push(is_far);
                }
                welch(&mut nears, &mut fars)
            })
            .collect();
        let least = welch.iter().fold(f64::INFINITY, |least, t| least.min(t.abs()));
        assert!(least < 4.5, "{welch:?}");
    }

    /// Welch's t of the faster nine tenths of both.
    fn welch(one: &mut Vec<f64>, other: &mut Vec<f64>) -> f64 {
        let moments = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.truncate(values.len() * 9 / 10);
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            (mean, variance / count)
        };
        let ((one, its), (other, others)) = (moments(one), moments(other));
        (one - other) / (its + others).sqrt()
    }
}
