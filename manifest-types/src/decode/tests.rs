use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    name: String,
    count: u8,
    inner: Option<Inner>,
    #[serde(default)]
    list: Vec<Inner>,
    #[serde(default)]
    map: BTreeMap<String, Choice>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    on: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Choice {
    Plain,
    With(u8),
}

fn problems(value: Value) -> Vec<String> {
    let found = decode::<Outer>(&value).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_value_is_read() {
    let value = json!({ "name": "a", "count": 1, "inner": null, "list": [{ "on": true }], "map": { "x": "Plain", "y": { "With": 3 } } });
    let read: Outer = decode(&value).unwrap();
    assert_eq!(read.list, [Inner { on: true }]);
    assert_eq!(read.map["y"], Choice::With(3));
}

#[test]
fn every_problem_is_found_at_its_place() {
    let value = json!({
        "name": 7, "count": 300, "extra": 1, "inner": { "on": "yes" },
        "list": [{ "on": true }, { "of": true, "on": false }, 3, {}],
        "map": { "a": "Nothing", "b": { "With": [] }, "c": { "Plain": 1 }, "d": "With", "e": 4 },
    });
    insta::assert_snapshot!(problems(value).join("\n"));
}

#[test]
fn what_follows_from_a_problem_is_not_told_again() {
    assert_eq!(problems(json!({ "name": 7, "count": 1 })), ["$.name: must be a text, not an integer"]);
    assert_eq!(problems(json!({ "count": 1 })), ["$.name: is required"]);
    assert_eq!(problems(json!([])), ["$: must be an object, not an array"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        "[a-zA-Z]{0,6}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("name".to_owned()),
        Just("count".into()),
        Just("inner".into()),
        Just("list".into()),
        Just("map".into()),
        Just("on".into()),
        Just("With".into()),
        "[a-z]{1,3}",
    ];
    leaf.prop_recursive(4, 40, 6, move |below| {
        prop_oneof![
            prop::collection::vec(below.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), below, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// It ends, agrees with serde on what is good, and tells no place twice.
    #[test]
    fn it_agrees_with_serde(value in any_json()) {
        let has_array = value.to_string().contains('[');
        let ours = decode::<Outer>(&value);
        let theirs = serde_json::from_value::<Outer>(value);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(problems), Err(_)) => {
                let places: BTreeSet<_> = problems.iter().map(|problem| &problem.path).collect();
                prop_assert!(!problems.is_empty());
                prop_assert_eq!(places.len(), problems.len());
            }
            // serde_json reads an array as a struct; we do not.
            (Err(_), Ok(_)) => prop_assert!(has_array),
            (Ok(ours), Err(theirs)) => prop_assert!(false, "{:?} against {}", ours, theirs),
        }
    }
}
