//! Floods and hostile clients: nothing starves.

mod flood;
mod oracle;

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
];
