//! The audit log: events, actors, filters.
//!
//! Owns `AuditEvent`, the stable names that alarms are built on, and `AuditContext`: who does something, from where, in which
//! request. An event has no states: rows are appended and never changed.

mod audit;

pub use audit::{Actor, AuditContext, AuditEvent, AuditFilter, AuditRecord, InvalidReason, Reason};
