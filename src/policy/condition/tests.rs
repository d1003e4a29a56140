//! What conditions say of values, as data: doubt fails what is required and takes hold where it restricts.

use super::*;
use crate::call::UpstreamName;
use crate::call::json::{Limits, read_strict};
use crate::policy::decimal::Decimal;
use crate::policy::glob::Glob;
use crate::policy::re2::Re2;

fn value(text: &str) -> Value {
    Value::of(read_strict(text.as_bytes(), &Limits::default()).unwrap().root()).unwrap()
}

fn values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| value(text)).collect()
}

fn test(path: &str, operator: Operator) -> Condition {
    Condition::Test(Path::parse(path).unwrap(), operator)
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

/// Whether it holds where it is required, and whether it takes hold where it restricts.
fn both(condition: &Condition, arguments: &str) -> (bool, bool) {
    let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
    let upstream = UpstreamName::new("iam").unwrap();
    let call = Call { arguments: Some(document.root()), ..Call::new(&upstream, "x") };
    (condition.holds(&call), condition.takes_hold(&call))
}

const YES: (bool, bool) = (true, true);
const NO: (bool, bool) = (false, false);
/// It cannot be compared: required it fails, restricting it takes hold.
const DOUBT: (bool, bool) = (false, true);

#[test]
fn each_operator_on_each_type() {
    let number = |text| Decimal::parse(text).unwrap();
    let equal = || Operator::Equal(value("5"));
    let glob = || Operator::Glob(vec![Glob::new("prod-*").unwrap()]);
    let lan = || Operator::Cidr(Networks::parse(["10.0.0.0/8", "fd00::/8"]).unwrap());
    let regex = |text| Operator::Regex(Re2::new(text).unwrap());
    type Cases = &'static [(&'static str, (bool, bool))];
    let table: &[(&str, Operator, Cases)] = &[
        (
            "eq",
            equal(),
            &[
                ("5", YES),
                ("5.0", YES),
                ("50e-1", YES),
                ("6", NO),
                ("5.0000000000000000000000001", NO),
                ("\"5\"", DOUBT),
                ("true", DOUBT),
                ("null", DOUBT),
                ("[5]", DOUBT),
                ("5e99999999999999999999", DOUBT),
            ],
        ),
        ("neq", Operator::NotEqual(value("5")), &[("6", YES), ("5.0", NO), ("\"6\"", DOUBT), ("null", DOUBT)]),
        (
            "in",
            Operator::In(values(&["\"a\"", "1"])),
            &[("\"a\"", YES), ("1.0", YES), ("\"b\"", NO), ("2", NO), ("true", DOUBT), ("{}", DOUBT)],
        ),
        (
            "not_in",
            Operator::NotIn(values(&["\"a\"", "1"])),
            &[("\"b\"", YES), ("2", YES), ("\"a\"", NO), ("1e0", NO), ("null", DOUBT), ("[]", DOUBT)],
        ),
        (
            "lte",
            Operator::Compare(Comparison::LessOrEqual, number("9007199254740992")),
            &[("9007199254740992", YES), ("9007199254740993", NO), ("-1e400", YES), ("\"1\"", DOUBT), ("null", DOUBT)],
        ),
        ("lt", Operator::Compare(Comparison::Less, number("5")), &[("4.9", YES), ("5.0", NO), ("6", NO)]),
        ("gt", Operator::Compare(Comparison::Greater, number("5")), &[("5.1", YES), ("5", NO), ("4", NO)]),
        ("gte", Operator::Compare(Comparison::GreaterOrEqual, number("5")), &[("5", YES), ("4", NO)]),
        ("regex", regex("^a.c$"), &[("\"abc\"", YES), ("\"xabc\"", NO), ("1", DOUBT), ("[\"abc\"]", DOUBT)]),
        (
            "contains",
            Operator::Contains(value("\"b\"")),
            &[("\"abc\"", YES), ("\"x\"", NO), ("[\"a\",\"b\"]", YES), ("[1,\"x\"]", NO), ("[]", NO), ("1", DOUBT)],
        ),
        (
            "contains a number",
            Operator::Contains(value("1")),
            &[("[2,1.0]", YES), ("[2]", NO), ("\"1\"", DOUBT), ("[2,1e99999999999999999999]", DOUBT)],
        ),
        ("exists", Operator::Exists(true), &[("1", YES), ("false", YES), ("\"\"", YES), ("null", NO)]),
        ("exists not", Operator::Exists(false), &[("1", NO), ("null", YES)]),
        ("glob", glob(), &[("\"prod-1\"", YES), ("\"a prod-1\"", NO), ("\"dev\"", NO), ("1", DOUBT)]),
        (
            "cidr",
            lan(),
            &[
                ("\"10.1.2.3\"", YES),
                ("\"10.1.0.0/16\"", YES),
                ("\"::ffff:10.1.2.3\"", YES),
                ("\"::ffff:10.0.0.0/104\"", YES),
                ("\"0.0.0.0/0\"", DOUBT),
                ("\"11.0.0.1\"", NO),
                ("\"fd00::1\"", YES),
                ("\"010.1.2.3\"", DOUBT),
                ("\"host.example\"", DOUBT),
                ("10", DOUBT),
            ],
        ),
        (
            "eq of an object",
            Operator::Equal(value(r#"{"a":[1,"x"],"b":null}"#)),
            &[
                (r#"{"b":null,"a":[1.0,"x"]}"#, YES),
                (r#"{"a":[1,"x"]}"#, NO),
                (r#"{"a":["1","x"],"b":null}"#, NO),
                (r#"{"a":[1e99999999999999999999,"x"],"b":null}"#, DOUBT),
                ("[1]", DOUBT),
            ],
        ),
    ];
    for (name, operator, cases) in table {
        let condition = test(".v", operator.clone());
        for (text, expected) in *cases {
            assert_eq!(both(&condition, &format!("{{\"v\":{text}}}")), *expected, "{name} {text}");
            // What is denied holds where it was surely not so, and takes hold wherever it was not surely so.
            let denied = match *expected {
                YES => NO,
                NO => YES,
                _ => DOUBT,
            };
            assert_eq!(both(&not(condition.clone()), &format!("{{\"v\":{text}}}")), denied, "not {name} {text}");
        }
    }
}

#[test]
fn a_missing_value_is_never_allowed_by_accident() {
    let equal = || Operator::Equal(value("1"));
    let regex = Operator::Regex(Re2::new("").unwrap());
    for (operator, expected) in [
        (equal(), NO),
        (Operator::In(values(&["1"])), NO),
        (Operator::Compare(Comparison::Less, Decimal::parse("1").unwrap()), NO),
        (regex, NO),
        (Operator::Contains(value("1")), NO),
        (Operator::NotEqual(value("1")), DOUBT),
        (Operator::NotIn(values(&["1"])), DOUBT),
        (Operator::Exists(true), NO),
        (Operator::Exists(false), YES),
    ] {
        let condition = test(".a.b", operator);
        for arguments in ["{}", r#"{"a":{}}"#, r#"{"a":1}"#, r#"{"a":null}"#, "1"] {
            assert_eq!(both(&condition, arguments), expected, "{condition:?} {arguments}");
        }
        // Something else than an object may hold one, and a name may be taken for another.
        for arguments in [r#"{"a":"{}"}"#, r#"{"a":[]}"#, r#"{"A":{}}"#, r#"{"a":{"b":1,"B":2}}"#, "[]"] {
            assert_eq!(both(&condition, arguments), DOUBT, "{condition:?} {arguments}");
        }
        let upstream = UpstreamName::new("iam").unwrap();
        let bare = Call::new(&upstream, "x");
        assert_eq!((condition.holds(&bare), condition.takes_hold(&bare)), expected, "without arguments");
    }
    let denied = not(test(".a", equal()));
    assert_eq!(both(&denied, "{}"), DOUBT, "a missing value under not");
    assert_eq!(both(&not(not(test(".a", equal()))), "{}"), DOUBT);
}

#[test]
fn every_element_where_it_is_required_and_any_where_it_restricts() {
    let one = || test(".l[*]", Operator::Equal(value("1")));
    for (list, plain, denied) in [
        ("[1,1]", YES, NO),
        ("[1,2]", DOUBT, DOUBT),
        ("[2,3]", NO, YES),
        ("[1,\"1\"]", DOUBT, DOUBT),
        ("[\"1\"]", DOUBT, DOUBT),
        // There must be one; and a list without any may be what `not` speaks of.
        ("[]", NO, DOUBT),
        ("5", NO, DOUBT),
    ] {
        let arguments = format!("{{\"l\":{list}}}");
        assert_eq!(both(&one(), &arguments), plain, "{list}");
        assert_eq!(both(&not(one()), &arguments), denied, "not {list}");
    }
}

#[test]
fn conditions_together() {
    let is = |path, text| test(path, Operator::Equal(value(text)));
    let any = Condition::Any(vec![is(".a", "1"), is(".b", "1")]);
    let all = Condition::All(vec![is(".a", "1"), is(".b", "1")]);
    for (arguments, either, each) in [
        (r#"{"a":1,"b":1}"#, YES, YES),
        (r#"{"a":1,"b":2}"#, YES, NO),
        (r#"{"a":1}"#, YES, NO),
        (r#"{"a":1,"b":"1"}"#, YES, DOUBT),
        (r#"{"a":2,"b":"1"}"#, DOUBT, NO),
        ("{}", NO, NO),
    ] {
        assert_eq!(both(&any, arguments), either, "any {arguments}");
        assert_eq!(both(&all, arguments), each, "all {arguments}");
    }
}
