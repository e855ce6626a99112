//! One broker for all tests of a process.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{Broker, BrokerChoice};

const DIR_PREFIX: &str = "unrip-test-broker-";

/// The broker that all tests of a process share: `UNRIP_TEST_BROKERS`, or one started at the first call. It ends with
/// the process. Take topics of your own ([`unique_topic`]).
#[allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test without its broker cannot go on, and a person wants to know which it was"
)]
pub fn for_tests() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        sweep();
        let dir = std::env::temp_dir().join(format!("{DIR_PREFIX}{}", std::process::id()));
        match Broker::start(BrokerChoice::default(), &dir) {
            Ok(broker) => {
                eprintln!("test broker: {}", broker.describe());
                broker
            }
            Err(error) => panic!("no test broker: {error:#}"),
        }
    })
}

/// A topic name that is not used elsewhere: the prefix and random letters.
pub fn unique_topic(prefix: &str) -> String {
    format!("{prefix}.{}", uuid::Uuid::now_v7().simple())
}

/// A static is never dropped, so the data of processes that ended is removed by the next one.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_left_over(path)) {
        // Another process may sweep at the same time.
        let _ = fs::remove_dir_all(path);
    }
}

fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let pid = name.strip_prefix(DIR_PREFIX).and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_folders_of_ended_processes_are_swept() {
        let folder = |pid: u32| PathBuf::from(format!("/tmp/{DIR_PREFIX}{pid}"));
        assert!(!is_left_over(&folder(std::process::id())));
        assert!(is_left_over(&folder(i32::MAX as u32)));
        assert!(!is_left_over(Path::new("/tmp/other")));
    }
}
