//! The two HTTP sides: the relay's RPC (`get_status`) and the NEAR node.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::control::{Control, Refused};
use super::near;
use super::state::{Fate, State};
use super::venue::Venue;

/// Serves the relay's RPC until the venue stops.
pub(super) async fn serve_rpc(venue: Arc<Venue>, listener: TcpListener) {
    serve(
        venue.clone(),
        listener,
        Router::new().route("/rpc", post(rpc)).route("/control", post(control)).with_state(venue),
    )
    .await;
}

/// Serves the NEAR node until the venue stops.
pub(super) async fn serve_near(venue: Arc<Venue>, listener: TcpListener) {
    serve(venue.clone(), listener, Router::new().route("/", post(node)).with_state(venue)).await;
}

async fn serve(venue: Arc<Venue>, listener: TcpListener, router: Router) {
    let stop = venue.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        served = std::future::IntoFuture::into_future(axum::serve(listener, router)) => {
            if let Err(error) = served {
                tracing::error!(%error, "an HTTP listener of the fake venue ended");
            }
        }
    }
}

/// A planned fault of an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Error,
    /// The number chooses how.
    Malformed(u64),
    Dropped,
    Never,
}

impl Fault {
    /// Draws one and waits as long as every request must.
    async fn meet(venue: &Venue) -> Self {
        let (fault, delay_ms) = {
            let mut state = venue.state();
            let State { rng, faults, .. } = &mut *state;
            // Every one is drawn, so that a fault's setting does not change the later choices of the same seed.
            let drawn = [
                (rng.chance(faults.http_error), Self::Error),
                (rng.chance(faults.http_malformed), Self::Malformed(rng.next())),
                (rng.chance(faults.http_dropped), Self::Dropped),
                (rng.chance(faults.http_never), Self::Never),
            ];
            let fault = drawn.into_iter().find_map(|(hit, fault)| hit.then_some(fault));
            (fault.unwrap_or(Self::None), faults.http_delay_ms)
        };
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        if fault == Self::Never {
            // Until the client gives up or the venue stops.
            venue.stop.cancelled().await;
        }
        fault
    }

    /// What goes out instead of this answer; it may be useless, it is never a lie.
    fn spoil(self, status: StatusCode, text: String) -> Response {
        let half = || text.chars().take(text.chars().count() / 2).collect::<String>();
        match self {
            Self::None => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Self::Error | Self::Never => (StatusCode::SERVICE_UNAVAILABLE, "planned fault").into_response(),
            Self::Malformed(how) => {
                let junk = [half(), String::new(), "<html>planned fault</html>".into(), "{}".into(), "null".into()];
                let chosen = usize::try_from(how % junk.len() as u64).unwrap_or_default();
                let text = junk.into_iter().nth(chosen).unwrap_or_default();
                (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text).into_response()
            }
            Self::Dropped => {
                let broken = Err(std::io::Error::other("planned fault"));
                Body::from_stream(futures_util::stream::iter([Ok(Bytes::from(half())), broken])).into_response()
            }
        }
    }
}

async fn node(Shared(venue): Shared<Arc<Venue>>, body: Bytes) -> Response {
    let fault = Fault::meet(&venue).await;
    let (status, answer) = near::answer(&venue.state(), &venue.config, &body, venue.clock.now_ms());
    settled_on_disk(&venue, fault, status, &answer).await
}

async fn rpc(Shared(venue): Shared<Arc<Venue>>, headers: HeaderMap, body: Bytes) -> Response {
    let fault = Fault::meet(&venue).await;
    if venue.config.rpc_token_required && !has_token(&headers, &venue.config.token) {
        return (StatusCode::FORBIDDEN, "Forbidden").into_response();
    }
    let answer = rpc_answer(&venue, &body);
    settled_on_disk(&venue, fault, StatusCode::OK, &answer).await
}

async fn control(Shared(venue): Shared<Arc<Venue>>, body: Bytes) -> Response {
    let control = match Control::read(&body) {
        Ok(control) => control,
        Err(Refused::Unknown(text)) => return (StatusCode::NOT_FOUND, text).into_response(),
        Err(Refused::Wrong(text)) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    match super::control::apply(&venue, control).await {
        Ok(said) => Fault::None.spoil(StatusCode::OK, said.to_string()),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// Nothing is reported that a crash could still undo.
async fn settled_on_disk(venue: &Venue, fault: Fault, status: StatusCode, answer: &Value) -> Response {
    match venue.ledger.all_durable().await {
        Ok(()) => fault.spoil(status, answer.to_string()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes());
    is("authorization", &format!("Bearer {token}")) || is("x-api-key", token)
}

fn rpc_answer(venue: &Venue, body: &[u8]) -> Value {
    let error = |id: &Value, code: i64, text: &str| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}});
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return error(&Value::Null, -32700, "Parse error") };
    let id = request.get("id").unwrap_or(&Value::Null);
    if request.get("method").and_then(Value::as_str) != Some("get_status") {
        return error(id, -32601, "Method not found");
    }
    let asked = request.pointer("/params/0/intent_hash").and_then(Value::as_str);
    let Some(hash) = asked else { return error(id, -32602, "Invalid params: intent_hash is missing") };
    json!({"jsonrpc": "2.0", "id": id, "result": status(venue, hash)})
}

/// A taker's intent hash and a solver's quote hash are both known.
fn status(venue: &Venue, hash: &str) -> Value {
    let state = venue.state();
    match state.fates.get(hash) {
        Some(Fate::Open) => json!({"intent_hash": hash, "status": "PENDING"}),
        Some(Fate::Settled { height, tx_hash }) => {
            let mined = state.chain.exists(*height, venue.clock.now_ms());
            let status = if mined { "SETTLED" } else { "TX_BROADCASTED" };
            json!({"intent_hash": hash, "status": status, "data": {"hash": tx_hash}})
        }
        Some(Fate::Failed) => {
            json!({"intent_hash": hash, "status": "NOT_FOUND_OR_NOT_VALID", "status_details": "FAILED"})
        }
        Some(Fate::Lapsed) | None => json!({"intent_hash": hash, "status": "NOT_FOUND_OR_NOT_VALID"}),
    }
}
