//! Holds RECORDS.md against the code: its example ids, its event types with their fields, and the words of its enums.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use unrip_core::id::{CommandId, derived_event_id};
use unrip_core::{Timestamp, Uuid};

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("RECORDS.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The page from `after` on.
fn from<'a>(page: &'a str, after: &str) -> &'a str {
    let at = page.find(after).unwrap_or_else(|| panic!("RECORDS.md has no `{after}`"));
    &page[at + after.len()..]
}

/// The next text in backticks.
fn quoted(page: &str) -> &str {
    page.split('`').nth(1).unwrap()
}

/// All texts in backticks of the paragraph.
fn all_quoted(page: &str) -> Vec<&str> {
    page.split("\n\n").next().unwrap().split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_example_chain_has_the_ids_that_the_code_derives() {
    let page = page();
    let texts = all_quoted(from(&page, "Example vectors: "));
    let ids: Vec<Uuid> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    let [raw, demand, command, result] = ids[..] else { panic!("four ids expected in {texts:?}") };
    let strategy = texts.iter().find(|text| text.parse::<Uuid>().is_err()).unwrap();
    assert_eq!(derived_event_id(raw, "normalize", "swap_demand", 0), demand);
    assert_eq!(derived_event_id(demand, &format!("react/{strategy}"), "execute_trade", 0), command);
    assert_eq!(derived_event_id(command, "execute", "trade_result", 0), result);
}

#[test]
fn the_example_command_has_the_id_that_the_code_makes() {
    let page = page();
    let example = from(from(&page, "- `command_id`: "), "Example: `observed_at` ");
    let at = Timestamp::parse(example.split(',').next().unwrap()).unwrap();
    let [key, cause, strategy, expected] = all_quoted(example)[..4] else { panic!("{example}") };
    let id = CommandId::new(at, key, cause.parse().unwrap(), strategy, 0);
    assert_eq!(id.to_string(), expected);
    assert_eq!(id.time(), at);
    assert!(id.matches_key(key));
    assert!(!id.matches_key("a-venue/another"));
    assert_eq!(id.to_string().parse::<CommandId>().unwrap(), id);
}

#[test]
fn refuses_command_ids_of_other_shapes() {
    for text in ["", "01A202B2C57B305F61B858094C910CF9", "01a2", "01a202b2-c57b-305f-61b8-58094c910cf9"] {
        assert!(text.parse::<CommandId>().is_err(), "{text}");
    }
}

/// A field's name with whether it may be null and whether it may be left out.
type Fields = BTreeMap<String, (bool, bool)>;

/// The fields of `{a, b|null, c?, d: x|y}`.
fn fields_on_page(shape: &str) -> Fields {
    let inner = shape.trim_start_matches('{').split('}').next().unwrap();
    let field = |text: &str| {
        let name = text.split([':', '|', '?']).next().unwrap().trim();
        (name.to_owned(), (text.ends_with("|null"), text.ends_with('?')))
    };
    inner.split(", ").map(field).collect()
}

fn schemas() -> Vec<(String, Value)> {
    let event_type = |name: String| name.split('.').next().unwrap().to_owned();
    unrip_core::schema::all()
        .into_iter()
        .map(|(name, schema)| (event_type(name), serde_json::to_value(schema).unwrap()))
        .collect()
}

/// The fields of a schema's payload.
fn fields_in_code(schema: &Value) -> Fields {
    let reference = schema["properties"]["payload"]["$ref"].as_str().unwrap();
    let payload = schema.pointer(reference.trim_start_matches('#')).unwrap();
    let required: BTreeSet<&str> =
        payload["required"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    let null = Value::from("null");
    let nullable = |field: &Value| {
        field["type"].as_array().is_some_and(|types| types.contains(&null))
            || field["anyOf"].as_array().is_some_and(|any| any.iter().any(|one| one["type"] == null))
    };
    let properties = payload["properties"].as_object().unwrap();
    properties
        .iter()
        .map(|(name, field)| {
            let optional = !required.contains(name.as_str());
            (name.clone(), (nullable(field) && !optional, optional))
        })
        .collect()
}

#[test]
fn every_event_type_is_described_with_the_fields_that_the_code_writes() {
    let page = page();
    for (event_type, schema) in schemas() {
        let shape = quoted(from(&page, &format!("**{event_type}** ")));
        let (mut described, mut written) = (fields_on_page(shape), fields_in_code(&schema));
        // The schema of a field that holds any JSON value does not say whether null is among them.
        for fields in [&mut described, &mut written] {
            fields.entry("command".to_owned()).and_modify(|(null, _)| *null = false);
        }
        assert_eq!(described, written, "{event_type}");
    }
}

#[test]
fn every_described_event_type_is_written_by_the_code() {
    let page = page();
    let written: BTreeSet<String> = schemas().into_iter().map(|(event_type, _)| event_type).collect();
    let payloads = from(&page, "## Payloads").split("\n## ").next().unwrap();
    let described: BTreeSet<String> = payloads
        .split("**")
        .collect::<Vec<_>>()
        .windows(2)
        .filter(|pair| pair[1].starts_with(" `{"))
        .map(|pair| pair[0].to_owned())
        .collect();
    assert_eq!(described, written);
    let row = page.lines().find(|line| line.starts_with("| `event_type`")).unwrap();
    let listed: BTreeSet<String> = row.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert_eq!(listed, written);
}

fn words(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            found.extend(map.get("const").and_then(Value::as_str).map(str::to_owned));
            found.extend(
                map.get("enum")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .map(|word| word.as_str().unwrap().to_owned()),
            );
            map.values().for_each(|value| words(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| words(value, found)),
        _ => {}
    }
}

#[test]
fn every_word_of_an_enum_is_on_the_page() {
    let page = page();
    let on_page: BTreeSet<&str> = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut found = BTreeSet::new();
    schemas().iter().for_each(|(_, schema)| words(schema, &mut found));
    assert!(found.len() > 20, "{found:?}");
    let missing: Vec<_> = found.iter().filter(|word| !on_page.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
