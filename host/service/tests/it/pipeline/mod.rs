//! The consume, transform, produce, commit loop on a real broker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use unrip_bus::{Admin, BusConfig, Isolation, LogReader, Outgoing, Position, Producer, Record};
use unrip_core::event::dead::DeadLetter;
use unrip_core::topic::{Retention, TopicSpec, dead};
use unrip_core::{Envelope, ModuleRef};
use unrip_engine::Rejection;
use unrip_service::health::Readiness;
use unrip_service::pipeline::{self, Answer, MODULE_FATAL, PipelineSection, Read, Setup, Stage, Step};
use unrip_service::{Clock, Context, RunError, SystemClock};
use unrip_testkit::broker::{self, Broker, BrokerChoice};

use crate::{readiness, soon};

/// Writes each record's text to the output topic; some texts ask for something else.
struct Echo {
    output: String,
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
    /// The module is broken: from now on everything is fatal.
    broken: Arc<AtomicBool>,
    /// A call with `stuck` among its inputs waits for this.
    release: Arc<Notify>,
}

impl Echo {
    fn result(&self, text: &str) -> Result<Vec<String>, Rejection> {
        let calls = *self.calls.lock().unwrap().entry(text.to_owned()).and_modify(|calls| *calls += 1).or_insert(1);
        let (code, reason) = ("odd".to_owned(), "odd text".to_owned());
        match text {
            _ if self.broken.load(Ordering::Relaxed) => Err(Rejection::Fatal { code, text: reason }),
            text if text.starts_with("fatal") => Err(Rejection::Fatal { code, text: reason }),
            text if text.starts_with("bad") => Err(Rejection::Reject { code, text: reason }),
            text if text.starts_with("thrice") && calls < 3 => Err(Rejection::RetryAfter { ms: 5, code, text: reason }),
            text if text.starts_with("never") => Err(Rejection::RetryAfter { ms: 5, code, text: reason }),
            text => Ok(vec![text.to_owned()]),
        }
    }
}

impl Stage for Echo {
    type Cause = ();
    type Input = String;
    type Output = Vec<String>;

    fn read(&self, record: &Record) -> Read<(), String> {
        match String::from_utf8(record.value.clone()) {
            Ok(input) => Read::Input { cause: (), input, observed_at: SystemClock.now() },
            Err(error) => Read::Dead { code: "not_utf8", text: error.to_string() },
        }
    }

    async fn call(&mut self, inputs: Vec<String>) -> Result<Answer<String, Vec<String>>, RunError> {
        if inputs.iter().any(|text| text.starts_with("stuck")) {
            self.release.notified().await;
        }
        // A large result ends the answer: the rest is asked again.
        let large = inputs.iter().position(|text| text.starts_with("large"));
        let results =
            inputs.iter().take(large.map_or(inputs.len(), |at| at + 1)).map(|text| self.result(text)).collect();
        let text = || "echo".to_owned();
        let module = ModuleRef { name: text(), version: text(), digest: text(), wit: text(), config_digest: text() };
        Ok(Answer { inputs, results, module: Arc::new(module) })
    }

    fn write(&self, record: &Record, (): (), texts: Vec<String>, _: &Arc<ModuleRef>) -> Step {
        let text = &texts[0];
        let output = Outgoing {
            topic: self.output.clone(),
            partition: None,
            key: record.key.clone().unwrap_or_default(),
            value: format!("{text} of {}/{}", record.partition, record.offset).into_bytes(),
            headers: vec![],
        };
        match text.as_str() {
            text if text.starts_with("half") => {
                Step::Dead { outputs: vec![output], code: "odd".into(), text: "odd text".into() }
            }
            text if text.starts_with("big") => Step::Done(vec![Outgoing { value: vec![b'x'; 3 << 20], ..output }]),
            text if text.starts_with("elsewhere") => {
                Step::Done(vec![Outgoing { topic: later(&self.output), ..output }])
            }
            text if text.starts_with("many") => {
                let large = Outgoing { value: vec![b'x'; 1 << 20], ..output };
                Step::Done(vec![large; 24])
            }
            _ => Step::Done(vec![output]),
        }
    }
}

/// A topic that is not made with the others.
fn later(output: &str) -> String {
    format!("{output}.later")
}

fn spec(name: &str) -> TopicSpec {
    let name = name.to_owned();
    TopicSpec { name, partitions: 2, retention: Retention::Time(3_600_000), log_append_time: false }
}

