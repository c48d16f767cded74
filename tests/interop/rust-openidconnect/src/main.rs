//! openidconnect, as its own documentation uses it.

use std::env;
use std::error::Error;
use std::process::{Command, exit};

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse, reqwest,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One line for each thing that was tried, which scripts/interop reads and counts.
fn check<T>(what: &str, run: impl FnOnce() -> Outcome<T>) -> T {
    match run() {
        Ok(value) => {
            println!("ok {what}");
            value
        }
        Err(error) => {
            println!("FAIL {what}: {error:?}");
            exit(1)
        }
    }
}

fn want(is: bool, text: &str) -> Outcome<()> {
    if is { Ok(()) } else { Err(text.into()) }
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Where the user ends up, with the code.
fn visit(address: &str) -> Outcome<reqwest::Url> {
    let driver = setting("DRIVER");
    let mut words = driver.split(' ');
    let program = words.next().ok_or("no driver")?;
    let redirect_uri = setting("REDIRECT_URI");
    let told = Command::new(program).args(words).args([address, "--until", &redirect_uri]).output()?;
    want(told.status.success(), &String::from_utf8_lossy(&told.stderr))?;
    let end: serde_json::Value = serde_json::from_slice(&told.stdout)?;
    Ok(end["address"].as_str().ok_or("no address")?.parse()?)
}

fn main() {
    let http = reqwest::blocking::ClientBuilder::new()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client of HTTP");
    let (issuer, email) = (setting("ISSUER"), setting("EMAIL"));

    let metadata =
        check("discovery", || Ok(CoreProviderMetadata::discover(&IssuerUrl::new(issuer.clone())?, &http)?));
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new(setting("CLIENT_ID")),
        Some(ClientSecret::new(setting("CLIENT_SECRET"))),
    )
    .set_redirect_uri(RedirectUrl::new(setting("REDIRECT_URI")).expect("a redirect URI"));

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("profile".to_owned()))
        .add_scope(Scope::new("email".to_owned()))
        .add_scope(Scope::new("offline_access".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let code = check("the user signs in and comes back with the state", || {
        let back = visit(address.as_str())?;
        let named = |wanted: &str| {
            back.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        want(named("state").as_ref() == Some(state.secret()), back.as_str())?;
        want(named("iss").as_ref() == Some(&issuer), back.as_str())?;
        Ok(named("code").ok_or("no code")?)
    });

    let tokens = check("code and PKCE", || {
        let request = client.exchange_code(AuthorizationCode::new(code))?;
        Ok(request.set_pkce_verifier(verifier).request(&http)?)
    });
    let id_verifier = client.id_token_verifier();
    let claims = check("the ID token and its nonce", || {
        let id_token = tokens.id_token().ok_or("no ID token")?;
        let claims = id_token.claims(&id_verifier, &nonce)?;
        if let Some(hash) = claims.access_token_hash() {
            let ours = AccessTokenHash::from_token(
                tokens.access_token(),
                id_token.signing_alg()?,
                id_token.signing_key(&id_verifier)?,
            )?;
            want(ours == *hash, "another access token's hash")?;
        }
        Ok(claims)
    });
    let userinfo = |token: &openidconnect::AccessToken| -> Outcome<CoreUserInfoClaims> {
        let subject = claims.subject().clone();
        Ok(client.user_info(token.clone(), Some(subject))?.request(&http)?)
    };
    check("userinfo", || {
        let info = userinfo(tokens.access_token())?;
        want(info.email().is_some_and(|found| **found == email), "another e-mail address")
    });
    let fresh = check("refresh", || {
        let token = tokens.refresh_token().ok_or("no refresh token")?;
        Ok(client.exchange_refresh_token(token)?.request(&http)?)
    });
    check("userinfo with the fresh token", || userinfo(fresh.access_token()));
    check("client credentials", || {
        let scope = Scope::new("orders:read".to_owned());
        let own = client.exchange_client_credentials()?.add_scope(scope).request(&http)?;
        want(own.refresh_token().is_none(), "a refresh token of nobody")
    });
    println!("done");
}
