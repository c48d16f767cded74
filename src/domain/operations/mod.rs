//! The audit log: events, actors, filters.

mod audit;

pub use audit::{Actor, AuditContext, AuditEvent, AuditFilter, AuditRecord, InvalidReason, Reason};
