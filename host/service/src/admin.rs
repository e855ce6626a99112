//! The admin endpoint: `/live`, `/ready` and `/metrics` on one port, and what a role adds.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Registry;

/// The admin endpoint could not be started: another process has the port, or the address file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken or not ours.
    #[error("cannot listen on service.admin_listen = `{address}`: {source}; choose a free port, or 0 for any")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The file that tells others where the endpoint is.
    #[error("cannot write service.admin_address_file `{path}`: {source}")]
    AddressFile {
        /// As configured.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Pages that a role adds, each a JSON text made when it is asked for. Cheap to clone.
#[derive(Clone, Default)]
pub struct Pages(Arc<Mutex<BTreeMap<&'static str, Page>>>);

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

type Page = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

impl Pages {
    /// Serves `page` at `path`, e.g. `/report`.
    pub fn add<F>(&self, path: &'static str, page: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = String> + Send + 'static,
    {
        let page: Page = Arc::new(move || Box::pin(page()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path, page);
    }

    fn find(&self, path: &str) -> Option<Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }
}

/// Serves until `shutdown`; returns the bound address.
///
/// # Errors
/// The address is taken, or `address_file` cannot be written.
pub async fn serve(
    listen: SocketAddr,
    address_file: Option<&Path>,
    health: Health,
    metrics: Registry,
    pages: Pages,
    shutdown: CancellationToken,
) -> Result<SocketAddr, AdminError> {
    let at_listen = |source| AdminError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(at_listen)?;
    let address = listener.local_addr().map_err(at_listen)?;
    if let Some(path) = address_file {
        write_whole(path, &address.to_string())
            .map_err(|source| AdminError::AddressFile { path: path.display().to_string(), source })?;
    }
    let shared = Arc::new((health, metrics, pages));
    let router = Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(page))
        .fallback(get(added))
        .with_state(shared);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "admin endpoint ended");
        }
    });
    tracing::info!(%address, "admin endpoint");
    Ok(address)
}

type Shared = State<Arc<(Health, Registry, Pages)>>;

async fn added(State(shared): Shared, uri: Uri) -> Response {
    match shared.2.find(uri.path()) {
        Some(page) => ([(header::CONTENT_TYPE, "application/json")], page().await).into_response(),
        None => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}

async fn ready(State(shared): Shared) -> Response {
    let readiness = shared.0.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&readiness).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn page(State(shared): Shared) -> Response {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, TYPE)], shared.1.render()).into_response()
}

/// Readers never see half an address: the file appears whole.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn tells_live_from_ready_and_names_what_is_missing() {
        crate::net::install_tls_provider();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("address");
        let (health, metrics) = (Health::new(), Registry::new());
        metrics.counter("unrip_frames_total", "Frames.").inc();
        let bus = health.condition("bus", "connection refused");
        health.started();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address =
            serve(any, Some(&file), health, metrics, Pages::default(), CancellationToken::new()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), address.to_string());
        assert_eq!(get(address, "/live").await.0, 200);
        let (status, body) = get(address, "/ready").await;
        assert_eq!(status, 503);
        assert_eq!(body, r#"{"ready":false,"met":[],"missing":[{"name":"bus","detail":"connection refused"}]}"#);
        bus.met();
        assert_eq!(get(address, "/ready").await, (200, r#"{"ready":true,"met":["bus"],"missing":[]}"#.to_owned()));
        assert!(get(address, "/metrics").await.1.contains("unrip_frames_total 1"));
        let taken =
            serve(address, None, Health::new(), Registry::new(), Pages::default(), CancellationToken::new()).await;
        assert!(taken.unwrap_err().to_string().contains("service.admin_listen"));
    }
}
