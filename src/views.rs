//! The JSON shapes others rely on: what HTTP answers, what `-o json` prints and what an Idempotency-Key remembers.
//!
//! Made from domain values, never from rows. Used by flows, http and cli.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    AuditRecord, Client, ClientAuthMethod, ClientKeys, DisplayName, GrantType, Impact, KeyPolicy, KeySet,
    KeyStatus, Kid, KnownConsumer, LogoutUri, RedirectUri, Revocation, Session, SessionId, SigningKey, User,
};

/// A signing key. Its private half is in no answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// The RFC 7638 SHA-256 thumbprint, or what an imported key was called before.
    pub kid: String,
    #[schema(example = "RS256")]
    pub alg: String,
    #[schema(example = "current", pattern = "^(next|current|previous|retired|revoked)$")]
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
    /// When the key may sign without breaking a verifier's cache.
    pub eligible_at: DateTime<Utc>,
    pub activated_at: Option<DateTime<Utc>>,
    pub demoted_at: Option<DateTime<Utc>>,
    /// When the key leaves the JWKS.
    pub retires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// How many known consumers have fetched a set with this key. On published keys of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<ReachView>,
    /// Why the key is in quarantine, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl KeyView {
    pub fn of(key: &SigningKey, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        Self {
            kid: key.kid.to_string(),
            alg: key.alg.as_str().to_owned(),
            status: key.status(now).as_str().to_owned(),
            created_at: key.created_at,
            published_at: key.published_at,
            eligible_at: policy.eligible_at(key.published_at),
            activated_at: key.activated_at,
            demoted_at: key.demoted_at,
            retires_at: key.retires_at,
            revoked_at: key.revoked_at,
            propagation: None,
            problem: key.damage.map(|column| format!("column {column} cannot be read")),
        }
    }
}

/// Every key, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyListView {
    pub keys: Vec<KeyView>,
    /// When the schedule rotates next.
    pub next_rotation_at: DateTime<Utc>,
}

impl KeyListView {
    /// `problems` are those of keys in quarantine, by kid.
    pub fn of(
        set: &KeySet,
        known: &[KnownConsumer],
        problems: &[(Kid, String)],
        policy: &KeyPolicy,
        now: DateTime<Utc>,
    ) -> Self {
        let view = |key: &SigningKey| KeyView {
            propagation: key.is_published(now).then(|| ReachView::of(known, key.published_at)),
            problem: problems.iter().find(|(kid, _)| *kid == key.kid).map(|(_, problem)| problem.clone()),
            ..KeyView::of(key, policy, now)
        };
        Self { keys: set.all().iter().map(view).collect(), next_rotation_at: set.scheduled_at(policy) }
    }
}

/// How far a key has come: of the consumers known, how many have fetched a set that holds it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReachView {
    pub known: usize,
    pub fetched: usize,
}

impl ReachView {
    fn of(known: &[KnownConsumer], published_at: DateTime<Utc>) -> Self {
        let fetched = known.iter().filter(|consumer| consumer.has_fetched(published_at)).count();
        Self { known: known.len(), fetched }
    }
}

/// Who fetches the JWK Set: a user agent in a network. Full addresses are not kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConsumerView {
    pub user_agent: String,
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// Whether it has fetched the set since the key was published.
    pub fetched: bool,
}

/// Which consumers have a key, those without it first and of them the one longest not seen first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PropagationView {
    pub kid: String,
    pub published_at: DateTime<Utc>,
    pub known: usize,
    pub fetched: usize,
    /// For people.
    #[schema(example = "3 of 41 known consumers have not fetched this key")]
    pub summary: String,
    pub consumers: Vec<ConsumerView>,
}

impl PropagationView {
    /// Consumers named in a dry run; the list of the key has them all.
    const NAMED: usize = 20;

    /// `known` by the time they were last seen.
    pub fn of(key: &SigningKey, known: &[KnownConsumer]) -> Self {
        let view = |known: &KnownConsumer| ConsumerView {
            user_agent: known.consumer.user_agent.clone(),
            network: known.consumer.network.clone(),
            first_seen_at: known.first_seen_at,
            last_seen_at: known.last_seen_at,
            fetched: known.has_fetched(key.published_at),
        };
        let mut consumers: Vec<ConsumerView> = known.iter().map(view).collect();
        consumers.sort_by_key(|consumer| consumer.fetched);
        let reach = ReachView::of(known, key.published_at);
        let missing: Vec<&ConsumerView> = consumers.iter().filter(|consumer| !consumer.fetched).collect();
        let summary = match missing.iter().map(|consumer| consumer.last_seen_at).max() {
            None if known.is_empty() => "no consumer is known yet".to_owned(),
            None => format!("all known consumers ({}) have fetched this key", reach.known),
            Some(last) => format!(
                "{} of {} known consumers have not fetched this key, last seen {}",
                missing.len(),
                reach.known,
                rfc3339(last)
            ),
        };
        Self {
            kid: key.kid.to_string(),
            published_at: key.published_at,
            known: reach.known,
            fetched: reach.fetched,
            summary,
            consumers,
        }
    }

