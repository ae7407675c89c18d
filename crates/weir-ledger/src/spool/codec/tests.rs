//! Records come back as they went, and any bytes are read or refused.

use proptest::prelude::*;

use super::*;
use crate::row::sample;

fn texts() -> impl Strategy<Value = Text> {
    prop_oneof!["[a-z/]{0,12}".prop_map(Text::from), "\\PC{0,300}".prop_map(Text::from), Just("a\0b".into()),]
}

fn usages() -> impl Strategy<Value = Usage> {
    proptest::collection::vec((0usize..15, 0usize..7, any::<u64>()), 0..8).prop_map(|counts| {
        let mut usage = Usage::new();
        for (class, unit, count) in counts {
            let class = *TOKEN_CLASSES.get(class).unwrap_or(&OTHER_CLASSES[class % 6]);
            usage.set_in(class, UNITS[unit], count);
        }
        usage
    })
}

proptest! {
    #[test]
    fn rows_round_trip(a in texts(), b in texts(), tags in proptest::collection::vec(texts(), 0..80),
                       usage in usages(), cost in any::<Option<i64>>(), time in any::<i64>(),
                       number in any::<u64>(), n in any::<u16>(), state in 0u8..9, paid in 0usize..40) {
        let facts = Facts { request_id: a.clone(), user: Some(b.clone()), session: Some(a.clone()), tags,
                            started_at: time, ..(*sample::facts(7)).clone() };
        let charge = |at: usize| Charge { budget: a.clone(), window: time, lease: at.is_multiple_of(2).then_some(time) };
        let charges: Charges = (0..paid).map(charge).collect::<Vec<_>>().into();
        let open = Open { model: b.clone(), bound_nanousd: cost, started_at: time, charges,
                          ..sample::open(CallId::at(number >> 20, &[5; 10]), n, &Arc::new(facts)) };
        let attempt = AttemptRow { usage: usage.clone(), cost_nanousd: cost, reason: Some(a.clone()), started_at: 0,
                                   error_code: Some(b.clone()), duration_ms: number,
                                   upstream_request_id: Some(a.clone()),
                                   state: State::from_number(state).unwrap(), ..open.abandoned(State::Ok, 0, "") };
        let call = CallRow { usage, overhead_us: number, attempts: n, cache_saved_nanousd: cost, ..sample::finished(&attempt) };
        let mut first = Vec::new();
        put_open(&mut first, &open);
        let open_len = first.len() as u64;
        let got = get_open(&first).unwrap();
        let mut again = Vec::new();
        put_open(&mut again, &got);
        prop_assert_eq!(&first, &again);
        prop_assert_eq!((got.id, got.started_at, got.bound_nanousd), (open.id, open.started_at, open.bound_nanousd));

        first.clear();
        put_attempt(&mut first, &attempt);
        prop_assert!(first.len() as u64 <= open_len + SETTLE_EXTRA);
        let got = get_attempt(&first).unwrap();
        prop_assert_eq!((&got.usage, got.cost_nanousd, got.state), (&attempt.usage, attempt.cost_nanousd, attempt.state));
        again.clear();
        put_attempt(&mut again, &got);
        prop_assert_eq!(&first, &again);

        first.clear();
        put_call(&mut first, &call);
        prop_assert!(first.len() as u64 <= open_len + CALL_EXTRA);
        again.clear();
        put_call(&mut again, &get_call(&first).unwrap());
        prop_assert_eq!(&first, &again);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = (get_open(&bytes), get_attempt(&bytes), get_call(&bytes));
    }
}

#[test]
fn records_of_before_there_were_budgets_are_read() {
    let paid = |charges| Open { charges, ..sample::open(CallId::at(9, &[1; 10]), 2, &sample::facts(-5)) };
    let charge = Charge { budget: "key:ci/day".into(), window: 86_400_000_000, lease: None };
    let (plain, paid) = (paid(Charges::default()), paid(vec![charge].into()));
    let (mut old, mut new) = (Vec::new(), Vec::new());
    put_open(&mut old, &plain);
    put_open(&mut new, &paid);
    assert!(new.starts_with(&old), "what is new stands at the end");
    assert_eq!(get_open(&old), Ok(plain.clone()));
    assert_eq!(get_open(&new), Ok(paid.clone()));
    for (open, charges) in [(plain, 0), (paid, 1)] {
        let row = sample::settled(&open, 5);
        let mut out = Vec::new();
        put_attempt(&mut out, &row);
        assert_eq!(get_attempt(&out).map(|row| row.charges.len()), Ok(charges));
    }
}

#[test]
fn plain_rows_are_equal_after_the_trip() {
    let open = sample::open(CallId::at(9, &[1; 10]), 2, &sample::facts(-5));
    let attempt = sample::settled(&open, 123);
    let call = sample::finished(&attempt);
    let mut out = Vec::new();
    put_open(&mut out, &open);
    assert_eq!(get_open(&out), Ok(open));
    out.clear();
    put_attempt(&mut out, &attempt);
    assert_eq!(get_attempt(&out), Ok(attempt));
    out.clear();
    put_call(&mut out, &call);
    assert_eq!(get_call(&out), Ok(call));
    out.push(77);
    assert!(get_call(&out).is_ok(), "a field added later is left alone");
}

#[test]
fn records_of_a_call_share_its_facts_and_other_facts_are_read_as_they_stand() {
    let facts = sample::facts(7);
    let open = sample::open(CallId::at(9, &[3; 10]), 1, &facts);
    let attempt = sample::settled(&open, 5);
    let call = sample::finished(&attempt);
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    put_open(&mut first, &open);
    put_attempt(&mut second, &attempt);
    put_call(&mut third, &call);
    let read = get_open(&first).unwrap().facts;
    assert_eq!(read, facts);
    assert!(Arc::ptr_eq(&read, &get_attempt(&second).unwrap().facts));
    assert!(Arc::ptr_eq(&read, &get_call(&third).unwrap().facts));
    // The same place, of this call with other facts and of another call with the same.
    let other = Arc::new(Facts { stream: false, ..(*facts).clone() });
    for (id, facts) in [(open.id.call, &other), (CallId::at(8, &[3; 10]), &facts), (open.id.call, &facts)] {
        let mut bytes = Vec::new();
        put_open(&mut bytes, &sample::open(id, 1, facts));
        let read = get_open(&bytes).unwrap();
        assert_eq!((read.id.call, &read.facts), (id, facts));
    }
}
