//! From a file to a module: read, check, compile, describe. Each refusal names the file, what is wrong and the cure.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Component;

use crate::error::{LoadError, LoadErrorKind};
use crate::fault::FaultKind;
use crate::line;
use crate::log_budget::LogBudget;
use crate::module::{Description, Loaded, Module};
use crate::v0_1::bindings::shared::Shared;
use crate::worker::{LIFECYCLE_MS_MAX, Live};
use crate::{Engine, Fault};

/// Bytes of a component: interpreters of other languages have 12–20 MB.
const MODULE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a name or version in a description: they stand in every record.
const NAME_BYTES_MAX: usize = 128;
/// The first bytes of any WebAssembly.
const MAGIC: &[u8] = b"\0asm";
/// What follows in a core module: version 1, layer 0.
const CORE: &[u8] = &[1, 0, 0, 0];

pub(crate) fn load(engine: &Engine, path: &Path, expected: Option<&str>) -> Result<Module, LoadError> {
    let shown = path.display().to_string();
    checked(engine, path, &shown, expected).map_err(|kind| kind.of(&shown))
}

fn checked(engine: &Engine, path: &Path, shown: &str, expected: Option<&str>) -> Result<Module, LoadErrorKind> {
    let bytes = read(path)?;
    let digest = unrip_core::id::sha256_hex(&bytes);
    if let Some(expected) = expected
        && !expected.strip_prefix("sha256:").unwrap_or(expected).eq_ignore_ascii_case(&digest)
    {
        return Err(LoadErrorKind::Digest { found: format!("sha256:{digest}"), expected: expected.to_owned() });
    }
    check_kind(&bytes)?;
    let component = compile(engine, &bytes, &digest, shown)?;
    let world = line::world_of(&component, engine.wasmtime())?;
    line::check_imports(&component, engine.wasmtime())?;
    let shape = |error: wasmtime::Error| LoadErrorKind::Shape { reason: format!("{error:#}") };
    let pre = engine.linker().instantiate_pre(&component).map_err(shape)?;
    let description = describe(engine, &pre, shown)?;
    check_description(&description, world)?;
    let (path, digest) = (shown.to_owned(), format!("sha256:{digest}"));
    Ok(Module { inner: Arc::new(Loaded { path, digest, world: world.world, description, pre }) })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadErrorKind> {
    let failed = |error: std::io::Error| LoadErrorKind::Read { reason: error.to_string() };
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    // One byte more than allowed: a pipe or device does not say its length before.
    file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(LoadErrorKind::TooLarge { bytes: length.max(bytes.len() as u64), max: MODULE_BYTES_MAX });
    }
    Ok(bytes)
}

fn check_kind(bytes: &[u8]) -> Result<(), LoadErrorKind> {
    let not = |reason: &str| Err(LoadErrorKind::NotWasm { reason: reason.to_owned() });
    match bytes.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(CORE) => Err(LoadErrorKind::CoreModule),
        Some(rest) if rest.len() < CORE.len() => not("it ends after the first bytes"),
        Some(_) => Ok(()),
        None if bytes.is_empty() => not("it is empty"),
        None if bytes.trim_ascii_start().starts_with(b"(") => not("it seems to be WebAssembly text"),
        None if bytes.starts_with(b"\x7fELF") => not("it is an ELF file: a native library or a compiled module"),
        None => not("it does not begin with `\\0asm`"),
    }
}

fn compile(engine: &Engine, bytes: &[u8], digest: &str, shown: &str) -> Result<Component, LoadErrorKind> {
    if let Some(component) = engine.cache().and_then(|cache| cache.get(engine.wasmtime(), digest)) {
        tracing::debug!(module = shown, digest, "compiled module taken from the cache");
        return Ok(component);
    }
    let component = Component::from_binary(engine.wasmtime(), bytes)
        .map_err(|error| LoadErrorKind::Invalid { reason: format!("{error:#}") })?;
    if let Some(cache) = engine.cache() {
        cache.put(digest, &component);
    }
    Ok(component)
}

/// Asks a throw-away instance what it is.
fn describe(
    engine: &Engine,
    pre: &wasmtime::component::InstancePre<crate::host::Host>,
    shown: &str,
) -> Result<Description, LoadErrorKind> {
    let limits = &engine.config().limits;
    let failed = |fault: Fault| match fault.kind {
        // An instance that cannot even be made: its exports do not fit, or its start function failed.
        FaultKind::Rebuild => LoadErrorKind::Shape { reason: fault.text },
        _ => LoadErrorKind::Failed { call: "describe", fault },
    };
    let mut live =
        Live::new(engine, pre, Arc::new(LogBudget::new(shown)), limits, |store, instance| Shared::new(store, instance))
            .map_err(failed)?;
    live.call(LIFECYCLE_MS_MAX, |shared, store| shared.unrip_types_lifecycle().call_describe(store)).map_err(failed)
}

fn check_description(description: &Description, export: line::Export) -> Result<(), LoadErrorKind> {
    let wrong = |reason: String| Err(LoadErrorKind::Description { reason });
    for (what, text) in [("name", &description.name), ("version", &description.version), ("venue", &description.venue)]
    {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return wrong(format!("{what} must be 1 to {NAME_BYTES_MAX} bytes of plain text"));
        }
    }
    if !export.is_named_by(&description.wit) {
        return wrong(format!(
            "wit is `{}`, but it exports {export}",
            unrip_core::text::cut(&description.wit, NAME_BYTES_MAX)
        ));
    }
    Ok(())
}
