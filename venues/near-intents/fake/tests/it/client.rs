//! A solver written from the protocol's documentation, for these tests only: it builds its answers by itself.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use near_intents_fake::{AccountConfig, ChainConfig, Control, FakeVenue, FakeVenueConfig, SettlementConfig};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) const TOKEN: &str = "test-token";
pub(crate) const ACCOUNT: &str = "solver.near";
pub(crate) const IN: &str = "nep141:wrap.near";
pub(crate) const OUT: &str = "nep141:usdt.tether-token.near";

/// Nothing here takes this long; it only ends a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// RFC 8032, test 1.
pub(crate) fn key() -> SigningKey {
    let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    SigningKey::from_bytes(&seed.try_into().unwrap())
}

pub(crate) fn public_key(key: &SigningKey) -> String {
    format!("ed25519:{}", bs58::encode(key.verifying_key().as_bytes()).into_string())
}

pub(crate) fn config(dir: &std::path::Path) -> FakeVenueConfig {
    FakeVenueConfig {
        dir: dir.to_owned(),
        token: TOKEN.into(),
        accounts: vec![AccountConfig::new(ACCOUNT, public_key(&key()))],
        settlement: SettlementConfig { probability: 1.0, delay_ms: 0 },
        chain: ChainConfig { block_ms: 50, ..ChainConfig::default() },
        ..FakeVenueConfig::default()
    }
}

#[allow(clippy::disallowed_methods, reason = "the signed deadlines are wall time")]
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

pub(crate) fn quote_in(amount: &str) -> Value {
    json!({"defuse_asset_identifier_in": IN, "defuse_asset_identifier_out": OUT, "exact_amount_in": amount,
           "min_deadline_ms": 1_000, "max_wait_ms": 60_000})
}

pub(crate) fn quote_out(amount: &str) -> Value {
    json!({"defuse_asset_identifier_in": IN, "defuse_asset_identifier_out": OUT, "exact_amount_out": amount,
           "min_deadline_ms": 1_000, "max_wait_ms": 60_000})
}

pub(crate) async fn open_quote(venue: &FakeVenue, data: Value) -> String {
    let said = venue.control(Control::SendQuote { data, flat: false }).await.unwrap();
    said.as_str().unwrap().to_owned()
}

/// Everything in an answer that a test may want to spoil.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) quote_id: String,
    pub(crate) output: Value,
    pub(crate) key: SigningKey,
    pub(crate) public_key: String,
    pub(crate) signer_id: String,
    pub(crate) deadline: String,
    pub(crate) nonce: Vec<u8>,
    pub(crate) recipient: String,
    pub(crate) intents: Value,
    pub(crate) standard: String,
    pub(crate) flip_signature: bool,
}

pub(crate) fn versioned_nonce(salt: &str, deadline_ms: u64, tail: &str) -> Vec<u8> {
    let mut nonce = hex::decode(format!("5628f6c600{salt}")).unwrap();
    nonce.extend((i64::try_from(deadline_ms).unwrap() * 1_000_000).to_le_bytes());
    nonce.extend(&Sha256::digest(tail)[..15]);
    nonce
}

pub(crate) fn iso(ms: u64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms.try_into().unwrap()).unwrap();
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

impl Offer {
    /// A right answer to a quote that fixes `exact_amount_in` 1000: 1000 in, 300 out.
    pub(crate) fn new(salt: &str, quote_id: &str) -> Self {
        let deadline_ms = now_ms() + 30_000;
        Self {
            quote_id: quote_id.into(),
            output: json!({"amount_out": "300"}),
            key: key(),
            public_key: public_key(&key()),
            signer_id: ACCOUNT.into(),
            deadline: iso(deadline_ms),
            nonce: versioned_nonce(salt, deadline_ms, quote_id),
            recipient: "intents.near".into(),
            intents: json!([{"intent": "token_diff", "diff": {IN: "1000", OUT: "-300"}}]),
            standard: "nep413".into(),
            flip_signature: false,
        }
    }

    pub(crate) fn body(&self) -> Value {
        let message =
            json!({"signer_id": self.signer_id, "deadline": self.deadline, "intents": self.intents}).to_string();
        let hash = self.hash(&message);
        let mut signature = self.key.sign(&hash).to_bytes();
        signature[7] ^= u8::from(self.flip_signature);
        json!({"quote_id": self.quote_id, "quote_output": self.output, "signed_data": {
            "standard": self.standard,
            "payload": {"message": message, "nonce": STANDARD.encode(&self.nonce), "recipient": self.recipient},
            "public_key": self.public_key,
            "signature": format!("ed25519:{}", bs58::encode(signature).into_string())}})
    }

