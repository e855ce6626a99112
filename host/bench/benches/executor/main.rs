//! What the executor's safety costs, compared with what its parts cost, in one run on one broker and disk.
//!
//! ```text
//! cargo bench --workspace --bench executor                    release, 10^6 journal records
//! cargo bench --workspace --bench executor --profile dev      nothing is compiled again
//! cargo bench … -- --commands 20000 --rate 2000 --journal 100000 --claims 200
//! ```
//!
//! The executor is the real program with the real component of the only venue, against its fake, and the commands are
//! about quotes that the fake does not know, so each is answered with a refusal. Everything shares the machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

mod commands;
mod floor;
mod refold;
mod scrape;

use std::time::{Duration, Instant};

use clap::Parser;
use unrip_bus::{Isolation, LogReader, Position, Producer, Record};
use unrip_cli::args::{Cli, Command};
use unrip_core::topic;
use unrip_dev::stack::Stack;
use unrip_operate::say::Say;

use commands::Commands;
use scrape::Histogram;

/// The longest wait for anything.
const WAIT: Duration = Duration::from_secs(300);
const PARTITIONS: i32 = 3;

#[derive(Parser)]
struct Args {
    /// Claims that are timed one by one, each compared with a round of the floor.
    #[arg(long, default_value_t = 300)]
    claims: usize,
    /// Commands of the throughput run.
    #[arg(long, default_value_t = 20_000)]
    commands: usize,
    /// Commands per second of the throughput run.
    #[arg(long, default_value_t = 2_000)]
    rate: usize,
    /// Restarts that are timed from fence to active.
    #[arg(long, default_value_t = 5)]
    restarts: usize,
    /// Journal records that are folded again.
    #[arg(long, default_value_t = 1_000_000)]
    journal: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    stack: Stack,
    /// Its only executor's name.
    executor: String,
    say: Say,
    producer: Producer,
    results: LogReader,
    commands: Commands,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path()).await;
    println!("broker: {}", bench.stack.broker.describe());
    bench.latency(args.claims).await;
    bench.throughput(args.commands, args.rate).await;
    bench.fences(args.restarts).await;
    refold::run(&mut bench, args.journal).await;
    bench.stack.services.stop(&bench.executor, Duration::from_secs(20)).await;
    bench.stack.stop_rest(&bench.say).await;
}

/// Every record of a topic.
async fn all(stack: &Stack, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    for partition in 0..PARTITIONS {
        let read = unrip_bus::read_to_end(&stack.bus, Position::new(topic, partition, 0), Isolation::ReadCommitted);
        records.extend(read.await.unwrap());
    }
    records
}

