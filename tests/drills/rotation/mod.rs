//! Rotation under everything that may happen to it: no verifier ever notices.

mod interop;
mod interrupt;
mod kill;
mod race;
mod restore;
pub mod skew;
mod verify;

use super::Drill;

pub const DRILLS: &[Drill] = &[
    Drill {
        name: "verify",
        what: "verifications by every kind of verifier over repeated rotations",
        limit: 8,
        beside: false,
        run: |brief| Box::pin(verify::verify(brief)),
    },
    Drill {
        name: "interop",
        what: "the libraries of three languages through rotation after rotation",
        limit: 8,
        beside: true,
        run: |brief| Box::pin(interop::interop(brief)),
    },
    Drill {
        name: "race",
        what: "three nodes told to rotate at the same instant",
        limit: 8,
        beside: false,
        run: |brief| Box::pin(race::race(brief)),
    },
    Drill {
        name: "kill",
        what: "kill -9 at a random moment of an operation on the keys",
        limit: 15,
        beside: false,
        run: |brief| Box::pin(kill::kill(brief)),
    },
    Drill {
        name: "interrupt",
        what: "Postgres restarted, frozen, and its notifications cut",
        limit: 6,
        beside: false,
        run: |brief| Box::pin(interrupt::interrupt(brief)),
    },
    Drill {
        name: "skew",
        what: "one node's clock 30 s off",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(skew::skew(brief)),
    },
    Drill {
        name: "restore",
        what: "a database restored from before a rotation",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(restore::restore(brief)),
    },
];
