//! The connections and requests that the module asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unrip_core::Timestamp;
use unrip_engine::ingestor::Connect;
use unrip_service::config::Endpoints;
use unrip_service::net::credentials::Credentials;
use unrip_service::net::http::Client;
use unrip_service::net::ws::{self, Listener, Options, Sender, Target};
use unrip_service::net::{HttpRequest, HttpResponse, Message};
use unrip_service::{Context, RunError};

use crate::config::IngestConfig;

/// HTTP requests of a module that may be under way at once; more are answered with no response.
const REQUESTS_MAX: usize = 64;
/// What may wait for the service; the next one holds its socket back.
const INPUTS_WAITING_MAX: usize = 16;
/// When the service did not take a frame for longer, its connection is closed: the kernel holds older ones behind it,
/// which would be stamped as if they had just come.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);

/// What comes in from outside.
pub(crate) enum Input {
    /// From a websocket.
    Ws { name: String, generation: u64, event: ws::Event },
    /// The answer to an HTTP request, or none, and when it arrived.
    Response { generation: u64, id: u64, response: Option<HttpResponse>, at: Timestamp },
}

/// What became of the module's wish for a connection.
pub(crate) enum Opened {
    /// It will be opened, or is not open yet.
    Later,
    /// It is open already: the new instance takes it over.
    Adopted,
}

/// Opens, keeps and closes.
pub(crate) struct Connections {
    endpoints: Endpoints,
    credentials: Credentials,
    frame_bytes_max: usize,
    connections_max: usize,
    client: Client,
    context: Context,
    /// None while stopping: nothing new is started then.
    inputs: Option<mpsc::Sender<Input>>,
    live: BTreeMap<String, Live>,
    generation: u64,
    /// Requests below this generation are of a module instance that is gone.
    requests_since: u64,
    requests: usize,
}

struct Live {
    generation: u64,
    connect: Connect,
    sender: Option<Sender>,
    stop: CancellationToken,
    /// The instance that asked for it is gone, and the next one has not asked for it yet.
    orphaned: bool,
}

impl Connections {
    pub(crate) fn new(config: &IngestConfig, context: &Context) -> Result<(Self, mpsc::Receiver<Input>), RunError> {
        let grants = &config.module.grants;
        let credentials = Credentials::new(&config.credentials, &grants.credential);
        let client = Client::new(&config.endpoints, &grants.http, credentials.clone(), context.clock.clone())
            .map_err(|error| RunError::Config(error.to_string()))?
            .counted(&context.metrics);
        let (inputs, queue) = mpsc::channel(INPUTS_WAITING_MAX);
        let connections = Self {
            endpoints: config.endpoints.clone(),
            credentials,
            frame_bytes_max: config.ingest.frame_bytes_max,
            connections_max: config.ingest.connections_max,
            client,
            context: context.clone(),
            inputs: Some(inputs),
            live: BTreeMap::new(),
            generation: 0,
            requests_since: 0,
            requests: 0,
        };
        Ok((connections, queue))
    }

    /// Keeps a websocket open. One that is kept already, for the same place and with the same headers, is taken over as
    /// it is; another one of the same name is closed. The error says how the module broke its contract.
    pub(crate) fn open(&mut self, connect: Connect) -> Result<Opened, String> {
        let Some(inputs) = self.inputs.clone() else { return Ok(Opened::Later) };
        let name = connect.connection.clone();
        if let Some(live) = self.live.get_mut(&name).filter(|live| live.orphaned && live.connect == connect) {
            live.orphaned = false;
            return Ok(if live.sender.is_some() { Opened::Adopted } else { Opened::Later });
        }
        let others = self.live.iter().filter(|(other, live)| **other != name && !live.orphaned).count();
        if others >= self.connections_max {
            return Err(format!("it wants more than {} connections (ingest.connections_max)", self.connections_max));
        }
        self.keep(connect, Duration::ZERO, inputs)?;
        Ok(Opened::Later)
    }

    fn keep(&mut self, connect: Connect, wait: Duration, inputs: mpsc::Sender<Input>) -> Result<(), String> {
        let endpoint = self.endpoints.get(&connect.endpoint);
        let endpoint = endpoint.ok_or_else(|| format!("[endpoints.{}] is not configured", connect.endpoint))?;
        self.generation += 1;
        let (generation, name) = (self.generation, connect.connection.clone());
        let stop = self.context.shutdown.child_token();
        let target = Target::new(endpoint, &connect.path, &connect.headers);
        let options = Options {
            frame_bytes_max: self.frame_bytes_max,
            open_after: wait,
            hand_over_max: Some(HAND_OVER_MAX),
            ..Options::of(endpoint)
        };
        let tag = {
            let name = name.clone();
            Box::new(move |event| Input::Ws { name: name.clone(), generation, event })
        };
        let (credentials, clock, ids) =
            (self.credentials.clone(), self.context.clock.clone(), self.context.ids.clone());
        ws::keep(target, credentials, options, clock, ids, stop.clone(), Listener { events: inputs, tag });
        let live = Live { generation, connect, sender: None, stop, orphaned: false };
        if let Some(before) = self.live.insert(name, live) {
            before.stop.cancel();
        }
        Ok(())
    }

