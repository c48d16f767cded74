use super::create_user::new_user;
use crate::app::App;
use crate::domain::accounts::{Roles, User};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::{DisplayName, Email};
use crate::flows::passwords::TooManyAttempts;
use crate::flows::passwords::charge_network_alone;
use crate::flows::passwords::{NewPasswordError, hash_new_password};
use crate::store::StoreError;
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::throttle::NetworkBudget;

/// Accounts that people make themselves.
const REGISTRATIONS: NetworkBudget = NetworkBudget::new("registration source");

/// A stranger's wish for an account.
pub struct SignUp<'a> {
    pub email: Email,
    pub password: &'a str,
    pub name: Option<DisplayName>,
    pub context: AuditContext,
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("registration is closed")]
    Closed,
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Password(#[from] NewPasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account without roles. Whoever asks for an address that has one gets the same answer after the same work,
/// and changes nothing: registration tells nobody who is registered (`docs/decisions/0005-registration-is-no-oracle.md`).
pub async fn sign_up(app: &App, request: SignUp<'_>) -> Result<User, SignUpError> {
    if !app.settings.registration {
        return Err(SignUpError::Closed);
    }
    let SignUp { email, password, name, context } = request;
    // Also for an address that is taken: it makes as much work.
    let policy = app.settings.max_registrations_per_network;
    charge_network_alone(app, &context, policy, REGISTRATIONS).await??;
    let hash = hash_new_password(app, password, &email, name.as_ref()).await?;
    let now = app.clock.now();
    let user = new_user(email, name, hash, Roles::default(), now);
    let mut tx = app.db.begin().await?;
    let event = match users::insert(&mut tx, &user).await? {
        true => AuditEvent::UserCreated,
        false => AuditEvent::RegistrationDuplicate,
    };
    audit::append(&mut tx, event, &context, &user.id.to_string(), None, now).await?;
    tx.commit().await?;
    Ok(user)
}
