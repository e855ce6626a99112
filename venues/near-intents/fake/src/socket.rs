//! The websocket: handshake with bearer token, one reader and one writer per connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::hub::Link;
use super::ledger_lines::Entry;
use super::protocol;
use super::venue::Venue;

const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Longest message taken from a client.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Accepts connections until the venue stops.
pub(super) async fn serve(venue: Arc<Venue>, listener: TcpListener) {
    loop {
        tokio::select! {
            () = venue.stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if venue.clock.now_ms() >= *venue.refuse_until_ms.borrow() => {
                    tokio::spawn(connection(venue.clone(), stream));
                }
                // Refused on purpose: the socket closes here.
                Ok(_) => {}
                // Out of descriptors or the like: it passes, and spinning would not help.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
}

#[allow(clippy::result_large_err, reason = "the handshake's callback type is tungstenite's")]
fn admit(token: &str, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    let refuse = |status, text: &str| {
        let mut refusal = ErrorResponse::new(Some(text.to_owned()));
        *refusal.status_mut() = status;
        refusal
    };
    if request.uri().path() != "/ws" {
        return Err(refuse(http::StatusCode::NOT_FOUND, "the websocket is at /ws"));
    }
    let wanted = format!("Bearer {token}");
    match request.headers().get(http::header::AUTHORIZATION).map(|value| value.as_bytes() == wanted.as_bytes()) {
        Some(true) => Ok(response),
        _ => Err(refuse(http::StatusCode::FORBIDDEN, "Forbidden")),
    }
}

async fn connection(venue: Arc<Venue>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let token = venue.config.token.clone();
    #[allow(clippy::result_large_err, reason = "tungstenite's callback returns its response")]
    let callback = move |request: &Request, response: Response| admit(&token, request, response);
    let handshake = tokio_tungstenite::accept_hdr_async_with_config(stream, callback, Some(config));
    let Ok(Ok(socket)) = tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await else { return };

    let (link, queue) = {
        let mut state = venue.state();
        let connection = state.next_connection;
        venue.record(&mut state, Entry::Connected { connection });
        Link::new(connection, venue.stop.child_token())
    };
    venue.hub.add(link.clone());
    let (sink, source) = socket.split();
    let writer = tokio::spawn(write(venue.clone(), link.clone(), sink, queue));
    read(&venue, &link, source).await;
    link.broken.cancel();
    venue.hub.remove(link.connection);
    let _ = writer.await;
    venue.record(&mut venue.state(), Entry::Disconnected { connection: link.connection });
}

async fn write(
    venue: Arc<Venue>,
    link: Link,
    mut sink: SplitSink<WebSocketStream<TcpStream>, Message>,
    mut queue: mpsc::Receiver<Message>,
) {
    let pass_on = async {
        while let Some(message) = queue.recv().await {
            venue.while_silent().await;
            slowly(&venue).await;
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = link.broken.cancelled() => {}
        () = pass_on => link.broken.cancel(),
    }
}

async fn read(venue: &Arc<Venue>, link: &Link, mut source: SplitStream<WebSocketStream<TcpStream>>) {
    let mut silent = venue.silent.subscribe();
    loop {
        tokio::select! {
            () = link.broken.cancelled() => return,
            // Not polling the socket is what silence is: not even a ping is answered.
            () = venue.while_silent(), if *silent.borrow_and_update() => {}
            Ok(()) = silent.changed() => {}
            received = source.next(), if !*venue.silent.borrow() => match received {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    slowly(venue).await;
                    protocol::receive(venue, link, &message.into_data()).await;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}

/// What a slow socket makes of a frame.
async fn slowly(venue: &Venue) {
    let ms = venue.state().faults.slow_frame_ms;
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
