//! Extractors: what handlers receive as arguments. The types say what a request must bring.

pub mod body;
pub mod caller;
pub mod client_settings;
pub mod cookie;
pub mod dpop;
pub mod network;
pub mod parameters;
