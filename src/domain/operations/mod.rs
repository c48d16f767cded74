//! The audit log: events, actors, filters.

mod audit;

pub use audit::{Actor, AuditEvent, AuditFilter, AuditRecord, InvalidReason, Origin, Reason};
