//! Config OP (`oidcc-config-certification-test-plan`), and what the plans for signing out ask of the metadata.

use serde_json::{Value, json};

use super::suite::ISSUER;
use crate::support::{TestApp, on_both};

/// Members of server metadata that some specification has. Of any other the suite warns.
const KNOWN: [&str; 35] = [
    // OpenID Connect Discovery section 3, RFC 8414 section 2.
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "subject_types_supported",
    "acr_values_supported",
    "id_token_signing_alg_values_supported",
    "claims_supported",
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "revocation_endpoint",
    "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint",
    "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported",
    // RFC 8628, RFC 9126, RFC 9207, RFC 9449.
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "authorization_response_iss_parameter_supported",
    "dpop_signing_alg_values_supported",
    // Initiating User Registration, RP-Initiated Logout, Back-Channel Logout.
    "prompt_values_supported",
    "end_session_endpoint",
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
];

async fn metadata(app: &TestApp) -> Value {
    let answer = app.get("/.well-known/openid-configuration").await.expect(200);
    assert!(answer.header("content-type").starts_with("application/json"));
    answer.json()
}

fn is_https(metadata: &Value, name: &str) {
    let address = metadata[name].as_str().unwrap_or_else(|| panic!("{name} in {metadata}"));
    assert_eq!(url::Url::parse(address).unwrap().scheme(), "https", "{name}");
}

on_both! {
    async fn oidcc_discovery_endpoint_verification(app: TestApp) {
        let metadata = metadata(&app).await;
        assert_eq!(metadata["issuer"], ISSUER);
        for (name, value) in metadata.as_object().unwrap() {
            assert!(KNOWN.contains(&name.as_str()), "{name}");
            if name.ends_with("_supported") {
                let texts = value.as_array().map(|list| !list.is_empty() && list.iter().all(Value::is_string));
                assert!(value.is_boolean() || texts == Some(true), "{name}: {value}");
            }
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                is_https(&metadata, name);
            }
        }
        let has = |name: &str, value: &str| metadata[name].as_array().unwrap().contains(&json!(value));
        for (name, value) in [
            ("response_types_supported", "code"), ("subject_types_supported", "public"), ("id_token_signing_alg_values_supported", "RS256"),
            ("scopes_supported", "openid"), ("claims_supported", "sub"), ("grant_types_supported", "authorization_code"),
            ("token_endpoint_auth_methods_supported", "client_secret_basic"), ("token_endpoint_auth_methods_supported", "client_secret_post"),
            ("code_challenge_methods_supported", "S256"),
        ] {
            assert!(has(name, value), "{name} has no {value}");
        }
        for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"] {
            is_https(&metadata, name);
        }
        assert_eq!((&metadata["request_parameter_supported"], &metadata["request_uri_parameter_supported"]), (&json!(false), &json!(false)));

        let keys = app.get("/.well-known/jwks.json").await.expect(200).json();
        let keys = keys["keys"].as_array().unwrap();
        let kids: std::collections::BTreeSet<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!((kids.len(), keys.is_empty()), (keys.len(), false), "a kid each, and each another");
        for key in keys {
            for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                assert!(key.get(private).is_none(), "{private}");
            }
            let parsed: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
            jsonwebtoken::DecodingKey::from_jwk(&parsed).unwrap();
            assert_eq!(key["use"], "sig");
        }
    }

    async fn oidcc_rp_initiated_logout_discovery_endpoint_verification(app: TestApp) {
        is_https(&metadata(&app).await, "end_session_endpoint");
    }

    async fn oidcc_backchannel_logout_discovery_endpoint_verification(app: TestApp) {
        let metadata = metadata(&app).await;
        is_https(&metadata, "end_session_endpoint");
        for name in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
            assert_eq!(metadata[name], true, "{name}");
        }
    }
}
