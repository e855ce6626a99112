//! Histograms from a service's metrics page.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Counts by upper bound, not cumulated.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<(f64, u64)>,
}

pub(crate) async fn histogram(admin_file: &Path, name: &str) -> Histogram {
    let address = std::fs::read_to_string(admin_file).unwrap();
    let mut stream = TcpStream::connect(address.trim()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let prefix = format!("{name}_bucket{{le=\"");
    let lines = page.lines().filter_map(|line| line.strip_prefix(&prefix)?.split_once("\"} "));
    let mut below = 0;
    let buckets = lines.map(|(bound, count)| {
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
        let count: u64 = count.parse().unwrap();
        let own = count - below;
        below = count;
        (bound, own)
    });
    let buckets: Vec<_> = buckets.collect();
    assert!(!buckets.is_empty(), "no {name} on the page");
    Histogram { buckets }
}

impl Histogram {
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// What came after an earlier look.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&before.buckets);
        Self { buckets: pairs.map(|((bound, now), (_, then))| (*bound, now - then)).collect() }
    }

    /// Both together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&other.buckets);
        Self { buckets: pairs.map(|((bound, one), (_, two))| (*bound, one + two)).collect() }
    }

    /// Interpolated inside its bucket, which is 15 % wide.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let wanted = quantile * self.count() as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                let upper = if bound.is_finite() { *bound } else { lower };
                return lower + (upper - lower) * ((wanted - below) / count);
            }
            below += count;
            lower = *bound;
        }
        f64::NAN
    }
}
