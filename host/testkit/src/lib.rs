//! What tests and `unrip dev` need around the system: a broker, fake venues, processes. Never part of production.

pub mod broker;
pub mod components;
pub mod process;
