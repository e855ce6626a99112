//! What a module may use: at load what it says that it needs, at each call what it asks for.

use crate::fault::{Fault, FaultKind};
use crate::limits::check_entries;
use crate::module::{Capability, Module};
use crate::{Grants, Header, HeaderValue, HttpRequest, LoadErrorKind};

/// Headers that one request or handshake may have.
const HEADERS_MAX: usize = 64;

impl Grants {
    /// Refuses a module that needs what is not granted.
    pub(crate) fn check_declared(&self, module: &Module) -> Result<(), LoadErrorKind> {
        for capability in &module.description().capabilities {
            let (granted, what, key) = match capability {
                Capability::Websocket(name) => {
                    (self.websocket.contains(name), format!("a websocket to endpoint `{name}`"), "websocket")
                }
                Capability::Http(name) => (self.http.contains(name), format!("HTTP to endpoint `{name}`"), "http"),
                Capability::Credential(name) => {
                    (self.credential.contains(name), format!("credential slot `{name}`"), "credential")
                }
                Capability::Signing(name) => {
                    (self.signing.contains(name), format!("signatures by scheme `{name}`"), "signing")
                }
                Capability::State => (self.state, "state".to_owned(), "state"),
            };
            if !granted {
                return Err(LoadErrorKind::NotGranted { capability: what, key: format!("module.grants.{key}") });
            }
        }
        Ok(())
    }

    pub(crate) fn check_connect(&self, endpoint: &str, headers: &[Header]) -> Result<(), Fault> {
        allow(&self.websocket, endpoint, "websocket")?;
        self.check_headers(headers)
    }

    pub(crate) fn check_request(&self, request: &HttpRequest) -> Result<(), Fault> {
        allow(&self.http, &request.endpoint, "http")?;
        self.check_headers(&request.headers)?;
        request.mac.as_ref().map_or(Ok(()), |mac| allow(&self.credential, &mac.credential, "credential"))
    }

    pub(crate) fn check_scheme(&self, scheme: &str) -> Result<(), Fault> {
        allow(&self.signing, scheme, "signing")
    }

    fn check_headers(&self, headers: &[Header]) -> Result<(), Fault> {
        check_entries("headers of one request", headers.len(), "the most", HEADERS_MAX)?;
        headers.iter().try_for_each(|header| self.check_header(header))
    }

    fn check_header(&self, header: &Header) -> Result<(), Fault> {
        match &header.value {
            HeaderValue::Plain(_) => Ok(()),
            HeaderValue::Credential(slot) | HeaderValue::Bearer(slot) => allow(&self.credential, slot, "credential"),
            HeaderValue::Basic((user, password)) => allow(&self.credential, user, "credential")
                .and_then(|()| allow(&self.credential, password, "credential")),
        }
    }
}

fn allow(granted: &[String], name: &str, key: &str) -> Result<(), Fault> {
    if granted.iter().any(|grant| grant == name) {
        return Ok(());
    }
    let name = unrip_core::text::cut(name, 64);
    Err(Fault::new(FaultKind::NotGranted, format!("asked for `{name}`, which module.grants.{key} does not list")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: HeaderValue) -> HttpRequest {
        HttpRequest {
            endpoint: "rpc".into(),
            method: "POST".into(),
            path: String::new(),
            headers: vec![Header { name: "authorization".into(), value }],
            body: Vec::new(),
            mac: None,
        }
    }

    #[test]
    fn an_endpoint_and_each_credential_slot_must_be_granted() {
        let grants = Grants { http: vec!["rpc".into()], credential: vec!["token".into()], ..Grants::default() };
        for fine in [
            HeaderValue::Plain("x".into()),
            HeaderValue::Bearer("token".into()),
            HeaderValue::Credential("token".into()),
        ] {
            grants.check_request(&request(fine)).unwrap();
        }
        for wrong in [
            HeaderValue::Bearer("other".into()),
            HeaderValue::Credential("other".into()),
            HeaderValue::Basic(("token".into(), "other".into())),
        ] {
            assert_eq!(grants.check_request(&request(wrong)).unwrap_err().kind, FaultKind::NotGranted);
        }
        let elsewhere = HttpRequest { endpoint: "other".into(), ..request(HeaderValue::Plain(String::new())) };
        assert!(grants.check_request(&elsewhere).unwrap_err().text.contains("module.grants.http"));
        assert!(grants.check_connect("rpc", &[]).is_err(), "HTTP to an endpoint is no websocket to it");
        assert!(grants.check_scheme("nep413").is_err());
    }

    #[test]
    fn a_request_has_a_bounded_number_of_headers() {
        let grants = Grants { http: vec!["rpc".into()], websocket: vec!["ws".into()], ..Grants::default() };
        let header = Header { name: "a".into(), value: HeaderValue::Plain(String::new()) };
        let headers = |count| vec![header.clone(); count];
        let request = |count| HttpRequest { headers: headers(count), ..request(HeaderValue::Plain(String::new())) };
        grants.check_request(&request(HEADERS_MAX)).unwrap();
        grants.check_connect("ws", &headers(HEADERS_MAX)).unwrap();
        let (asked, opened) = (grants.check_request(&request(65)), grants.check_connect("ws", &headers(65)));
        assert_eq!((asked.unwrap_err().kind, opened.unwrap_err().kind), (FaultKind::Excess, FaultKind::Excess));
    }
}