    fn hash(&self, message: &str) -> [u8; 32] {
        let mut image = 2_147_484_061_u32.to_le_bytes().to_vec();
        for part in [message, self.recipient.as_str()] {
            image.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
            image.extend(part.as_bytes());
            if part == message {
                image.extend(&self.nonce);
            }
        }
        image.push(0);
        Sha256::digest(image).into()
    }

    pub(crate) fn quote_hash(&self) -> String {
        let body = self.body();
        let message = body["signed_data"]["payload"]["message"].as_str().unwrap();
        bs58::encode(self.hash(message)).into_string()
    }
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn try_connect(url: &str, authorization: Option<&str>) -> Result<Socket, Error> {
    let mut request = url.into_client_request().unwrap();
    if let Some(value) = authorization {
        request.headers_mut().insert("Authorization", value.parse().unwrap());
    }
    let connecting = tokio_tungstenite::connect_async(request);
    tokio::time::timeout(PATIENCE, connecting).await.unwrap().map(|(socket, _)| socket)
}

/// A connection that sorts what it receives into replies and events.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    next_id: u64,
    events: VecDeque<String>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let socket = try_connect(url, Some(&format!("Bearer {TOKEN}"))).await.unwrap();
        Self { socket, next_id: 1_000, events: VecDeque::new() }
    }

    pub(crate) async fn receive(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("nothing came")
    }

    async fn text(&mut self) -> String {
        self.receive().await.expect("the connection ended").unwrap().into_text().unwrap().to_string()
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a request without waiting; gives its id.
    pub(crate) async fn post(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.send_text(&request.to_string()).await;
        self.next_id
    }

    /// The next reply, whatever it is to; events on the way are kept.
    pub(crate) async fn reply(&mut self) -> Value {
        loop {
            let text = self.text().await;
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame.get("method").is_none() {
                return frame;
            }
            self.events.push_back(text);
        }
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.post(method, params).await;
        let reply = self.reply().await;
        assert_eq!(reply["id"], id);
        reply
    }

    pub(crate) async fn subscribe(&mut self, params: Value) -> String {
        self.call("subscribe", params).await["result"].as_str().expect("a subscription").to_owned()
    }

    pub(crate) async fn answer(&mut self, offer: &Offer) -> Value {
        self.call("quote_response", json!([offer.body()])).await
    }

    /// The next event frame, as it came.
    pub(crate) async fn event(&mut self) -> String {
        match self.events.pop_front() {
            Some(text) => text,
            None => self.text().await,
        }
    }
}

/// One HTTP POST; gives the status and the body.
pub(crate) async fn post(url: &str, body: &Value) -> (u16, Value) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = body.to_string();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.into())))
}

/// A view call at a block (`{"finality": …}` or `{"block_id": …}`); gives the value and the height it was asked at.
pub(crate) async fn view(near_url: &str, at: Value, method: &str, args: Value) -> (Value, u64) {
    let mut params = json!({"request_type": "call_function", "account_id": "intents.near", "method_name": method,
        "args_base64": STANDARD.encode(args.to_string())});
    params.as_object_mut().unwrap().extend(at.as_object().unwrap().clone());
    let request = json!({"jsonrpc": "2.0", "id": "x", "method": "query", "params": params});
    let (_, reply) = post(near_url, &request).await;
    let bytes = reply["result"]["result"].as_array().unwrap_or_else(|| panic!("{reply}"));
    let bytes: Vec<u8> = bytes.iter().map(|byte| byte.as_u64().unwrap().try_into().unwrap()).collect();
    (serde_json::from_slice(&bytes).unwrap(), reply["result"]["block_height"].as_u64().unwrap())
}

pub(crate) async fn current_salt(near_url: &str) -> String {
    let (salt, _) = view(near_url, json!({"finality": "optimistic"}), "current_salt", json!({})).await;
    salt.as_str().unwrap().to_owned()
}

pub(crate) async fn header(near_url: &str, at: Value) -> Value {
    let (_, reply) = post(near_url, &json!({"jsonrpc": "2.0", "id": 1, "method": "block", "params": at})).await;
    reply["result"]["header"].clone()
}
