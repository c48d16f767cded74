//! Faults of nodes, database and network under load: nothing is lost, nothing is used twice.

mod clocks;
mod contention;
mod controls;
mod crash;
mod disk;
mod failover;
mod field;
mod locks;
mod master;
mod network;
mod outage;
mod pooler;
mod revoke_all;
mod stop;
mod upgrade;

use super::Drill;

pub const DRILLS: &[Drill] = &[
    Drill {
        name: "controls",
        what: "journals with one thing wrong each, and a checker that must see it",
        limit: 1,
        beside: false,
        run: |_| Box::pin(async { controls::controls() }),
    },
    Drill {
        name: "crash",
        what: "kill -9 of nodes during logins, refreshes and logouts",
        limit: 6,
        beside: false,
        run: |brief| Box::pin(crash::crash(brief)),
    },
    Drill {
        name: "outage",
        what: "Postgres restarted, crashed and frozen",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(outage::outage(brief)),
    },
    Drill {
        name: "network",
        what: "one node's wire to Postgres cut, stalled, forgotten, and losing answers",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(network::network(brief)),
    },
    Drill {
        name: "locks",
        what: "strangers hold locks on users, sessions and keys",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(locks::locks(brief)),
    },
    Drill {
        name: "contention",
        what: "64 of everything for one user at once",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(contention::contention(brief)),
    },
    Drill {
        name: "clocks",
        what: "a running node's clock jumps by an hour",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(clocks::clocks(brief)),
    },
    Drill {
        name: "master",
        what: "a node restarted with another master key or none",
        limit: 3,
        beside: false,
        run: |brief| Box::pin(master::master(brief)),
    },
    Drill {
        name: "stop",
        what: "SIGTERM with logins in flight",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(stop::stop(brief)),
    },
    Drill {
        name: "failover",
        what: "the primary is killed and its streaming replica promoted",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(failover::failover(brief)),
    },
    Drill {
        name: "pooler",
        what: "behind PgBouncer in transaction mode, which is killed as well",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(pooler::pooler(brief)),
    },
    Drill {
        name: "disk",
        what: "SQLite on a disk that is full",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(disk::disk(brief)),
    },
    Drill {
        name: "upgrade",
        what: "a newer release has changed the schema under running nodes",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(upgrade::upgrade(brief)),
    },
    Drill {
        name: "revoke-all",
        what: "the database is set back, and everything is revoked",
        limit: 4,
        beside: false,
        run: |brief| Box::pin(revoke_all::revoke_all(brief)),
    },
];
