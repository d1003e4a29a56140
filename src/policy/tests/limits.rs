//! Limits beyond counting calls in fixed windows: sliding ones, sums, shared counters, and what a restart finds again.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::call::{AgentId, Millis};
use crate::policy::limits::{Add, Amount, Bound, CounterName, Owner, Window};
use crate::policy::{Counters, Kept, LimitScope, LimitUse, NotReserved, Reservation, Scope};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn uses(policy: &Policy, tool: &str) -> Vec<LimitUse> {
    policy.limits(&Call::new(&upstream("iam"), tool)).into_iter().cloned().collect()
}

/// The limits of an entry `x`.
fn of_x(limits: &str) -> Vec<LimitUse> {
    uses(&policy(&format!(r#"{{"version": "1", "tools": {{"x": {{"limits": [{limits}]}}}}}}"#)), "x")
}

/// What becomes of a call with these arguments.
fn call(counters: &mut Counters, uses: &[LimitUse], arguments: &str, at: i64) -> Result<Reservation, NotReserved> {
    let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
    let agent = AgentId(uuid::Uuid::from_u128(1));
    let who = LimitScope { agent, upstream: &upstream("iam"), tool: "x", arguments: Some(document.root()) };
    counters.reserve(uses, &who, Millis(at))
}

fn passes(counters: &mut Counters, uses: &[LimitUse], arguments: &str, at: i64) -> bool {
    call(counters, uses, arguments, at).is_ok()
}

/// Rule and moment, where a limit is reached.
fn reached(counters: &mut Counters, uses: &[LimitUse], arguments: &str, at: i64) -> (String, Option<i64>) {
    match call(counters, uses, arguments, at) {
        Err(NotReserved::Exceeded(limit)) => (limit.rule, limit.retry_at.map(|at| at.0)),
        other => panic!("{other:?}"),
    }
}

/// Rule and words, where a call cannot be counted.
fn uncountable(uses: &[LimitUse], arguments: &str) -> (String, String) {
    match call(&mut Counters::new(), uses, arguments, 0) {
        Err(NotReserved::Uncountable(why)) => (why.rule.clone(), why.to_string()),
        other => panic!("{arguments}: {other:?}"),
    }
}

#[test]
fn a_sliding_window_ends_with_its_calls_and_not_with_the_calendars() {
    for (window, length) in [("second", 1000), ("minute", MINUTE), ("hour", HOUR), ("day", 24 * HOUR)] {
        let uses = of_x(&format!(r#"{{"counter": "c", "window": "{window}", "sliding": true, "max": 3}}"#));
        let mut counters = Counters::new();
        // Across a boundary of the calendar, where a fixed window would give three more.
        let times = [-length / 3, -1, length / 3].map(|at| 20_000 * 24 * HOUR + at);
        assert!(times.iter().all(|at| passes(&mut counters, &uses, "{}", *at)), "{window}");
        for at in [times[2], times[0] + length - 1] {
            assert_eq!(reached(&mut counters, &uses, "{}", at).1, Some(times[0] + length), "{window}");
        }
        assert!(passes(&mut counters, &uses, "{}", times[0] + length), "{window}");
        assert_eq!(reached(&mut counters, &uses, "{}", times[0] + length).1, Some(times[1] + length), "{window}");
    }
}

#[test]
fn calls_of_one_part_of_a_sliding_window_leave_it_together() {
    let uses = of_x(r#"{"counter": "c", "window": "minute", "sliding": true, "max": 2}"#);
    let mut counters = Counters::new();
    assert!(passes(&mut counters, &uses, "{}", 1000) && passes(&mut counters, &uses, "{}", 1999));
    assert_eq!(reached(&mut counters, &uses, "{}", 2000).1, Some(1999 + MINUTE));
    assert!(
        !passes(&mut counters, &uses, "{}", 1999 + MINUTE - 1) && passes(&mut counters, &uses, "{}", 1999 + MINUTE)
    );
}

#[test]
fn sums_are_exact_and_of_numbers_alone() {
    let uses = of_x(r#"{"counter": "spent", "window": "day", "add": "args.amount", "max": 0.3}"#);
    let mut counters = Counters::new();
    let amount = |text: &str| format!(r#"{{"amount": {text}}}"#);
    assert!(passes(&mut counters, &uses, &amount("0.1"), 0) && passes(&mut counters, &uses, &amount("20e-2"), 0));
    assert!(passes(&mut counters, &uses, &amount("0"), 0) && passes(&mut counters, &uses, &amount("-0.0"), 0));
    let (rule, retry_at) = reached(&mut counters, &uses, &amount("1e-400"), 0);
    assert_eq!((rule.as_str(), retry_at), ("/tools/x/limits/0", Some(24 * HOUR)));
    assert_eq!(reached(&mut counters, &uses, &amount("0.31"), 0).1, None, "it alone is too much");
    for (text, why) in [
        ("-0.01", "args.amount is less than 0"),
        ("\"1\"", "args.amount is not a number"),
        ("null", "args.amount is not a number"),
        ("[1]", "args.amount is not a number"),
        ("true", "args.amount is not a number"),
        ("{}", "args.amount is not a number"),
        ("1e400", "args.amount is too large or too fine to be added up exactly"),
        ("1e-401", "args.amount is too large or too fine to be added up exactly"),
        ("1e99999999999999999999", "args.amount is too large or too fine to be added up exactly"),
    ] {
        let (rule, said) = uncountable(&uses, &amount(text));
        assert_eq!((rule.as_str(), said.as_str()), ("/tools/x/limits/0/add", why), "{text}");
    }
    for arguments in ["{}", r#"{"amounts": 1}"#] {
        assert_eq!(uncountable(&uses, arguments).1, "args.amount is missing", "{arguments}");
    }
    let deep = of_x(r#"{"counter": "c", "window": "day", "add": "args.items[1].price", "max": 9}"#);
    assert!(passes(&mut counters, &deep, r#"{"items": [{}, {"price": 9}]}"#, 0));
    assert_eq!(uncountable(&deep, r#"{"items": [{"price": 9}]}"#).1, "args.items[1].price is missing");
}

#[test]
fn what_would_be_too_large_a_sum_is_denied() {
    let most = format!("{}.0", "9".repeat(400));
    let uses = of_x(&format!(r#"{{"counter": "c", "window": "minute", "add": "args.n", "max": {most}}}"#));
    let mut counters = Counters::new();
    assert!(passes(&mut counters, &uses, &format!(r#"{{"n": {most}}}"#), 0));
    assert_eq!(reached(&mut counters, &uses, r#"{"n": 1}"#, 1), ("/tools/x/limits/0".to_owned(), Some(MINUTE)));
    assert!(passes(&mut counters, &uses, r#"{"n": 0}"#, 1));
    // Without a bound too.
    let name = CounterName {
        owner: Owner::Shared("_global".into()),
        counter: Some("n".into()),
        window: Window::fixed(Duration::from_secs(60)),
        scope: Scope::Global,
    };
    let sum = Add::Sum { rule: "/r".into(), path: crate::policy::path::Path::parse(".n").unwrap() };
    let uses = [LimitUse::new("/r", name, sum, None)];
    assert!(passes(&mut counters, &uses, &format!(r#"{{"n": {most}}}"#), 0));
    assert_eq!(reached(&mut counters, &uses, r#"{"n": 1}"#, 1), ("/r".to_owned(), Some(MINUTE)));
}

#[test]
fn a_call_counts_as_much_as_the_limit_says() {
    let uses = of_x(r#"{"counter": "c", "window": "hour", "add": 5, "max": 14, "on_deny": "No more of it"}"#);
    let mut counters = Counters::new();
    assert!(passes(&mut counters, &uses, "{}", 0) && passes(&mut counters, &uses, "{}", 0));
    let refused = call(&mut counters, &uses, "{}", 0).unwrap_err();
    let NotReserved::Exceeded(limit) = refused else { panic!("{refused:?}") };
    assert_eq!((limit.on_deny.as_deref(), limit.retry_at), (Some("No more of it"), Some(Millis(HOUR))));
}

#[test]
fn counters_of_an_owner_are_shared_and_may_only_be_looked_at() {
    let policy = policy(
        r#"{"version": "1", "tools": {
            "pay": {"limits": [{"counter": "spent", "of": "_global", "window": "day", "add": "args.n", "max": 10}]},
            "refund": {"limits": [{"counter": "spent", "of": "_global", "window": "day", "add": 0, "max": 5}]},
            "other": {"limits": [{"counter": "spent", "of": "x", "window": "day", "max": 1}]},
            "*": {"limits": [{"counter": "spent", "of": "_global", "window": "day", "add": 2, "max": 1000}]}}}"#,
    );
    let (pay, refund, other) = (uses(&policy, "pay"), uses(&policy, "refund"), uses(&policy, "other"));
    let mut counters = Counters::new();
    // Every call adds 2, once, and a payment at least that.
    assert!(passes(&mut counters, &pay, r#"{"n": 3}"#, 0));
    assert!(passes(&mut counters, &refund, "{}", 0), "3 and its own 2 are 5");
    assert_eq!(reached(&mut counters, &refund, "{}", 0).0, "/tools/refund/limits/0");
    assert!(passes(&mut counters, &pay, r#"{"n": 0.5}"#, 0), "it counts as 2");
    assert!(passes(&mut counters, &other, "{}", 0), "another owner's, and 2 more");
    assert_eq!(reached(&mut counters, &pay, r#"{"n": 2}"#, 0).0, "/tools/pay/limits/0");
    let looks = of_x(r#"{"counter": "c", "window": "day", "add": 0, "max": 0}"#);
    assert!((0..5).all(|_| passes(&mut counters, &looks, "{}", 0)), "what only looks takes nothing");
}

#[test]
fn strictly_less_is_one_call_fewer() {
    let name = || CounterName {
        owner: Owner::Entry("/tools/x".into()),
        counter: Some("c".into()),
        window: Window::fixed(Duration::from_secs(3600)),
        scope: Scope::Global,
    };
    let five = || Amount::parse("5").unwrap();
    for (bound, many) in [(Some(Bound::AtMost(five())), 5), (Some(Bound::Below(five())), 4), (None, 100)] {
        let uses = [LimitUse::new("/r", name(), Add::Count(1), bound)];
        let mut counters = Counters::new();
        assert_eq!((0..100).take_while(|_| passes(&mut counters, &uses, "{}", 0)).count(), many);
    }
}

#[test]
fn exactly_so_many_get_through_however_many_try_at_once() {
    let uses = of_x(
        r#"{"counter": "a", "window": "day", "max": 500, "scope": "global"},
           {"counter": "b", "window": "hour", "sliding": true, "add": "args.n", "max": 100.5, "scope": "agent"}"#,
    );
    let counters = Mutex::new(Counters::new());
    let passed: usize = std::thread::scope(|scope| {
        let try_often =
            || (0..200).filter(|_| call(&mut counters.lock().unwrap(), &uses, r#"{"n": 0.25}"#, 0).is_ok()).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(try_often)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 402, "of 402 quarters is the second bound");
    let alone = &uses[..1];
    let mut counters = counters.into_inner().unwrap();
    let rest = (0..1000).filter(|_| passes(&mut counters, alone, "{}", 0)).count();
    assert_eq!(rest, 98, "who was refused by one limit took nothing of the other");
}

/// What a database keeps of it.
type Rows = BTreeMap<(String, String, i64), Kept>;

/// Later rows replace earlier ones, whatever their order.
fn write(rows: &mut Rows, kept: Vec<Kept>) {
    for new in kept {
        let key = (new.counter.clone(), new.sharer.clone(), new.part);
        if rows.get(&key).is_none_or(|known| known.seq < new.seq) {
            rows.insert(key, new);
        }
    }
}

fn resumed(rows: &mut Rows, now: i64) -> Counters {
    let mut counters = Counters::new();
    let moved = counters.resume(rows.values().cloned().collect(), Millis(now)).unwrap();
    write(rows, moved);
    counters
}

const EVERY_KIND: &str = r#"
    {"counter": "a", "window": "hour", "max": 3, "scope": "grant"},
    {"counter": "b", "window": "hour", "sliding": true, "max": 3, "scope": "agent"},
    {"counter": "c", "of": "_global", "window": "day", "max": 3, "scope": "upstream"},
    {"counter": "d \" é", "window": "day", "sliding": true, "max": 3, "scope": "tool"},
    {"counter": "e", "window": "hour", "add": "args.n", "max": 0.3, "scope": "global"}"#;

#[test]
fn a_restart_goes_on_where_the_last_process_was() {
    let uses = of_x(EVERY_KIND);
    for limit in 0..uses.len() {
        let uses = &uses[limit..=limit];
        let (mut counters, mut rows) = (Counters::new(), Rows::new());
        for _ in 0..2 {
            let kept = call(&mut counters, uses, r#"{"n": 0.1}"#, 1000).unwrap().kept();
            write(&mut rows, kept);
        }
        // Started twice, and the clock was set back a little: one more, and no second.
        let mut counters = resumed(&mut rows, 900);
        let kept = call(&mut counters, uses, r#"{"n": 0.1}"#, 900).unwrap().kept();
        write(&mut rows, kept);
        let mut counters = resumed(&mut rows, 1000);
        assert!(!passes(&mut counters, uses, r#"{"n": 0.1}"#, 1000), "{:?}", uses[0]);
        // What has ended is not taken up.
        assert!(resumed(&mut rows, 2000 + 24 * HOUR).is_empty());
    }
}

#[test]
fn after_a_start_by_a_clock_that_was_set_back_nothing_is_given_twice() {
    for sliding in [false, true] {
        let uses = of_x(&format!(r#"{{"counter": "c", "window": "minute", "sliding": {sliding}, "max": 3}}"#));
        let (mut counters, mut rows) = (Counters::new(), Rows::new());
        for at in [0, 1, 2] {
            write(&mut rows, call(&mut counters, &uses, "{}", 100 * HOUR + at).unwrap().kept());
        }
        let mut counters = resumed(&mut rows, 10 * MINUTE);
        assert_eq!(
            reached(&mut counters, &uses, "{}", 10 * MINUTE + 1).1,
            Some(11 * MINUTE),
            "and no longer than that"
        );
        // Once more, before anything was counted: still three.
        let mut counters = resumed(&mut rows, 10 * MINUTE + 1);
        assert!(!passes(&mut counters, &uses, "{}", 10 * MINUTE + 2));
        assert!(passes(&mut counters, &uses, "{}", 11 * MINUTE));
        assert_eq!(rows.values().filter(|row| row.amount != "0").count(), 1, "{rows:?}");
    }
}

#[test]
fn what_is_given_back_is_written_where_it_was_written_before() {
    let uses = of_x(r#"{"counter": "c", "window": "hour", "add": "args.n", "max": 1}"#);
    let (mut counters, mut rows) = (Counters::new(), Rows::new());
    let first = call(&mut counters, &uses, r#"{"n": 0.7}"#, 0).unwrap();
    let joins = call(&mut counters, &uses, r#"{"n": 0.3}"#, 0).unwrap();
    // The first is written while the second, which never will be, is taken: the row knows of the first alone.
    write(&mut rows, first.kept());
    assert_eq!(rows.values().next().unwrap().amount, "0.7");
    write(&mut rows, counters.give_back(joins, false));
    let second = call(&mut counters, &uses, r#"{"n": 0.1}"#, 0).unwrap();
    let joins = call(&mut counters, &uses, r#"{"n": 0.2}"#, 0).unwrap();
    let third = call(&mut counters, &uses, "{\"n\": 0}", 0).unwrap();
    assert!(third.is_empty() && third.kept().is_empty());
    let last = call(&mut counters, &uses, r#"{"n": 1e-1}"#, 0);
    assert!(last.is_err());
    write(&mut rows, second.kept());
    assert!(counters.give_back(joins, false).is_empty(), "nobody has written that it was taken");
    write(&mut rows, counters.give_back(first, true));
    let mut counters = resumed(&mut rows, 1);
    assert!(!passes(&mut counters, &uses, r#"{"n": 0.91}"#, 1) && passes(&mut counters, &uses, r#"{"n": 0.9}"#, 1));
}

#[test]
fn a_row_that_nobody_wrote_is_named() {
    let uses = of_x(r#"{"counter": "c", "window": "hour", "max": 3}"#);
    let good = call(&mut Counters::new(), &uses, "{}", 0).unwrap().kept().remove(0);
    let shown = r#"{"entry":"/tools/x","counter":"c","seconds":3600,"scope":"grant"}"#;
    assert_eq!((good.counter.as_str(), good.amount.as_str(), good.ends), (shown, "1", Millis(HOUR)));
    let bad = |change: &dyn Fn(&mut Kept)| {
        let mut row = good.clone();
        change(&mut row);
        Counters::new().resume(vec![row], Millis(0)).map_err(|bad| bad.column)
    };
    assert_eq!(bad(&|_| {}), Ok(vec![]));
    for counter in
        ["", "{}", "x", r#"{"entry":"/x","of":"y","seconds":60,"scope":"grant"}"#, &shown.replace("grant", "all")]
    {
        assert_eq!(bad(&|row| counter.clone_into(&mut row.counter)), Err("counter"), "{counter}");
    }
    for sharer in ["", "[]", "{}", r#"{"agent":"x","upstream":"iam"}"#, r#"{"upstream":"iam"}"#] {
        assert_eq!(bad(&|row| sharer.clone_into(&mut row.sharer)), Err("sharer"), "{sharer}");
    }
    for amount in ["", "-1", "one", "1e999", "NaN", "Infinity", "0x10", "1 "] {
        assert_eq!(bad(&|row| amount.clone_into(&mut row.amount)), Err("amount"), "{amount}");
    }
    for ends in [HOUR + 1, HOUR - 1, i64::MAX, i64::MIN] {
        assert_eq!(bad(&|row| row.ends = Millis(ends)), Err("ends_at"), "{ends}");
    }
    for (part, ends) in [(i64::MAX, i64::MAX), (i64::MIN, i64::MIN)] {
        let _ = bad(&|row| (row.part, row.ends) = (part, Millis(ends)));
    }
}

#[test]
fn a_million_who_come_and_go_are_forgotten() {
    for sliding in [false, true] {
        let uses = of_x(&format!(
            r#"{{"counter": "c", "window": "minute", "sliding": {sliding}, "max": 5, "scope": "tool"}}"#
        ));
        let (mut counters, iam, agent) = (Counters::new(), upstream("iam"), AgentId(uuid::Uuid::nil()));
        let mut most = 0;
        for number in 0..500_000_i64 {
            let tool = number.to_string();
            let who = LimitScope { agent, upstream: &iam, tool: &tool, arguments: None };
            assert!(!counters.reserve(&uses, &who, Millis(number * 60)).unwrap().is_empty());
            if number % 1000 == 999 {
                most = most.max(counters.len());
            }
        }
        assert!(most <= if sliding { 2001 } else { 1000 }, "{most}");
        counters.forget_ended(Millis(500_000 * 60 + MINUTE));
        assert!(counters.is_empty());
    }
}

/// A limit as the model knows it: its window, and how much of tenths it allows.
struct Model {
    length: i64,
    sliding: bool,
    most: i64,
    sums: bool,
}

const MODELLED: &str = r#"
    {"counter": "a", "window": "minute", "max": 4},
    {"counter": "b", "window": "minute", "sliding": true, "max": 3},
    {"counter": "c", "window": "minute", "add": "args.n", "max": 2.5},
    {"counter": "d", "window": "minute", "sliding": true, "add": "args.n", "max": 1.9}"#;

const MODELS: [Model; 4] = [
    Model { length: MINUTE, sliding: false, most: 40, sums: false },
    Model { length: MINUTE, sliding: true, most: 30, sums: false },
    Model { length: MINUTE, sliding: false, most: 25, sums: true },
    Model { length: MINUTE, sliding: true, most: 19, sums: true },
];

impl Model {
    /// What a window that ends with this call holds.
    fn held(&self, calls: &[(i64, i64)], at: i64) -> i64 {
        let within = |then: i64| match self.sliding {
            true => then > at - self.length && then <= at,
            false => then.div_euclid(self.length) == at.div_euclid(self.length),
        };
        calls.iter().filter(|(then, _)| within(*then)).map(|(_, tenths)| if self.sums { *tenths } else { 10 }).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Calls of so many tenths, after so many milliseconds; some fail to be forwarded, and now and then the process ends.
    #[test]
    fn no_window_ever_holds_more_than_its_limit(
        steps in prop::collection::vec((0..25_000_i64, 0..12_i64, 0..8_u8), 1..120),
        subset in 1..16_usize,
    ) {
        let uses: Vec<_> = of_x(MODELLED).into_iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).collect();
        let models: Vec<_> = uses.iter().map(|(at, _)| &MODELS[*at]).collect();
        let uses: Vec<_> = uses.iter().map(|(_, limit)| limit.clone()).collect();
        let (mut counters, mut rows, mut now) = (Counters::new(), Rows::new(), 0);
        let mut calls: Vec<(i64, i64)> = Vec::new();
        let mut unwritten = Vec::new();
        for (passed, tenths, chance) in steps {
            now += passed;
            let arguments = format!(r#"{{"n": {}.{}}}"#, tenths / 10, tenths % 10);
            let before = counters.clone();
            match call(&mut counters, &uses, &arguments, now) {
                // Never written, and given back.
                Ok(reserved) if chance == 0 => write(&mut rows, counters.give_back(reserved, false)),
                // Written, not forwarded, and given back.
                Ok(reserved) if chance == 1 => {
                    write(&mut rows, reserved.kept());
                    write(&mut rows, counters.give_back(reserved, true));
                }
                Ok(reserved) => {
                    calls.push((now, tenths));
                    // Rows come in another order than calls.
                    unwritten.push(reserved.kept());
                    if chance > 3 {
                        unwritten.drain(..).rev().for_each(|kept| write(&mut rows, kept));
                    }
                }
                Err(NotReserved::Exceeded(limit)) => {
                    let at = limit.retry_at.map_or(now + 100 * HOUR, |at| at.0);
                    prop_assert!(at > now);
                    prop_assert!(!passes(&mut before.clone(), &uses, &arguments, at - 1), "earlier than was said");
                    let alone = models.iter().any(|model| model.sums && tenths > model.most);
                    prop_assert_eq!(passes(&mut before.clone(), &uses, &arguments, at), !alone, "not when it was said");
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
            for model in &models {
                prop_assert!(model.held(&calls, now) <= model.most, "{now}: {calls:?}");
            }
            if chance == 2 {
                unwritten.drain(..).rev().for_each(|kept| write(&mut rows, kept));
                counters = resumed(&mut rows, now);
            }
        }
    }
}

#[test]
fn a_counter_takes_each_argument_that_is_added_to_it() {
    let policy = policy(
        r#"{"version": "1", "tools": {
            "pay": {"limits": [{"counter": "spent", "of": "_global", "window": "day", "add": "args.amount", "max": 10}]},
            "p*": {"limits": [{"counter": "spent", "of": "_global", "window": "day", "add": "args.fee", "max": 10}]},
            "*": {"limits": [{"counter": "spent", "of": "_global", "window": "day", "add": "args.amount", "max": 10}]}}}"#,
    );
    let uses = uses(&policy, "pay");
    let mut counters = Counters::new();
    assert!(passes(&mut counters, &uses, r#"{"amount": 4, "fee": 4}"#, 0));
    assert!(!passes(&mut counters, &uses, r#"{"amount": 2, "fee": 1}"#, 0), "8 and 3 are more than 10");
    assert!(passes(&mut counters, &uses, r#"{"amount": 1, "fee": 1}"#, 0));
    assert!(passes(&mut Counters::new(), &uses, r#"{"amount": 10, "fee": 0}"#, 0), "the same argument counts once");
}

#[test]
fn an_argument_that_two_readers_read_differently_is_not_added_up() {
    let uses = of_x(r#"{"counter": "c", "window": "day", "add": "args.pay.amount", "max": 9}"#);
    for arguments in
        [r#"{"pay": {"amount": 1, "Amount": 99}}"#, r#"{"pay": {"amount": 1}, "PAY": 1}"#, r#"{"pay": "{}"}"#]
    {
        assert_eq!(uncountable(&uses, arguments).1, "args.pay.amount can be read in more than one way", "{arguments}");
    }
}

#[test]
fn a_tool_has_one_quota_whether_or_not_its_name_carries_the_upstreams() {
    let uses = of_x(r#"{"counter": "c", "window": "day", "scope": "tool", "max": 1}"#);
    let mut counters = Counters::new();
    let iam = upstream("iam");
    let mut passes = |tool| {
        let who = LimitScope { agent: AgentId(uuid::Uuid::from_u128(1)), upstream: &iam, tool, arguments: None };
        counters.reserve(&uses, &who, Millis(0)).is_ok()
    };
    assert!(passes("x") && !passes("iam/x") && passes("s3/x"));
}
