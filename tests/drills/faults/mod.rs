//! Faults of nodes, database and network under load: nothing is lost, nothing is used twice.

use super::Drill;

pub const DRILLS: &[Drill] = &[];
