//! HTTP requests that a module describes: to granted endpoints only, with credentials filled in by the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue as WireValue};
use reqwest::{Method, Url};
use sha2::{Digest, Sha256};

use super::credentials::{CredentialError, Credentials};
use super::{
    ByteEncoding, HeaderValue, HttpRequest, HttpResponse, MacAlgorithm, RequestMac, configured_headers, mac, tls,
};
use crate::clock::Clock;
use crate::config::{Endpoint, Endpoints};
use crate::metrics::{CounterByTwo, Registry};

/// Largest body that is read, in bytes: the bound that modules are promised.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// How long a connection may take to open, where the endpoint does not say. The library shares it among a name's
/// addresses: with half of `REQUEST_TIMEOUT_MS` there is time for a request after one that swallows packets.
const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// How long a request may take in all, where the endpoint does not say.
const REQUEST_TIMEOUT_MS: u64 = 10_000;
/// Stands for the time of sending in a signed message, its headers and its body.
const TIME_OF_SENDING: &str = "{timestamp-ms}";
/// Headers that say where a message ends and which host it is for: only the client sets them.
const RESERVED: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The endpoint is not configured or not granted.
    #[error("http endpoint `{0}` is not configured or not granted; add [endpoints.{0}] and module.grants.http")]
    Endpoint(String),
    /// Method, path or headers are not valid, or lead elsewhere.
    #[error("request to `{endpoint}` is not valid: {reason}")]
    Invalid {
        /// The endpoint's name.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// A credential cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// No connection could be opened: no byte of the request left.
    #[error("no connection to `{endpoint}`: {reason}")]
    NotHanded {
        /// The endpoint's name.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// Timed out or broken with a connection open: whether the request arrived is unknown.
    #[error("no answer from `{endpoint}`: {reason}")]
    NoAnswer {
        /// The endpoint's name.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The body is longer than modules are given.
    #[error("the answer of `{0}` is longer than {BODY_BYTES_MAX} bytes")]
    TooLong(String),
}

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    endpoints: Arc<BTreeMap<String, (Endpoint, reqwest::Client)>>,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    /// The last `{timestamp-ms}`: venues take it as a nonce, so no two requests get the same one.
    stamped: Arc<AtomicI64>,
    /// Requests by endpoint and how they ended.
    requests: Option<CounterByTwo>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the endpoints among `granted`. It follows no redirect and uses no proxy: it sends where the
    /// configuration says, and only there.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        endpoints: &Endpoints,
        granted: &[String],
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        tls::install_provider();
        let mut clients = BTreeMap::new();
        for (name, endpoint) in endpoints.iter().filter(|(name, _)| granted.contains(name)) {
            let client = build(name, endpoint, reqwest::Client::builder())?;
            clients.insert(name.clone(), (endpoint.clone(), client));
        }
        Ok(Self { endpoints: Arc::new(clients), credentials, clock, stamped: Arc::default(), requests: None })
    }

    /// Counts its requests by endpoint and how they ended: a class of status (`2xx`), or why there was no answer.
    #[must_use]
    pub fn counted(self, registry: &Registry) -> Self {
        let help = "HTTP requests to venues, by endpoint and how they ended.";
        let requests = registry.counter_by_two("unrip_http_requests_total", help, ["endpoint", "ending"]);
        Self { requests: Some(requests), ..self }
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// See [`HttpError`]; only `NoAnswer` and `TooLong` mean that bytes may have left.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let name = request.endpoint.clone();
        let answer = self.send_uncounted(request).await;
        if let (Some(requests), true) = (&self.requests, self.endpoints.contains_key(&name)) {
            requests.inc(&name, ending(&answer));
        }
        answer
    }

    async fn send_uncounted(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let name = request.endpoint.clone();
        let (endpoint, client) = self.endpoints.get(&name).ok_or_else(|| HttpError::Endpoint(name.clone()))?;
        let failed = |error: reqwest::Error| {
            let (endpoint, reason) = (name.clone(), chain(&error));
            // Only opening a connection fails so: a broken one that was open is another kind of error.
            if error.is_connect() {
                HttpError::NotHanded { endpoint, reason }
            } else {
                HttpError::NoAnswer { endpoint, reason }
            }
        };
        let prepared = self.prepare(endpoint, request)?;
        let mut answer = client.execute(prepared).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(HttpError::TooLong(name));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, body })
    }

    fn prepare(&self, endpoint: &Endpoint, request: HttpRequest) -> Result<reqwest::Request, HttpError> {
        let invalid = |reason: String| HttpError::Invalid { endpoint: request.endpoint.clone(), reason };
        let url = join(&endpoint.url, &request.path).map_err(invalid)?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| invalid(error.to_string()))?;
        let millis = next_stamp(&self.stamped, self.clock.now().millis()).to_string();
        let stamp = |bytes: &[u8]| match request.mac {
            Some(_) => replace(bytes, TIME_OF_SENDING.as_bytes(), millis.as_bytes()),
            None => bytes.to_vec(),
        };
        let mut headers = request.headers.clone();
        for header in &mut headers {
            if RESERVED.contains(&header.name.to_ascii_lowercase().as_str()) {
                return Err(invalid(format!("only the host sets the header `{}`", header.name)));
            }
            if let (HeaderValue::Plain(text), Some(_)) = (&mut header.value, &request.mac) {
                *text = text.replace(TIME_OF_SENDING, &millis);
            }
        }
        let configured = configured_headers(endpoint);
        let mut filled = self.credentials.fill(&configured, &headers)?;
        if let Some(mac) = &request.mac {
            let value = self.authenticate(mac, &stamp(&mac.message))?;
            let name = HeaderName::try_from(mac.header.as_str()).map_err(|error| invalid(error.to_string()))?;
            let of_operator = configured.iter().any(|header| header.name.eq_ignore_ascii_case(name.as_str()));
            if of_operator || RESERVED.contains(&name.as_str()) {
                return Err(invalid(format!("only the host sets the header `{name}`")));
            }
            filled.insert(name, value);
        }
        let mut prepared = reqwest::Request::new(method, url);
        *prepared.headers_mut() = filled;
        *prepared.timeout_mut() =
            Some(Duration::from_millis(endpoint.request_timeout_ms.unwrap_or(REQUEST_TIMEOUT_MS)));
        if !request.body.is_empty() {
            *prepared.body_mut() = Some(stamp(&request.body).into());
        }
        Ok(prepared)
    }

    fn authenticate(&self, mac: &RequestMac, message: &[u8]) -> Result<WireValue, HttpError> {
        let slot = &mac.credential;
        let unusable = || CredentialError::Header(mac.header.clone());
        let written = self.credentials.read(slot)?;
        let key = decode(&written, mac.key_encoding).ok_or_else(unusable)?;
        let message = match &mac.hashed_with_prefix {
            Some(prefix) => [prefix.as_slice(), &Sha256::digest(message)].concat(),
            None => message.to_vec(),
        };
        let digest = match mac.algorithm {
            MacAlgorithm::HmacSha256 => mac::hmac_sha256(&key, &message),
            MacAlgorithm::HmacSha512 => mac::hmac_sha512(&key, &message),
        };
        let text = match mac.encoding {
            ByteEncoding::Raw => digest,
            ByteEncoding::Hex => hex::encode(digest).into_bytes(),
            ByteEncoding::Base64 => STANDARD.encode(digest).into_bytes(),
        };
        let mut value = WireValue::from_bytes(&text).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// A client of one endpoint: connections are not shared between endpoints, their timeouts differ.
fn build(name: &str, endpoint: &Endpoint, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, HttpError> {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_millis(endpoint.connect_timeout_ms.unwrap_or(CONNECT_TIMEOUT_MS).max(1)))
        .build()
        .map_err(|error| HttpError::Invalid { endpoint: name.to_owned(), reason: chain(&error) })
}

/// How a request ended, as a metric's label.
fn ending(answer: &Result<HttpResponse, HttpError>) -> &'static str {
    match answer {
        Ok(HttpResponse { status: 100..200, .. }) => "1xx",
        Ok(HttpResponse { status: 200..300, .. }) => "2xx",
        Ok(HttpResponse { status: 300..400, .. }) => "3xx",
        Ok(HttpResponse { status: 400..500, .. }) => "4xx",
        Ok(_) => "5xx",
        Err(HttpError::NotHanded { .. }) => "no_connection",
        Err(HttpError::NoAnswer { .. }) => "no_answer",
        Err(HttpError::TooLong(_)) => "too_long",
        Err(HttpError::Endpoint(_) | HttpError::Invalid { .. } | HttpError::Credential(_)) => "not_sent",
    }
}

