//! A TCP connection to a name: its addresses are raced, so that one that swallows packets costs a moment only.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address has for itself before the next one is tried as well (RFC 8305 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Connects to the first address of `host` that answers. The caller bounds the time.
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let failed = |error: std::io::Error| format!("{host}:{port}: {error}");
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(failed)?;
    race(interleave(addresses)).await.map_err(failed)
}

/// The two families in turn, beginning with the resolver's first choice: a broken family costs one head start, not many.
fn interleave(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let all: Vec<_> = addresses.take(ADDRESSES_MAX).collect();
    let preferred = all.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        all.into_iter().partition(|address| address.is_ipv6() == preferred);
    let mut order = VecDeque::new();
    while !(first.is_empty() && second.is_empty()) {
        order.extend(first.pop_front());
        order.extend(second.pop_front());
    }
    order
}

/// Starts with the first address; the next one joins after a head start, or as soon as an attempt failed.
pub(super) async fn race(mut addresses: VecDeque<SocketAddr>) -> std::io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.pop_front() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let more = !addresses.is_empty();
        tokio::select! {
            ended = attempts.join_next(), if !attempts.is_empty() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_)) | None => {}
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// An address that swallows packets: a listener that accepts no connection, with its backlog full. Keep what is returned.
    pub(in crate::net) async fn black_hole(at: &str) -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(at.parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            held.push(stream.unwrap());
        }
        (address, listener, held)
    }

    #[tokio::test]
    async fn reaches_the_second_address_when_the_first_swallows_packets() {
        let (dark, _listener, _held) = black_hole("127.0.0.1:0").await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = good.local_addr().unwrap();
        let stream = race([dark, address].into()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn passes_refusals_and_reports_the_last_one() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = good.local_addr().unwrap();
        assert_eq!(race([gone, gone, address].into()).await.unwrap().peer_addr().unwrap(), address);
        assert_eq!(race([gone, gone].into()).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(race(VecDeque::new()).await.is_err());
    }

    #[test]
    fn takes_the_families_in_turn() {
        let order = |texts: &[&str]| -> Vec<String> {
            interleave(texts.iter().map(|text| text.parse().unwrap())).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            order(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1"]),
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]
        );
        assert_eq!(order(&["1.1.1.1:1", "2.2.2.2:1"]), ["1.1.1.1:1", "2.2.2.2:1"]);
    }
}
