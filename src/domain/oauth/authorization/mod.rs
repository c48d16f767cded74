//! What an authorization request asks for (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1), and the rules it
//! must keep, as a list of named checks in `checks.rs`.

mod checks;
mod claims;
mod pkce;
mod request_object;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::clients::{Client, RedirectUri};
use crate::domain::sessions::Session;
use crate::domain::{ClientId, OAuthError, Parameters, Scopes, Thumbprint, scope};

pub use checks::CHECKS;
pub use claims::{ClaimsRequest, UserClaim};
pub use pkce::{CodeChallenge, CodeVerifier};
use request_object::RefusedObject;

/// How long a page is thought about.
const THOUGHT: TimeDelta = TimeDelta::minutes(2);

/// How an answer reaches the client (OAuth 2.0 Multiple Response Types, Form Post Response Mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    #[default]
    Query,
    FormPost,
}

impl ResponseMode {
    pub const ALL: [Self; 2] = [Self::Query, Self::FormPost];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
        }
    }
}

/// What the client wants to happen to the user (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    pub none: bool,
    /// Sign in again; also `select_account`, for there is one account in a browser at a time.
    pub login: bool,
    pub consent: bool,
}

/// What this server wants of every request.
#[derive(Clone, Debug)]
pub struct RequestRules {
    /// Whom tokens of clients without audiences of their own are for.
    pub audience: Vec<String>,
    /// Whether a request without PKCE must have a nonce in its place.
    pub needs_nonce: bool,
}

/// A request that keeps all rules. Whether the user is there and agrees is another matter.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    pub client_id: ClientId,
    /// As it was sent; of a loopback address the port may not be the registered one.
    pub redirect_uri: RedirectUri,
    /// Whether it was in the request, and must be in the token request too.
    pub redirect_uri_was_sent: bool,
    pub response_mode: ResponseMode,
    pub state: Option<String>,
    pub scopes: Scopes,
    rules: RequestRules,
    /// The resources its tokens shall be for (RFC 8707).
    pub resources: Vec<String>,
    pub nonce: Option<String>,
    pub challenge: Option<CodeChallenge>,
    /// The key the code shall be bound to (RFC 9449 section 10).
    pub dpop_jkt: Option<Thumbprint>,
    pub prompt: Prompt,
    pub max_age: Option<TimeDelta>,
    pub login_hint: Option<String>,
    pub id_token_hint: Option<String>,
    pub claims: ClaimsRequest,
}

/// Where an answer goes, once that is sure, and the client's `state`: what even an error needs.
#[derive(Clone, Debug)]
pub struct RedirectTarget {
    pub redirect_uri: RedirectUri,
    pub was_sent: bool,
    pub mode: ResponseMode,
    pub state: Option<String>,
}

/// Why nobody may be sent back to the client: it may not be the client (RFC 6749 section 4.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonRedirectableError {
    #[error("client_id is missing or there twice")]
    NoClient,
    #[error("there is no such client")]
    UnknownClient,
    #[error("redirect_uri is there twice")]
    TwoRedirectUris,
    #[error("redirect_uri is missing, and the client has none or several")]
    NoRedirectUri,
    #[error("redirect_uri is not one of the client's")]
    WrongRedirectUri,
    #[error("the client has pushed no such request, or it is over or was used before")]
    NotPushed,
    #[error("the client may not send anybody here")]
    NotAllowed,
}

impl RedirectTarget {
    /// Finds out where answers to this request may go. Comes before everything else.
    pub fn find(client: &Client, parameters: &Parameters) -> Result<Self, NonRedirectableError> {
        if client.redirect_uris.is_empty() {
            return Err(NonRedirectableError::NotAllowed);
        }
        if parameters.is_repeated("redirect_uri") {
            return Err(NonRedirectableError::TwoRedirectUris);
        }
        let presented = parameters.get("redirect_uri");
        let redirect_uri = match (presented, &client.redirect_uris[..]) {
            (Some(presented), registered) => {
                let is_admitted = registered.iter().any(|uri| uri.admits(presented));
                let parsed = RedirectUri::parse(presented).ok().filter(|_| is_admitted);
                parsed.ok_or(NonRedirectableError::WrongRedirectUri)?
            }
            (None, [only]) => only.clone(),
            (None, _) => return Err(NonRedirectableError::NoRedirectUri),
        };
        let refused = parameters.get("request").map(RefusedObject::read).unwrap_or_default();
        let asked = parameters.get("response_mode").or(refused.response_mode.as_deref());
        let mode =
            ResponseMode::ALL.into_iter().find(|mode| asked == Some(mode.as_str())).unwrap_or_default();
        let state = parameters.get("state").map(str::to_owned).or(refused.state);
        Ok(Self { redirect_uri, was_sent: presented.is_some(), mode, state })
    }
}

impl AuthorizationRequest {
    /// Reads a request whose return address is known: every check of [`CHECKS`] in order.
    pub fn read(
        client: &Client,
        parameters: &Parameters,
        back: RedirectTarget,
        rules: RequestRules,
    ) -> Result<Self, OAuthError> {
        let mut request = Self {
            client_id: client.id.clone(),
            redirect_uri: back.redirect_uri,
            redirect_uri_was_sent: back.was_sent,
            response_mode: back.mode,
            state: back.state,
            scopes: Scopes::default(),
            rules,
            resources: Vec::new(),
            nonce: None,
            challenge: None,
            dpop_jkt: None,
            prompt: Prompt::default(),
            max_age: None,
            login_hint: None,
            id_token_hint: None,
            claims: ClaimsRequest::default(),
        };
        for (_, check) in CHECKS {
            check(&mut request, client, parameters)?;
        }
        Ok(request)
    }

    /// Whether the user has to sign in, given who is signed in in this browser. `begun` is when this request first came: who
    /// has signed in since need not do it again.
    pub fn needs_sign_in(&self, present: Option<&Session>, begun: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let Some(session) = present else { return true };
        let is_fresh = session.auth_time >= begun;
        // Somebody who has just signed in, and thought for a while before they agreed, need not do it again at once.
        let borne = |most: TimeDelta| if is_fresh { most.max(THOUGHT) } else { most };
        let is_too_old = self.max_age.is_some_and(|most| now - session.auth_time > borne(most));
        is_too_old || (self.prompt.login && !is_fresh)
    }

    /// Whether the user has to agree, given what they have agreed to before, if they ever were asked.
    pub fn needs_consent(&self, client: &Client, agreed: Option<&Scopes>) -> bool {
        // An app on a phone may be another one that took over its address, so it is asked each time (RFC 8252 section 8.6).
        let may_be_another = client.is_public() && !self.redirect_uri.as_str().starts_with("https:");
        self.prompt.consent
            || (client.require_consent
                && (may_be_another || !agreed.is_some_and(|agreed| agreed.includes(&self.scopes))))
    }

    pub fn is_openid(&self) -> bool {
        self.scopes.contains(scope::OPENID)
    }
}
