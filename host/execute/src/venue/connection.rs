//! The executor's own websocket and its standing questions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use std::collections::BTreeMap;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use unrip_engine::executor::{Connect, Executor, Inbound, Outbound, Query, StandingQuestion, Statement};
use unrip_service::clock::Clock;
use unrip_service::config::{CredentialSlots, Endpoints};
use unrip_service::metrics::Registry;
use unrip_service::module::{Answer, Seat};
use unrip_service::net::HttpResponse;
use unrip_service::net::credentials::Credentials;
use unrip_service::net::http::Client;
use unrip_service::net::ws::{Connection, Event, Options, Sender, Target};
use unrip_service::{Condition, Ids, RunError};

use super::{Awaited, Facts, VenueEvent};

/// The shortest pause between two askings of a standing question, in milliseconds.
const QUESTION_EVERY_MS_MIN: u32 = 100;
/// Retry interval for a standing question without a usable answer. Short, because commands wait for the fact.
const QUESTION_RETRY: Duration = Duration::from_millis(1_000);
/// Opening messages of a connection, each with a request id of its own.
const OPENING_FRAMES_MAX: u64 = 64;
/// Answers that are awaited at once; beyond it nothing is sent.
pub(super) const AWAITED_MAX: usize = 65_536;

/// The way to the venue. Cheap to clone.
#[derive(Clone)]
pub struct VenueConnection {
    pub(super) seat: Seat<Executor>,
    pub(super) client: Client,
    pub(super) sender: watch::Receiver<Option<Sender>>,
    pub(super) request_ids: Arc<AtomicU64>,
    pub(super) awaited: Arc<Mutex<BTreeMap<u64, Awaited>>>,
    pub(super) heard: mpsc::Sender<VenueEvent>,
    facts: Facts,
}

impl std::fmt::Debug for VenueConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VenueConnection")
    }
}

/// What a connection is made of.
pub struct VenueOptions<'a> {
    /// The module.
    pub seat: Seat<Executor>,
    /// Named endpoints.
    pub endpoints: &'a Endpoints,
    /// HTTP endpoints that are granted.
    pub granted_http: &'a [String],
    /// Named credentials.
    pub slots: &'a CredentialSlots,
    /// Credential slots that are granted.
    pub granted_credentials: &'a [String],
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of connections.
    pub ids: Ids,
    /// Where requests are counted.
    pub metrics: &'a Registry,
    /// Met while the websocket is open.
    pub connected: Condition,
    /// Ends it all.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for VenueOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VenueOptions").finish_non_exhaustive()
    }
}

impl VenueConnection {
    /// Opens the way to the venue: the module says which websocket to keep and what to ask.
    pub async fn open(parts: VenueOptions<'_>, heard: mpsc::Sender<VenueEvent>) -> Result<Self, RunError> {
        let VenueOptions { seat, endpoints, clock, .. } = &parts;
        let credentials = Credentials::new(parts.slots, parts.granted_credentials);
        let client = Client::new(endpoints, parts.granted_http, credentials.clone(), Arc::clone(clock))
            .map_err(|error| RunError::Config(error.to_string()))?
            .counted(parts.metrics);
        let fault = |fault: unrip_engine::Fault| RunError::Module(fault.to_string());
        let asked = seat.ask(|executor| Ok((executor.connection()?, executor.standing_questions()?)));
        let (connect, questions) = asked.await?.value.map_err(fault)?;
        let (set_sender, sender) = watch::channel(None);
        // Request ids start at the process's start time in ms and never repeat within it.
        let first_id = clock.now().millis().max(0) as u64;
        let connection = Self {
            seat: seat.clone(),
            client,
            sender,
            request_ids: Arc::new(AtomicU64::new(first_id)),
            awaited: Arc::default(),
            heard,
            facts: Facts::default(),
        };
        match connect {
            Some(connect) => connection.keep_websocket(&parts, &connect, credentials, set_sender)?,
            None => parts.connected.met(),
        }
        for question in questions {
            tokio::spawn(connection.clone().keep_asking(question, Arc::clone(clock), parts.shutdown.clone()));
        }
        Ok(connection)
    }

    /// What is known from standing questions.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes the awaited answer of a request that this connection asked.
    pub fn take_awaited(&self, request_id: u64, connection_id: Option<&str>) -> Option<Awaited> {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = awaited.get(&request_id)?;
        if asked.connection_id.as_deref() != connection_id {
            return None;
        }
        awaited.remove(&request_id)
    }

    /// Takes everything whose answer this connection would have brought.
    pub fn take_lost(&self, connection_id: &str) -> Vec<Awaited> {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = |asked: &Awaited| asked.connection_id.as_deref() == Some(connection_id);
        awaited.extract_if(.., |_, asked| lost(asked)).map(|(_, asked)| asked).collect()
    }

