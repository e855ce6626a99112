//! The connections and requests that the module asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unrip_engine::ingestor::Connect;
use unrip_service::config::Endpoints;
use unrip_service::net::credentials::Credentials;
use unrip_service::net::http::Client;
use unrip_service::net::ws::{self, Connection, Options, Sender, Target};
use unrip_service::net::{HttpRequest, HttpResponse, Message};
use unrip_service::{Context, RunError};

use crate::config::IngestConfig;

/// Connections that a module may have at once.
const CONNECTIONS_MAX: usize = 16;
/// HTTP requests of a module that may be under way at once; more are answered with no response.
const REQUESTS_MAX: usize = 64;
/// What may wait for the service; the next one holds its socket back.
const INPUTS_WAITING_MAX: usize = 16;

/// What comes in from outside.
pub(crate) enum Input {
    /// From a websocket.
    Ws { name: String, generation: u64, event: ws::Event },
    /// The answer to an HTTP request, or none.
    Response { generation: u64, id: u64, response: Option<HttpResponse> },
}

/// Opens, keeps and closes.
pub(crate) struct Connections {
    endpoints: Endpoints,
    credentials: Credentials,
    frame_bytes_max: usize,
    client: Client,
    context: Context,
    /// None while stopping: nothing new is begun then.
    inputs: Option<mpsc::Sender<Input>>,
    live: BTreeMap<String, Live>,
    generation: u64,
    /// Requests below this generation are of a module instance that is gone.
    requests_since: u64,
    requests: usize,
}

struct Live {
    generation: u64,
    sender: Option<Sender>,
    stop: CancellationToken,
}

impl Connections {
    pub(crate) fn new(config: &IngestConfig, context: &Context) -> Result<(Self, mpsc::Receiver<Input>), RunError> {
        let grants = &config.module.grants;
        let credentials = Credentials::new(&config.credentials, &grants.credential);
        let client = Client::new(&config.endpoints, &grants.http, credentials, context.clock.clone())
            .map_err(|error| RunError::Config(error.to_string()))?;
        let (inputs, queue) = mpsc::channel(INPUTS_WAITING_MAX);
        let connections = Self {
            endpoints: config.endpoints.clone(),
            // The configuration's own headers may use slots that the module was not granted.
            credentials: Credentials::all(&config.credentials),
            frame_bytes_max: config.ingest.frame_bytes_max,
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

    /// Opens a websocket after `wait` and keeps it open; one of the same name is closed.
    pub(crate) fn open(&mut self, connect: &Connect, wait: Duration) -> Result<(), RunError> {
        let Some(inputs) = self.inputs.clone() else { return Ok(()) };
        let name = connect.connection.clone();
        let endpoint = self.endpoints.get(&connect.endpoint).ok_or_else(|| {
            RunError::Config(format!("the module connects to `{0}`: add [endpoints.{0}]", connect.endpoint))
        })?;
        if self.live.len() >= CONNECTIONS_MAX && !self.live.contains_key(&name) {
            return Err(RunError::Module(format!("it wants more than {CONNECTIONS_MAX} connections")));
        }
        self.generation += 1;
        let generation = self.generation;
        let stop = self.context.shutdown.child_token();
        let target = Target::new(endpoint, &connect.path, &connect.headers);
        let options = Options { frame_bytes_max: self.frame_bytes_max, ..Options::of(endpoint) };
        let (credentials, context, token) = (self.credentials.clone(), self.context.clone(), stop.clone());
        let forwarded = name.clone();
        tokio::spawn(async move {
            if token.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            let mut connection = Connection::keep(target, credentials, options, context.clock, context.ids, &token);
            while let Some(event) = connection.next().await {
                if inputs.send(Input::Ws { name: forwarded.clone(), generation, event }).await.is_err() {
                    return;
                }
            }
        });
        if let Some(before) = self.live.insert(name, Live { generation, sender: None, stop }) {
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

    /// How many are open, and how many should be.
    pub(crate) fn open_of(&self) -> (usize, usize) {
        (self.live.values().filter(|live| live.sender.is_some()).count(), self.live.len())
    }

    /// Sends on an open connection. What cannot be sent is of no use later: the module says it anew on `opened`.
    pub(crate) async fn send(&self, name: &str, message: Message) {
        let Some(sender) = self.live.get(name).and_then(|live| live.sender.as_ref()) else {
            tracing::warn!(connection = name, "the module sends on a connection that is not open");
            return;
        };
        if let Err(reason) = sender.send(message).await {
            tracing::warn!(connection = name, reason, "message not sent");
        }
    }

    /// Closes a connection; the host opens it anew.
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
            // The service listens as long as this sender lives.
            let _ = inputs.send(Input::Response { generation, id, response }).await;
        });
    }

    /// A response came; whether the module that asked is still there.
    pub(crate) fn responded(&mut self, generation: u64) -> bool {
        self.requests = self.requests.saturating_sub(1);
        generation > self.requests_since
    }

    /// Closes everything: the module that asked for it is gone. What was received before still comes.
    pub(crate) fn close_all(&mut self) {
        for live in std::mem::take(&mut self.live).into_values() {
            live.stop.cancel();
        }
        self.requests_since = self.generation;
    }

    /// Begins nothing new; the inputs end when what is under way has ended.
    pub(crate) fn stop(&mut self) {
        self.close_all();
        self.inputs = None;
    }
}