    /// Only who is missing, and not all of them.
    fn missing_only(mut self) -> Self {
        self.consumers.retain(|consumer| !consumer.fetched);
        self.consumers.truncate(Self::NAMED);
        self
    }
}

/// The keys as a rotation left them, or, for a dry run, as it would leave them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RotationView {
    pub current: KeyView,
    /// `null` in a dry run: that key is not made yet.
    pub next: Option<KeyView>,
    pub previous: Vec<KeyView>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// In a dry run: who has not fetched the key that would sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<PropagationView>,
}

impl RotationView {
    pub fn of(set: &KeySet, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        Self {
            current: view(set.current()),
            next: Some(view(set.next())),
            previous: set.previous(now).map(view).collect(),
            dry_run: false,
            propagation: None,
        }
    }

    /// What a rotation at `now` would leave behind.
    pub fn foreseen(set: &KeySet, known: &[KnownConsumer], policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        let promoted = SigningKey { activated_at: Some(now), ..set.next().clone() };
        let current = set.current();
        let demoted = SigningKey {
            demoted_at: Some(now),
            retires_at: Some(policy.retires_at(now, current.longest_life)),
            ..current.clone()
        };
        debug_assert_eq!(demoted.status(now), KeyStatus::Previous);
        let previous = std::iter::once(view(&demoted)).chain(set.previous(now).map(view)).collect();
        let propagation = Some(PropagationView::of(&promoted, known).missing_only());
        Self { current: view(&promoted), next: None, previous, dry_run: true, propagation }
    }
}

/// What revoking a key costs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImpactView {
    /// Sessions that go on; each gets a token under another key at its next refresh.
    pub live_sessions: i64,
    /// Access tokens under the key that are not expired, to the minute; what other nodes signed since their last poll is
    /// not counted yet.
    pub valid_tokens: i64,
    pub last_expires_at: Option<DateTime<Utc>>,
    pub seconds_until_last_expires: Option<i64>,
}

impl ImpactView {
    pub fn of(impact: &Impact, now: DateTime<Utc>) -> Self {
        Self {
            live_sessions: impact.live_sessions,
            valid_tokens: impact.valid_tokens,
            last_expires_at: impact.last_expires_at,
            seconds_until_last_expires: impact.last_expires_at.map(|at| (at - now).num_seconds().max(0)),
        }
    }
}

/// What a fence ended, or, for a dry run, what it would end.
#[derive(Clone, Debug, Serialize)]
pub struct FenceView {
    pub dry_run: bool,
    pub sessions: i64,
    /// Access tokens that were not expired, as far as the nodes had told.
    pub valid_tokens: i64,
    pub last_expires_at: Option<DateTime<Utc>>,
    /// The kids of the keys that are gone.
    pub revoked: Vec<String>,
    /// Made when it is done.
    pub current: Option<KeyView>,
    pub next: Option<KeyView>,
}

/// The keys as a revocation left them, or, for a dry run, as it would leave them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevocationView {
    pub revoked: KeyView,
    /// The waiting key that went with it.
    pub dropped: Option<KeyView>,
    /// What signs now; `null` in a dry run where that key is not made yet.
    pub current: Option<KeyView>,
    /// `null` in a dry run where that key is not made yet.
    pub next: Option<KeyView>,
    pub previous: Vec<KeyView>,
    /// `null` when it could not be told soon enough: a revocation does not wait for it.
    pub impact: Option<ImpactView>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl RevocationView {
    /// `None` when `kid` is not in the set.
    pub fn of(
        set: &KeySet,
        kid: &Kid,
        impact: Option<ImpactView>,
        policy: &KeyPolicy,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        let revoked = set.find(kid)?;
        let went_along = |key: &&SigningKey| {
            key.kid != *kid && key.revoked_at == revoked.revoked_at && key.activated_at.is_none()
        };
        Some(Self {
            revoked: view(revoked),
            dropped: set.all().iter().find(went_along).map(view),
            current: Some(view(set.current())),
            next: Some(view(set.next())),
            previous: set.previous(now).map(view).collect(),
            impact,
            dry_run: false,
        })
    }

    /// What revoking `kid` at `now` would leave behind.
    pub fn foreseen(
        set: &KeySet,
        kid: &Kid,
        wanted: Revocation,
        impact: Option<ImpactView>,
        policy: &KeyPolicy,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        let gone = |key: &SigningKey| {
            let revoked_at = key.revoked_at.or(Some(now));
            view(&SigningKey { revoked_at, ..key.clone() })
        };
        let takes_all = wanted == Revocation::CurrentAndNext;
        let takes_next = takes_all || wanted == Revocation::Next;
        Some(Self {
            revoked: gone(set.find(kid)?),
            dropped: takes_all.then(|| gone(set.next())),
            current: (!takes_all).then(|| view(set.current())),
            next: (!takes_next).then(|| view(set.next())),
            previous: set.previous(now).filter(|key| key.kid != *kid).map(view).collect(),
            impact,
            dry_run: true,
        })
    }
}

