/// A private row struct that both drivers can read, column by name.
macro_rules! row {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident { $($column:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        $visibility struct $name { $($column: $type),+ }
        row!(@read sqlx::postgres::PgRow, $name { $($column),+ });
        row!(@read sqlx::sqlite::SqliteRow, $name { $($column),+ });
    };
    (@read $row:ty, $name:ident { $($column:ident),+ }) => {
        impl<'r> sqlx::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> sqlx::Result<Self> {
                use sqlx::Row as _;
                Ok(Self { $($column: row.try_get(stringify!($column))?),+ })
            }
        }
    };
}
pub(crate) use row;
