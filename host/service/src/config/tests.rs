use std::path::Path;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    service: ServiceSection,
    bus: Bus,
    #[serde(default)]
    endpoints: Endpoints,
    #[serde(default)]
    credentials: CredentialSlots,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bus {
    brokers: String,
    batch_records_max: Option<u32>,
}

const GOOD: &str = "[service]\nvenue = \"a-venue\"\n[bus]\nbrokers = \"127.0.0.1:9092\"\n";

fn read(text: &str, env: &[(&str, &str)]) -> Result<Sample, ConfigError> {
    let env: Env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse("service.toml", text, Path::new("/etc/unrip"), &env)
}

#[track_caller]
fn check_error(text: &str, env: &[(&str, &str)], expected: &str) {
    let message = read(text, env).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}\nshould contain: {expected}");
    assert!(!message.contains('\n'), "one line: {message}");
}

#[test]
fn reads_file_and_environment() {
    let env = [
        ("UNRIP_BUS_BROKERS", "127.0.0.1:1"),
        ("UNRIP_BUS_BATCH_RECORDS_MAX", "7"),
        ("UNRIP_ENDPOINTS__WS__URL", "wss://relay"),
        ("UNRIP_SERVICE_VENUE", "42"),
        ("UNRIP_TEST_BROKERS", "not ours"),
        ("PATH", "/bin"),
    ];
    let sample = read(GOOD, &env).unwrap();
    assert_eq!(sample.bus.brokers, "127.0.0.1:1");
    assert_eq!(sample.bus.batch_records_max, Some(7));
    assert_eq!(sample.endpoints["ws"].url, "wss://relay");
    assert_eq!(sample.service.venue.as_str(), "42", "a string stays a string");
}

#[test]
fn takes_relative_paths_from_the_folder_of_the_file() {
    let slots = "[credentials.a]\nfile = \"secrets/a\"\n[credentials.b]\nfile = \"/run/b\"\n";
    let sample = read(&format!("{GOOD}{slots}"), &[]).unwrap();
    assert_eq!(&*sample.credentials["a"].file, Path::new("/etc/unrip/secrets/a"));
    assert_eq!(&*sample.credentials["b"].file, Path::new("/run/b"));
}

#[test]
fn names_file_key_reason_and_cure() {
    check_error(&format!("{GOOD}brokerz = 1\n"), &[], "service.toml: `bus.brokerz`: unknown field `brokerz`");
    check_error(&format!("{GOOD}brokerz = 1\n"), &[], "remove it or mend its spelling");
    check_error(&format!("{GOOD}[nonsense]\n"), &[], "`nonsense`: unknown field `nonsense`");
    check_error("[service]\nvenue = \"x\"\n[bus]\n", &[], "`bus.brokers`: missing field `brokers`; add it");
    check_error("[service]\nvenue = \"x\"\n", &[], "`bus`: missing field `bus`; add it");
    check_error(&format!("{GOOD}batch_records_max = \"many\"\n"), &[], "`bus.batch_records_max`: invalid type: string");
    check_error(&format!("{GOOD}batch_records_max = -1\n"), &[], "`bus.batch_records_max`: invalid value");
    check_error(
        &format!("{GOOD}[endpoints.ws]\nurl = \"ws://x\"\npingg = 1\n"),
        &[],
        "`endpoints.ws.pingg`: unknown field `pingg`",
    );
    for url in ["", "choose-a-node", "ftp://x", "node.example:8080"] {
        let text = format!("{GOOD}[endpoints.node]\nurl = {url:?}\n");
        check_error(&text, &[], "`endpoints.node.url`: not an address; choose one");
    }
}

#[test]
fn names_the_place_of_a_syntax_error() {
    check_error("[service]\nvenue = = 1\n", &[], "service.toml: not valid TOML, line 2, column 9");
}

#[test]
fn names_the_variable_that_set_a_wrong_key() {
    check_error(GOOD, &[("UNRIP_BUS_BATCH_RECORDS_MAX", "many")], "environment variable UNRIP_BUS_BATCH_RECORDS_MAX");
    check_error(GOOD, &[("UNRIP_BUS_BROKERZ", "x")], "environment variable UNRIP_BUS_BROKERZ: `bus.brokerz`");
    check_error(GOOD, &[("UNRIP_BUS", "x")], "environment variable UNRIP_BUS: it names no key");
    check_error(GOOD, &[("UNRIP_BUS__BROKERS__X", "x")], "`brokers` is a value, not a section");
}