/// The first command of the venue's own strategy.
async fn first_command(stack: &Stack) -> Record {
    let until = Instant::now() + WAIT;
    loop {
        if let Some(first) = all(stack, topic::EXECUTE_TRADE).await.into_iter().next() {
            return first;
        }
        assert!(Instant::now() < until, "no command");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Bench {
    async fn start(dir: &std::path::Path) -> Self {
        // No balances to wait for: what is measured is the way of a command. A few quotes, for the model of a command.
        let words = ["unrip", "dev", "--rate", "5", "--quotes", "20", "--partitions", "3"];
        let more = ["--set", "execute.execute.limits.inventory=unchecked", "--dir"];
        let words = words.into_iter().chain(more).map(str::to_owned).chain([dir.display().to_string()]);
        let Command::Dev(args) = Cli::parse_from(words).command else { unreachable!() };
        let say = Say::new(false, true);
        let mut stack = Stack::prepare(&args, &say).await.unwrap();
        stack.services.start_all(&say).await.unwrap();
        let commands = Commands::like(&first_command(&stack).await);
        for role in ["ingest", "normalize", "react"] {
            for name in stack.services.names_of(role) {
                stack.services.stop(&name, Duration::from_secs(20)).await;
            }
        }
        let executor = stack.services.names_of("execute").remove(0);
        let until = Instant::now() + WAIT;
        while all(&stack, topic::TRADE_RESULT).await.len() < all(&stack, topic::EXECUTE_TRADE).await.len() {
            assert!(Instant::now() < until, "no results\n{}", stack.services.log_tail(&executor, 5));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ends = unrip_dev::tail::ends(&stack.bus, &stack.topics).await.unwrap().into_iter();
        let ends = ends.filter(|((name, _), _)| name == topic::TRADE_RESULT);
        let from = ends.map(|((name, partition), end)| Position::new(name, partition, end)).collect();
        let results = LogReader::open(&stack.bus, from, Isolation::ReadUncommitted).unwrap();
        let producer = Producer::new(&stack.bus).unwrap();
        Self { stack, executor, say, producer, results, commands }
    }

    async fn histogram(&self, name: &str) -> Histogram {
        scrape::histogram(&self.stack.services.admin_file(&self.executor), name).await
    }

    async fn wait_for_results(&mut self, count: usize) {
        let mut seen = 0;
        let until = tokio::time::Instant::now() + WAIT;
        while seen < count {
            match tokio::time::timeout_at(until, self.results.next()).await {
                Ok(records) => seen += records.unwrap().len(),
                Err(_) => panic!("{seen} of {count} results\n{}", self.stack.services.log_tail(&self.executor, 5)),
            }
        }
    }

    /// Claims one by one, each compared with one append, one fetch and one fsync on the same broker and disk.
    async fn latency(&mut self, rounds: usize) {
        let mut floor = floor::Floor::new(&self.stack.bus, &self.stack.dir).await;
        let warm = rounds / 10;
        let mut before = self.histogram("unrip_claim_latency_seconds").await;
        let mut floors = Vec::new();
        for round in 0..rounds + warm {
            if round == warm {
                before = self.histogram("unrip_claim_latency_seconds").await;
                floors.clear();
            }
            floors.push(floor.round().await);
            self.producer.send(self.commands.next()).await.unwrap();
            self.wait_for_results(1).await;
        }
        let claims = self.histogram("unrip_claim_latency_seconds").await.since(&before);
        floors.sort_by(f64::total_cmp);
        let (p50, p99) = (floors[floors.len() / 2], floors[floors.len() * 99 / 100]);
        println!(
            "floor (append + fetch + fsync): p50 {:.2} ms, p99 {:.2} ms, {} rounds",
            p50 * 1e3,
            p99 * 1e3,
            floors.len()
        );
        println!(
            "claim (append asked for to fold on disk): p50 {:.2} ms, p99 {:.2} ms, {} claims; p50 is {:.2} x the floor (aim 1.2)",
            claims.quantile(0.5) * 1e3,
            claims.quantile(0.99) * 1e3,
            claims.count(),
            claims.quantile(0.5) / p50
        );
    }

    /// Commands at a steady rate through one executor.
    async fn throughput(&mut self, count: usize, rate: usize) {
        let before = (
            self.histogram("unrip_claim_latency_seconds").await,
            self.histogram("unrip_dispatch_latency_seconds").await,
        );
        let started_at = Instant::now();
        let mut deliveries = Vec::new();
        for sent in 0..count {
            let due = started_at + Duration::from_secs_f64(sent as f64 / rate as f64);
            if sent % 16 == 0 {
                tokio::time::sleep_until(due.into()).await;
            }
            deliveries.push(self.producer.enqueue(self.commands.next()).await.unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        let produced = started_at.elapsed();
        self.wait_for_results(count).await;
        let took = started_at.elapsed();
        let claims = self.histogram("unrip_claim_latency_seconds").await.since(&before.0);
        let sends = self.histogram("unrip_dispatch_latency_seconds").await.since(&before.1);
        println!(
            "throughput: {count} commands asked for at {rate}/s, produced in {:.1} s, all results after {:.1} s: {:.0} commands/s (aim 2000)",
            produced.as_secs_f64(),
            took.as_secs_f64(),
            count as f64 / took.as_secs_f64()
        );
        for (name, histogram) in [("claim", claims), ("read to handed to the socket", sends)] {
            println!(
                "  {name}: {} times, p50 {:.1} ms, p99 {:.1} ms (aim p99 50 ms)",
                histogram.count(),
                histogram.quantile(0.5) * 1e3,
                histogram.quantile(0.99) * 1e3
            );
        }
    }

    /// From the fence's append to the partition being active, after restarts with the fold at hand.
    async fn fences(&mut self, restarts: usize) {
        let mut all: Option<Histogram> = None;
        for _ in 0..restarts {
            self.stack.services.stop(&self.executor, Duration::from_secs(20)).await;
            self.stack.services.start(&self.executor).unwrap();
            assert!(self.stack.services.wait_ready(WAIT).await.unwrap().is_empty());
            // Ready means assigned; the fences of all partitions come back right after.
            let until = Instant::now() + WAIT;
            let fences = loop {
                let fences = self.histogram("unrip_fence_latency_seconds").await;
                if fences.count() >= PARTITIONS as u64 || Instant::now() > until {
                    break fences;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            all = Some(match all {
                Some(all) => all.and(&fences),
                None => fences,
            });
        }
        if let Some(all) = all {
            println!(
                "fence to active, warm: p50 {:.1} ms, p99 {:.1} ms, {} times (aim 100 ms)",
                all.quantile(0.5) * 1e3,
                all.quantile(0.99) * 1e3,
                all.count()
            );
        }
    }
}
