//! Codecs that foreign producers use, and a partition that cannot be decoded.

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use unrip_bus::{Isolation, Position, read_to_end};
use unrip_testkit::broker::unique_topic;

use super::common::{WAIT, member, records, soon, topic, values, verdict};

#[tokio::test]
async fn every_codec_of_the_protocol_is_read_by_groups_and_readers() {
    for codec in ["zstd", "lz4", "gzip", "snappy"] {
        let (config, name) = topic(codec, 1).await;
        let client: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &config.brokers)
            .set("compression.type", codec)
            .create()
            .unwrap();
        let text = "x".repeat(10_000);
        client.send(BaseRecord::to(&name).key("k").payload(&text)).unwrap();
        client.flush(WAIT).unwrap();
        let mut consumer = member(&config, &unique_topic("g"), &name);
        assert_eq!(values(&records(&mut consumer, 1).await), [text.as_str()], "{codec}");
        soon("leave", consumer.leave()).await;
        let read = read_to_end(&config, Position::new(&name, 0, 0), Isolation::ReadCommitted).await.unwrap();
        assert_eq!(values(&read), [text.as_str()], "{codec}");
        verdict(&format!("{codec} is read"), true);
    }
}
