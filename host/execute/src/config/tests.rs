use super::*;

const GOOD: &str = "[service]\nvenue = \"a-venue\"\n[bus]\nbrokers = \"127.0.0.1:1\"\n[module]\npath = \"m.wasm\"\n";

fn refusal(settings: &str) -> Option<String> {
    let text = format!("{GOOD}[execute]\nexecutor_id = \"a\"\nstate_dir = \"state\"\n{settings}");
    toml::from_str::<Config>(&text).unwrap().check().err()
}

#[track_caller]
fn refused(key: &str, value: &str, cure: &str) {
    let reason = refusal(&format!("{key} = {value}\n")).unwrap();
    assert!(reason.contains(&format!("execute.{key}")) && reason.contains(cure), "{reason}");
}

#[test]
fn a_map_of_no_whole_pages_or_beyond_the_address_space_is_refused_with_a_cure() {
    refused("map_bytes", "1000000000", "write 999948288 or 1000013824");
    refused("map_bytes", "0", "write 1048576 to");
    refused("map_bytes", "9223372036854775807", "17592186044416");
    for good in [999_948_288_u64, 1_000_013_824, 1 << 20, 1 << 44] {
        assert_eq!(refusal(&format!("map_bytes = {good}\n")), None);
    }
}

#[test]
fn numbers_that_would_fail_or_harm_later_are_refused_with_their_range() {
    for key in ["clock_skew_ms_max", "deadline_ms_max", "dispatch_window_ms_max", "answer_timeout_ms"] {
        refused(key, "0", "write 1 to");
        refused(key, "-1", "write 1 to");
        refused(key, "9223372036854775807", "write 1 to");
    }
    refused("state_retention_ms", "9223372036854775807", "write 1 to");
    refused("state_retention_ms", "1000", "less than");
    refused("clock_skew_ms_max", "5001", "write 1 to 5000");
    refused("session_timeout_ms", "3600001", "write 1 to 3600000");
    refused("drain_timeout_ms", "0", "write 1 to");
    refused("commands_open_max", "0", "write 1 to");
    refused("limits.window_ms", "0", "write 1 to");
    refused("limits.balance_age_ms_max", "0", "write 1 to");
}

#[test]
fn the_defaults_are_good() {
    assert_eq!(refusal(""), None);
}

#[test]
fn grants_of_what_is_not_configured_are_refused_before_the_start() {
    let refused = |settings: &str, says: &str| {
        let reason = refusal(settings).unwrap();
        assert!(reason.contains(says), "{reason}");
    };
    refused("[module.grants]\nwebsocket = [\"ws\"]\n", "add [endpoints.ws] or remove the grant");
    refused("[module.grants]\ncredential = [\"token\"]\n", "add [credentials.token] or remove the grant");
    let endpoint = "[endpoints.rpc]\nurl = \"http://127.0.0.1:1\"\n[module.grants]\nhttp = [\"rpc\"]\n";
    assert_eq!(refusal(endpoint), None);
    let header = "[endpoints.rpc]\nurl = \"http://127.0.0.1:1\"\nheaders = { a = { credential = \"token\" } }\n";
    refused(header, "endpoints.rpc.headers.a");
}
