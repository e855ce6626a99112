//! Free ports, and waiting until a broker really answers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use unrip_bus::{Admin, BusConfig};

use super::Ports;
use crate::process::Process;

/// How long a broker may take to answer a metadata request, in seconds: a loaded machine needed 16.
const READY_S_MAX: u64 = 120;
/// How often the port is tried.
const POLL: Duration = Duration::from_millis(25);
/// Ports below the range from which the kernel takes ports of outgoing connections: a client that reconnects to a
/// stopped broker must not get its port as its own.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried for a free one.
const PORT_TRIES_MAX: u32 = 100;
/// Bytes of a log shown with an error.
const TAIL_BYTES: u64 = 2_000;

pub(super) fn free_ports() -> anyhow::Result<Ports> {
    let mut ports = BTreeSet::new();
    while ports.len() < 4 {
        ports.insert(free_port()?);
    }
    let mut next = || ports.pop_first().context("four ports were found");
    Ok(Ports { clients: next()?, controller: next()?, tls: next()?, sasl_tls: next()? })
}

fn free_port() -> anyhow::Result<u16> {
    for _ in 0..PORT_TRIES_MAX {
        let random = u16::try_from(getrandom::u32()? % u32::from(PORTS.end - PORTS.start))?;
        let port = PORTS.start + random;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}

pub(super) fn wait_until_ready(process: &mut Process, port: u16) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(READY_S_MAX);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = process.exited() {
            bail!("it ended with {status}");
        }
        if Instant::now() > until {
            bail!("its port {port} did not open within {READY_S_MAX} s");
        }
        thread::sleep(POLL);
    }
    answers(port, until.saturating_duration_since(Instant::now()))
}

/// Asks it to end, and kills it after the wait; at once where the wait is zero.
pub(super) fn end(process: &mut Process, wait: Duration) {
    if !wait.is_zero() {
        process.terminate();
        let until = Instant::now() + wait;
        while Instant::now() < until && process.exited().is_none() {
            thread::sleep(POLL);
        }
    }
    process.kill();
}

/// Asks for metadata on a thread of its own, because the caller may be inside a runtime.
fn answers(port: u16, wait: Duration) -> anyhow::Result<()> {
    let asked = thread::spawn(move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let admin = Admin::new(&BusConfig::at(format!("127.0.0.1:{port}")))?;
        Ok(runtime.block_on(admin.reachable(wait))?)
    });
    asked.join().map_err(|_| anyhow::anyhow!("the asking thread died"))?.context("ask for metadata")
}

pub(super) fn is_port_clash(log: &Path) -> bool {
    let text = tail(log);
    ["Address already in use", "BindException", "AddrInUse", "os error 98"].iter().any(|sign| text.contains(sign))
}

/// The end of a log file.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let ports = free_ports().unwrap();
        assert_ne!(ports.clients, ports.controller);
        assert!(PORTS.contains(&ports.clients));
    }

    #[test]
    fn a_clash_is_told_from_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "java.net.BindException: Address already in use").unwrap();
        assert!(is_port_clash(&log));
        assert!(!is_port_clash(&dir.path().join("none")));
    }
}
