//! What goes wrong on purpose on the HTTP sides, with the chain and with the clock.

use near_intents_fake::{Control, FakeVenue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, Offer, config, current_salt, header, now_ms, open_quote, post, quote_in};

async fn final_block(venue: &FakeVenue) -> Value {
    header(venue.near_url(), json!({"finality": "final"})).await
}

fn started(change: impl FnOnce(&mut near_intents_fake::FakeVenueConfig)) -> (tempfile::TempDir, FakeVenue) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    change(&mut config);
    (dir, FakeVenue::start(config).unwrap())
}

#[tokio::test]
async fn http_errors_are_503() {
    let (_dir, venue) = started(|config| config.faults.http_error = 1.0);
    for url in [venue.near_url(), venue.rpc_url()] {
        assert_eq!(post(url, &json!({})).await.0, 503);
    }
}

#[tokio::test]
async fn malformed_bodies_come_with_200_and_say_nothing() {
    let (_dir, venue) = started(|config| config.faults.http_malformed = 1.0);
    let block = json!({"jsonrpc": "2.0", "id": 1, "method": "block", "params": {"finality": "final"}});
    let status = json!({"jsonrpc": "2.0", "id": 1, "method": "get_status", "params": [{"intent_hash": "x"}]});
    for (url, request) in [(venue.near_url(), &block), (venue.rpc_url(), &status)] {
        for _ in 0..20 {
            let (code, body) = post(url, request).await;
            assert_eq!((code, body.get("result")), (200, None), "{body}");
        }
    }
}

/// What comes back on one connection until it ends, or until `limit` bytes are there.
async fn raw(url: &str, limit: usize) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "block", "params": {"finality": "final"}}).to_string();
    let head = format!("POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = vec![0; limit];
    let mut length = 0;
    while let Ok(more @ 1..) = stream.read(&mut got[length..]).await {
        length += more;
    }
    got.truncate(length);
    got
}

#[tokio::test]
async fn a_dropped_answer_never_comes_to_its_end() {
    let (_dir, venue) = started(|config| config.faults.http_dropped = 1.0);
    let got = String::from_utf8(raw(venue.near_url(), 65_536).await).unwrap();
    // The end of a chunked body is missing.
    assert!(!got.ends_with("0\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn an_answer_that_never_comes_holds_nobody_else_up() {
    let (_dir, venue) = started(|config| config.faults.http_never = 1.0);
    let meanwhile = async {
        Client::connect(venue.ws_url()).await.subscribe(json!(["quote"])).await;
        assert_eq!(post(venue.control_url(), &json!({"fault": "rotate_salt"})).await.0, 200);
    };
    tokio::select! {
        got = raw(venue.near_url(), 1) => panic!("{got:?}"),
        () = meanwhile => {}
    }
}

#[tokio::test]
async fn while_finality_stalls_the_final_block_stays_and_later_shows_what_happened() {
    let (_dir, venue) = started(|_| {});
    let near = venue.near_url();
    venue.control(Control::StallFinality { ms: 600_000 }).await.unwrap();
    let stalled = final_block(&venue).await;
    // A new salt is in force only in a later block: blocks go on.
    let salt = venue.control(Control::RotateSalt).await.unwrap();
    assert_eq!(json!(current_salt(near).await), salt);
    assert_eq!(final_block(&venue).await, stalled);
    venue.control(Control::StallFinality { ms: 0 }).await.unwrap();
    while final_block(&venue).await["height"].as_u64() <= stalled["height"].as_u64() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_venue_ahead_of_us_takes_no_deadline_that_is_over_for_it_and_lets_answers_lapse_by_its_own_clock() {
    let (_dir, venue) = started(|config| config.settlement.probability = 0.0);
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let open = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&open).await["result"], "OK");
    assert_eq!(venue.ledger().unwrap().ended().count(), 0);

    let ahead = json!({"fault": "set_clock", "offset_ms": 120_000});
    assert_eq!(post(venue.control_url(), &ahead).await.0, 200);
    let late = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&late).await["error"]["message"], "deadline has expired");
    venue.ledger_when(crate::client::PATIENCE, |ledger| ledger.ended().count() == 1).await.unwrap();
    let ahead = final_block(&venue).await["timestamp"].as_u64().unwrap() / 1_000_000;
    assert!(ahead > now_ms() + 60_000);
}

#[tokio::test]
async fn a_restarted_venue_s_time_is_never_before_what_stands_in_its_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let mut ahead = config(dir.path());
    ahead.clock_offset_ms = 60_000;
    let venue = FakeVenue::start(ahead).unwrap();
    let before = final_block(&venue).await["height"].as_u64().unwrap();
    open_quote(&venue, quote_in("1")).await;
    venue.stop();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    assert!(final_block(&venue).await["height"].as_u64().unwrap() >= before);
}

#[tokio::test]
async fn the_node_names_its_network() {
    let (_dir, venue) = started(|config| config.chain.network = "localnet".into());
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "status", "params": []});
    let (_, reply) = post(venue.near_url(), &request).await;
    let result = &reply["result"];
    assert_eq!((&result["chain_id"], &result["sync_info"]["syncing"]), (&json!("localnet"), &json!(false)));
}
