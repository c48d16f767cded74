//! RP-Initiated Logout OP and Back-Channel OP (`oidcc-rp-initiated-logout-certification-test-plan`,
//! `oidcc-backchannel-rp-initiated-logout-certification-test-plan`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery::domain::clients::{Client, LogoutUri};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode};
use serde_json::{Value, json};

use super::suite::{BYE, ISSUER, Suite, modules, suite_client};
use crate::oauth2::backchannel_logout::Receiver;
use crate::oauth2::support::{encode, register};
use crate::support::{Answer, part};

/// Longer than most, and it must come back as it was.
const STATE: &str = "oY8zU6xR4wQ2vP0nM7lK5jH3gF1dS9aZ-._~";

fn logout(parameters: &[(&str, &str)]) -> String {
    format!("/oauth2/logout?{}", encode(parameters))
}

/// Whether the user is signed in after it all, which the suite finds out by `prompt=none`.
async fn is_signed_out(suite: &Suite<'_>) {
    suite.long_state();
    let back = suite.silently(&[("prompt", "none")]).await;
    assert_eq!(suite.error(&back), "login_required");
}

async fn is_still_signed_in(suite: &Suite<'_>) {
    let back = suite.silently(&[("prompt", "none")]).await;
    suite.code(&back);
}

/// A page that asks, and what comes when the user agrees: nobody goes anywhere.
async fn confirmed(suite: &Suite<'_>, asked: Answer) {
    let asked = asked.page(200);
    is_still_signed_in(suite).await;
    let form = [("flow", asked.flow()), ("decision", "sign_out".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    suite.browser.post("/oauth2/logout", &form).await.page(200);
    is_signed_out(suite).await;
}

modules! {
    form_post in [false];

    async fn oidcc_rp_initiated_logout(suite: Suite<'_>) {
        let hint = suite.sign_in(&[]).await.id_token();
        let out = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE), ("state", STATE)]);
        let back = suite.browser.get(&out).await.sent_to(BYE);
        assert_eq!(back.into_iter().collect::<Vec<_>>(), [("state".to_owned(), STATE.to_owned())]);
        is_signed_out(&suite).await;
    }

    async fn oidcc_rp_initiated_logout_no_state(suite: Suite<'_>) {
        let hint = suite.sign_in(&[]).await.id_token();
        let out = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
        assert!(suite.browser.get(&out).await.sent_to(BYE).is_empty());
        is_signed_out(&suite).await;
    }

    async fn oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(suite: Suite<'_>) {
        let hint = suite.sign_in(&[]).await.id_token();
        for other in ["https://suite.test/test/a/chancery/bad_post_logout_redirect_uri", &format!("{BYE}?foo=bar")] {
            let out = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", other), ("state", STATE)]);
            suite.browser.get(&out).await.page(400);
        }
        is_still_signed_in(&suite).await;
    }

    async fn oidcc_rp_initiated_logout_modified_id_token_hint(suite: Suite<'_>) {
        let hint = suite.sign_in(&[]).await.id_token();
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), hint.split('.').nth(1).unwrap());
        let out = logout(&[("id_token_hint", &unsigned), ("post_logout_redirect_uri", BYE), ("state", STATE)]);
        let asked = suite.browser.get(&out).await;
        confirmed(&suite, asked).await;
    }

    async fn oidcc_rp_initiated_logout_bad_id_token_hint(suite: Suite<'_>) {
        suite.sign_in(&[]).await;
        let now = suite.app.clock.now().timestamp();
        // The client's own, under its secret, and the wrong way round.
        let claims = json!({ "iss": suite.client.id, "aud": ISSUER, "sub": "SubjectID", "nonce": "flibble", "iat": now, "exp": now + 300 });
        let key = EncodingKey::from_secret(suite.client.secret.as_ref().unwrap().as_bytes());
        let hint = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let out = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE), ("state", STATE)]);
        let asked = suite.browser.get(&out).await;
        confirmed(&suite, asked).await;
    }

    async fn oidcc_rp_initiated_logout_no_id_token_hint(suite: Suite<'_>) {
        suite.sign_in(&[]).await;
        let out = logout(&[("post_logout_redirect_uri", BYE), ("state", STATE)]);
        suite.browser.get(&out).await.page(400);
        is_still_signed_in(&suite).await;
    }

    async fn oidcc_rp_initiated_logout_no_params(suite: Suite<'_>) {
        suite.sign_in(&[]).await;
        let asked = suite.browser.get("/oauth2/logout").await;
        confirmed(&suite, asked).await;
    }

    async fn oidcc_rp_initiated_logout_only_state(suite: Suite<'_>) {
        suite.sign_in(&[]).await;
        let asked = suite.browser.get(&logout(&[("state", STATE)])).await;
        confirmed(&suite, asked).await;
    }

    async fn oidcc_rp_initiated_logout_no_post_logout_redirect_uri(suite: Suite<'_>) {
        let hint = suite.sign_in(&[]).await.id_token();
        suite.browser.get(&logout(&[("id_token_hint", &hint), ("state", STATE)])).await.page(200);
        is_signed_out(&suite).await;
    }

    async fn oidcc_backchannel_rp_initiated_logout(suite: Suite<'_>) {
        let receiver = Receiver::start(&[]).await;
        let uri = LogoutUri::parse(&format!("{}/out?x=1", receiver.address)).unwrap();
        let wanted = Client {
            backchannel_logout_uri: Some(uri),
            backchannel_logout_session_required: true,
            ..suite_client(suite.app, "told")
        };
        let client = register(suite.app, &wanted).await;
        let suite = suite.played_by(client);
        let tokens = suite.sign_in(&[]).await;
        let hint = tokens.id_token();
        let out = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE), ("state", STATE)]);
        let back = suite.browser.get(&out).await.sent_to(BYE);
        assert_eq!(back.into_iter().collect::<Vec<_>>(), [("state".to_owned(), STATE.to_owned())]);

        // The form has this one parameter, which the receiver sees to.
        let token = receiver.told(1).await;
        let keys: JwkSet = serde_json::from_value(suite.app.get("/.well-known/jwks.json").await.json()).unwrap();
        let key = keys.find(part(&token, 0)["kid"].as_str().unwrap()).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&["told"]);
        rules.set_issuer(&[ISSUER]);
        let claims = decode::<Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &rules).unwrap().claims;
        assert_eq!((&claims["sub"], &claims["sid"]), (&tokens.id["sub"], &tokens.id["sid"]));
        assert!(claims["iat"].is_i64() && claims["jti"].is_string() && claims.get("nonce").is_none(), "{claims}");
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        is_signed_out(&suite).await;
    }
}
