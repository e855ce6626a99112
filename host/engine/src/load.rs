//! From a file to a module: read, check, compile, describe. Each refusal names the file, what is wrong and the cure.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Component;

use crate::error::LoadError;
use crate::fault::FaultKind;
use crate::worker::{LIFECYCLE_MS_MAX, Live};
use crate::line;
use crate::module::{Description, Loaded, Module};
use crate::v0_1::bindings::shared::Shared;
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
    let bytes = read(path, &shown)?;
    let digest = unrip_core::id::sha256_hex(&bytes);
    if let Some(expected) = expected
        && !expected.strip_prefix("sha256:").unwrap_or(expected).eq_ignore_ascii_case(&digest)
    {
        let found = format!("sha256:{digest}");
        return Err(LoadError::Digest { path: shown, found, expected: expected.to_owned() });
    }
    check_kind(&bytes, &shown)?;
    let component = compile(engine, &bytes, &digest, &shown)?;
    let world = line::world_of(&component, engine.wasmtime(), &shown)?;
    line::check_imports(&component, engine.wasmtime(), &shown)?;
    let shape = |error: wasmtime::Error| LoadError::Shape { path: shown.clone(), reason: format!("{error:#}") };
    let pre = engine.linker().instantiate_pre(&component).map_err(shape)?;
    let description = describe(engine, &pre, &shown)?;
    check_description(&description, world, &shown)?;
    let digest = format!("sha256:{digest}");
    Ok(Module { inner: Arc::new(Loaded { path: shown, digest, world: world.world, description, pre }) })
}

fn read(path: &Path, shown: &str) -> Result<Vec<u8>, LoadError> {
    let failed = |error: std::io::Error| LoadError::Read { path: shown.to_owned(), reason: error.to_string() };
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    // One byte more than allowed: a pipe or device says nothing of its length before.
    file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        let bytes = length.max(bytes.len() as u64);
        return Err(LoadError::TooLarge { path: shown.to_owned(), bytes, max: MODULE_BYTES_MAX });
    }
    Ok(bytes)
}

fn check_kind(bytes: &[u8], shown: &str) -> Result<(), LoadError> {
    let path = shown.to_owned();
    let not = |reason: &str| Err(LoadError::NotWasm { path: shown.to_owned(), reason: reason.to_owned() });
    match bytes.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(CORE) => Err(LoadError::CoreModule { path }),
        Some(rest) if rest.len() < CORE.len() => not("it ends after the first bytes"),
        Some(_) => Ok(()),
        None if bytes.is_empty() => not("it is empty"),
        None if bytes.trim_ascii_start().starts_with(b"(") => not("it seems to be WebAssembly text"),
        None if bytes.starts_with(b"\x7fELF") => not("it is an ELF file: a native library or a compiled module"),
        None => not("it does not begin with `\\0asm`"),
    }
}

fn compile(engine: &Engine, bytes: &[u8], digest: &str, shown: &str) -> Result<Component, LoadError> {
    if let Some(component) = engine.cache().and_then(|cache| cache.get(engine.wasmtime(), digest)) {
        tracing::debug!(module = shown, digest, "compiled module taken from the cache");
        return Ok(component);
    }
    let component = Component::from_binary(engine.wasmtime(), bytes)
        .map_err(|error| LoadError::Invalid { path: shown.to_owned(), reason: format!("{error:#}") })?;
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
) -> Result<Description, LoadError> {
    let limits = &engine.config().limits;
    let failed = |fault: Fault| match fault.kind {
        // An instance that cannot even be made: its exports do not fit, or its start function failed.
        FaultKind::Rebuild => LoadError::Shape { path: shown.to_owned(), reason: fault.text },
        _ => LoadError::Failed { path: shown.to_owned(), call: "describe", fault },
    };
    let mut live =
        Live::new(engine, pre, shown.into(), limits, |store, instance| Shared::new(store, instance)).map_err(failed)?;
    live.call(LIFECYCLE_MS_MAX, |shared, store| shared.unrip_types_lifecycle().call_describe(store)).map_err(failed)
}

fn check_description(description: &Description, export: line::Export, shown: &str) -> Result<(), LoadError> {
    let wrong = |reason: String| Err(LoadError::Description { path: shown.to_owned(), reason });
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
