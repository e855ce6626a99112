//! What tests and `unrip dev` need around the system: a broker, processes, built components and programs. It knows no venue
//! and no role, and is never part of production.

pub mod broker;
pub mod components;
pub mod process;
pub mod programs;
