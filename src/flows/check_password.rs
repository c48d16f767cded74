use crate::app::App;
use crate::domain::{CandidatePassword, User};
use crate::passwords::{Busy, Checked};

/// The one place where a password is checked. An unknown user, a disabled user and a wrong password are all `Wrong` after
/// the same work; a candidate that no password can be (`None`) is `Wrong` at once, for every user alike.
pub(super) async fn check_password(
    app: &App,
    user: Option<&User>,
    candidate: Option<CandidatePassword>,
) -> Result<Checked, Busy> {
    let Some(candidate) = candidate else { return Ok(Checked::Wrong) };
    let checked = app.hasher.check(candidate, user.map(|user| user.password_hash.clone())).await?;
    Ok(if user.is_some_and(User::may_act) { checked } else { Checked::Wrong })
}
