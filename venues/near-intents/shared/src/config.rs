//! Reading a component's configuration: unknown keys are errors that name the key.

use serde::de::DeserializeOwned;

/// Reads a component's configuration. The error names what is wrong.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        // The text is machine-made and on one line: the position helps no one.
        let message = error.to_string();
        match message.rsplit_once(" at line ") {
            Some((what, _)) => what.to_owned(),
            None => message,
        }
    })
}
