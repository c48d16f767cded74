use super::{GrantError, IdTokenOptions, TokenSet, build_token_set, granted_resources};
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::operations::AuditContext;
use crate::domain::sessions::SessionLimits;
use crate::domain::{OAuthCode, OAuthError, Parameters, Scopes};
use crate::flows::sessions::KeyProof;
use crate::flows::sessions::{ClientTokenOptions, issue_client_tokens};
use crate::flows::sessions::{MovedOn, RefreshError, Refresher, move_on};
use crate::store::sessions;
use crate::tokens::{RefreshKeys, RefreshToken};

impl From<RefreshError> for GrantError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid(_) => OAuthError::invalid_grant("the refresh token is not valid").into(),
            RefreshError::Bound => {
                OAuthError::new(OAuthCode::InvalidDpopProof, "the refresh token is bound to a key").into()
            }
            RefreshError::OtherKey => {
                OAuthError::invalid_grant("the refresh token is bound to another key").into()
            }
            RefreshError::Key(error) => error.into(),
            RefreshError::Contended => Self::Contended,
            RefreshError::Keys(error) => Self::Keys(error),
            RefreshError::Sign(error) => Self::Sign(error),
            RefreshError::Store(error) => Self::Store(error),
        }
    }
}

/// A refresh token for its successor (RFC 6749 section 6), by the same engine as `/auth/refresh`.
pub(super) async fn redeem(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    proof: Option<&KeyProof>,
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    let presented = parameters.require("refresh_token")?;
    // Looked at before the token is used up: whoever asks for too much may ask again.
    let Narrowed { scopes, resources } = narrowed(app, client, presented, parameters).await?;
    let usual = app.settings.sessions;
    let limits = SessionLimits { grace: client.refresh_grace.unwrap_or(usual.grace), ..usual };
    let by = Refresher { client: &client.id, is_public: client.is_public(), proof };
    let MovedOn { user, session, key, keyring, now } = move_on(app, presented, &by, &limits, context).await?;
    let options = ClientTokenOptions {
        client: Some(client),
        scopes: scopes.as_ref(),
        resources: &resources,
        key: key.as_ref(),
    };
    let tokens = issue_client_tokens(app, &keyring, &user, &session, &options, now)?;
    Ok(build_token_set(app, &keyring, client, (&user, &session), tokens, IdTokenOptions::default(), now)?)
}

/// What this one access token shall be, where that is less than was granted. The refresh token keeps all.
struct Narrowed<'p> {
    scopes: Option<Scopes>,
    resources: Vec<&'p str>,
}

async fn narrowed<'p>(
    app: &App,
    client: &Client,
    presented: &str,
    parameters: &'p Parameters,
) -> Result<Narrowed<'p>, GrantError> {
    let resources = client.resources(parameters, &app.settings.tokens.audience)?;
    let scopes = parameters.get("scope").map(Scopes::parse).transpose();
    let scopes = scopes.map_err(|_| OAuthError::new(OAuthCode::InvalidScope, "this is no scope"))?;
    let narrowed = Narrowed { scopes, resources };
    if narrowed.scopes.is_none() && narrowed.resources.is_empty() {
        return Ok(narrowed);
    }
    let token = RefreshToken::parse(presented);
    let token = token.filter(|token| RefreshKeys(&app.master_keys).is_genuine(token, &client.id));
    // What is no token of this client's is refused by the next step.
    let Some(token) = token else { return Ok(narrowed) };
    let session = sessions::by_id(&mut app.db.read().await?, token.session).await?;
    let granted = session.and_then(|session| session.granted).unwrap_or_default();
    if narrowed.scopes.as_ref().is_some_and(|asked| !granted.scopes.includes(asked)) {
        let text = "this is more than was granted";
        return Err(OAuthError::new(OAuthCode::InvalidScope, text).into());
    }
    granted_resources(app, client, parameters, &granted)?;
    Ok(narrowed)
}
