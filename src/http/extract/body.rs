use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::http::problem::{ErrorCode, Problem};

const MAX_BYTES: usize = 64 * 1024;
const MAX_DEPTH: usize = 32;
/// A body that has not arrived by then is not coming.
const ARRIVES_WITHIN: Duration = Duration::from_secs(4);

/// A request's body, not read yet. It is read when the handler asks, so that whoever may not do a thing hears that and
/// not what is wrong with their JSON.
pub struct Body {
    is_json: bool,
    is_form: bool,
    is_typed: bool,
    declared: Option<u64>,
    payload: Payload,
}

impl FromRequest for Body {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let declared = request.headers().get(header::CONTENT_LENGTH);
        ready(Ok(Self {
            is_json: request.content_type().eq_ignore_ascii_case("application/json"),
            is_form: request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded"),
            is_typed: request.headers().contains_key(header::CONTENT_TYPE),
            declared: declared.and_then(|value| value.to_str().ok()?.parse().ok()),
            payload: payload.take(),
        }))
    }
}

impl Body {
    /// The body as JSON, read strictly: `application/json`, at most 64 KiB, no duplicate keys, no NUL (Postgres cannot
    /// store it), no deep nesting, no members the type does not name.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let is_json = self.is_json;
        let bytes = self.receive().await?;
        if is_json { parse(&bytes) } else { Err(Problem::new(ErrorCode::UnsupportedMediaType)) }
    }

    /// The same, where no body at all, or `null`, stands for the default.
    pub async fn json_or_default<T: DeserializeOwned + Default>(self) -> Result<T, Problem> {
        let (is_json, is_typed) = (self.is_json, self.is_typed);
        let bytes = self.receive().await?;
        match (is_json, bytes.is_empty()) {
            (true, true) => Ok(T::default()),
            (true, false) => parse::<Option<T>>(&bytes).map(Option::unwrap_or_default),
            (false, true) if !is_typed => Ok(T::default()),
            (false, _) => Err(Problem::new(ErrorCode::UnsupportedMediaType)),
        }
    }

    /// The body as a form (`application/x-www-form-urlencoded`), name by name in the order of the form. What is no UTF-8, or holds
    /// a NUL, is refused.
    pub async fn form(self) -> Result<Vec<(String, String)>, Problem> {
        let is_form = self.is_form;
        let bytes = self.receive().await?;
        if is_form || bytes.is_empty() {
            parse_form(&bytes)
        } else {
            Err(Problem::new(ErrorCode::UnsupportedMediaType))
        }
    }

    async fn receive(mut self) -> Result<BytesMut, Problem> {
        if self.declared.is_some_and(|length| length > MAX_BYTES as u64) {
            return Err(Problem::new(ErrorCode::PayloadTooLarge));
        }
        let read = async {
            let mut bytes = BytesMut::new();
            while let Some(chunk) = self.payload.next().await {
                let chunk =
                    chunk.map_err(|_| Problem::new(ErrorCode::InvalidJson).detail("the body broke off"))?;
                if bytes.len() + chunk.len() > MAX_BYTES {
                    return Err(Problem::new(ErrorCode::PayloadTooLarge));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        };
        let in_time = tokio::time::timeout(ARRIVES_WITHIN, read).await;
        in_time.unwrap_or_else(|_| Err(Problem::new(ErrorCode::RequestTimeout)))
    }
}

/// Reads `a=1&b=2`, as a body or a query.
pub fn parse_form(bytes: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let broken =
        || Problem::new(ErrorCode::InvalidParameter).detail("a parameter is no text, or there are over 100");
    // The reader puts this sign in the place of what is no UTF-8.
    let is_text = |text: &str| !text.contains(['\0', char::REPLACEMENT_CHARACTER]);
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(bytes).into_owned().take(101).collect();
    let is_good = pairs.len() <= 100 && pairs.iter().all(|(name, value)| is_text(name) && is_text(value));
    if is_good { Ok(pairs) } else { Err(broken()) }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // The library's messages quote the input, which may be a password; ours say only where and what.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Problem::new(ErrorCode::InvalidJson).detail(describe(&error)))?;
    // Members in their order would do for the library, in a list without their names.
    if value.is_array() {
        return Err(Problem::new(ErrorCode::InvalidJson).detail("a list is no object"));
    }
    T::deserialize(value).map_err(|error| {
        let message = error.to_string();
        // "missing field `x`" and "unknown field `x`" name members; a wrong type would quote the value.
        let safe = message.starts_with("missing field") || message.starts_with("unknown field");
        let detail = if safe { message } else { "a member has the wrong type".to_owned() };
        Problem::new(ErrorCode::InvalidJson).detail(detail)
    })
}

fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => OURS
            .into_iter()
            .find(|ours| error.to_string().starts_with(ours))
            .unwrap_or("a value that is not allowed"),
        _ => "not well-formed JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

const DUPLICATE: &str = "a member is given twice";
const TOO_DEEP: &str = "nested too deeply";
const NUL: &str = "a string holds the NUL character";
const OURS: [&str; 3] = [DUPLICATE, TOO_DEEP, NUL];

/// Builds a [`Value`] and refuses what JSON parsers disagree about.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom(TOO_DEEP)) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') { Err(E::custom(NUL)) } else { Ok(value.into()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.contains('\0') {
                return Err(A::Error::custom(NUL));
            }
            let value = members.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(map))
    }
}

/// Of a member: tells `null` from absent.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        a: String,
        #[serde(default)]
        b: Option<i64>,
    }

    fn refused(json: &str) -> String {
        use actix_web::ResponseError;
        let problem = parse::<Sample>(json.as_bytes()).unwrap_err();
        assert_eq!(problem.status_code(), 400);
        format!("{problem:?}")
    }

    #[test]
    fn good_json_is_read() {
        assert_eq!(
            parse::<Sample>(br#" {"a":"x","b":-3} "#).unwrap(),
            Sample { a: "x".to_owned(), b: Some(-3) }
        );
    }

    #[test]
    fn what_parsers_disagree_about_is_refused_and_named() {
        assert!(refused(r#"{"a":"x","a":"y"}"#).contains(DUPLICATE));
        assert!(refused(r#"{"a":"x\u0000"}"#).contains(NUL));
        assert!(refused(r#"{"a\u0000":"x"}"#).contains(NUL));
        assert!(refused(&format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40))).contains(TOO_DEEP));
        assert!(refused(&"[".repeat(60_000)).contains(TOO_DEEP));
        assert!(refused(r#"{"a":"x","c":1}"#).contains("unknown field `c`"));
        assert!(refused("{}").contains("missing field `a`"));
        assert!(refused(r#"["x",1]"#).contains("a list is no object"));
        assert!(refused(r#"{"a":"x"} {"#).contains("not well-formed"));
        assert!(refused(r#"{"a":"x","b":9223372036854775808}"#).contains("wrong type"));
        assert!(parse::<Sample>(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_quoted_back() {
        assert!(!refused(r#"{"a":"x","b":"hunter2"}"#).contains("hunter2"));
        assert!(!refused(r#"{"a":hunter2}"#).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Sample>(&bytes);
        }

        #[test]
        fn whatever_it_accepts_the_library_accepts_alike(text in r#"[\[\]{}",:a0-9\\ tn.-]{0,40}"#) {
            let mut reader = serde_json::Deserializer::from_str(&text);
            if let Ok(value) = (Strict { depth: 0 }).deserialize(&mut reader)
                && reader.end().is_ok()
            {
                prop_assert_eq!(Some(value), serde_json::from_str(&text).ok());
            }
        }
    }
}
