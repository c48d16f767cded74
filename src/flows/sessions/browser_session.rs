use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::User;
use crate::domain::sessions::Session;
use crate::store::accounts::users;
use crate::store::{StoreError, sessions};
use crate::tokens::BrowserToken;

/// Somebody who is signed in in a browser.
pub struct BrowserUser {
    pub session: Session,
    pub user: User,
}

/// Who is signed in, by what the browser's cookie holds. Whatever is not genuine, or over, is nobody.
pub(in crate::flows) async fn browser_user_of(
    app: &App,
    cookie: Option<&str>,
) -> Result<Option<BrowserUser>, StoreError> {
    let Some(id) = cookie.and_then(|cookie| BrowserToken::open(&app.master_keys, cookie)) else {
        return Ok(None);
    };
    let mut conn = app.db.read().await?;
    let (limits, now) = (&app.settings.sessions, app.clock.now());
    let session = sessions::by_id(&mut conn, id).await?;
    let session =
        session.filter(|session| session.client_id == ClientId::browser() && session.is_live(limits, now));
    let Some(session) = session else { return Ok(None) };
    let user = users::by_id(&mut conn, session.user_id).await?;
    Ok(user.filter(User::may_act).map(|user| BrowserUser { session, user }))
}
