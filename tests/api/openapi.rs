use std::collections::BTreeSet;

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
