//! JSON-RPC over the websocket: subscriptions and answers to quotes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::hub::{Filter, Link, Stream};
use super::judge::Answer;
use super::ledger_lines::{Entry, Replied, Response, Verdict};
use super::refusal::Refusal;
use super::state::State;
use super::venue::Venue;
use super::{quotes, rng, settle};

/// One frame from a client.
pub(super) async fn receive(venue: &Arc<Venue>, link: &Link, frame: &[u8]) {
    let request: Value = match serde_json::from_slice(frame) {
        Ok(request) => request,
        Err(error) => return reply_error(link, &Value::Null, -32700, &format!("Parse error: {error}")),
    };
    let id = request.get("id").cloned().unwrap_or(Value::Null);
    let method = request.get("method").and_then(Value::as_str);
    let (Some(method), true, Some("2.0")) = (method, id.is_number(), request.get("jsonrpc").and_then(Value::as_str))
    else {
        return reply_error(link, &id, -32600, "Invalid Request");
    };
    let params = request.get("params");
    match method {
        "subscribe" => subscribe(venue, link, &id, params).await,
        "unsubscribe" => unsubscribe(venue, link, &id, params),
        "quote_response" => quote_response(venue, link, &id, params, frame),
        _ => reply_error(link, &id, -32601, "Method not found"),
    }
}

fn reply(link: &Link, id: &Value, result: &Value) {
    link.send(Message::text(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()));
}

fn reply_error(link: &Link, id: &Value, code: i64, text: &str) {
    let error = json!({"code": code, "message": text});
    link.send(Message::text(json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()));
}

async fn subscribe(venue: &Arc<Venue>, link: &Link, id: &Value, params: Option<&Value>) {
    let params = params.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let stream = params.first().and_then(Value::as_str).and_then(Stream::parse);
    let filter = Filter::parse(params.get(1));
    let (Some(stream), Some(filter), Ok(subscription)) = (stream, filter, rng::fresh_uuid()) else {
        return reply_error(link, id, -32602, "Invalid params: unknown subscription");
    };
    if params.get(2).is_some_and(|guaranteed| guaranteed == &Value::Bool(true)) {
        let text = "guaranteed delivery is only available on quote_status and shield_status";
        return reply_error(link, id, -32602, text);
    }
    let overtake = stream == Stream::Quote && venue.state().faults.event_before_reply;
    if overtake {
        venue.hub.subscribe(link.connection, stream, subscription.clone(), filter);
        if let Err(error) = quotes::send_next(venue, 1).await {
            tracing::error!(%error, "a quote could not be sent");
        }
        reply(link, id, &json!(subscription));
    } else {
        // In this order no event can overtake the reply.
        reply(link, id, &json!(subscription));
        venue.hub.subscribe(link.connection, stream, subscription, filter);
    }
    if stream == Stream::Quote {
        venue.subscribed.notify_one();
    }
}

fn unsubscribe(venue: &Venue, link: &Link, id: &Value, params: Option<&Value>) {
    let subscription = params.and_then(|params| params.get(0)).and_then(Value::as_str);
    match subscription.filter(|subscription| venue.hub.unsubscribe(link.connection, subscription)) {
        Some(_) => reply(link, id, &json!("OK")),
        None => reply_error(link, id, -32602, "Invalid params: no such subscription"),
    }
}

/// What a planned fault makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Lost,
    Dropped,
    Never,
    Odd { accepted: bool },
    Late { ms: u64 },
}

impl Fault {
    fn draw(state: &mut State) -> Self {
        let State { rng, faults, .. } = state;
        // Every one is drawn, so that a fault's setting does not change the later choices of the same seed.
        let drawn = [
            (rng.chance(faults.drop_before_recording), Self::Lost),
            (rng.chance(faults.drop_after_recording), Self::Dropped),
            (rng.chance(faults.never_answer), Self::Never),
            (rng.chance(faults.odd_error), Self::Odd { accepted: true }),
            (rng.chance(faults.odd_error_refused), Self::Odd { accepted: false }),
            (rng.chance(faults.answer_late), Self::Late { ms: faults.answer_late_ms }),
        ];
        drawn.into_iter().find_map(|(hit, fault)| hit.then_some(fault)).unwrap_or(Self::None)
    }

    fn replied(self) -> Replied {
        match self {
            Self::None => Replied::Truly,
            Self::Lost | Self::Dropped => Replied::Dropped,
            Self::Never => Replied::Never,
            Self::Odd { .. } => Replied::Oddly,
            Self::Late { .. } => Replied::Late,
        }
    }
}

