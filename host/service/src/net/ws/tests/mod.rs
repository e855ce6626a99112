//! Against a real server on a loopback port.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_async, accept_hdr_async};

use super::*;
use crate::clock::SystemClock;
use crate::config::{ConfigPath, CredentialSlot};
use crate::net::HeaderValue;

/// More than the kernel's buffers of both sides hold: it leaves only if the peer reads.
const STUCK_BYTES: usize = 64 * 1_024 * 1_024;

struct Venue {
    listener: TcpListener,
    secret: tempfile::NamedTempFile,
}

impl Venue {
    async fn start() -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "first").unwrap();
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), secret }
    }

    async fn accept(&self) -> WebSocketStream<TcpStream> {
        accept_async(self.listener.accept().await.unwrap().0).await.unwrap()
    }

    fn connect(&self, options: Options) -> Connection {
        let slot = CredentialSlot { file: ConfigPath::new(self.secret.path()) };
        let credentials = Credentials::new(&[("token".to_owned(), slot)].into(), &["token".to_owned()]);
        let target = Target {
            url: format!("ws://{}/ws", self.listener.local_addr().unwrap()),
            path: String::new(),
            configured: vec![],
            headers: vec![Header { name: "authorization".into(), value: HeaderValue::Bearer("token".into()) }],
        };
        let clock = Arc::new(SystemClock);
        Connection::keep(target, credentials, options, clock, Ids::random(), &CancellationToken::new())
    }
}

fn quick() -> Options {
    Options { reconnect_min: Duration::from_millis(2), reconnect_max: Duration::from_millis(20), ..Options::default() }
}

