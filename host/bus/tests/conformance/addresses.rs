//! A bootstrap address that answers proves nothing: the address that the broker advertises must.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use unrip_bus::{Admin, BusConfig, Error};
use unrip_testkit::broker::unique_topic;

use super::common::{soon, topic};

/// A port that was free a moment ago.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Forwards to the broker, and advertises another port in its place.
fn advertising(broker: SocketAddr, advertised: u16) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(broker) else { continue };
            let (to, from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || forward(from, to, |_| {}));
            thread::spawn(move || forward(server, client, |bytes| replace(bytes, broker.port(), advertised)));
        }
    });
    address
}

fn forward(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut length = [0; 4];
    while from.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        if from.read_exact(&mut message).is_err() {
            break;
        }
        change(&mut message);
        if to.write_all(&length).and_then(|()| to.write_all(&message)).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}

/// A broker's entry in an answer is its host and then its port in four bytes.
fn replace(message: &mut [u8], port: u16, advertised: u16) {
    let entry = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let (found, put) = (entry(port), entry(advertised));
    for at in 0..message.len().saturating_sub(found.len() - 1) {
        if message[at..].starts_with(&found) {
            message[at..at + put.len()].copy_from_slice(&put);
        }
    }
}

#[tokio::test]
async fn a_broker_whose_advertised_address_is_dead_is_not_reached() {
    let (config, name) = topic("advertised", 2).await;
    let Ok(broker) = config.brokers.parse() else { return };
    let behind = BusConfig::at(advertising(broker, closed_port()).to_string());
    let (wait, topics) = (Duration::from_secs(3), [name.clone()]);
    let admin = Admin::new(&behind).unwrap();
    // The bootstrap address answers.
    assert_eq!(soon("metadata", admin.describe(&unique_topic("none"))).await.unwrap(), None);
    for answer in [soon("any", admin.reachable(wait)).await, soon("all", admin.leaders_answer(&topics, wait)).await] {
        let error = answer.unwrap_err();
        assert!(error.is_retriable() && error.to_string().contains("advertised address 127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_broker_whose_leaders_answer_is_reached() {
    let (config, name) = topic("answers", 2).await;
    let (admin, wait) = (Admin::new(&config).unwrap(), Duration::from_secs(10));
    admin.reachable(wait).await.unwrap();
    admin.leaders_answer(std::slice::from_ref(&name), wait).await.unwrap();
    let missing = format!("{name}.missing");
    let error = admin.leaders_answer(&[name, missing.clone()], wait).await.unwrap_err();
    assert!(matches!(&error, Error::MissingTopic { topic } if *topic == missing), "{error}");
}
