//! Compiled modules are kept for the next start; a damaged or untrusted cache costs a compilation, nothing else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use unrip_engine::{Engine, EngineConfig, Limits};

use crate::fixtures::component;

fn load_with(cache_dir: &Path) {
    let config = EngineConfig { cache_dir: Some(cache_dir.to_owned()), limits: Limits::default() };
    let module = Engine::new(config).unwrap().load(&component("ingestor"), None).unwrap();
    assert_eq!(module.description().name, "fixture/ingest");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_compiled_module_is_kept_and_taken_and_compiled_again_when_damaged() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("new/cache");
    load_with(&dir);
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let [file] = &files(&dir)[..] else { panic!("{:?}", files(&dir)) };
    let whole = std::fs::read(file).unwrap();

    let lines = crate::worlds::captured(|| load_with(&dir));
    assert!(lines.iter().any(|line| line.contains("taken from the cache")), "{lines:?}");

    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for damaged in [&wrong[..], &whole[..whole.len() / 2], &whole[..10], b""] {
        std::fs::write(file, damaged).unwrap();
        let lines = crate::worlds::captured(|| load_with(&dir));
        assert!(!lines.iter().any(|line| line.contains("taken from the cache")), "{lines:?}");
        assert_eq!(files(&dir).len(), 1, "nothing is left lying about");
        assert!(std::fs::read(file).unwrap().len() >= whole.len() / 2, "it was not compiled again");
    }
}

#[test]
fn code_that_is_whole_but_not_ours_to_run_is_compiled_again() {
    let home = tempfile::tempdir().unwrap();
    load_with(home.path());
    let [file] = &files(home.path())[..] else { panic!() };
    // A right hash over bytes that are not a compiled component.
    use sha2::Digest as _;
    let code = b"not a compiled component";
    let mut forged = sha2::Sha256::digest(code).to_vec();
    forged.extend_from_slice(code);
    std::fs::write(file, forged).unwrap();
    load_with(home.path());
}

#[test]
fn a_cache_that_others_may_write_or_that_is_not_a_folder_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    load_with(home.path());
    assert_eq!(files(home.path()), Vec::<PathBuf>::new());
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    load_with(&file);
}
