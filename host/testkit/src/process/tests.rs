use super::*;

const SOON: Duration = Duration::from_secs(20);

fn shell(dir: &Path, name: &str, script: &str) -> Process {
    Process::spawn(Spec::new(name, "sh", dir.join(format!("{name}.log"))).args(["-c", script])).unwrap()
}

async fn wait_for_log(process: &Process, text: &str) {
    tokio::time::timeout(SOON, async {
        while !process.log_tail(100).contains(text) {
            tokio::time::sleep(POLL).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("`{text}` never came: {}", process.log_tail(100)));
}

fn alive(pid: &str) -> bool {
    // A zombie keeps its entry until it is reaped: only its state tells.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next()).is_some_and(|state| state != 'Z')
}

async fn wait_until_dead(pid: &str) {
    tokio::time::timeout(SOON, async {
        while alive(pid) {
            tokio::time::sleep(POLL).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{pid} is still alive"));
}

#[tokio::test]
async fn captures_output_and_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = shell(dir.path(), "talker", "echo out; echo err >&2; exit 3");
    let exit = process.wait(SOON).await.unwrap();
    assert_eq!(describe(exit), "exit code 3");
    assert_eq!(process.log_tail(2), "out\nerr");
    assert_eq!(process.log_tail(1), "err");
}

#[tokio::test]
async fn gives_the_first_line_of_its_own_output_and_nothing_of_an_earlier_life() {
    let dir = tempfile::tempdir().unwrap();
    let start = |script: &str| {
        let spec = Spec::new("fake", "sh", dir.path().join("fake.log")).args(["-c", script]);
        Process::spawn(spec.stdout(dir.path().join("fake.stdout"))).unwrap()
    };
    let mut process = start("echo noise >&2; echo first; echo second; sleep 1000");
    assert_eq!(process.first_line(SOON).await.as_deref(), Some("first"));
    assert_eq!(process.log_tail(1), "noise");
    drop(process);
    assert_eq!(start("exit 1").first_line(SOON).await, None);
    assert_eq!(start("sleep 1000").first_line(Duration::from_millis(50)).await, None);
}

#[tokio::test]
async fn ends_by_itself_within_the_grace_period() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = shell(dir.path(), "polite", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    wait_for_log(&process, "ready").await;
    assert!(matches!(process.stop(SOON).await, Stopped::Exited(exit) if exit.success()));
}

#[tokio::test]
async fn kills_what_does_not_listen_with_its_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; sleep 1000 & echo $!; echo ready; while :; do sleep 0.01; done";
    let mut process = shell(dir.path(), "stubborn", script);
    wait_for_log(&process, "ready").await;
    let grandchild = process.log_tail(2).lines().next().unwrap().to_owned();
    assert!(alive(&grandchild));
    assert_eq!(process.stop(Duration::from_millis(50)).await, Stopped::Killed);
    wait_until_dead(&grandchild).await;
}

#[tokio::test]
async fn dropping_kills() {
    let dir = tempfile::tempdir().unwrap();
    let process = shell(dir.path(), "dropped", "sleep 1000");
    let pid = process.pid().to_string();
    drop(process);
    assert!(!alive(&pid));
}

#[tokio::test]
async fn outlives_the_thread_that_asked_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut process = std::thread::spawn(move || shell(&path, "kept", "sleep 1000")).join().unwrap();
    assert_eq!(process.wait(Duration::from_millis(200)).await, None);
    process.kill();
    assert_eq!(process.exited().and_then(|exit| exit.signal()), Some(9));
}

#[test]
fn says_which_program_cannot_be_started() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::new("ghost", "/no/such/program", dir.path().join("ghost.log"));
    let error = Process::spawn(spec).unwrap_err().to_string();
    assert!(error.contains("ghost") && error.contains("/no/such/program"), "{error}");
}

#[tokio::test]
async fn keeps_variables_of_our_package_from_other_cargos() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::new("env", "sh", dir.path().join("env.log")).args(["-c", "echo ${CARGO_PKG_NAME-unset} $MINE"]);
    let mut process = Process::spawn(spec.unset(package_variables()).env("MINE", "set")).unwrap();
    process.wait(SOON).await.unwrap();
    assert_eq!(process.log_tail(1), "unset set");
}
