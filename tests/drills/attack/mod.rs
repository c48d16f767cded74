//! Floods and hostile clients: nothing starves.

mod descriptors;
mod flood;
mod idle;
mod oracle;
mod slow;

use super::Drill;

pub const DRILLS: &[Drill] = &[
    Drill {
        name: "flood",
        what: "guesses at full hashing cost, from everywhere at once",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(flood::flood(brief)),
    },
    Drill {
        name: "oracle",
        what: "whether answers tell accounts apart",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(oracle::oracle(brief)),
    },
    Drill {
        name: "slow",
        what: "heads and bodies that never end, answers nobody reads, ranges that overlap",
        limit: 6,
        beside: false,
        run: |brief| Box::pin(slow::slow(brief)),
    },
    Drill {
        name: "idle",
        what: "10 000 connections that say nothing more",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(idle::idle(brief)),
    },
    Drill {
        name: "descriptors",
        what: "far more connections than the node has descriptors for",
        limit: 3,
        beside: false,
        run: |brief| Box::pin(descriptors::descriptors(brief)),
    },
];