    /// Stops awaiting answers that are no longer wanted.
    pub fn forget_unless(&self, wanted: impl Fn(&Awaited) -> bool) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|_, asked| wanted(asked));
    }

    /// Asks one question by HTTP; no response if it could not be asked.
    pub async fn ask(&self, query: Query) -> (String, Option<HttpResponse>) {
        let Query { tag, request } = query;
        match self.client.send(request).await {
            Ok(response) => (tag, Some(response)),
            Err(error) => {
                tracing::warn!(%error, "a question to the venue was not answered");
                (tag, None)
            }
        }
    }

    fn keep_websocket(
        &self,
        parts: &VenueOptions<'_>,
        connect: &Connect,
        credentials: Credentials,
        set_sender: watch::Sender<Option<Sender>>,
    ) -> Result<(), RunError> {
        let endpoint = parts.endpoints.get(&connect.endpoint).ok_or_else(|| {
            RunError::Config(format!("endpoints.{}: missing; the module connects there", connect.endpoint))
        })?;
        let target = Target::new(endpoint, &connect.path, &connect.headers);
        let (clock, ids) = (Arc::clone(&parts.clock), parts.ids.clone());
        let connection = Connection::keep(target, credentials, Options::trading(endpoint), clock, ids, &parts.shutdown);
        tokio::spawn(self.clone().listen(connection, set_sender, parts.connected.clone()));
        Ok(())
    }

    async fn listen(self, mut connection: Connection, set_sender: watch::Sender<Option<Sender>>, connected: Condition) {
        let mut open: Option<Sender> = None;
        while let Some(event) = connection.next().await {
            match event {
                Event::Opened(sender) => {
                    open = Some(sender.clone());
                    if self.greet(&sender).await {
                        connected.met();
                        set_sender.send_replace(Some(sender));
                    } else {
                        sender.close();
                    }
                }
                Event::Frame(frame) => {
                    let connection_id = Some(frame.connection_id.to_string());
                    let useful = self.read(Inbound::Frame(frame.message), connection_id).await;
                    if let (true, Some(sender)) = (useful, &open) {
                        sender.mark_useful();
                    }
                }
                Event::CutFrame(cut) => tracing::warn!(flaw = cut.flaw.code(), reason = cut.reason, "frame not read"),
                Event::Closed { connection_id, reason, .. } => {
                    tracing::warn!(connection_id, reason, "venue connection closed");
                    set_sender.send_replace(None);
                    connected.missing(&reason);
                    if self.heard.send(VenueEvent::Closed { connection_id }).await.is_err() {
                        return;
                    }
                }
                Event::Unopened { reason } => {
                    tracing::warn!(reason, "venue connection not opened");
                    connected.missing(&reason);
                }
            }
        }
    }

    /// Says what the module wants said on a fresh connection.
    async fn greet(&self, sender: &Sender) -> bool {
        // Taken before the module is asked: a command that is sent meanwhile gets another id.
        let first_id = self.request_ids.fetch_add(OPENING_FRAMES_MAX, Ordering::SeqCst);
        let frames = match self.seat.ask(move |executor| executor.on_open(first_id)).await.map(|answer| answer.value) {
            Ok(Ok(frames)) if frames.len() as u64 <= OPENING_FRAMES_MAX => frames,
            Ok(Ok(frames)) => {
                tracing::error!(
                    frames = frames.len(),
                    max = OPENING_FRAMES_MAX,
                    "the module wants to open with too much"
                );
                return false;
            }
            Ok(Err(fault)) => {
                tracing::error!(%fault, "the module could not say what to send on open");
                return false;
            }
            Err(_) => return false,
        };
        for outbound in frames {
            match outbound {
                Outbound::Frame(message) => {
                    if let Err(reason) = sender.send(message).await {
                        tracing::warn!(reason, "the opening message could not be sent; closing the connection");
                        return false;
                    }
                }
                Outbound::Http(_) => tracing::error!("the module wants HTTP on open; only frames are sent there"),
            }
        }
        true
    }

    /// Has the module read something and sends its statements to the loop. Whether that is of use: an answer or a fact, not chatter.
    pub(super) async fn read(&self, inbound: Inbound, connection_id: Option<String>) -> bool {
        let Ok(Answer { module, value }) = self.seat.ask(move |executor| executor.read(&inbound)).await else {
            return false;
        };
        let statements = match value {
            Ok(statements) => statements,
            Err(fault) => {
                // Decides nothing: what it was about stays awaited and ends in doubt.
                tracing::error!(%fault, "the module could not read what came");
                return false;
            }
        };
        let of_use = |statement: &Statement| !matches!(statement, Statement::Chatter(_) | Statement::Unrecognised(_));
        let useful = statements.iter().any(of_use);
        let _ = self.heard.send(VenueEvent::Said { connection_id, asked_at: None, module, statements }).await;
        useful
    }

    async fn keep_asking(self, question: StandingQuestion, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let every = Duration::from_millis(question.every_ms.max(QUESTION_EVERY_MS_MIN).into());
        let mut interval = tokio::time::interval(every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = interval.tick() => {}
            }
            let asked_at = clock.now();
            let answer = self.ask(question.query.clone()).await;
            let mut in_vain = answer.1.is_none();
            let read = self.seat.ask(move |executor| executor.read(&Inbound::Response(answer))).await;
            let Ok(Answer { module, value }) = read else { return };
            match value {
                Ok(statements) => {
                    in_vain |= statements.iter().any(|said| matches!(said, Statement::Unrecognised(_)));
                    let said = VenueEvent::Said { connection_id: None, asked_at: Some(asked_at), module, statements };
                    if self.heard.send(said).await.is_err() {
                        return;
                    }
                }
                Err(fault) => {
                    in_vain = true;
                    tracing::error!(%fault, "the module could not read a standing question's answer");
                }
            }
            if in_vain {
                interval.reset_after(every.min(QUESTION_RETRY));
            }
        }
    }
}
