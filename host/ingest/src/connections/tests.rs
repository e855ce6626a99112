//! Against a real server that counts how often it is connected to.

use std::path::Path;

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;

struct Bench {
    listener: TcpListener,
    connections: Connections,
    inputs: mpsc::Receiver<Input>,
}

impl Bench {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = format!(
            "[service]\nvenue = \"a-venue\"\n[bus]\nbrokers = \"127.0.0.1:1\"\n[module]\npath = \"a.wasm\"\n\
             [endpoints.ws]\nurl = \"ws://{}\"\nreconnect_ms_min = 2\n[ingest]\nstreams = [\"quote\"]\n\
             connections_max = 2\n",
            listener.local_addr().unwrap()
        );
        let config: IngestConfig = unrip_service::config::parse("ingest.toml", &text, Path::new("/"), &[]).unwrap();
        let (connections, inputs) = Connections::new(&config, &Context::of("ingest")).unwrap();
        Self { listener, connections, inputs }
    }

    /// Asks for a connection that is not there yet, and waits until it is open.
    async fn open(&mut self, name: &str) -> WebSocketStream<TcpStream> {
        assert!(matches!(self.connections.open(connect(name)), Ok(Opened::Later)));
        self.opened().await
    }

    async fn opened(&mut self) -> WebSocketStream<TcpStream> {
        let socket = accept_async(self.listener.accept().await.unwrap().0).await.unwrap();
        loop {
            if let Input::Ws { name, generation, event: ws::Event::Opened(sender) } = self.inputs.recv().await.unwrap()
            {
                assert!(self.connections.is_current(&name, generation));
                self.connections.set_sender(&name, Some(sender));
                return socket;
            }
        }
    }

    fn is_open(&self, name: &str) -> bool {
        let sender = self.connections.live.get(name).and_then(|live| live.sender.as_ref());
        sender.is_some_and(Sender::is_open)
    }
}

fn connect(name: &str) -> Connect {
    Connect { connection: name.into(), endpoint: "ws".into(), path: String::new(), headers: vec![] }
}

#[tokio::test]
async fn a_new_instance_adopts_what_is_open_and_nothing_reconnects() {
    let mut bench = Bench::start().await;
    let _sockets = (bench.open("a").await, bench.open("b").await);
    bench.connections.orphan(Some("a"), None, || 1.0);
    for name in ["a", "b"] {
        assert!(matches!(bench.connections.open(connect(name)), Ok(Opened::Adopted)));
    }
    bench.connections.close_orphans();
    assert!(bench.is_open("a") && bench.is_open("b"));
    assert_eq!(bench.connections.generation, 2, "two connections were ever made");
}

#[tokio::test]
async fn what_a_new_instance_does_not_want_is_closed_and_what_it_wants_otherwise_is_opened_again() {
    let mut bench = Bench::start().await;
    let (_a, _b) = (bench.open("a").await, bench.open("b").await);
    bench.connections.orphan(None, None, || 1.0);
    let elsewhere = Connect { path: "/other".into(), ..connect("a") };
    assert!(matches!(bench.connections.open(elsewhere), Ok(Opened::Later)));
    bench.connections.close_orphans();
    assert_eq!(bench.connections.open_of(), (0, 1));
    let _a = bench.opened().await;
    assert!(bench.is_open("a"));
}

#[tokio::test]
async fn faults_that_follow_each_other_close_only_the_connection_that_brought_them() {
    let mut bench = Bench::start().await;
    let (_a, _b) = (bench.open("a").await, bench.open("b").await);
    bench.connections.orphan(Some("a"), Some(Duration::from_millis(10)), || 0.0);
    assert!(matches!(bench.connections.open(connect("a")), Ok(Opened::Later)));
    assert!(matches!(bench.connections.open(connect("b")), Ok(Opened::Adopted)));
    bench.connections.close_orphans();
    assert!(!bench.is_open("a") && bench.is_open("b"));
    let _a = bench.opened().await;
    assert!(bench.is_open("a"));
}

#[tokio::test]
async fn more_connections_than_configured_are_refused_and_the_others_stay() {
    let mut bench = Bench::start().await;
    let (_a, _b) = (bench.open("a").await, bench.open("b").await);
    let refused = bench.connections.open(connect("c")).err().unwrap();
    assert!(refused.contains("ingest.connections_max"), "{refused}");
    assert!(bench.is_open("a") && bench.is_open("b"));
}
