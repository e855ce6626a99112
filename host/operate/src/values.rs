//! Values that several commands take.

use std::time::Duration;

/// `KEY=VALUE`; the value may be empty and may hold further `=`.
///
/// # Errors
/// There is no `=`, or nothing before it.
pub fn parse_property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write a setting as KEY=VALUE, for example security.protocol=ssl".to_owned()),
    }
}

/// `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.
///
/// # Errors
/// It has another shape, or is too long.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("write a time as 500ms, 30s, 5m or 1h".to_owned()),
    };
    let seconds: f64 = number.parse().map_err(|_| "write a time as 500ms, 30s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(seconds * scale).map_err(|error| error.to_string())
}