struct Bench {
    bus: BusConfig,
    input: String,
    output: String,
    producer: Producer,
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
    broken: Arc<AtomicBool>,
    release: Arc<Notify>,
    options: PipelineSection,
}

struct Running {
    context: Context,
    task: JoinHandle<Result<(), RunError>>,
}

impl Bench {
    async fn new(bus: BusConfig) -> Self {
        let (input, output) = (broker::unique_topic("pipe.in"), broker::unique_topic("pipe.out"));
        let specs = [spec(&input), spec(&output), spec(&dead(&input))];
        soon("topics", Admin::new(&bus).unwrap().ensure_topics(&specs)).await.unwrap();
        let producer = Producer::new(&bus).unwrap();
        let options =
            PipelineSection { session_timeout_ms: 6_000, retry_attempts_max: 4, ..PipelineSection::default() };
        Self {
            bus,
            input,
            output,
            producer,
            calls: Arc::default(),
            broken: Arc::default(),
            release: Arc::default(),
            options,
        }
    }

    async fn shared() -> Self {
        let bootstrap = tokio::task::spawn_blocking(|| broker::for_tests().bootstrap().to_owned()).await.unwrap();
        Self::new(BusConfig::at(bootstrap)).await
    }

    fn run(&self) -> Running {
        let context = Context::of("test");
        let setup = Setup {
            bus: self.bus.clone(),
            group: format!("group.{}", self.input),
            topics: vec![self.input.clone()],
            outputs: vec![self.output.clone()],
            venue: "a-venue".parse().unwrap(),
            options: self.options.clone(),
            start_timeout_ms: None,
        };
        let (calls, broken, release) = (self.calls.clone(), self.broken.clone(), self.release.clone());
        let echo = Echo { output: self.output.clone(), calls, broken, release };
        let for_task = context.clone();
        let task = tokio::spawn(async move { pipeline::run(setup, echo, &for_task).await });
        Running { context, task }
    }

    /// All on partition 0, in this order.
    async fn feed(&self, texts: &[&str]) {
        self.feed_to(0, texts).await;
    }

    async fn feed_to(&self, partition: i32, texts: &[&str]) {
        for text in texts {
            let (key, value, partition) = (b"k".to_vec(), text.as_bytes().to_vec(), Some(partition));
            let record = Outgoing { topic: self.input.clone(), partition, key, value, headers: vec![] };
            soon("feed", self.producer.send(record)).await.unwrap();
        }
    }

    /// Makes a topic after the service was started.
    async fn make(&self, topic: &str) {
        soon("topic", Admin::new(&self.bus).unwrap().ensure_topics(&[spec(topic)])).await.unwrap();
    }

    /// As retention would: partition 0 begins at this offset.
    async fn delete_before(&self, offset: i64) {
        let mut until = TopicPartitionList::new();
        until.add_partition_offset(&self.input, 0, Offset::Offset(offset)).unwrap();
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.bus.brokers).create().unwrap();
        soon("delete", admin.delete_records(&until, &AdminOptions::new())).await.unwrap();
    }

    async fn outputs(&self, count: usize) -> Vec<String> {
        let records = read(&self.bus, &self.output, count).await;
        records.into_iter().map(|record| String::from_utf8(record.value).unwrap()).collect()
    }

    async fn dead_letters(&self, count: usize) -> Vec<Envelope<DeadLetter>> {
        let records = read(&self.bus, &dead(&self.input), count).await;
        records.iter().map(|record| Envelope::decode(&record.value).unwrap()).collect()
    }
}

/// Waits until the topic holds so many records.
async fn read(bus: &BusConfig, topic: &str, count: usize) -> Vec<Record> {
    let from = (0..2).map(|partition| Position::new(topic, partition, 0)).collect();
    let mut reader = LogReader::open(bus, from, Isolation::ReadCommitted).unwrap();
    let mut records = Vec::new();
    soon("records", async {
        while records.len() < count {
            match reader.next().await {
                Ok(more) => records.extend(more),
                Err(error) => assert!(error.is_retriable(), "{error}"),
            }
        }
    })
    .await;
    records
}

impl Running {
    async fn stop(self) {
        self.context.shutdown.cancel();
        soon("stop", self.task).await.unwrap().unwrap();
    }

