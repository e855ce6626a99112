//! Opening one websocket: address, TLS, handshake.

use http::HeaderMap;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use super::tap::{Inbound, Tap};
use super::{Options, Target};
use crate::net::{credentials::Credentials, dial::dial, http::join, tls};

/// Headers that make the handshake what it is; nothing else may set them.
const RESERVED: [&str; 6] =
    ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"];

pub(super) type Socket = WebSocketStream<Tap<MaybeTlsStream<TcpStream>>>;

/// Opens the websocket, in bounded time. The error is one line that says what to do.
pub(super) async fn open(
    target: &Target,
    credentials: &Credentials,
    options: &Options,
) -> Result<(Socket, Inbound), String> {
    let connecting = connect(target, credentials, options);
    match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(result) => result,
        Err(_) => Err(format!("not open after {} ms", options.connect_timeout.as_millis())),
    }
}

async fn connect(target: &Target, credentials: &Credentials, options: &Options) -> Result<(Socket, Inbound), String> {
    // Read at each connect: a rotated token counts without a restart.
    let headers = credentials.fill(&target.configured, &target.headers).map_err(|error| error.to_string())?;
    let url = join(&target.url, &target.path)?;
    let secure = match url.scheme() {
        "wss" => true,
        "ws" => false,
        other => return Err(format!("url scheme `{other}` is not ws or wss")),
    };
    let host = url.host_str().ok_or("the url has no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
    let request = handshake(url.as_str(), headers)?;
    let tcp = dial(&host, port).await?;
    // Answers race against auctions of 50 ms: no waiting for company.
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream = match secure {
        false => MaybeTlsStream::Plain(tcp),
        true => {
            let name = host.clone().try_into().map_err(|_| format!("`{host}` is no name for TLS"))?;
            let secured = TlsConnector::from(tls::client()).connect(name, tcp).await;
            MaybeTlsStream::Rustls(secured.map_err(|error| format!("TLS with {host}: {error}"))?)
        }
    };
    let (tapped, inbound) = Tap::new(stream);
    let config = WebSocketConfig::default()
        .max_message_size(Some(options.message_bytes_max))
        .max_frame_size(Some(options.message_bytes_max));
    let (socket, _) =
        client_async_with_config(request, tapped, Some(config)).await.map_err(|error| refusal(&host, error))?;
    Ok((socket, inbound))
}

fn handshake(url: &str, headers: HeaderMap) -> Result<Request, String> {
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    for (name, value) in &headers {
        if RESERVED.contains(&name.as_str()) {
            return Err(format!("header `{name}` belongs to the handshake itself"));
        }
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}

/// A refused handshake in one line, with the cure where there is one.
fn refusal(host: &str, error: WsError) -> String {
    let WsError::Http(response) = error else { return format!("handshake with {host}: {error}") };
    let status = response.status();
    let cure = match status.as_u16() {
        401 | 403 => {
            "; the venue does not take the credential: check the token in the credential's file and its expiry"
        }
        404 => "; check the path of the endpoint's url",
        429 => "; too many connections or requests: the host waits longer each time",
        _ => "",
    };
    format!("{host} refused the handshake with {status}{cure}")
}
