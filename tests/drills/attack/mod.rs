//! Floods and hostile clients: nothing starves.

use super::Drill;

pub const DRILLS: &[Drill] = &[];