#[test]
fn names_a_file_that_is_not_there() {
    let error = load::<Sample>(Path::new("/nowhere/service.toml"), &[]).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/service.toml: cannot be read"), "{error}");
}

/// A configuration with a key of each kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    bus: Properties,
    #[serde(default)]
    module: Module,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Properties {
    brokers: String,
    client_id: Option<String>,
    #[serde(default)]
    properties: std::collections::BTreeMap<String, String>,
    isolation: Option<unrip_bus::Isolation>,
    listen: Option<std::net::SocketAddr>,
    share: Option<f64>,
    production: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    #[serde(default)]
    websocket: Vec<String>,
    #[serde(default)]
    config: toml::Table,
}

fn kinds(env: &[(&str, &str)]) -> Result<Kinds, ConfigError> {
    let env: Env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let text = "[bus]\nbrokers = \"b:1\"\n[module.config]\nname = \"x\"\n";
    parse("service.toml", text, Path::new("/etc/unrip"), &env)
}

#[test]
fn a_string_key_takes_the_text_of_a_variable_as_it_is() {
    for text in
        ["83517264", "4711#abc", "true", "1e5", "[1]", "", " a b ", "\"quoted\"", "{ a = 1 }", "a\nb = 2", "0x1f", "ü"]
    {
        let env = [
            ("UNRIP_BUS__PROPERTIES__SASL.PASSWORD", text),
            ("UNRIP_BUS_CLIENT_ID", text),
            ("UNRIP_BUS_BROKERS", text),
            // The file has a string there, and that decides where the type is free.
            ("UNRIP_MODULE__CONFIG__NAME", text),
        ];
        let read = kinds(&env).unwrap();
        assert_eq!(read.bus.properties["sasl.password"], text);
        assert_eq!((read.bus.client_id.as_deref(), read.bus.brokers.as_str()), (Some(text), text));
        assert_eq!(read.module.config["name"].as_str(), Some(text));
        let header = [("UNRIP_ENDPOINTS__WS__URL", "wss://v"), ("UNRIP_ENDPOINTS__WS__HEADERS__TOKEN", text)];
        let read = self::read(GOOD, &header).unwrap();
        assert_eq!(read.endpoints["ws"].headers["token"], EndpointHeader::Plain(text.to_owned()));
    }
}

#[test]
fn other_keys_read_a_variable_by_their_type() {
    let env = [
        ("UNRIP_BUS_ISOLATION", "read_committed"),
        ("UNRIP_BUS_LISTEN", "127.0.0.1:80"),
        ("UNRIP_BUS_SHARE", "1"),
        ("UNRIP_BUS_PRODUCTION", "true"),
        ("UNRIP_MODULE_WEBSOCKET", "[\"ws\", \"rpc\"]"),
        ("UNRIP_MODULE__CONFIG__COUNT", "7"),
        ("UNRIP_MODULE__CONFIG__WORD", "seven"),
        ("UNRIP_MODULE__CONFIG__MARK", "7#x"),
    ];
    let read = kinds(&env).unwrap();
    assert_eq!(read.bus.isolation, Some(unrip_bus::Isolation::ReadCommitted));
    assert_eq!((read.bus.share, read.bus.production), (Some(1.0), Some(true)));
    assert_eq!(read.bus.listen.map(|address| address.port()), Some(80));
    assert_eq!(read.module.websocket, ["ws", "rpc"]);
    assert_eq!(read.module.config["count"].as_integer(), Some(7));
    assert_eq!(read.module.config["word"].as_str(), Some("seven"));
    assert_eq!(read.module.config["mark"].as_str(), Some("7#x"));
    for text in ["4711#abc", "7 # x", "7\n", "7\nb = 2", "seven", "", "[7]"] {
        assert!(kinds(&[("UNRIP_BUS_SHARE", text)]).is_err(), "{text}");
    }
}

