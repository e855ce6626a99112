//! The broker of a run: this run's own, or one that was there before and is left alone.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;
use unrip_bus::BusConfig;
use unrip_testkit::broker::{Broker, BrokerChoice, Kind};

use crate::args::{BrokerKind, DevArgs};
use unrip_operate::error::Error;
use unrip_operate::say::Say;

/// How long the broker may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The broker and what is being done to it.
#[derive(Debug)]
pub struct RunBroker {
    state: State,
    kind: Option<Kind>,
    line: String,
}

#[derive(Debug)]
enum State {
    Running(Box<Broker>),
    /// Killed, and on its way back.
    Restarting(JoinHandle<Result<Box<Broker>, String>>),
    /// Stopped, or it did not come back.
    Gone,
}

impl RunBroker {
    /// Starts a broker, or takes the one that the arguments name. Starting may take minutes (the first time it is fetched
    /// or built), so it has a thread of its own and Ctrl-C is heard meanwhile.
    ///
    /// # Errors
    /// There is none.
    pub async fn start(args: &DevArgs, dir: &Path, own: bool, say: &Say) -> Result<Self, Error> {
        let progress = say.clone();
        let choice = BrokerChoice {
            brokers: args.brokers.clone(),
            own,
            kind: args.broker.map(|kind| match kind {
                BrokerKind::Kafka => Kind::Kafka,
                BrokerKind::Nisshi => Kind::Nisshi,
            }),
            progress: Some(std::sync::Arc::new(move |line: &str| progress.progress(line))),
            ..BrokerChoice::default()
        };
        let place = dir.join("broker");
        let started = tokio::task::spawn_blocking(move || Broker::start(choice, &place)).await;
        let broker = started
            .map_err(|error| Error::Software(format!("starting the broker: {error}")))?
            .map_err(|error| Error::Unavailable(format!("no broker: {error:#}")))?;
        Ok(Self { kind: broker.kind(), line: broker.describe().to_owned(), state: State::Running(Box::new(broker)) })
    }

    /// How to reach it.
    ///
    /// # Errors
    /// It is not running.
    pub fn bus(&self) -> Result<BusConfig, Error> {
        match &self.state {
            State::Running(broker) => Ok(broker.bus()),
            State::Restarting(_) | State::Gone => Err(Error::Unavailable("the broker is not running".to_owned())),
        }
    }

    /// Which broker, where that is known.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Which broker and why, for people.
    pub fn describe(&self) -> &str {
        &self.line
    }

    /// Whether it is down after [`RunBroker::kill_and_restart`].
    pub fn is_restarting(&self) -> bool {
        matches!(self.state, State::Restarting(_))
    }

    /// `kill -9` and a new start, in the background. False: it is not this run's own, or is down already.
    pub fn kill_and_restart(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Running(mut broker) if broker.pid().is_some() => {
                self.state = State::Restarting(tokio::task::spawn_blocking(move || {
                    let ended = broker.kill().and_then(|()| broker.restart());
                    ended.map(|()| broker).map_err(|error| format!("{error:#}"))
                }));
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    /// What became of a restart that has just ended; `None` while none has.
    pub async fn restarted(&mut self) -> Option<Result<(), String>> {
        let State::Restarting(restarting) = &mut self.state else { return None };
        if !restarting.is_finished() {
            return None;
        }
        let ended = restarting.await.map_err(|error| error.to_string()).and_then(|restarted| restarted);
        Some(match ended {
            Ok(broker) => {
                self.state = State::Running(broker);
                Ok(())
            }
            Err(reason) => {
                self.state = State::Gone;
                Err(reason)
            }
        })
    }

    /// Stops it if it is this run's own.
    pub fn stop(&mut self, say: &Say) {
        if let State::Running(mut broker) = std::mem::replace(&mut self.state, State::Gone)
            && broker.pid().is_some()
            && let Err(error) = broker.stop(STOP_GRACE)
        {
            say.progress(&format!("the broker did not stop well: {error:#}"));
        }
    }
}
