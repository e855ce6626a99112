//! What `wasmtime` generates from `wit/`, one module per world; the types of `unrip:types` are generated once and shared.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    elided_lifetimes_in_paths,
    reason = "generated: the documentation is in the WIT, and the glue to linear memory is unsafe by nature"
)]

/// The types of `unrip:types`, the `log` import, and the exports that every world has.
pub mod shared {
    wasmtime::component::bindgen!({
        path: ["../../wit/types/v0.1", "../../wit/host/v0.1"],
        inline: "
            package unrip:engine;
            world shared {
                import unrip:host/log@0.1.0;
                import unrip:types/common@0.1.0;
                import unrip:types/canonical@0.1.0;
                import unrip:types/command@0.1.0;
                export unrip:types/lifecycle@0.1.0;
            }
        ",
        world: "unrip:engine/shared",
        additional_derives: [PartialEq, Eq],
    });
}

macro_rules! world {
    ($module:ident, $path:literal, $world:literal, {$($with:tt)*}) => {
        pub mod $module {
            wasmtime::component::bindgen!({
                path: ["../../wit/types/v0.1", "../../wit/host/v0.1", $path],
                world: $world,
                with: {
                    "unrip:host/log@0.1.0": super::shared::unrip::host::log,
                    "unrip:types/common@0.1.0": super::shared::unrip::types::common,
                    $($with)*
                },
                additional_derives: [PartialEq, Eq],
            });
        }
    };
}

world!(ingestor, "../../wit/ingestor/v0.1", "unrip:ingestor/module", {});
world!(normalizer, "../../wit/normalizer/v0.1", "unrip:normalizer/module", {
    "unrip:types/canonical@0.1.0": super::shared::unrip::types::canonical,
});
world!(reactor, "../../wit/reactor/v0.1", "unrip:reactor/module", {
    "unrip:types/canonical@0.1.0": super::shared::unrip::types::canonical,
    "unrip:types/command@0.1.0": super::shared::unrip::types::command,
});
world!(executor, "../../wit/executor/v0.1", "unrip:executor/module", {
    "unrip:types/command@0.1.0": super::shared::unrip::types::command,
});
