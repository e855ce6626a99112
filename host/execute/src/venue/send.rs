//! The one send of a claim: sign, encode, and hand over if every gate is open when the socket is ready.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use unrip_core::CommandId;
use unrip_engine::executor::{Action, ExecuteTrade, Inbound, Outbound, Signature};
use unrip_service::net::Message;
use unrip_service::net::http::HttpError;
use unrip_service::net::ws::{SendOutcome, Sender};

use super::connection::AWAITED_MAX;
use super::{Awaited, VenueConnection};
use crate::points::{Point, reach};
use crate::signer::Signer;
use unrip_protocol::partition::SendEnd;

/// Says at the last moment why nothing may be sent; `None` if everything is open. Must not block.
pub type LastGate = Box<dyn FnOnce() -> Option<Stop> + Send>;

/// Why a gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `dispatch_by` has passed.
    Late,
    /// The partition is not ours any more, or the service is stopping, or it is halted.
    Closed(&'static str),
}

/// A claimed action to be sent.
pub struct Order {
    /// Partition of the command.
    pub partition: i32,
    /// The command.
    pub id: CommandId,
    /// The command as the module sees it.
    pub command: ExecuteTrade,
    /// The claimed action.
    pub action: Action,
    /// Who signs.
    pub signer: Arc<dyn Signer>,
    /// The last word.
    pub gate: LastGate,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For the protocol.
    pub end: SendEnd,
    /// No answer can come any more.
    pub answer_lost: bool,
}

const NOT_HANDED: Outcome = Outcome { end: SendEnd::NotHanded, answer_lost: false };
const HANDED: Outcome = Outcome { end: SendEnd::Handed, answer_lost: false };
const BROKEN: Outcome = Outcome { end: SendEnd::Handed, answer_lost: true };

impl VenueConnection {
    /// Sends once. Every error before the hand-over is `NotHanded`; everything after it is `Handed`.
    pub async fn send(&self, order: Order) -> Outcome {
        // A frame needs an open socket: without one nothing is even signed.
        let sender = self.sender.borrow().clone();
        let (id, scheme) = (order.id, order.action.scheme.clone());
        let signed = match order.signer.sign(&order.action.unsigned) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::error!(command_id = %id, scheme, %error, "signing failed; nothing was sent");
                return Outcome { end: SendEnd::Refused("not_signed"), answer_lost: false };
            }
        };
        let request_id = self.request_ids.fetch_add(1, Ordering::SeqCst);
        let signature = Signature { public_key: signed.public_key, signature: signed.signature };
        let (command, action) = (order.command, order.action);
        let encoded = self.seat.ask(move |executor| executor.encode(&command, &action, &signature, request_id)).await;
        reach(Point::Signed);
        let awaited = Awaited { partition: order.partition, id, connection_id: None };
        match encoded.map(|answer| answer.value) {
            Ok(Ok(Ok(Outbound::Frame(message)))) => match sender {
                Some(sender) => self.send_frame(&sender, message, request_id, awaited, order.gate).await,
                None => NOT_HANDED,
            },
            Ok(Ok(Ok(Outbound::Http(request)))) => self.send_http(request, request_id, awaited, order.gate).await,
            Ok(Ok(Err(reason))) => {
                tracing::error!(command_id = %id, code = reason.code, reason = reason.text, "the module could not encode");
                Outcome { end: SendEnd::Refused("not_encoded"), answer_lost: false }
            }
            Ok(Err(fault)) => {
                tracing::error!(command_id = %id, %fault, "the module could not encode");
                NOT_HANDED
            }
            Err(_) => NOT_HANDED,
        }
    }

    async fn send_frame(
        &self,
        sender: &Sender,
        message: Message,
        request_id: u64,
        awaited: Awaited,
        gate: LastGate,
    ) -> Outcome {
        let stopped = Arc::new(Mutex::new(None));
        let (noted, connection) = (Arc::clone(&stopped), self.clone());
        let awaited = Awaited { connection_id: Some(sender.connection_id().to_owned()), ..awaited };
        let ask = move || {
            reach(Point::GateBefore);
            let stop = gate().or_else(|| connection.await_answer(request_id, awaited));
            if stop.is_none() {
                reach(Point::GateAfter);
            }
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = stop;
            stop.is_none().then_some(message)
        };
        match sender.send_watched(Box::new(ask), || reach(Point::SocketHanded)).await {
            SendOutcome::Sent => {
                reach(Point::SocketFlushed);
                HANDED
            }
            SendOutcome::Broken(reason) => {
                tracing::warn!(reason, "the send broke: it may have arrived");
                BROKEN
            }
            SendOutcome::NotHanded(_) => NOT_HANDED,
            SendOutcome::Refused => refused(*stopped.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    async fn send_http(
        &self,
        request: unrip_service::net::HttpRequest,
        request_id: u64,
        awaited: Awaited,
        gate: LastGate,
    ) -> Outcome {
        if let Some(stop) = gate().or_else(|| self.await_answer(request_id, awaited)) {
            return refused(Some(stop));
        }
        reach(Point::GateAfter);
        match self.client.send(request).await {
            Ok(response) => {
                reach(Point::SocketFlushed);
                self.read(Inbound::Response((request_id.to_string(), Some(response))), None).await;
                HANDED
            }
            Err(HttpError::NoAnswer { .. } | HttpError::TooLong(_)) => {
                self.take_awaited(request_id, None);
                BROKEN
            }
            Err(error) => {
                self.take_awaited(request_id, None);
                tracing::error!(%error, "the request cannot be sent");
                NOT_HANDED
            }
        }
    }

    /// Notes the request before its bytes leave, so that no answer can come too early.
    fn await_answer(&self, request_id: u64, awaited: Awaited) -> Option<Stop> {
        let mut all = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= AWAITED_MAX {
            return Some(Stop::Closed("limit_awaited"));
        }
        all.insert(request_id, awaited);
        None
    }
}

fn refused(stop: Option<Stop>) -> Outcome {
    match stop {
        Some(Stop::Closed(code)) => Outcome { end: SendEnd::Refused(code), answer_lost: false },
        // The protocol lets it expire by its own clock.
        Some(Stop::Late) | None => NOT_HANDED,
    }
}
