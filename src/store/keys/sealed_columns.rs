//! Columns that hold sealed secrets, in every table. A table declares its column as a
//! [`SealedColumn`]; the statements here work on all of them. Beside each sealed column stands
//! `master_key_id`, the master key under which the value is sealed.

use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::store::dialect::column_names;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, on};

/// A column with sealed secrets.
#[derive(Debug)]
pub struct SealedColumn {
    pub table: &'static str,
    /// The name of the column, and after it former names: the start looks at the column before it
    /// runs migrations.
    pub names: &'static [&'static str],
    /// The columns to which a secret is bound, in this order; the table's key is among them.
    pub identity: &'static [IdentityColumn],
}

/// A column of a row's identity.
#[derive(Clone, Copy, Debug)]
pub enum IdentityColumn {
    Text(&'static str),
    Uuid(&'static str),
}

impl IdentityColumn {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Uuid(name) => name,
        }
    }
}

/// A sealed column as this database has it.
#[derive(Clone, Copy, Debug)]
pub struct PresentColumn {
    column: &'static SealedColumn,
    name: &'static str,
}

/// One sealed value.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// The cells of the identity as text. `None` for a cell that cannot be read.
    pub identity: Vec<Option<String>>,
    pub master_key_id: String,
    /// Empty for a cell that cannot be read.
    pub ciphertext: Vec<u8>,
}

/// Which rows of a column to read.
#[derive(Clone, Copy, Debug)]
pub enum SealedUnder<'a> {
    This(&'a str),
    AnyBut(&'a str),
}

/// The column under its present name. `None` where the database does not have the table yet. A table without the column
/// belongs to a later release, and is an error: its secrets must not count as none.
pub async fn find(
    conn: &mut Conn,
    column: &'static SealedColumn,
) -> Result<Option<PresentColumn>, StoreError> {
    let present = column_names(conn, column.table).await?;
    let name = column.names.iter().copied().find(|name| present.iter().any(|present| present == name));
    match name {
        Some(name) => Ok(Some(PresentColumn { column, name })),
        None if present.is_empty() => Ok(None),
        None => {
            let row = present.join(", ");
            Err(StoreError::Corrupt { table: column.table, column: column.names[0], row })
        }
    }
}

row! {
    struct CountRow {
        master_key_id: String,
        sealed: i64,
    }
}

/// How many values are sealed under each master key.
pub async fn count(conn: &mut Conn, present: PresentColumn) -> Result<Vec<(String, i64)>, StoreError> {
    let PresentColumn { column: SealedColumn { table, .. }, name } = present;
    let sql = format!(
        "SELECT master_key_id, count(*) AS sealed FROM {table}
         WHERE {name} IS NOT NULL AND master_key_id IS NOT NULL GROUP BY master_key_id ORDER BY master_key_id"
    );
    let rows: Vec<CountRow> = on!(conn, |c| { sqlx::query_as(AssertSqlSafe(sql.as_str())).fetch_all(c) })?;
    Ok(rows.into_iter().map(|row| (row.master_key_id, row.sealed)).collect())
}

/// At most `limit` values in the order of their identity, after the first `skip`.
pub async fn rows(
    conn: &mut Conn,
    present: PresentColumn,
    under: SealedUnder<'_>,
    skip: i64,
    limit: i64,
) -> Result<Vec<SealedRow>, StoreError> {
    let PresentColumn { column: SealedColumn { table, identity, .. }, name } = present;
    let names: Vec<&str> = identity.iter().map(|column| column.name()).collect();
    let names = names.join(", ");
    let (comparison, id) = match under {
        SealedUnder::This(id) => ("=", id),
        SealedUnder::AnyBut(id) => ("<>", id),
    };
    let sql = format!(
        "SELECT {names}, {name}, master_key_id FROM {table}
         WHERE {name} IS NOT NULL AND master_key_id {comparison} $1 ORDER BY {names} LIMIT $2 OFFSET $3"
    );
    let rows = on!(conn, |c| async {
        let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(id).bind(limit).bind(skip);
        let rows = query.fetch_all(c).await?;
        let sealed = rows.iter().map(|row| {
            let cell = |column: &IdentityColumn| match column {
                IdentityColumn::Text(name) => row.try_get::<String, _>(*name).ok(),
                IdentityColumn::Uuid(name) => row.try_get::<Uuid, _>(*name).ok().map(|id| id.to_string()),
            };
            Ok(SealedRow {
                identity: identity.iter().map(cell).collect(),
                master_key_id: row.try_get("master_key_id")?,
                ciphertext: row.try_get(name).unwrap_or_default(),
            })
        });
        sealed.collect::<Result<Vec<SealedRow>, sqlx::Error>>()
    })?;
    Ok(rows)
}

/// Puts a value that was sealed again in the place of `before`. `false` when `before` is no longer
/// there, or its row cannot be named.
pub async fn replace(
    tx: &mut Tx,
    present: PresentColumn,
    before: &SealedRow,
    master_key_id: &str,
    ciphertext: &[u8],
) -> Result<bool, StoreError> {
    let PresentColumn { column: SealedColumn { table, identity, .. }, name } = present;
    let cells =
        identity.iter().zip(&before.identity).map(|(column, cell)| Cell::parse(*column, cell.as_deref()));
    let Some(cells) = cells.collect::<Option<Vec<Cell<'_>>>>() else { return Ok(false) };
    let mut sql = format!(
        "UPDATE {table} SET {name} = $1, master_key_id = $2 WHERE {name} = $3 AND master_key_id = $4"
    );
    for (at, column) in identity.iter().enumerate() {
        sql.push_str(&format!(" AND {} = ${}", column.name(), at + 5));
    }
    let changed = on!(tx, |c| async {
        let mut query = sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(ciphertext)
            .bind(master_key_id)
            .bind(before.ciphertext.as_slice())
            .bind(before.master_key_id.as_str());
        for cell in &cells {
            query = match cell {
                Cell::Text(text) => query.bind(*text),
                Cell::Uuid(id) => query.bind(*id),
            };
        }
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// A cell of an identity, as it is bound.
enum Cell<'a> {
    Text(&'a str),
    Uuid(Uuid),
}

impl<'a> Cell<'a> {
    fn parse(column: IdentityColumn, text: Option<&'a str>) -> Option<Self> {
        match column {
            IdentityColumn::Text(_) => text.map(Self::Text),
            IdentityColumn::Uuid(_) => text?.parse().ok().map(Self::Uuid),
        }
    }
}