/// Judges under the lock and in the order of arrival; the reply waits on its own until the verdict is on disk.
fn quote_response(venue: &Arc<Venue>, link: &Link, id: &Value, params: Option<&Value>, frame: &[u8]) {
    let answer = Answer::read(params);
    let mut state = venue.state();
    let now_ms = venue.clock.now_ms();
    let fault = Fault::draw(&mut state);
    let odd_code = if state.faults.odd_error_code == 0 { -32000 } else { state.faults.odd_error_code };
    if let Some(duplicate) = answer.duplicate(&state) {
        venue.record(&mut state, Entry::Duplicate(duplicate));
    }
    let response = judged(venue, &mut state, link.connection, &answer, fault, odd_code, now_ms, frame);
    if let (Some(terms), Some(hash), Some(account)) = (&response.terms, &response.quote_hash, &response.account)
        && let Some(overdrawn) = state.overdrawn(hash, account, terms)
    {
        venue.record(&mut state, Entry::Overdrawn(overdrawn));
    }
    let (verdict, refusal) = (response.verdict, Refusal { code: response.code, text: response.why.clone() });
    let accepted = (verdict == Verdict::Accepted).then(|| response.quote_hash.clone()).flatten();
    let entry = match verdict {
        Verdict::Accepted | Verdict::Lost => Entry::Answered(response),
        Verdict::Refused => Entry::Refused(response),
        Verdict::Declined => Entry::Declined(response),
    };
    let number = venue.record(&mut state, entry);
    drop(state);
    if let Some(quote_hash) = accepted {
        settle::spawn(venue, quote_hash);
    }
    let (venue, link, id) = (venue.clone(), link.clone(), id.clone());
    tokio::spawn(async move {
        if venue.ledger.durable(number).await.is_err() {
            return link.broken.cancel();
        }
        match fault {
            Fault::Lost | Fault::Dropped => return link.broken.cancel(),
            Fault::Never => return,
            Fault::Odd { .. } => return reply_error(&link, &id, odd_code, "internal error"),
            Fault::Late { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Fault::None => {}
        }
        match verdict {
            Verdict::Accepted => reply(&link, &id, &json!("OK")),
            Verdict::Declined => reply(&link, &id, &Value::Null),
            Verdict::Refused | Verdict::Lost => reply_error(&link, &id, refusal.code, &refusal.text),
        }
    });
}

#[allow(clippy::too_many_arguments, reason = "one call site; a struct would only name the same eight things again")]
fn judged(
    venue: &Venue,
    state: &mut State,
    connection: u64,
    answer: &Answer<'_>,
    fault: Fault,
    odd_code: i64,
    now_ms: u64,
    frame: &[u8],
) -> Response {
    let identity = answer.identity.clone();
    let outcome = match fault {
        Fault::Lost => Ok((Verdict::Lost, None)),
        _ if answer.is_decline() => Ok((Verdict::Declined, None)),
        _ => match answer.duplicate(state) {
            Some(duplicate) if duplicate.same_nonce => Err(Refusal::params("nonce was already used")),
            Some(_) => Err(Refusal::params("quote was already answered by this account")),
            None if fault == Fault::Odd { accepted: false } => {
                Err(Refusal { code: odd_code, text: "internal error".into() })
            }
            None => {
                answer.judge(state, &venue.config.contract, now_ms).map(|accepted| (Verdict::Accepted, Some(accepted)))
            }
        },
    };
    let (verdict, refusal, terms) = match outcome {
        Ok((verdict, terms)) => (verdict, Refusal { code: 0, text: String::new() }, terms),
        Err(refusal) => (Verdict::Refused, refusal, None),
    };
    let terms = terms.map(|mut terms| {
        let settlement = &venue.config.settlement;
        terms.settle_at_ms =
            state.rng.chance(settlement.probability).then(|| now_ms.saturating_add(settlement.delay_ms));
        terms
    });
    Response {
        connection,
        frame: String::from_utf8_lossy(frame).into_owned(),
        quote_id: identity.quote_id,
        account: identity.account,
        nonce: identity.nonce,
        quote_hash: identity.quote_hash,
        digest: identity.digest,
        accepted: verdict == Verdict::Accepted,
        verdict,
        code: refusal.code,
        why: refusal.text,
        replied: fault.replied(),
        terms,
    }
}