/// The private keys at rest after they were sealed anew, or, for a dry run, as they would be.
#[derive(Clone, Debug, Serialize)]
pub struct RewrapView {
    /// The first master key's id.
    pub sealed_under: String,
    /// The kids that were sealed anew.
    pub moved: Vec<String>,
    pub master_keys: Vec<MasterKeyView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a configured master key is still needed for.
#[derive(Clone, Debug, Serialize)]
pub struct MasterKeyView {
    pub id: String,
    /// It seals and signs from now on.
    pub first: bool,
    /// Private keys sealed under it.
    pub signing_keys: usize,
    /// Live sessions whose refresh token was made under it.
    pub live_sessions: i64,
    /// When the last of those sessions ends at the latest.
    pub last_session_ends_at: Option<DateTime<Utc>>,
}

impl MasterKeyView {
    /// Whether nothing and nobody is lost when it is no longer configured.
    pub fn can_be_dropped(&self) -> bool {
        !self.first && self.signing_keys == 0 && self.live_sessions == 0
    }
}

/// An account, without anything secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    pub id: Uuid,
    pub email: String,
    pub email_verified: bool,
    pub name: Option<String>,
    pub roles: Vec<String>,
    #[schema(example = "active", pattern = "^(active|disabled)$")]
    pub status: String,
    pub created_at: DateTime<Utc>,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            email: user.email.to_string(),
            email_verified: user.email_verified,
            name: user.name.as_ref().map(DisplayName::as_str).map(str::to_owned),
            roles: user.roles.names(),
            status: user.status.as_str().to_owned(),
            created_at: user.created_at,
        }
    }
}

/// How a client proves who it is (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientAuthMethod)]
pub enum AuthMethodView {
    /// A public client: it has no secret.
    None,
    ClientSecretBasic,
    ClientSecretPost,
    /// By a JWT under a key of its own.
    PrivateKeyJwt,
}

impl From<ClientAuthMethod> for AuthMethodView {
    fn from(method: ClientAuthMethod) -> Self {
        match method {
            ClientAuthMethod::None => Self::None,
            ClientAuthMethod::SecretBasic => Self::ClientSecretBasic,
            ClientAuthMethod::SecretPost => Self::ClientSecretPost,
            ClientAuthMethod::PrivateKeyJwt => Self::PrivateKeyJwt,
        }
    }
}

/// By what a client gets tokens (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GrantType)]
pub enum GrantTypeView {
    AuthorizationCode,
    ClientCredentials,
    RefreshToken,
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
}

impl From<GrantType> for GrantTypeView {
    fn from(grant: GrantType) -> Self {
        match grant {
            GrantType::AuthorizationCode => Self::AuthorizationCode,
            GrantType::ClientCredentials => Self::ClientCredentials,
            GrantType::RefreshToken => Self::RefreshToken,
            GrantType::TokenExchange => Self::TokenExchange,
            GrantType::DeviceCode => Self::DeviceCode,
        }
    }
}

