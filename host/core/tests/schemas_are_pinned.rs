//! A released schema changes only by adding optional fields; anything else is a new `schema_version`.
//! `UNRIP_WRITE_SCHEMAS=1 cargo test -p unrip-core --test schemas_are_pinned` writes the files again; read the diff.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::path::Path;

#[test]
fn generated_schemas_equal_the_released_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in unrip_core::schema::all() {
        let path = folder.join(&name);
        let generated = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("UNRIP_WRITE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &generated).unwrap();
        }
        let released = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(generated, released, "{name} differs from the released schema");
    }
}
