//! The formulas of RECORDS.md, written a second time: nothing here uses unrip's own code.

use serde_json::Value;
use sha2::{Digest, Sha256};

pub fn sha256(text: &[u8]) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// UUIDv8 of the first 16 bytes of the hash of the lines.
pub fn uuid_v8(lines: &[&str]) -> String {
    let mut id = sha256(lines.join("\n").as_bytes())[..16].to_vec();
    id[6] = (id[6] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    let hex = hex(&id);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

pub fn command_id(observed_at: &str, execution_key: &str, cause: &str, strategy: &str, index: u32) -> String {
    let key = hex(&sha256(execution_key.as_bytes())[..2]);
    let tail = hex(&sha256(format!("{cause}\n{strategy}\n{index}").as_bytes())[..8]);
    format!("{:012x}{key}{tail}", micros(observed_at).div_euclid(1_000))
}

/// Microseconds since 1970 of `2026-11-22T10:00:00.123456Z`; no other form is accepted.
pub fn micros(text: &str) -> i64 {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "9999-99-99T99:99:99.999999Z", "{text}");
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days by the civil calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    seconds * 1_000_000 + number(20, 26)
}

/// Kafka's default partition of a key.
pub fn partition(key: &[u8], partitions: i32) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ key.len() as u32;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().unwrap()).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0_u32, |all, byte| (all << 8) | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^= hash >> 15;
    ((hash & 0x7fff_ffff) % partitions as u32) as i32
}

/// JSON with sorted keys and no spaces: canonical for what records hold (strings, integers, null, true and false).
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let pairs: Vec<String> =
                keys.iter().map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&map[*key]))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[test]
fn give_the_examples_of_records_md() {
    let demand = uuid_v8(&["019370e0-5c00-7000-8000-000000000001", "normalize", "swap_demand", "0"]);
    assert_eq!(demand, "a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb");
    let id = command_id("2026-11-22T10:00:00.123000Z", "near-intents/solver.near", &demand, "fixed-spread", 0);
    assert_eq!(id, "01a202b2c57b305f61b858094c910cf9");
    // Of Kafka's own tests: murmur2("21") is -973932308.
    assert_eq!(partition(b"21", i32::MAX), -973_932_308 & 0x7fff_ffff);
}
