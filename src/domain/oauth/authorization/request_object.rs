use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// What a request object (OpenID Connect Core section 6) says of where its refusal goes. No such object is taken here, but the
/// client waits for that answer in the way the object asks for, and may have written that nowhere else. Believed unsigned: it
/// chooses between two ways to an address that is sure already.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct RefusedObject {
    pub response_mode: Option<String>,
    pub state: Option<String>,
}

impl RefusedObject {
    /// Of what is no object, or one that is encrypted, nothing.
    pub fn read(object: &str) -> Self {
        let payload = object.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_object_says_is_read_and_anything_else_passed_over() {
        let object = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        let read =
            RefusedObject::read(&object(r#"{"response_mode":"form_post","state":"s","redirect_uri":"x"}"#));
        assert_eq!((read.response_mode.as_deref(), read.state.as_deref()), (Some("form_post"), Some("s")));
        let nothing = ["", ".", "a.b.c", "e30.%.", &object("[]"), &object(r#"{"state":1}"#), &object("null")];
        for text in nothing {
            assert_eq!(RefusedObject::read(text), RefusedObject::default(), "{text}");
        }
    }
}