    /// As `kill -9` of the process would: nothing more is committed.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn texts(outputs: &[String]) -> Vec<&str> {
    outputs.iter().map(|output| output.split(' ').next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_the_same_again_when_killed_before_the_commit_and_nothing_again_when_stopped() {
    let mut bench = Bench::shared().await;
    // Nothing is committed before the end.
    bench.options.commit_interval_ms = 60_000;
    let first = bench.run();
    bench.feed(&["a", "b", "c"]).await;
    let before = bench.outputs(3).await;
    first.kill().await;

    let second = bench.run();
    let after = bench.outputs(6).await;
    assert_eq!(after[3..], before[..], "the same records with the same content");
    second.stop().await;

    // The stop committed: only what is new comes.
    let third = bench.run();
    bench.feed(&["d"]).await;
    let all = bench.outputs(7).await;
    assert_eq!(texts(&all)[6], "d");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buries_what_cannot_be_processed_and_goes_on() {
    let bench = Bench::shared().await;
    let running = bench.run();
    bench.feed(&["a", "bad", "half", "big", "b"]).await;
    assert_eq!(texts(&bench.outputs(3).await), ["a", "half", "b"]);
    let letters = bench.dead_letters(3).await;
    let bytes: Vec<_> = letters.iter().map(|letter| letter.raw_bytes().unwrap().unwrap()).collect();
    assert_eq!(bytes, [&b"bad"[..], b"half", b"big"]);
    let codes: Vec<&str> = letters.iter().map(|letter| letter.payload.reason_code.as_str()).collect();
    assert_eq!(codes, ["odd", "odd", "output_refused"]);
    assert_eq!(letters[0].payload.source_topic.as_ref(), Some(&bench.input));
    assert_eq!((letters[0].payload.source_partition, letters[0].payload.source_offset), (Some(0), Some(1)));
    assert!(running.context.health.readiness().ready, "{:?}", running.context.health.readiness());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_a_partition_a_bounded_time_and_keeps_its_order() {
    let bench = Bench::shared().await;
    let running = bench.run();
    bench.feed(&["a", "thrice", "b", "never", "c"]).await;
    assert_eq!(texts(&bench.outputs(4).await), ["a", "thrice", "b", "c"]);
    let letters = bench.dead_letters(1).await;
    assert_eq!(letters[0].raw_bytes().unwrap().unwrap(), b"never");
    assert_eq!(letters[0].payload.reason, "odd text (given up after 4 retries)");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buries_a_record_that_the_module_calls_fatal_and_continues() {
    let bench = Bench::shared().await;
    let running = bench.run();
    bench.feed(&["fatal at the start", "a", "fatal frame", "b"]).await;
    assert_eq!(texts(&bench.outputs(2).await), ["a", "b"]);
    let letters = bench.dead_letters(2).await;
    assert!(letters.iter().all(|letter| letter.payload.reason_code == MODULE_FATAL));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_when_the_module_calls_fatal_what_it_took_before_and_commits_what_was_done() {
    let mut bench = Bench::shared().await;
    bench.options.commit_interval_ms = 60_000;
    let running = bench.run();
    bench.feed(&["a"]).await;
    bench.outputs(1).await;
    bench.broken.store(true, Ordering::Relaxed);
    bench.feed(&["b"]).await;
    let ended = soon("end", running.task).await.unwrap();
    assert!(matches!(&ended, Err(RunError::Module(text)) if text.contains("that it took before")), "{ended:?}");

    // `a` was committed on the way out, and `b` was not buried.
    bench.broken.store(false, Ordering::Relaxed);
    let again = bench.run();
    assert_eq!(texts(&bench.outputs(2).await), ["a", "b"]);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_when_the_module_has_called_everything_fatal_since_the_start() {
    let bench = Bench::shared().await;
    bench.broken.store(true, Ordering::Relaxed);
    let texts: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
    bench.feed(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let ended = soon("end", bench.run().task).await.unwrap();
    assert!(matches!(&ended, Err(RunError::Module(text)) if text.contains("no record since the start")), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_more_than_the_host_may_hold_at_once() {
    let bench = Bench::shared().await;
    let running = bench.run();
    // 24 MiB of outputs through a window of 8.
    bench.feed(&["many", "a"]).await;
    let outputs = read(&bench.bus, &bench.output, 25).await;
    assert_eq!(outputs.iter().filter(|record| record.value.len() == 1 << 20).count(), 24);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_the_module_about_the_rest_once_large_results_are_handed_over() {
    let mut bench = Bench::shared().await;
    bench.options.commit_interval_ms = 60_000;
    bench.feed(&["a", "large1", "bad", "thrice", "large2", "b", "large3"]).await;
    let running = bench.run();
    assert_eq!(texts(&bench.outputs(6).await), ["a", "large1", "thrice", "large2", "b", "large3"]);
    let calls = bench.calls.lock().unwrap().clone();
    assert_eq!((calls["a"], calls["large1"], calls["bad"], calls["thrice"]), (1, 1, 1, 3), "{calls:?}");
    running.stop().await;

    // What was handed over before the module broke is committed on the way out.
    bench.feed(&["large4"]).await;
    let running = bench.run();
    bench.outputs(7).await;
    bench.broken.store(true, Ordering::Relaxed);
    bench.feed(&["c"]).await;
    let ended = soon("end", running.task).await.unwrap();
    assert!(matches!(&ended, Err(RunError::Module(text)) if text.contains("that it took before")), "{ended:?}");
    bench.broken.store(false, Ordering::Relaxed);
    let again = bench.run();
    assert_eq!(texts(&bench.outputs(8).await)[7..], ["c"]);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_records_that_were_deleted_before_they_were_read() {
    let bench = Bench::shared().await;
    let first = bench.run();
    bench.feed(&["a", "b", "c"]).await;
    bench.outputs(3).await;
    first.stop().await;
    bench.feed(&["d", "e", "f", "g"]).await;
    bench.delete_before(6).await;

    let second = bench.run();
    assert_eq!(texts(&bench.outputs(4).await), ["a", "b", "c", "g"]);
    let letter = &bench.dead_letters(1).await[0].payload;
    assert_eq!((letter.reason_code.as_str(), letter.source_partition), ("lost_to_retention", Some(0)));
    assert_eq!((letter.source_offset, letter.source_offset_end), (Some(3), Some(6)));
    let line = format!("unrip_records_lost_total{{topic=\"{}\"}} 3\n", bench.input);
    assert!(second.context.metrics.render().contains(&line), "{}", second.context.metrics.render());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_at_start_for_a_topic_that_was_not_made_and_names_it() {
    let mut bench = Bench::shared().await;
    bench.output = later(&bench.output);
    let running = bench.run();
    bench.feed(&["a"]).await;
    let named = |readiness: &Readiness| {
        readiness.missing.iter().any(|missing| missing.name == "topics" && missing.detail.contains(&bench.output))
    };
    readiness(&running.context, "not ready, by name", named).await;
    bench.make(&bench.output).await;
    assert_eq!(texts(&bench.outputs(1).await), ["a"]);
    readiness(&running.context, "ready", |readiness| readiness.ready).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_work_of_other_partitions_while_an_output_topic_is_missing() {
    let bench = Bench::shared().await;
    let first = bench.run();
    readiness(&first.context, "ready", |readiness| readiness.ready).await;
    bench.feed_to(1, &["elsewhere"]).await;
    bench.feed_to(0, &["a"]).await;
    let missing = later(&bench.output);
    let named = |readiness: &Readiness| {
        readiness
            .missing
            .iter()
            .any(|missing| missing.name == "outputs" && missing.detail.contains(&later(&bench.output)))
    };
    readiness(&first.context, "not ready, by name", named).await;
    first.stop().await;

    bench.make(&missing).await;
    let second = bench.run();
    bench.feed_to(0, &["b"]).await;
    assert_eq!(read(&bench.bus, &missing, 1).await.len(), 1, "written once the topic was made");
    let outputs = bench.outputs(2).await;
    assert_eq!(texts(&outputs), ["a", "b"], "what was done is not done again");
    readiness(&second.context, "ready", |readiness| readiness.ready).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_a_broker_that_goes_away_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("broker");
    let choice = BrokerChoice { own: true, ..BrokerChoice::default() };
    let start = tokio::task::spawn_blocking(move || Broker::start(choice, &data));
    let mut broker = soon("broker", start).await.unwrap().unwrap();
    let bench = Bench::new(BusConfig::at(broker.bootstrap())).await;
    let running = bench.run();
    bench.feed(&["a"]).await;
    bench.outputs(1).await;

    broker.kill().unwrap();
    readiness(&running.context, "not ready", |readiness| !readiness.ready).await;
    let back = tokio::task::spawn_blocking(move || broker.restart().map(|()| broker));
    let _broker = soon("restart", back).await.unwrap().unwrap();
    bench.feed(&["b"]).await;
    let outputs = bench.outputs(2).await;
    // What was not committed before the end may come again.
    assert!(texts(&outputs).contains(&"a"));
    soon("b", async {
        let mut count = 2;
        while !texts(&bench.outputs(count).await).contains(&"b") {
            count += 1;
        }
    })
    .await;
    readiness(&running.context, "ready", |readiness| readiness.ready).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_when_asked_while_no_broker_was_ever_there() {
    // A port that was free a moment ago; nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup {
        bus: BusConfig::at(free.to_string()),
        group: "g".into(),
        topics: vec!["in".into()],
        outputs: vec!["out".into()],
        venue: "a-venue".parse().unwrap(),
        options: PipelineSection::default(),
        start_timeout_ms: None,
    };
    let echo = || Echo { output: "out".into(), calls: Arc::default(), broken: Arc::default(), release: Arc::default() };
    let context = Context::of("test");
    let (for_task, for_setup) = (context.clone(), setup.clone());
    let task = tokio::spawn(async move { pipeline::run(for_setup, echo(), &for_task).await });
    soon("named", async {
        while context.health.readiness().missing.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!context.health.readiness().ready);
    context.shutdown.cancel();
    soon("stop", task).await.unwrap().unwrap();

    let bounded = Setup { start_timeout_ms: Some(200), ..setup };
    let ended = soon("end", pipeline::run(bounded, echo(), &Context::of("test"))).await;
    assert!(matches!(ended, Err(RunError::Unavailable(_))), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_a_name_keeps_its_membership_over_a_restart() {
    let mut bench = Bench::shared().await;
    bench.options.group_instance_id = Some("echo-0".to_owned());
    let admin = Admin::new(&bench.bus).unwrap();
    let group = format!("group.{}", bench.input);
    let first = bench.run();
    bench.feed(&["a"]).await;
    bench.outputs(1).await;
    first.stop().await;
    // A member without a name would have left; this one is waited for until its session ends.
    assert_eq!(soon("members", admin.group_members(&group)).await.unwrap(), 1);
    let second = bench.run();
    bench.feed(&["b"]).await;
    assert_eq!(texts(&bench.outputs(2).await), ["a", "b"]);
    assert_eq!(soon("members", admin.group_members(&group)).await.unwrap(), 1);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_not_ready_by_name_when_a_topic_was_deleted_and_made_again_and_reads_its_other_partitions() {
    let bench = Bench::shared().await;
    let running = bench.run();
    bench.feed(&["a", "b", "c"]).await;
    bench.outputs(3).await;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &bench.bus.brokers).create().unwrap();
    let deleted = soon("delete", admin.delete_topics(&[&bench.input], &AdminOptions::new())).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let specs = [spec(&bench.input)];
    soon("made again", async { while Admin::new(&bench.bus).unwrap().ensure_topics(&specs).await.is_err() {} }).await;
    bench.feed(&["d"]).await;
    let place = format!("{}/0: offset 3 is outside the log", bench.input);
    let named = |readiness: &Readiness| {
        readiness.missing.iter().any(|missing| missing.name == "reading" && missing.detail.contains(&place))
    };
    readiness(&running.context, "not ready, by name", named).await;
    bench.feed_to(1, &["other"]).await;
    assert!(texts(&bench.outputs(4).await).contains(&"other"));
    assert!(named(&running.context.health.readiness()), "it stays named");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_batch_makes_it_not_ready_and_its_age_and_the_lag_are_shown() {
    let mut bench = Bench::shared().await;
    bench.options.batch_age_ms_max = 1_000;
    let running = bench.run();
    bench.feed(&["a"]).await;
    bench.outputs(1).await;
    readiness(&running.context, "ready", |readiness| readiness.ready).await;
    bench.feed(&["stuck", "b"]).await;
    let named = |readiness: &Readiness| {
        readiness.missing.iter().any(|missing| missing.name == "progress" && missing.detail.contains("in hand for"))
    };
    readiness(&running.context, "not ready, by name", named).await;
    let value = |metric: &str| {
        let page = running.context.metrics.render();
        let line = page.lines().find_map(|line| line.strip_prefix(metric).map(str::to_owned));
        line.and_then(|value| value.trim().parse::<i64>().ok()).unwrap_or_default()
    };
    assert!(value("unrip_batch_age_seconds ") >= 1, "{}", running.context.metrics.render());
    let lag = format!("unrip_partition_lag_records{{topic=\"{}\",partition=\"0\"}} ", bench.input);
    soon("lag", async {
        while value(&lag) != 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    bench.release.notify_one();
    // `b` may be in the same batch or in the next; both follow.
    assert_eq!(texts(&bench.outputs(3).await), ["a", "stuck", "b"]);
    readiness(&running.context, "ready again", |readiness| readiness.ready).await;
    running.stop().await;
}