async fn opened(connection: &mut Connection) -> Sender {
    loop {
        match connection.next().await.unwrap() {
            Event::Opened(sender) => return sender,
            Event::Unopened { .. } | Event::Closed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn frame(connection: &mut Connection) -> Frame {
    match connection.next().await.unwrap() {
        Event::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

async fn cut_frame(connection: &mut Connection) -> CutFrame {
    match connection.next().await.unwrap() {
        Event::CutFrame(cut) => cut,
        other => panic!("{other:?}"),
    }
}

async fn closed(connection: &mut Connection) -> String {
    match connection.next().await.unwrap() {
        Event::Closed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn yes(message: Message) -> (Gate, Arc<AtomicBool>) {
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    let gate = Box::new(move || {
        flag.store(true, Ordering::SeqCst);
        Some(message)
    });
    (gate, asked)
}

#[tokio::test]
async fn reconnects_with_a_new_id_frames_from_zero_and_the_secret_read_anew() {
    let venue = Venue::start().await;
    let secret: &Path = venue.secret.path();
    let serve = async {
        for (expected, rotated) in [("Bearer first", "second"), ("Bearer second", "")] {
            let stream = venue.listener.accept().await.unwrap().0;
            #[allow(clippy::result_large_err, reason = "the library's signature")]
            let check = |request: &Request, response: Response| {
                assert_eq!(request.headers()["authorization"], expected);
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, check).await.unwrap();
            std::fs::write(secret, rotated).unwrap();
            socket.send(WireMessage::text("one")).await.unwrap();
            socket.send(WireMessage::binary(vec![2])).await.unwrap();
            drop(socket);
        }
    };
    let mut connection = venue.connect(quick());
    let receive = async {
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(opened(&mut connection).await.connection_id().to_owned());
            let (one, two) = (frame(&mut connection).await, frame(&mut connection).await);
            assert_eq!((one.seq, one.message), (0, Message::Text("one".into())));
            assert_eq!((two.seq, two.message), (1, Message::Binary(vec![2])));
            assert_eq!(&*one.connection_id, ids.last().unwrap());
        }
        assert_ne!(ids[0], ids[1]);
    };
    tokio::join!(serve, receive);
}

#[tokio::test]
async fn names_the_cure_of_a_refused_handshake_and_tries_again() {
    let venue = Venue::start().await;
    let serve = async {
        let stream = venue.listener.accept().await.unwrap().0;
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let refuse = |_: &Request, _: Response| {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            Err(refusal)
        };
        assert!(accept_hdr_async(stream, refuse).await.is_err());
        venue.accept().await
    };
    let mut connection = venue.connect(quick());
    let receive = async {
        let Event::Unopened { reason } = connection.next().await.unwrap() else { panic!("should be refused") };
        assert!(reason.contains("403") && reason.contains("check the token"), "{reason}");
        opened(&mut connection).await
    };
    tokio::join!(serve, receive);
}

#[tokio::test]
async fn cuts_long_messages_and_closes_over_the_limit() {
    let venue = Venue::start().await;
    let serve = async {
        let mut socket = venue.accept().await;
        socket.send(WireMessage::text("x".repeat(100_000))).await.unwrap();
        socket.send(WireMessage::text("short")).await.unwrap();
        socket.send(WireMessage::text("x".repeat(300_000))).await.unwrap();
        // The next connection.
        venue.accept().await
    };
    let mut connection = venue.connect(Options { frame_bytes_max: 1_000, message_bytes_max: 200_000, ..quick() });
    let receive = async {
        opened(&mut connection).await;
        let cut = cut_frame(&mut connection).await;
        assert_eq!((cut.flaw, cut.seq, cut.length, cut.beginning.len()), (Flaw::TooLong, 0, 100_000, 65_536));
        assert_eq!(cut.sha256, unrip_core::id::sha256_hex("x".repeat(100_000).as_bytes()));
        assert_eq!(frame(&mut connection).await.seq, 1);
        let cut = cut_frame(&mut connection).await;
        assert_eq!((cut.flaw, cut.seq), (Flaw::OverLimit, 2));
        assert!(cut.length > 0 && cut.beginning.iter().all(|byte| *byte == b'x'));
        closed(&mut connection).await;
        opened(&mut connection).await
    };
    tokio::join!(serve, receive);
}

#[tokio::test]
async fn keeps_the_bytes_of_what_breaks_the_protocol() {
    let venue = Venue::start().await;
    let serve = async {
        for bytes in [&b"\x81\x04\xff\xfe{}"[..], b"\x83\x02ab", b"\x81\x7e\x01\x00only this"] {
            let mut socket = venue.accept().await;
            socket.send(WireMessage::text("good")).await.unwrap();
            socket.get_mut().write_all(bytes).await.unwrap();
            socket.get_mut().flush().await.unwrap();
            socket.get_mut().shutdown().await.unwrap();
            // Until the client has had enough.
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let mut connection = venue.connect(quick());
    let receive = async {
        for (flaw, bytes, length) in
            [(Flaw::NotUtf8, &b"\xff\xfe{}"[..], 4), (Flaw::Protocol, b"ab", 2), (Flaw::CutOff, b"only this", 9)]
        {
            opened(&mut connection).await;
            assert_eq!(frame(&mut connection).await.message, Message::Text("good".into()));
            let cut = cut_frame(&mut connection).await;
            assert_eq!((cut.flaw, cut.seq, cut.beginning.as_slice(), cut.length), (flaw, 1, bytes, length));
            assert_eq!(cut.sha256, unrip_core::id::sha256_hex(bytes));
            closed(&mut connection).await;
        }
    };
    tokio::join!(serve, receive);
}

#[tokio::test]
async fn closes_a_silent_connection_and_keeps_one_that_answers_pings() {
    let venue = Venue::start().await;
    let interval = Duration::from_millis(20);
    let mut connection =
        venue.connect(Options { ping_interval: interval, silence_timeout: Duration::from_millis(400), ..quick() });
    // This one is not read, so its pings are not answered.
    let silent = venue.accept().await;
    opened(&mut connection).await;
    let reason = closed(&mut connection).await;
    assert!(reason.contains("silent"), "{reason}");
    drop(silent);
    let mut answering = venue.accept().await;
    let sender = opened(&mut connection).await;
    // Reading answers pings: many pings later it is the same connection.
    for _ in 0..40 {
        assert!(matches!(answering.next().await, Some(Ok(WireMessage::Ping(_)))));
    }
    assert!(sender.is_open());
}

#[tokio::test]
async fn sends_what_the_gate_gives_once_and_nothing_when_it_refuses() {
    let venue = Venue::start().await;
    let mut connection = venue.connect(quick());
    let mut socket = venue.accept().await;
    let sender = opened(&mut connection).await;
    assert_eq!(sender.send_gated(Box::new(|| None)).await, SendOutcome::Refused);
    let (gate, asked) = yes(Message::Text("signed".into()));
    assert_eq!(sender.send_gated(gate).await, SendOutcome::Sent);
    assert!(asked.load(Ordering::SeqCst));
    sender.close();
    let mut received = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        received.push(message);
    }
    assert!(
        matches!(received.as_slice(), [WireMessage::Text(text), WireMessage::Close(_)] if text.as_str() == "signed")
    );
}

#[tokio::test]
async fn asks_no_gate_of_a_connection_that_is_gone() {
    let venue = Venue::start().await;
    let mut connection = venue.connect(quick());
    drop(venue.accept().await);
    let old = opened(&mut connection).await;
    closed(&mut connection).await;
    let mut socket = venue.accept().await;
    let new = opened(&mut connection).await;
    let (gate, asked) = yes(Message::Text("too late".into()));
    assert!(matches!(old.send_gated(gate).await, SendOutcome::NotHanded(_)));
    assert!(!asked.load(Ordering::SeqCst));
    new.send(Message::Text("on the new one".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), WireMessage::text("on the new one"));
}

#[tokio::test]
async fn calls_a_flush_that_the_peer_cut_short_broken_and_what_waited_behind_it_not_handed() {
    let venue = Venue::start().await;
    let mut connection = venue.connect(quick());
    let socket = venue.accept().await;
    let sender = opened(&mut connection).await;
    let (gate, asked) = yes(Message::Binary(vec![0; STUCK_BYTES]));
    let (behind, behind_asked) = yes(Message::Text("behind".into()));
    let first = sender.send_gated(gate);
    let second = sender.send_gated(behind);
    let peer = async {
        while !asked.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        drop(socket);
    };
    let (first, second, ()) = tokio::join!(first, second, peer);
    assert!(matches!(first, SendOutcome::Broken(_)), "{first:?}");
    assert!(matches!(second, SendOutcome::NotHanded(_)), "{second:?}");
    assert!(!behind_asked.load(Ordering::SeqCst));
    assert!(!sender.is_open());
}

#[tokio::test]
async fn hands_out_everything_that_was_read_before_it_stopped() {
    let venue = Venue::start().await;
    let connection = venue.connect(quick());
    let mut socket = venue.accept().await;
    for _ in 0..3 {
        socket.send(WireMessage::text("x")).await.unwrap();
    }
    // The client says good-bye when it is stopped; everything before it was read.
    let mut connection = connection;
    opened(&mut connection).await;
    let first = frame(&mut connection).await;
    let mut rest = connection.stop();
    let mut seqs = vec![first.seq];
    while let Some(event) = rest.recv().await {
        if let Event::Frame(frame) = event {
            seqs.push(frame.seq);
        }
    }
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn trading_sockets_are_never_long_away_unless_the_endpoint_says_so() {
    let endpoint = |text: &str| toml::from_str::<Endpoint>(&format!("url = \"ws://v\"\n{text}")).unwrap();
    assert_eq!(Options::of(&endpoint("")).reconnect_max, Duration::from_secs(60));
    assert_eq!(Options::trading(&endpoint("")).reconnect_max, Duration::from_secs(5));
    assert_eq!(Options::trading(&endpoint("reconnect_ms_min = 9000")).reconnect_max, Duration::from_secs(9));
    assert_eq!(Options::trading(&endpoint("reconnect_ms_max = 30000")).reconnect_max, Duration::from_secs(30));
}

#[tokio::test]
async fn closes_after_a_hand_over_that_took_too_long() {
    let venue = Venue::start().await;
    // More than the events that may wait: one of them has to wait for the role.
    const FRAMES: usize = EVENTS_WAITING_MAX + 10;
    let mut connection = venue.connect(Options { hand_over_max: Some(Duration::from_millis(20)), ..quick() });
    let mut socket = venue.accept().await;
    for n in 0..FRAMES {
        socket.send(WireMessage::text(n.to_string())).await.unwrap();
    }
    // The role is blocked for longer than it may take.
    tokio::time::sleep(Duration::from_millis(200)).await;
    opened(&mut connection).await;
    let mut received = Vec::new();
    let cause = loop {
        match connection.next().await.unwrap() {
            Event::Frame(frame) => received.push(frame.seq),
            Event::Closed { cause, .. } => break cause,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(cause, CloseCause::HeldBack);
    // What was read before stays, in order; what the kernel still held is not stamped as fresh.
    assert!(received.len() < FRAMES, "{received:?}");
    assert_eq!(received, (0..received.len() as u64).collect::<Vec<_>>());
    venue.accept().await;
    opened(&mut connection).await;
}

#[tokio::test]
async fn closes_the_connection_of_a_peer_that_does_not_read_and_holds_nobody_up() {
    let venue = Venue::start().await;
    let mut connection = venue.connect(quick());
    let _deaf = venue.accept().await;
    let sender = opened(&mut connection).await;
    // Nothing here waits: each message is queued or refused at once.
    let refused = loop {
        if let Err(reason) = sender.queue(Message::Binary(vec![0; QUEUED_BYTES_MAX / 4])) {
            break reason;
        }
        tokio::task::yield_now().await;
    };
    assert!(refused.contains("wait to be sent"), "{refused}");
    match connection.next().await.unwrap() {
        Event::Closed { cause, .. } => assert_eq!(cause, CloseCause::QueueFull),
        other => panic!("{other:?}"),
    }
    assert!(sender.queue(Message::Text("late".into())).is_err());
}

#[tokio::test]
async fn sends_what_is_queued_in_order() {
    let venue = Venue::start().await;
    let mut connection = venue.connect(quick());
    let mut socket = venue.accept().await;
    let sender = opened(&mut connection).await;
    for n in 0..3 {
        sender.queue(Message::Text(n.to_string())).unwrap();
    }
    for n in 0..3 {
        assert_eq!(socket.next().await.unwrap().unwrap(), WireMessage::text(n.to_string()));
    }
}