#[test]
fn a_variable_that_does_not_fit_is_named_without_its_text() {
    for (name, key, expected) in [
        ("UNRIP_BUS_ISOLATION", "bus.isolation", "unknown variant, expected `read_committed` or `read_uncommitted`"),
        ("UNRIP_BUS_LISTEN", "bus.listen", "invalid socket address"),
        ("UNRIP_BUS_SHARE", "bus.share", "not a number"),
        ("UNRIP_BUS_PRODUCTION", "bus.production", "neither true nor false"),
        ("UNRIP_MODULE_WEBSOCKET", "module.websocket", "invalid type: string, expected a sequence"),
        ("UNRIP_BUS_NONSENSE", "bus.nonsense", "unknown field `nonsense`"),
        ("UNRIP_NONSENSE_KEY", "nonsense", "unknown field `nonsense`"),
        ("UNRIP_NONSENSE__DEEP__KEY", "nonsense", "unknown field `nonsense`"),
        ("UNRIP_MODULE", "", "it names no key"),
        ("UNRIP_BUS__BROKERS__DEEPER", "", "`brokers` is a value, not a section"),
    ] {
        let message = kinds(&[(name, "hunter2")]).unwrap_err().to_string();
        assert!(message.starts_with(&format!("environment variable {name}: ")), "{message}");
        assert!(message.contains(key) && message.contains(expected), "{message}\nshould contain: {expected}");
        assert!(!message.contains("hunter2") && !message.contains("service.toml"), "{message}");
    }
    check_error(
        GOOD,
        &[("UNRIP_ENDPOINTS__WS__PING_INTERVAL_MS", "5")],
        "UNRIP_ENDPOINTS__WS__PING_INTERVAL_MS: `endpoints.ws.url`: missing",
    );
}

#[test]
fn two_variables_of_one_key_are_an_error() {
    for (one, other) in [
        ("UNRIP_BUS_BROKERS", "UNRIP_BUS__BROKERS"),
        ("UNRIP_BUS__PROPERTIES", "UNRIP_BUS__PROPERTIES__SASL.PASSWORD"),
        ("UNRIP_BUS__PROPERTIES__SASL.PASSWORD", "UNRIP_BUS__PROPERTIES"),
    ] {
        let message = kinds(&[(one, "{}"), (other, "{}")]).unwrap_err().to_string();
        assert!(message.contains(one) && message.contains(other), "{message}");
    }
}

#[test]
fn the_files_values_are_not_shown_either() {
    for (text, expected) in [
        ("properties = { \"sasl.password\" = 83517264 }", "invalid type: integer, expected a string"),
        ("client_id = 1.5", "invalid type: floating point, expected a string"),
        ("client_id = true", "invalid type: boolean, expected a string"),
        ("production = \"83517264\"", "invalid type: string, expected a boolean"),
        ("isolation = \"83517264\"", "unknown variant, expected `read_committed`"),
    ] {
        let parsed = parse::<Kinds>("f.toml", &format!("[bus]\nbrokers = \"b:1\"\n{text}\n"), Path::new("/"), &[]);
        let message = parsed.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\nshould contain: {expected}");
        assert!(!message.contains("83517264") && !message.contains("1.5"), "{message}");
    }
}

#[test]
fn variables_of_kubernetes_services_are_passed_over() {
    let links = [
        ("UNRIP_INGEST_MY_VENUE_SERVICE_HOST", "10.96.0.7"),
        ("UNRIP_INGEST_MY_VENUE_SERVICE_PORT", "80"),
        ("UNRIP_INGEST_MY_VENUE_SERVICE_PORT_ADMIN", "80"),
        ("UNRIP_INGEST_MY_VENUE_PORT", "tcp://10.96.0.7:80"),
        ("UNRIP_INGEST_MY_VENUE_PORT_80_TCP", "tcp://10.96.0.7:80"),
        ("UNRIP_INGEST_MY_VENUE_PORT_80_TCP_PROTO", "tcp"),
        ("UNRIP_INGEST_MY_VENUE_PORT_80_TCP_PORT", "80"),
        ("UNRIP_INGEST_MY_VENUE_PORT_80_TCP_ADDR", "10.96.0.7"),
    ];
    read(GOOD, &links).unwrap();
    let env: Env = links.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(service_links(&env).len(), links.len());
    check_error(GOOD, &[("UNRIP_BUS_PORT", "9092")], "environment variable UNRIP_BUS_PORT: `bus.port`: unknown field");
}

#[test]
fn a_variable_that_is_not_utf8_is_named() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let bad = OsString::from_vec(b"\xffsecret".to_vec());
    let message = environment([("UNRIP_BUS_BROKERS".into(), bad.clone())].into_iter()).unwrap_err().to_string();
    assert!(message.contains("UNRIP_BUS_BROKERS") && message.contains("not UTF-8"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    let name = OsString::from_vec(b"UNRIP_BUS_\xff".to_vec());
    assert!(environment([(name, "x".into())].into_iter()).unwrap_err().to_string().contains("UNRIP_BUS_"));
    assert_eq!(environment([("PATH".into(), bad)].into_iter()).unwrap(), []);
}
