//! What is written of each kind on the wire. A kind without a case fails: `cases/<Kind>.json`.

use std::collections::BTreeSet;

use super::*;

/// The case of a kind.
fn case(kind: &str) -> Value {
    let path = format!("{}/src/kinds/cases/{kind}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// The members that a schema names.
fn named(schema: &Schema) -> BTreeSet<String> {
    members(schema.as_value().get("properties").unwrap_or(&Value::Null))
}

#[test]
fn each_kind_is_written_in_a_manifest_and_a_status_as_it_always_was() {
    for kind in KINDS {
        let case = case(kind);
        let mut written = Vec::new();
        for spec in case["specs"].as_array().unwrap() {
            let read =
                Spec::read(kind, spec).unwrap().unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
            let value = serde_json::to_value(&read).unwrap();
            assert_eq!(serde_json::from_value::<Spec>(value.clone()).unwrap(), read, "{kind}");
            written.push(value);
        }
        let details: ResourceDetails = serde_json::from_value(case["details"].clone()).unwrap();
        written.push(serde_json::to_value(&details).unwrap());
        insta::assert_snapshot!(*kind, serde_json::to_string_pretty(&written).unwrap());
    }
}

#[test]
fn the_cases_have_every_member_in_them() {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let subschemas = schemas(&mut generator);
    for (kind, _) in subschemas {
        let case = case(kind);
        let set: BTreeSet<_> = case["specs"].as_array().unwrap().iter().flat_map(members).collect();
        let spec = generator.definitions()[&format!("{kind}Spec")].clone();
        assert_eq!(set, named(&Schema::try_from(spec).unwrap()), "{kind}");
    }
    ResourceDetails::json_schema(&mut generator);
    for kind in KINDS {
        let details = generator.definitions()[&format!("{kind}Details")].clone();
        let mut set = members(&case(kind)["details"]);
        set.remove("kind");
        assert_eq!(set, named(&Schema::try_from(details).unwrap()), "{kind}");
    }
}
