//! Path and query parameters, read by the handler after it is known that the caller may ask.

use actix_web::HttpRequest;
use actix_web::web::Query;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::domain::ClientId;
use crate::http::problem::{ErrorCode, Problem};

/// What is no id is the id of nothing.
pub fn parse_id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::new(ErrorCode::NotFound))
}

pub fn parse_query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let query = Query::from_query(request.query_string());
    query.map(Query::into_inner).map_err(|error| Problem::new(ErrorCode::InvalidParameter).detail(error))
}

/// Which page of a list is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Where the last page ended; from its answer.
    pub cursor: Option<String>,
    /// 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u16>,
}

/// How much of a list is asked for: 1 to 200, 50 when left out.
pub fn page_limit(given: Option<u16>) -> Result<u16, Problem> {
    let limit = given.unwrap_or(50);
    if (1..=200).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(ErrorCode::InvalidParameter).detail("limit must be between 1 and 200"))
}

/// Years that both databases can hold and order: 1970 to 2096.
pub fn is_storable(at: &DateTime<Utc>) -> bool {
    (0..4_000_000_000).contains(&at.timestamp())
}

/// Where a page ended, as text that says nothing to anyone else.
pub fn write_cursor(at: DateTime<Utc>, id: Uuid) -> String {
    let mut bytes = at.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn read_cursor(cursor: &str) -> Result<(DateTime<Utc>, Uuid), Problem> {
    let read = || {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
        let micros = i64::from_be_bytes(bytes[..8].try_into().ok()?);
        let at = DateTime::from_timestamp_micros(micros).filter(is_storable)?;
        Some((at, Uuid::from_slice(&bytes[8..]).ok()?))
    };
    read().ok_or_else(no_cursor)
}

/// The same for lists of clients, which go by id.
pub fn write_client_cursor(id: &ClientId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_str())
}

pub fn read_client_cursor(cursor: &str) -> Result<ClientId, Problem> {
    let read = || {
        let id = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        ClientId::parse(&id).ok()
    };
    read().ok_or_else(no_cursor)
}

fn no_cursor() -> Problem {
    Problem::new(ErrorCode::InvalidParameter).detail("this is no cursor of ours")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_where_the_page_ended(micros in 0i64..4_000_000_000_000_000, id in any::<u128>()) {
            let (at, id) = (DateTime::from_timestamp_micros(micros).unwrap(), Uuid::from_u128(id));
            let cursor = write_cursor(at, id);
            prop_assert_eq!(read_cursor(&cursor).unwrap(), (at, id));
            prop_assert!(read_cursor(&cursor[1..]).is_err());
            let longer = cursor + "A";
            prop_assert!(read_cursor(&longer).is_err());
        }

        #[test]
        fn a_cursor_of_clients_does_too(id in "[A-Za-z0-9][A-Za-z0-9._~-]{0,63}") {
            let id = ClientId::parse(&id).unwrap();
            prop_assert_eq!(read_client_cursor(&write_client_cursor(&id)).unwrap(), id);
        }

        #[test]
        fn what_is_no_cursor_is_refused(text in "\\PC{0,60}") {
            // Whatever is taken can be asked of both databases.
            if let Ok((at, id)) = read_cursor(&text) {
                prop_assert!(is_storable(&at));
                prop_assert_eq!(write_cursor(at, id), text.clone());
            }
            if let Ok(id) = read_client_cursor(&text) {
                prop_assert_eq!(write_client_cursor(&id), text);
            }
        }
    }
}
