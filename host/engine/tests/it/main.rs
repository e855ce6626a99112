//! What the engine does with good and with hostile components (`tests/fixtures`).

mod cache;
mod fixtures;
mod limits;
mod loading;
mod worlds;
