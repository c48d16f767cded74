//! Postgres behind a pooler that lends a server connection for one transaction at a time (PgBouncer in transaction mode).
//!
//! Two things that are usual do not work there. A statement by name is prepared on one server connection and executed on
//! another; and so is an unnamed one outside of a transaction. So every statement is unnamed, and one that is alone gets a
//! transaction around it. It costs round trips, and is done only when the settings say so.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};

/// How statements reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatementMode {
    /// As the driver does it.
    Direct,
    /// Through a pooler, in a transaction that is open already.
    InTransaction,
    /// Through a pooler, each in a transaction of its own.
    Alone,
}

/// A Postgres connection, as statements are run on it.
#[derive(Debug)]
pub(crate) struct Pg<'c> {
    conn: &'c mut PgConnection,
    mode: StatementMode,
}

impl<'c> Pg<'c> {
    pub(super) fn new(conn: &'c mut PgConnection, mode: StatementMode) -> Self {
        Self { conn, mode }
    }

    /// The driver's own connection, and whether a pooler stands before the server.
    pub(super) fn into_driver(self) -> (&'c mut PgConnection, bool) {
        (self.conn, self.mode != StatementMode::Direct)
    }
}

type Step = Either<PgQueryResult, PgRow>;

impl<'c> Executor<'c> for Pg<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, mut query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.mode == StatementMode::Direct {
            return self.conn.fetch_many(query);
        }
        let (arguments, sql) = (query.take_arguments(), query.sql());
        stream::once(run(self.conn, self.mode, sql, arguments))
            .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, mut query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.mode == StatementMode::Direct {
            return self.conn.fetch_optional(query);
        }
        let (arguments, sql) = (query.take_arguments(), query.sql());
        Box::pin(async move {
            let steps = run(self.conn, self.mode, sql, arguments).await?;
            Ok(steps.into_iter().find_map(Either::right))
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.conn.prepare_with(sql, parameters)
    }
}

async fn run(
    conn: &mut PgConnection,
    mode: StatementMode,
    sql: SqlStr,
    arguments: Result<Option<PgArguments>, BoxDynError>,
) -> Result<Vec<Step>, Error> {
    let arguments = arguments.map_err(Error::Encode)?.unwrap_or_default();
    if mode == StatementMode::InTransaction {
        return unnamed(conn, sql, arguments).await;
    }
    // Dropped before it is committed it is rolled back, also when nobody waits for the answer any more.
    let mut tx = conn.begin().await?;
    let steps = unnamed(&mut tx, sql, arguments).await?;
    tx.commit().await?;
    Ok(steps)
}

async fn unnamed(conn: &mut PgConnection, sql: SqlStr, arguments: PgArguments) -> Result<Vec<Step>, Error> {
    let query = sqlx::query_with(sql, arguments).persistent(false);
    conn.fetch_many(query).try_collect().await
}
