//! Sums of spend: those of the rows, whatever is written, in whatever pieces, and whatever is asked.

use super::*;

pub(super) async fn spend_is_what_the_plain_store_says(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let plain = MemoryStore::new();
    let batch = sample_batch(0..400);
    store.write(&batch).await.unwrap();
    plain.write(&batch).await.unwrap();
    let mut by: Vec<Vec<Group>> =
        vec![vec![], vec![Group::Team, Group::Tag, Group::Day], vec![Group::Key, Group::Tag, Group::User]];
    by.extend(Group::ALL.map(|group| vec![group]));
    by.extend(Group::ALL.map(|group| vec![Group::Provider, group]).into_iter().skip(2));
    let micros = |ms: u64| Some((START + ms) as i64 * 1_000);
    // Whole days are read from the daily sums, other moments from the rows.
    let ranges = [
        (None, None),
        (micros(DAY), micros(3 * DAY)),
        (micros(DAY / 2 + 1), None),
        (None, micros(5_000_123)),
        (micros(DAY), micros(DAY)),
    ];
    for by in by {
        for (since, until) in ranges {
            let query = SpendQuery { by: by.clone(), since, until };
            let (found, expected) = (store.spend(&query).await.unwrap(), plain.spend(&query).await.unwrap());
            assert_eq!(found.rows, expected.rows, "{query:?}");
            assert_eq!(found.total, expected.total, "{query:?}");
        }
    }
}

pub(super) async fn a_wrong_sum_is_found(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    store.write(&sample_batch(0..40)).await.unwrap();
    fixture
        .execute("UPDATE spend_daily SET \"cost_nanousd\" = \"cost_nanousd\" + 1 WHERE \"key\" = 'ci'")
        .await;
    let totals = store.check_totals().await.unwrap();
    assert!(!totals.mismatches.is_empty() && totals.mismatches.iter().all(|line| line.key == "ci"));
    fixture
        .execute("UPDATE spend_daily SET \"cost_nanousd\" = \"cost_nanousd\" - 1 WHERE \"key\" = 'ci'")
        .await;
    assert!(store.check_totals().await.unwrap().is_exact());
    for (kind, value, name, key) in [
        ("user", "ann", "user ann", "ci"),
        ("session", "run", "session run", "lab"),
        ("tag", "name:b", "tag name:b", "lab"),
        ("tagged", "", "tagged ", "lab"),
    ] {
        for change in ["+ 1", "- 1"] {
            let line = format!("\"kind\" = '{kind}' AND \"value\" = '{value}' AND \"key\" = '{key}'");
            fixture
                .execute(&format!("UPDATE spend_by SET \"calls\" = \"calls\" {change} WHERE {line}"))
                .await;
            let wrong = store.check_totals().await.unwrap().mismatches;
            assert_eq!(wrong.is_empty(), change == "- 1", "{kind}: {wrong:?}");
            assert!(
                wrong.iter().all(|line| line.name.as_deref() == Some(name) && line.key == key),
                "{wrong:?}"
            );
        }
    }
    let (call, _) = sample_call(7, 3);
    fixture.execute("UPDATE calls SET \"cost_nanousd\" = 1 WHERE \"request_id\" = 'req-7'").await;
    assert_eq!(store.check_totals().await.unwrap().unbalanced, [call.id]);
}

const FIRST_DAY: i64 = (START / DAY) as i64;

/// Days that are over are closed one by one, the latest first, and a row that comes late opens its own.
pub(super) async fn days_are_closed_and_opened_again(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    assert!(!store.close_day(FIRST_DAY + 9).await.unwrap(), "nothing was spent yet");
    store.write(&sample_batch(0..100)).await.unwrap();
    let before = FIRST_DAY + 3;
    for day in 0..4 {
        assert_eq!(store.close_day(before).await.unwrap(), day < 3, "{day}: three days are before it");
    }
    fixture.execute("DELETE FROM spend_daily WHERE \"key\" = 'ci'").await;
    let by = |group| SpendQuery { by: vec![group], since: None, until: None };
    let keys = store.spend(&by(Group::Key)).await.unwrap();
    let calls = |key: &str| {
        keys.rows.iter().find(|row| row.group == [Some(key.to_owned())]).map_or(0, |row| row.calls)
    };
    assert!(calls("ci") > 20 && calls("ci") < calls("app"), "of closed days alone: {keys:?}");
    assert!(!store.check_totals().await.unwrap().is_exact());

    // A late one, as another program would write it.
    fixture
        .execute(&format!("UPDATE spend_daily SET \"calls\" = \"calls\" WHERE \"day\" = {}", before - 1))
        .await;
    assert!(store.close_day(before).await.unwrap(), "it is open again");
    assert!(!store.close_day(before).await.unwrap());

    fixture.execute("UPDATE spend_names SET \"calls\" = \"calls\" + 1 WHERE \"kind\" = 'no tag'").await;
    let named = |kind: &str| {
        format!("UPDATE spend_names SET \"attempts\" = \"attempts\" + 1 WHERE \"kind\" = '{kind}'")
    };
    fixture.execute(&named("tag")).await;
    fixture.execute(&named("no session")).await;
    let wrong = store.check_totals().await.unwrap().mismatches;
    let names: Vec<_> = wrong.iter().filter_map(|line| line.name.as_deref()).collect();
    assert!(names.contains(&"closed day, by tag") && names.contains(&"closed day, by session"), "{wrong:?}");
}

