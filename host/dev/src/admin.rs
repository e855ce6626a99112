//! Small HTTP on the loopback: asks services on their admin port whether they are ready and what they found, and sends a
//! fake venue its faults.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest wait for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// What the audit found, as far as a run needs it; the rest goes through as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditReport {
    /// Whether everything that was on the bus is in it.
    pub complete: bool,
    /// Commands accepted.
    pub commands: u64,
    /// Commands without a result whose time is not over.
    pub open: u64,
    /// Those of them of which the executor said `in_doubt`.
    pub in_doubt: u64,
    /// Commands that should have ended and have not.
    pub overdue: u64,
    /// Broken promises.
    pub violations_total: u64,
    /// The first of them.
    pub violations: Vec<Value>,
    /// What else it says.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl AuditReport {
    /// Whether a promise is broken.
    pub fn broken(&self) -> bool {
        self.violations_total > 0 || self.overdue > 0
    }
}

impl Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.broken() {
            return write!(f, "no broken promise; {} commands, {} open", self.commands, self.open);
        }
        write!(f, "{} BROKEN PROMISES, {} commands overdue", self.violations_total, self.overdue)?;
        for violation in &self.violations {
            write!(f, "\n          {violation}")?;
        }
        Ok(())
    }
}

/// Whether the service whose admin address is in `address_file` says that it is ready; else what it lacks.
///
/// # Errors
/// What is missing, for people.
pub async fn ready(address_file: &Path) -> Result<(), String> {
    match get(address_file, "/ready").await? {
        (200, _) => Ok(()),
        (_, body) => Err(body.trim().to_owned()),
    }
}

/// The audit's findings now.
///
/// # Errors
/// It does not answer, for people.
pub async fn report(address_file: &Path) -> Result<AuditReport, String> {
    match get(address_file, "/report").await? {
        (200, body) => serde_json::from_str(&body).map_err(|error| format!("the report cannot be read: {error}")),
        (status, _) => Err(format!("the report came with status {status}")),
    }
}

/// Status and body of `GET path`.
pub(super) async fn get(address_file: &Path, path: &str) -> Result<(u16, String), String> {
    let address = std::fs::read_to_string(address_file).map_err(|_| "not started yet".to_owned())?;
    exchange_in_time(address.trim(), &format!("GET {path}"), "").await
}

/// Status and body of `POST url`.
pub(super) async fn post(url: &str, body: &str) -> Result<(u16, String), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` is not an http:// address"))?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    exchange_in_time(address, &format!("POST /{path}"), body).await
}

async fn exchange_in_time(address: &str, request: &str, body: &str) -> Result<(u16, String), String> {
    let answer = tokio::time::timeout(ANSWER_WAIT, exchange(address, request, body)).await;
    answer.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
}

/// HTTP/1.0 on the loopback: the connection's end is the answer's end, so no client library is needed.
async fn exchange(address: &str, request: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!("{request} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn serve_once(answer: &'static str) -> tempfile::NamedTempFile {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{}\n", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let _request = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        file
    }

    #[tokio::test]
    async fn reads_a_report_and_keeps_what_it_does_not_know() {
        let body = "HTTP/1.0 200 OK\r\n\r\n{\"complete\":true,\"violations_total\":1,\"claims\":5}";
        let file = serve_once(body).await;
        let report = report(file.path()).await.unwrap();
        assert!(report.complete && report.broken());
        assert_eq!(report.rest["claims"], 5);
    }

    #[tokio::test]
    async fn says_what_a_service_lacks() {
        let file = serve_once("HTTP/1.0 503 Service Unavailable\r\n\r\nno partition assigned").await;
        assert_eq!(ready(file.path()).await.unwrap_err(), "no partition assigned");
        assert_eq!(ready(Path::new("/nowhere")).await.unwrap_err(), "not started yet");
    }
}