/// An OAuth client, without its secrets. Members are named as in RFC 7591 where it has them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings, as RFC 7591 and others name them")]
pub struct ClientView {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$", example = "grafana")]
    pub client_id: String,
    #[schema(min_length = 1, max_length = 200)]
    pub client_name: String,
    pub token_endpoint_auth_method: AuthMethodView,
    /// The public keys of a client that proves who it is by `private_key_jwt`: a JWK Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub jwks: Option<serde_json::Value>,
    #[schema(min_items = 1, max_items = 4)]
    pub grant_types: Vec<GrantTypeView>,
    #[schema(max_items = 50)]
    pub redirect_uris: Vec<String>,
    #[schema(max_items = 50)]
    pub post_logout_redirect_uris: Vec<String>,
    /// All it may ask for, separated by spaces.
    #[schema(pattern = r"^[ !#-\[\]-~]*$", example = "openid profile email offline_access")]
    pub scope: String,
    /// Whom its tokens may be for. Empty: the server's `tokens.audience`.
    #[schema(max_items = 50)]
    pub audience: Vec<String>,
    /// In seconds; `null` for the server's.
    #[schema(minimum = 1)]
    pub access_token_life: Option<i64>,
    /// In seconds; `null` for the server's.
    #[schema(minimum = 0, maximum = 60)]
    pub refresh_grace: Option<i64>,
    pub require_pkce: bool,
    /// Whether users are asked before it gets anything.
    pub require_consent: bool,
    /// Where it is told that a session of its has ended.
    pub backchannel_logout_uri: Option<String>,
    pub backchannel_logout_session_required: bool,
    /// The services for which it may exchange its users' tokens.
    #[schema(max_items = 50)]
    pub exchange_audiences: Vec<String>,
    /// Whether it must push its authorization requests (RFC 9126).
    pub require_pushed_authorization_requests: bool,
    /// Whether it gets no access token that is not bound to a key (RFC 9449 section 5.2).
    pub dpop_bound_access_tokens: bool,
    pub created_at: DateTime<Utc>,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        let texts = |uris: &[RedirectUri]| uris.iter().map(|uri| uri.as_str().to_owned()).collect();
        Self {
            client_id: client.id.to_string(),
            client_name: client.name.as_str().to_owned(),
            token_endpoint_auth_method: client.auth_method.into(),
            jwks: client.keys.as_ref().map(ClientKeys::to_json),
            grant_types: client.grant_types.iter().copied().map(GrantTypeView::from).collect(),
            redirect_uris: texts(&client.redirect_uris),
            post_logout_redirect_uris: texts(&client.post_logout_redirect_uris),
            scope: client.scopes.to_string(),
            audience: client.audiences.clone(),
            access_token_life: client.access_life.map(|life| life.num_seconds()),
            refresh_grace: client.refresh_grace.map(|grace| grace.num_seconds()),
            require_pkce: client.require_pkce,
            require_consent: client.require_consent,
            backchannel_logout_uri: client
                .backchannel_logout_uri
                .as_ref()
                .map(LogoutUri::as_str)
                .map(str::to_owned),
            backchannel_logout_session_required: client.backchannel_logout_session_required,
            exchange_audiences: client.exchange_audiences.clone(),
            require_pushed_authorization_requests: client.require_pushed,
            dpop_bound_access_tokens: client.dpop_bound_access_tokens,
            created_at: client.created_at,
        }
    }
}

/// A client that was registered just now, and its secret.
// No Debug: it holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = RegisteredClient)]
pub struct RegisteredClientView {
    #[serde(flatten)]
    pub client: ClientView,
    /// Told here and never again. Not there when the client has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    pub client_secret: Option<String>,
}

/// A client's new secret.
// No Debug: it holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientSecret)]
pub struct ClientSecretView {
    pub client_id: String,
    /// Told here and never again.
    #[schema(pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    pub client_secret: String,
    /// Until when earlier secrets are good, if they do not end before.
    pub old_until: DateTime<Utc>,
}

/// What a user has let an application have.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConsentView {
    pub client_id: String,
    pub client_name: String,
    /// Space separated.
    pub scope: String,
    pub granted_at: DateTime<Utc>,
}

/// One recorded event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditView {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    #[schema(example = "key_revoked")]
    pub event: String,
    #[schema(example = "user:01931c4e-0000-7000-8000-000000000000")]
    pub actor: String,
    /// The address it came from.
    pub source: Option<String>,
    /// Also in the log and in the answer the caller got.
    pub request_id: Option<Uuid>,
    /// The kid, user, client or session it was done to.
    pub subject: String,
    /// What else is known, by event.
    #[schema(value_type = Option<Object>)]
    pub detail: Option<serde_json::Value>,
}

impl From<&AuditRecord> for AuditView {
    fn from(record: &AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at,
            event: record.event.clone(),
            actor: record.actor.clone(),
            source: record.source.clone(),
            request_id: record.request_id,
            subject: record.subject.clone(),
            detail: record.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok()),
        }
    }
}

/// One login that goes on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionView {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
    /// The last login or refresh.
    pub last_used_at: DateTime<Utc>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// Whether it is the one asking.
    pub current: bool,
    /// Who holds its tokens: `chancery` after a login at `/auth`, `chancery:browser` for the hosted pages, or a client.
    #[schema(example = "chancery")]
    pub client_id: String,
}

impl SessionView {
    pub fn of(session: &Session, asking: SessionId) -> Self {
        Self {
            id: session.id.0,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            ip: session.ip.map(|ip| ip.to_string()),
            user_agent: session.user_agent.clone(),
            current: session.id == asking,
            client_id: session.client_id.to_string(),
        }
    }
}

/// A time as every answer writes it.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
