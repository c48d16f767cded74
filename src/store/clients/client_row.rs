//! The columns of table `clients`, one line each in `client_columns!`: number of the statement's parameter, column, type of
//! the column, field of [`Client`].

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::clients::{
    Client, ClientAuthMethod, ClientKeys, GrantType, LoginUri, LogoutUri, RedirectUri,
};
use crate::domain::{ClientId, DisplayName, Scopes};
use crate::store::StoreError;
use crate::store::row::row;

macro_rules! client_columns {
    ($($number:literal $column:ident: $type:ty => $field:ident,)+) => {
        row! {
            pub(super) struct ClientRow {
                id: String,
                created_at: DateTime<Utc>,
                $($column: $type),+
            }
        }

        impl TryFrom<ClientRow> for Client {
            type Error = StoreError;

            fn try_from(row: ClientRow) -> Result<Self, StoreError> {
                let corrupt = |column| StoreError::Corrupt { table: "clients", column, row: row.id.clone() };
                Ok(Self {
                    $($field: ColumnType::read(row.$column).ok_or_else(|| corrupt(stringify!($column)))?,)+
                    created_at: row.created_at,
                    id: ClientId::new_unchecked(row.id),
                })
            }
        }

        /// The columns by name: a newer node may have added others.
        macro_rules! columns {
            () => { concat!("id, created_at" $(, ", ", stringify!($column))+) };
        }

        pub(super) const INSERT: &str = concat!(
            "INSERT INTO clients (", columns!(), ") VALUES ($1, $2" $(, ", $", $number)+, ") ON CONFLICT (id) DO NOTHING"
        );

        /// Keeps `created_at`. The expression exists because the statement must use parameter 2.
        pub(super) const UPDATE: &str = concat!(
            "UPDATE clients SET created_at = COALESCE(created_at, $2)" $(, ", ", stringify!($column), " = $", $number)+,
            " WHERE id = $1"
        );

        /// A statement with the columns of a client bound to its parameters.
        macro_rules! bind_client {
            ($statement:expr, $client:expr) => {
                sqlx::query($statement)
                    .bind($client.id.as_str())
                    .bind($client.created_at)
                    $(.bind($client.$field.write()))+
            };
        }
    };
}

client_columns! {
    3 name: String => name,
    4 auth_method: String => auth_method,
    5 grant_types: String => grant_types,
    6 redirect_uris: String => redirect_uris,
    7 post_logout_redirect_uris: String => post_logout_redirect_uris,
    8 scopes: String => scopes,
    9 audiences: String => audiences,
    10 access_token_ttl_s: Option<i64> => access_token_ttl,
    11 refresh_grace_s: Option<i64> => refresh_grace,
    12 require_pkce: bool => require_pkce,
    13 require_consent: bool => require_consent,
    14 jwks: Option<String> => keys,
    15 backchannel_logout_uri: Option<String> => backchannel_logout_uri,
    16 backchannel_logout_session_required: bool => backchannel_logout_session_required,
    17 exchange_audiences: String => exchange_audiences,
    18 require_pushed: bool => require_pushed,
    19 dpop_bound_access_tokens: bool => dpop_bound_access_tokens,
    20 initiate_login_uri: Option<String> => initiate_login_uri,
}

pub(super) use {bind_client, columns};

/// A field of [`Client`] that has a column.
pub(super) trait ColumnType: Sized {
    type Column;

    /// `None` for a column that this version cannot read.
    fn read(column: Self::Column) -> Option<Self>;

    fn write(&self) -> Self::Column;
}

impl ColumnType for bool {
    type Column = Self;

    fn read(column: Self) -> Option<Self> {
        Some(column)
    }

    fn write(&self) -> Self {
        *self
    }
}

impl ColumnType for Option<TimeDelta> {
    type Column = Option<i64>;

    fn read(column: Option<i64>) -> Option<Self> {
        Some(column.map(TimeDelta::seconds))
    }

    fn write(&self) -> Option<i64> {
        self.map(|span| span.num_seconds())
    }
}

impl ColumnType for DisplayName {
    type Column = String;

    fn read(column: String) -> Option<Self> {
        Some(Self::new_unchecked(column))
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl ColumnType for ClientAuthMethod {
    type Column = String;

    fn read(column: String) -> Option<Self> {
        Self::parse(&column)
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl ColumnType for BTreeSet<GrantType> {
    type Column = String;

    fn read(column: String) -> Option<Self> {
        column.split_ascii_whitespace().map(GrantType::parse).collect()
    }

    fn write(&self) -> String {
        joined(self.iter().map(|grant| grant.as_str()))
    }
}

impl ColumnType for Vec<RedirectUri> {
    type Column = String;

    fn read(column: String) -> Option<Self> {
        Some(column.split_ascii_whitespace().map(|uri| RedirectUri::new_unchecked(uri.to_owned())).collect())
    }

    fn write(&self) -> String {
        joined(self.iter().map(RedirectUri::as_str))
    }
}

impl ColumnType for Vec<String> {
    type Column = String;

    fn read(column: String) -> Option<Self> {
        Some(column.split_ascii_whitespace().map(str::to_owned).collect())
    }

    fn write(&self) -> String {
        self.join(" ")
    }
}

impl ColumnType for Scopes {
    type Column = String;

    fn read(column: String) -> Option<Self> {
        Some(Self::from_claim(&column))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl ColumnType for Option<ClientKeys> {
    type Column = Option<String>;

    fn read(column: Option<String>) -> Option<Self> {
        match column {
            Some(set) => ClientKeys::parse_stored(&set).map(Some),
            None => Some(None),
        }
    }

    fn write(&self) -> Option<String> {
        self.as_ref().map(|keys| keys.to_json().to_string())
    }
}

impl ColumnType for Option<LogoutUri> {
    type Column = Option<String>;

    fn read(column: Option<String>) -> Option<Self> {
        Some(column.map(LogoutUri::new_unchecked))
    }

    fn write(&self) -> Option<String> {
        self.as_ref().map(|uri| uri.as_str().to_owned())
    }
}

impl ColumnType for Option<LoginUri> {
    type Column = Option<String>;

    fn read(column: Option<String>) -> Option<Self> {
        Some(column.map(LoginUri::new_unchecked))
    }

    fn write(&self) -> Option<String> {
        self.as_ref().map(|uri| uri.as_str().to_owned())
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