    /// Whether the event is of a connection that the module knows.
    pub(crate) fn is_current(&self, name: &str, generation: u64) -> bool {
        self.live.get(name).is_some_and(|live| live.generation == generation)
    }

    pub(crate) fn set_sender(&mut self, name: &str, sender: Option<Sender>) {
        if let Some(live) = self.live.get_mut(name) {
            live.sender = sender;
        }
    }

    /// The connection brought an event.
    pub(crate) fn mark_useful(&self, name: &str) {
        if let Some(sender) = self.live.get(name).and_then(|live| live.sender.as_ref()) {
            sender.mark_useful();
        }
    }

    /// How many are open, and how many should be.
    pub(crate) fn open_of(&self) -> (usize, usize) {
        (self.live.values().filter(|live| live.sender.is_some()).count(), self.live.len())
    }

    /// Sends on an open connection, without waiting for it. What cannot be sent is of no use later: the module says it
    /// again on `opened`.
    pub(crate) fn send(&self, name: &str, message: Message) {
        let Some(sender) = self.live.get(name).and_then(|live| live.sender.as_ref()) else {
            tracing::warn!(connection = name, "the module sends on a connection that is not open; message dropped");
            return;
        };
        if let Err(reason) = sender.queue(message) {
            tracing::warn!(connection = name, reason, "message not sent");
        }
    }

    /// Closes a connection; the host opens it again.
    pub(crate) fn reopen(&self, name: &str) {
        if let Some(sender) = self.live.get(name).and_then(|live| live.sender.as_ref()) {
            sender.close();
        }
    }

    /// Asks by HTTP; the answer comes as an input.
    pub(crate) fn request(&mut self, id: u64, request: HttpRequest) {
        let Some(inputs) = self.inputs.clone() else { return };
        self.requests += 1;
        let refused = self.requests > REQUESTS_MAX;
        self.generation += 1;
        let (generation, client, shutdown) = (self.generation, self.client.clone(), self.context.shutdown.clone());
        let clock = self.context.clock.clone();
        tokio::spawn(async move {
            let ask = async {
                match client.send(request).await {
                    Ok(response) => Some(response),
                    Err(error) => {
                        tracing::warn!(%error, id, "no response");
                        None
                    }
                }
            };
            let response = if refused { None } else { shutdown.run_until_cancelled(ask).await.flatten() };
            // Stamped here, not when its turn comes: an old answer must not look new.
            let at = clock.now();
            // The service listens as long as this sender lives.
            let _ = inputs.send(Input::Response { generation, id, response, at }).await;
        });
    }

    /// A response came; whether the module that asked is still there.
    pub(crate) fn responded(&mut self, generation: u64) -> bool {
        self.requests = self.requests.saturating_sub(1);
        generation > self.requests_since
    }

    /// The instance that asked for all of it is gone. The connections stay open for the next one to adopt, but `culprit`,
    /// which is closed and opened again after `wait` (all of them where none is named).
    pub(crate) fn orphan(&mut self, culprit: Option<&str>, wait: Option<Duration>, mut jitter: impl FnMut() -> f64) {
        self.requests_since = self.generation;
        for live in self.live.values_mut() {
            live.orphaned = true;
        }
        let (Some(wait), Some(inputs)) = (wait, self.inputs.clone()) else { return };
        let closed = |name: &&String| culprit.is_none_or(|culprit| *name == culprit);
        for name in self.live.keys().filter(closed).cloned().collect::<Vec<_>>() {
            let Some(connect) = self.live.get(&name).map(|live| live.connect.clone()) else { continue };
            // Not all at the same instant.
            let wait = wait.mul_f64(0.5 + jitter() / 2.0);
            if let Err(reason) = self.keep(connect, wait, inputs.clone()) {
                tracing::error!(connection = name, reason, "cannot open the connection again");
            }
            if let Some(live) = self.live.get_mut(&name) {
                live.orphaned = true;
            }
        }
    }

    /// Closes what the new instance did not ask for.
    pub(crate) fn close_orphans(&mut self) {
        for live in self.live.extract_if(.., |_, live| live.orphaned).map(|(_, live)| live) {
            live.stop.cancel();
        }
    }

    /// Starts nothing new; the inputs end when what is under way has ended.
    pub(crate) fn stop(&mut self) {
        for live in std::mem::take(&mut self.live).into_values() {
            live.stop.cancel();
        }
        self.requests_since = self.generation;
        self.inputs = None;
    }
}

#[cfg(test)]
mod tests;