fn decode(text: &str, encoding: ByteEncoding) -> Option<Vec<u8>> {
    match encoding {
        ByteEncoding::Raw => Some(text.as_bytes().to_vec()),
        ByteEncoding::Hex => hex::decode(text).ok(),
        ByteEncoding::Base64 => STANDARD.decode(text).ok(),
    }
}

/// The endpoint's URL with `path` behind it; it stays on the endpoint's host and below its path.
pub(super) fn join(base: &str, path: &str) -> Result<Url, String> {
    let home = Url::parse(base).map_err(|error| format!("the endpoint's url: {error}"))?;
    if path.is_empty() {
        return Ok(home);
    }
    if !path.starts_with(['/', '?']) {
        return Err("path must be empty or begin with `/` or `?`".to_owned());
    }
    if path.starts_with('/') && home.query().is_some() {
        return Err("the endpoint's url has a query: no path can follow it".to_owned());
    }
    let stem = if path.starts_with('/') { base.trim_end_matches('/') } else { base };
    let url = Url::parse(&format!("{stem}{path}")).map_err(|error| format!("path: {error}"))?;
    let same = url.origin() == home.origin() && url.host() == home.host() && url.port() == home.port();
    // Below it, not beside it: `/api-admin` begins with `/api` too.
    let rest = url.path().strip_prefix(home.path().trim_end_matches('/'));
    let below = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if same && below { Ok(url) } else { Err("path leads out of the endpoint".to_owned()) }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(from) {
            Some(after) => {
                out.extend_from_slice(to);
                rest = after;
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// An error with its causes in one line, without the URL (a query may hold what should not be logged).
fn chain(error: &reqwest::Error) -> String {
    let mut text = match () {
        () if error.is_timeout() => "timed out".to_owned(),
        () if error.is_connect() => "cannot connect".to_owned(),
        () => "failed".to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The time, or one more than the last one given out.
fn next_stamp(last: &AtomicI64, now: i64) -> i64 {
    let later = |last: i64| now.max(last.saturating_add(1));
    match last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last))) {
        Ok(last) | Err(last) => later(last),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{ConfigPath, CredentialSlot};
    use crate::net::Header;

    #[test]
    fn stays_at_its_endpoint() {
        let good = |base, path| join(base, path).unwrap().to_string();
        assert_eq!(good("https://relay/rpc", ""), "https://relay/rpc");
        assert_eq!(good("https://relay/rpc", "/a?b=c"), "https://relay/rpc/a?b=c");
        assert_eq!(good("https://relay/", "/a"), "https://relay/a");
        assert_eq!(good("https://relay/rpc", "?method=x"), "https://relay/rpc?method=x");
        for path in [".evil.com/", "@evil.com/", "/../other", "/../rpc-admin", "/../rpc%2fadmin", "x"] {
            assert!(join("https://relay/rpc", path).is_err(), "{path}");
        }
        assert_eq!(good("https://relay", "/a"), "https://relay/a");
        assert!(join("https://relay/rpc?key=1", "/a").is_err());
        assert!(join("not a url", "").is_err());
    }

    #[test]
    fn no_two_requests_get_the_same_time_of_sending() {
        let last = AtomicI64::new(0);
        assert_eq!([7, 7, 3, 20].map(|now| next_stamp(&last, now)), [7, 8, 9, 20]);
    }

    #[test]
    fn puts_the_time_of_sending_everywhere() {
        assert_eq!(replace(b"nonce={timestamp-ms}&x={timestamp-ms}", b"{timestamp-ms}", b"7"), b"nonce=7&x=7");
    }

    /// A venue's HTTP side: says what it was sent, answers too long, redirects, or never.
    async fn venue() -> String {
        use axum::extract::Request;
        use axum::http::{StatusCode, header::LOCATION};
        use axum::routing::{any, get};

        let echo = async |request: Request| {
            let headers = request.headers();
            let text = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
            format!("{} {} {} {}", request.method(), request.uri(), text("authorization"), text("x-sign"))
        };
        let router = axum::Router::new()
            .route("/api/echo", any(echo))
            .route("/api/long", get(async || vec![b'x'; BODY_BYTES_MAX + 1]))
            .route("/api/away", get(async || (StatusCode::FOUND, [(LOCATION, "/api/echo")])))
            .route("/api/never", get(std::future::pending::<()>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/api")
    }

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> unrip_core::Timestamp {
            unrip_core::Timestamp::from_millis(self.0)
        }
    }

    fn client(url: &str, secret: &Path) -> Client {
        let text = format!("[rpc]\nurl = {url:?}\nrequest_timeout_ms = 200\n[other]\nurl = {url:?}\n");
        let endpoints: Endpoints = toml::from_str(&text).unwrap();
        let slot = CredentialSlot { file: ConfigPath::new(secret) };
        let credentials = Credentials::new(&[("key".to_owned(), slot)].into(), &["key".to_owned()]);
        Client::new(&endpoints, &["rpc".to_owned()], credentials, Arc::new(At(1_700))).unwrap()
    }

    fn request(path: &str) -> HttpRequest {
        let (endpoint, method) = ("rpc".to_owned(), "GET".to_owned());
        HttpRequest { endpoint, method, path: path.to_owned(), headers: vec![], body: vec![], mac: None }
    }

    #[tokio::test]
    async fn sends_to_granted_endpoints_with_what_the_host_fills_in() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "Jefe").unwrap();
        let client = client(&venue().await, secret.path());
        let bearer = Header { name: "authorization".into(), value: HeaderValue::Bearer("key".into()) };
        let mac = RequestMac {
            credential: "key".into(),
            algorithm: MacAlgorithm::HmacSha256,
            key_encoding: ByteEncoding::Raw,
            message: b"at {timestamp-ms}".to_vec(),
            hashed_with_prefix: None,
            header: "x-sign".into(),
            encoding: ByteEncoding::Hex,
        };
        let sent = HttpRequest { headers: vec![bearer], mac: Some(mac), ..request("/echo?a=b") };
        let answer = client.send(sent).await.unwrap();
        let sign = hex::encode(mac::hmac_sha256(b"Jefe", b"at 1700"));
        let expected = format!("GET /api/echo?a=b Bearer Jefe {sign}");
        assert_eq!((answer.status, answer.body), (200, expected.into_bytes()));
        assert_eq!(client.send(request("/away")).await.unwrap().status, 302, "a redirect is an answer");
        let ungranted = HttpRequest { endpoint: "other".into(), ..request("/echo") };
        assert!(matches!(client.send(ungranted).await, Err(HttpError::Endpoint(_))));
    }

    #[tokio::test]
    async fn bounds_what_it_waits_for_and_reads() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        let client = client(&venue().await, secret.path());
        assert!(matches!(client.send(request("/long")).await, Err(HttpError::TooLong(_))));
        let error = client.send(request("/never")).await.unwrap_err().to_string();
        assert!(error.contains("timed out"), "{error}");
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let client = self::client(&format!("http://{closed}"), secret.path());
        let error = client.send(request("/echo")).await.unwrap_err();
        assert!(
            matches!(error, HttpError::NotHanded { .. }) && error.to_string().contains("cannot connect"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn calls_an_answer_cut_short_unknown_and_a_swallowed_connect_not_handed() {
        use tokio::io::AsyncReadExt;

        let secret = tempfile::NamedTempFile::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = self::client(&format!("http://{}", listener.local_addr().unwrap()), secret.path());
        let hang_up = async {
            let mut socket = listener.accept().await.unwrap().0;
            socket.read_exact(&mut [0; 16]).await.unwrap();
        };
        let (error, ()) = tokio::join!(client.send(request("/echo")), hang_up);
        assert!(matches!(error, Err(HttpError::NoAnswer { .. })), "{error:?}");

        let (dark, _listener, _held) = crate::net::dial::tests::black_hole("127.0.0.1:0").await;
        let text = format!("[rpc]\nurl = \"http://{dark}\"\nconnect_timeout_ms = 50\nrequest_timeout_ms = 60000\n");
        let endpoints: Endpoints = toml::from_str(&text).unwrap();
        let client = Client::new(&endpoints, &["rpc".to_owned()], Credentials::default(), Arc::new(At(1_700))).unwrap();
        let error = client.send(request("/echo")).await;
        assert!(matches!(error, Err(HttpError::NotHanded { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn reaches_the_second_address_of_a_name_whose_first_swallows_packets() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        let address: std::net::SocketAddr = venue().await["http://".len()..].trim_end_matches("/api").parse().unwrap();
        let dark = format!("127.0.0.2:{}", address.port());
        let (dark, _listener, _held) = crate::net::dial::tests::black_hole(&dark).await;
        let mut client = self::client(&format!("http://two.test:{}/api", address.port()), secret.path());
        let (mut endpoint, _) = client.endpoints["rpc"].clone();
        (endpoint.connect_timeout_ms, endpoint.request_timeout_ms) = (Some(1_000), Some(60_000));
        let builder = reqwest::Client::builder().resolve_to_addrs("two.test", &[dark, address]);
        let built = build("rpc", &endpoint, builder).unwrap();
        client.endpoints = Arc::new([("rpc".to_owned(), (endpoint, built))].into());
        assert_eq!(client.send(request("/echo")).await.unwrap().status, 200);
    }

    #[tokio::test]
    async fn refuses_headers_that_frame_the_message_and_counts_how_requests_end() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        let registry = Registry::new();
        let client = client(&venue().await, secret.path()).counted(&registry);
        for name in ["host", "Content-Length", "transfer-encoding", "connection"] {
            let header = Header { name: name.into(), value: HeaderValue::Plain("7".into()) };
            let sent = client.send(HttpRequest { headers: vec![header], ..request("/echo") }).await;
            assert!(matches!(sent, Err(HttpError::Invalid { .. })), "{name}: {sent:?}");
        }
        client.send(request("/echo")).await.unwrap();
        let page = registry.render();
        for ending in ["2xx\"} 1", "not_sent\"} 4"] {
            let line = format!("unrip_http_requests_total{{endpoint=\"rpc\",ending=\"{ending}");
            assert!(page.contains(&line), "{line} is missing in\n{page}");
        }
    }
}
