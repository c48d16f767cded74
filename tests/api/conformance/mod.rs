//! What the OpenID Foundation's conformance suite asks of a provider, asked by ourselves: one test per module, named after it.
//! `docs/conformance.md` says which plan has which module. The suite itself has not been run.

mod basic;
mod basic_requests;
mod config;
mod dynamic;
mod logout;
mod suite;
