//! Connections to venues: the host opens them, a module only says what to send.
//!
//! Headers, requests and responses are the words of the modules (`unrip_engine`), so that no role translates them.

pub mod credentials;
mod dial;
pub mod http;
mod mac;
mod tls;
pub mod ws;

pub use tls::install_provider as install_tls_provider;
pub use unrip_engine::{
    ByteEncoding, Header, HeaderValue, HttpRequest, HttpResponse, MacAlgorithm, Message, RequestMac,
};

use crate::config::{Endpoint, EndpointHeader};

/// The headers that the configuration gives an endpoint.
fn configured_headers(endpoint: &Endpoint) -> Vec<Header> {
    let value = |header: &EndpointHeader| match header.clone() {
        EndpointHeader::Plain(text) => HeaderValue::Plain(text),
        EndpointHeader::Credential { credential } => HeaderValue::Credential(credential),
        EndpointHeader::Bearer { bearer } => HeaderValue::Bearer(bearer),
    };
    endpoint.headers.iter().map(|(name, header)| Header { name: name.clone(), value: value(header) }).collect()
}
