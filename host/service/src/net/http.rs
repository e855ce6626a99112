//! HTTP requests that a module describes: to granted endpoints only, with credentials filled in by the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue as WireValue;
use reqwest::{Method, Url};
use sha2::{Digest, Sha256};

use super::credentials::{CredentialError, Credentials};
use super::{ByteEncoding, HeaderValue, HttpRequest, HttpResponse, MacAlgorithm, RequestMac, all_headers, mac, tls};
use crate::clock::Clock;
use crate::config::{Endpoint, Endpoints};

/// Largest body that is read, in bytes: the bound that modules are promised.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// How long a connection may take to open, where the endpoint does not say.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How long a request may take in all, where the endpoint does not say.
const REQUEST_TIMEOUT_MS: u64 = 10_000;
/// Stands for the time of sending in a signed message, its headers and its body.
const TIME_OF_SENDING: &str = "{timestamp-ms}";

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
    /// Refused, timed out, broken: whether the request arrived is unknown.
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
    client: reqwest::Client,
    endpoints: Arc<BTreeMap<String, Endpoint>>,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
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
        let granted = endpoints.iter().filter(|(name, _)| granted.contains(name));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .build()
            .map_err(|error| HttpError::Invalid { endpoint: "*".to_owned(), reason: chain(&error) })?;
        let endpoints = granted.map(|(name, endpoint)| (name.clone(), endpoint.clone())).collect();
        Ok(Self { client, endpoints: Arc::new(endpoints), credentials, clock })
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// See [`HttpError`]; only `NoAnswer` and `TooLong` mean that bytes may have left.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let name = request.endpoint.clone();
        let endpoint = self.endpoints.get(&name).ok_or_else(|| HttpError::Endpoint(name.clone()))?;
        let no_answer = |error: reqwest::Error| HttpError::NoAnswer { endpoint: name.clone(), reason: chain(&error) };
        let prepared = self.prepare(endpoint, request)?;
        let mut answer = self.client.execute(prepared).await.map_err(no_answer)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
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
        let millis = self.clock.now().millis().to_string();
        let stamp = |bytes: &[u8]| match request.mac {
            Some(_) => replace(bytes, TIME_OF_SENDING.as_bytes(), millis.as_bytes()),
            None => bytes.to_vec(),
        };
        let mut headers = all_headers(endpoint, &request.headers);
        for header in &mut headers {
            if let (HeaderValue::Plain(text), Some(_)) = (&mut header.value, &request.mac) {
                *text = text.replace(TIME_OF_SENDING, &millis);
            }
        }
        let mut filled = self.credentials.fill(&headers)?;
        if let Some(mac) = &request.mac {
            let value = self.authenticate(mac, &stamp(&mac.message))?;
            let name = http::HeaderName::try_from(mac.header.as_str()).map_err(|error| invalid(error.to_string()))?;
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
    let stem = if path.starts_with('/') { base.trim_end_matches('/') } else { base };
    let url = Url::parse(&format!("{stem}{path}")).map_err(|error| format!("path: {error}"))?;
    let same = url.origin() == home.origin() && url.host() == home.host() && url.port() == home.port();
    let below = url.path().starts_with(home.path().trim_end_matches('/'));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_at_its_endpoint() {
        let good = |base, path| join(base, path).unwrap().to_string();
        assert_eq!(good("https://relay/rpc", ""), "https://relay/rpc");
        assert_eq!(good("https://relay/rpc", "/a?b=c"), "https://relay/rpc/a?b=c");
        assert_eq!(good("https://relay/", "/a"), "https://relay/a");
        assert_eq!(good("https://relay/rpc", "?method=x"), "https://relay/rpc?method=x");
        for path in [".evil.com/", "@evil.com/", "/../other", "x"] {
            assert!(join("https://relay/rpc", path).is_err(), "{path}");
        }
        assert!(join("not a url", "").is_err());
    }

    #[test]
    fn puts_the_time_of_sending_everywhere() {
        assert_eq!(replace(b"nonce={timestamp-ms}&x={timestamp-ms}", b"{timestamp-ms}", b"7"), b"nonce=7&x=7");
    }
}