/// A small generator: the same numbers for the same seed everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A call of some key with some names, somewhere in five days, with up to three attempts.
fn any_call(dice: &mut Dice, n: u64) -> (CallRow, Vec<AttemptRow>) {
    let mut facts: Facts = (*sample::facts(0)).clone();
    facts.request_id = format!("any-{n}").into();
    facts.key = dice.one(&["ci", "app"]).into();
    facts.team = (dice.below(2) == 0).then(|| "red".into());
    facts.user = (dice.below(2) == 0).then(|| dice.one(&["ann", "bob", "'", "日"]).into());
    facts.session = (dice.below(3) == 0).then(|| format!("run-{}", dice.below(20)).into());
    facts.tags = (0..dice.below(4)).map(|_| dice.one(&["a", "b", "", "x:y"]).into()).collect();
    facts.route = dice.one(&["smart", "fast"]).into();
    let facts = Arc::new(facts);
    // Often at the very edge of a day.
    let ms = dice.below(5) * DAY + [0, DAY - 1, dice.below(DAY)][dice.below(3) as usize];
    let call = CallId::at(START + ms, &n.to_be_bytes().repeat(2)[..10].try_into().unwrap());
    let mut attempts = Vec::new();
    for attempt in 1..=dice.below(4) as u16 {
        let mut open = sample::open(call, attempt, &facts);
        (open.provider, open.model) =
            (dice.one(&["openai", "claude"]).into(), dice.one(&["m1", "m2"]).into());
        let mut row = sample::settled(&open, dice.below(1_000_000) as i64);
        row.usage = Usage::new().with(Class::Input, dice.below(900)).with(Class::Output, dice.below(90));
        row.cost_nanousd = row.cost_nanousd.filter(|_| dice.below(5) > 0);
        attempts.push(row);
    }
    let mut sum = weir_ledger::row::Sum::default();
    attempts.iter().for_each(|row| sum.add(row));
    let nothing = sample::settled(&sample::open(call, 1, &facts), 0);
    let mut row = sample::finished(attempts.last().unwrap_or(&nothing));
    if attempts.is_empty() {
        (row.provider, row.model) = (None, None);
    }
    (row.attempts, row.usage, row.cost_nanousd) = (sum.attempts, sum.usage, sum.cost_nanousd);
    (row, attempts)
}

fn any_query(dice: &mut Dice) -> SpendQuery {
    let mut by = Vec::new();
    for _ in 0..dice.below(4) {
        let group = Group::ALL[dice.below(9) as usize];
        if !by.contains(&group) {
            by.push(group);
        }
    }
    let mut moment = |from: u64| match dice.below(4) {
        0 => None,
        1 => Some((START + (from + dice.below(3)) * DAY) as Micros * 1_000),
        _ => Some((START + from * DAY + dice.below(3 * DAY)) as Micros * 1_000 + dice.below(1_000) as Micros),
    };
    SpendQuery { by, since: moment(0), until: moment(2) }
}

/// Random calls in random pieces, some of them written twice; after each, random questions: the sums are what counting
/// every row says.
pub(super) async fn sums_are_those_of_the_rows_whatever_is_written_and_asked(fixture: &impl Fixture) {
    let seed = 20_261_130;
    let (mut dice, mut n) = (Dice(seed), 0);
    let store = fixture.open().await.unwrap();
    let plain = MemoryStore::new();
    let mut before = Batch::default();
    for round in 0..25 {
        let mut batch = Batch::default();
        if dice.below(3) == 0 {
            batch = before.clone();
        }
        for _ in 0..dice.below(30) {
            let (call, attempts) = any_call(&mut dice, n);
            n += 1;
            batch.calls.push(call);
            batch.attempts.extend(attempts);
        }
        batch.sort();
        assert_eq!(store.write(&batch).await.unwrap(), plain.write(&batch).await.unwrap());
        before = batch;
        // Rows that come later open closed days again.
        for _ in 0..dice.below(4) {
            store.close_day(FIRST_DAY + dice.below(7) as i64).await.unwrap();
        }
        for _ in 0..8 {
            let query = any_query(&mut dice);
            let (found, expected) = (store.spend(&query).await.unwrap(), plain.spend(&query).await.unwrap());
            assert_eq!(found, expected, "seed {seed}, round {round}: {query:?}");
        }
    }
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
}

/// Rows that were there before the sums by name were kept are in them.
pub(super) async fn rows_from_before_are_in_the_sums(
    store: Arc<dyn Store>,
    migration: &str,
    fixture: &impl Fixture,
) {
    store.write(&sample_batch(0..200)).await.unwrap();
    let fill = migration
        .split_once("\nWITH ")
        .map(|(_, fill)| format!("DELETE FROM spend_by; WITH {fill}"))
        .unwrap();
    fixture.execute("DELETE FROM spend_by").await;
    assert!(!store.check_totals().await.unwrap().is_exact());
    fixture.execute(&fill).await;
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
}
