use std::collections::BTreeSet;

use chancery::domain::clients::ClientSetting;
use chancery::http::{openapi_document, url_table};
use serde_json::Value;

use crate::support::{Kind, TestApp};

#[test]
fn the_document_and_the_url_table_name_the_same_operations() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let documented: BTreeSet<(String, String)> =
        operations(&document).map(|(path, method, _)| (path, method)).collect();
    let routed: BTreeSet<(String, String)> = url_table()
        .into_iter()
        .flat_map(|endpoint| {
            let methods = endpoint.methods.into_iter().map(|method| method.to_string().to_lowercase());
            methods.map(move |method| (endpoint.path.to_owned(), method))
        })
        // HEAD follows from GET, and OPTIONS is the browser's own business.
        .filter(|(_, method)| method != "head" && method != "options")
        .collect();
    assert_eq!(documented, routed);
}

#[test]
fn every_operation_says_who_may_and_what_else_it_answers() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
        let of_errors =
            if path.starts_with("/oauth2/") { "application/json" } else { "application/problem+json" };
        assert!(responses["default"]["content"][of_errors].is_object(), "{method} {path}");
        let scopes = operation["security"][0]["bearer"].as_array();
        if path.starts_with("/admin") {
            assert_eq!(scopes.unwrap().len(), 1, "{method} {path}");
        }
    }
}

#[test]
fn every_setting_of_a_client_is_in_the_bodies_and_answers() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let operators: Vec<_> = ClientSetting::of_operators().collect();
    let registration: Vec<_> = ClientSetting::of_registration().collect();
    for (name, settings) in [
        ("NewClient", &operators),
        ("ClientPatch", &operators),
        ("ClientView", &operators),
        ("ClientRegistration", &registration),
        ("ClientInformation", &registration),
    ] {
        for setting in ClientSetting::ALL {
            let property = &schema(name)["properties"][setting.name];
            let is_one = settings.iter().any(|one| one.name == setting.name);
            assert_eq!(property["description"].is_string(), is_one, "{name} {}: {property}", setting.name);
            assert_eq!(property["type"].is_null(), !is_one, "{name} {}: {property}", setting.name);
        }
    }
    for strict in ["NewClient", "ClientPatch"] {
        assert_eq!(schema(strict)["additionalProperties"], false, "{strict}");
    }
    assert!(schema("ClientRegistration")["additionalProperties"].is_null());
    assert_eq!(schema("NewClient")["required"], serde_json::json!(["client_name"]));
    let property = |schema_name: &str, name: &str| {
        let mut property = schema(schema_name)["properties"][name].clone();
        property.as_object_mut().unwrap().remove("description");
        property
    };
    let grant_types = serde_json::json!([
        "authorization_code",
        "client_credentials",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:device_code",
    ]);
    for (schema, name, expected) in [
        ("NewClient", "client_name", serde_json::json!({ "type": "string" })),
        ("NewClient", "require_consent", serde_json::json!({ "type": ["boolean", "null"], "default": true })),
        ("ClientPatch", "require_consent", serde_json::json!({ "type": ["boolean", "null"] })),
        ("ClientView", "require_consent", serde_json::json!({ "type": "boolean" })),
        (
            "ClientPatch",
            "access_token_ttl",
            serde_json::json!({ "type": ["integer", "null"], "format": "int32", "minimum": 1 }),
        ),
        (
            "ClientView",
            "refresh_grace",
            serde_json::json!({ "type": ["integer", "null"], "format": "int32", "minimum": 0, "maximum": 60 }),
        ),
        (
            "NewClient",
            "grant_types",
            serde_json::json!({
                "type": ["array", "null"], "items": { "type": "string", "enum": grant_types }, "minItems": 1,
                "default": ["authorization_code", "refresh_token"],
            }),
        ),
        (
            "ClientRegistration",
            "grant_types",
            serde_json::json!({
                "type": ["array", "null"], "items": { "type": "string" }, "default": ["authorization_code"],
            }),
        ),
        (
            "ClientView",
            "scope",
            serde_json::json!({
                "type": "string", "pattern": r"^[ !#-\[\]-~]*$", "examples": ["openid profile email offline_access"],
            }),
        ),
        (
            "ClientView",
            "redirect_uris",
            serde_json::json!({ "type": "array", "items": { "type": "string" }, "maxItems": 50 }),
        ),
        ("ClientView", "jwks", serde_json::json!({ "type": "object" })),
        ("ClientInformation", "backchannel_logout_uri", serde_json::json!({ "type": "string" })),
    ] {
        assert_eq!(property(schema, name), expected, "{schema} {name}");
    }
}

/// The scopes the document states are the scopes the routes ask for.
#[tokio::test]
async fn the_documented_scope_is_the_one_asked_for() {
    let app = TestApp::start(Kind::Sqlite).await;
    let token = app.newcomer("ada@x.test").await.access_token();
    let document: Value = app.get("/openapi.json").await.expect(200).json();
    for (path, method, operation) in operations(&document) {
        let Some(scopes) = operation["security"][0]["bearer"].as_array() else {
            continue;
        };
        let path = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
        let method = method.to_uppercase().parse().unwrap();
        if let Some(scope) = scopes.first() {
            let refused = app.request_as(&token, method, &path, serde_json::json!({})).await.expect(403);
            let challenge = format!("scope=\"{}\"", scope.as_str().unwrap());
            assert!(refused.header("www-authenticate").contains(&challenge), "{path}");
        } else {
            let refused = app.send(method, &path, &[], None).await.expect(401);
            assert_eq!(refused.header("www-authenticate"), "Bearer", "{path}");
        }
    }
}

#[tokio::test]
async fn the_api_page_is_served_from_within() {
    let app = TestApp::start(Kind::Sqlite).await;
    assert!(app.get("/docs").await.header("location").ends_with("/docs/"));
    let page = app.get("/docs/").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert!(!page.text.contains("https://"), "nothing from elsewhere");
    app.get("/docs/swagger-ui-bundle.js").await.expect(200);
}

fn operations(document: &Value) -> impl Iterator<Item = (String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().clone();
    paths.into_iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().clone().into_iter();
        operations.map(move |(method, operation)| (path.clone(), method, operation))
    })
}
