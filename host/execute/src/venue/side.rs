//! The venue as the loop meets it: everything slow runs in the background and comes back as an input.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::{ExecuteTrade, Executor};
use unrip_protocol::partition::SendEnd;
use unrip_service::clock::Clock;
use unrip_service::module::Seat;

use super::{Awaited, Facts, Order, Outcome, VenueConnection};
use crate::command::dispatch::last_gate;
use crate::command::doubts::{ROUNDS_AT_ONCE_MAX, Resolved, Round};
use crate::command::open::OpenCommand;
use crate::command::prepare::Prepared;
use crate::points::{Point, reach};
use crate::runtime::gates::Gates;
use crate::runtime::{Input, Performed};
use crate::signer::Signers;

/// The module, the way to the venue, and the keys.
pub(crate) struct VenueSide {
    venue: String,
    seat: Seat<Executor>,
    connection: VenueConnection,
    signers: Signers,
    clock: Arc<dyn Clock>,
    /// Turns to ask the venue.
    rounds: Arc<Semaphore>,
    inputs: mpsc::Sender<Input>,
}

/// What the venue side is made of.
pub(crate) struct VenueParts {
    pub(crate) venue: String,
    pub(crate) seat: Seat<Executor>,
    pub(crate) connection: VenueConnection,
    pub(crate) signers: Signers,
    pub(crate) clock: Arc<dyn Clock>,
}

impl VenueSide {
    pub(crate) fn new(parts: VenueParts, inputs: mpsc::Sender<Input>) -> Self {
        let VenueParts { venue, seat, connection, signers, clock } = parts;
        let rounds = Arc::new(Semaphore::new(ROUNDS_AT_ONCE_MAX));
        Self { venue, seat, connection, signers, clock, rounds, inputs }
    }

    /// The keys.
    pub(crate) fn signers(&self) -> &Signers {
        &self.signers
    }

    /// What is known from standing questions.
    pub(crate) fn facts(&self) -> &Facts {
        self.connection.facts()
    }

    /// Takes the awaited answer of a request that this connection asked.
    pub(crate) fn take_awaited(&self, request_id: u64, connection_id: Option<&str>) -> Option<Awaited> {
        self.connection.take_awaited(request_id, connection_id)
    }

    /// Takes everything whose answer this connection would have brought.
    pub(crate) fn take_lost(&self, connection_id: &str) -> Vec<Awaited> {
        self.connection.take_lost(connection_id)
    }

    /// Stops awaiting answers about commands that are not in hand any more.
    pub(crate) fn forget_unless(&self, is_held: impl Fn(i32, &CommandId) -> bool) {
        self.connection.forget_unless(|awaited| is_held(awaited.partition, &awaited.id));
    }

    /// Asks the module for the bytes.
    pub(crate) fn prepare(&self, partition: i32, open: Option<&OpenCommand>, now: Timestamp) -> Performed {
        let Some(open) = open else { return Performed::Stale };
        reach(Point::PrepareBefore);
        let (id, account) = (open.head.id, open.account().to_owned());
        let (command, facts) = (ExecuteTrade::from(&open.cause.command.payload), self.facts().at(now));
        let (seat, signers, inputs) = (self.seat.clone(), self.signers.clone(), self.inputs.clone());
        tokio::spawn(async move {
            // Without an answer the module's thread is gone, and so is the executor.
            let Ok(answer) = seat.ask(move |executor| executor.prepare(&command, &facts, now)).await else { return };
            let prepared = Prepared::of(answer, id, &account, &signers);
            let _ = inputs.send(Input::Prepared { partition, id, prepared }).await;
        });
        Performed::Done
    }

    /// Sends a claimed action, once.
    pub(crate) fn send(&self, partition: i32, open: Option<&OpenCommand>, gates: &Gates) -> Performed {
        let Some(open) = open else { return Performed::Stale };
        reach(Point::ClaimFolded);
        let (id, order) = (open.head.id, self.order(partition, open, gates));
        let (connection, inputs) = (self.connection.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let outcome = match order {
                Some(order) => connection.send(order).await,
                None => Outcome { end: SendEnd::NotHanded, answer_lost: false },
            };
            let _ = inputs.send(Input::Sent { partition, id, outcome }).await;
        });
        Performed::Done
    }

    fn order(&self, partition: i32, open: &OpenCommand, gates: &Gates) -> Option<Order> {
        let (claimed, payload) = (open.claimed.as_ref()?, &open.cause.command.payload);
        let signer = self.signers.find(&claimed.action.scheme, open.account())?;
        let owner = (self.venue.clone(), open.account().to_owned());
        let gate = last_gate(gates.clone(), Arc::clone(&self.clock), partition, owner, payload.dispatch_by);
        let (command, action) = (ExecuteTrade::from(payload), claimed.action.clone());
        Some(Order { partition, id: open.head.id, command, action, signer, gate })
    }

    /// One round of a doubt: the module says what to ask, the host asks, until it decides or wants to wait.
    pub(crate) fn resolve(&self, partition: i32, id: CommandId, open: Option<&OpenCommand>) -> Performed {
        let started = || reach(Point::ResolveBegin);
        self.round(open, started, move |Resolved { resolution, .. }| Input::Resolved { partition, id, resolution })
    }

    /// The same questions about a command that was executed: whether it settled, now that its deadline has passed.
    pub(crate) fn follow(&self, partition: i32, id: CommandId, open: Option<&OpenCommand>) -> Performed {
        self.round(open, || {}, move |resolved| Input::Followed { partition, id, resolved })
    }

    fn round<S, F>(&self, open: Option<&OpenCommand>, started: S, input: F) -> Performed
    where
        S: FnOnce() + Send + 'static,
        F: FnOnce(Resolved) -> Input + Send + 'static,
    {
        let Some((open, claimed)) = open.and_then(|open| Some((open, open.claimed.as_ref()?))) else {
            return Performed::Stale;
        };
        let round = Round {
            id: open.head.id,
            command: ExecuteTrade::from(&open.cause.command.payload),
            action: claimed.action.clone(),
            connection: self.connection.clone(),
            seat: self.seat.clone(),
            clock: Arc::clone(&self.clock),
            turn: Arc::clone(&self.rounds),
        };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            started();
            if let Some(resolved) = round.run().await {
                let _ = inputs.send(input(resolved)).await;
            }
        });
        Performed::Done
    }
}
