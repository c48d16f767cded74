"""A web app whose users sign in with Chancery. The browser gets a session cookie and never sees a token."""

import os
import secrets

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for
from markupsafe import escape

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8080")
API = os.environ.get("API", "http://127.0.0.1:3001")

app = Flask(__name__)
app.secret_key = os.environ["SESSION_SECRET"]
app.config.update(
    SESSION_COOKIE_HTTPONLY=True,
    SESSION_COOKIE_SAMESITE="Lax",
    SESSION_COOKIE_SECURE=os.environ.get("HTTPS") == "1",
)

# Flask's session is a cookie, so the tokens stay here, under a key that the cookie has. A dict is for one process; in
# production use a table or Redis.
tokens: dict[str, dict] = {}


def keep(token: dict, **_) -> None:
    """Called with each refresh, too; an answer that brings no new ID token leaves the old one."""
    tokens[session["key"]] = tokens.get(session["key"], {}) | token


oauth = OAuth(app)
chancery = oauth.register(
    "chancery",
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_id=os.environ.get("CLIENT_ID", "shop"),
    client_secret=os.environ["CLIENT_SECRET"],
    client_kwargs={"code_challenge_method": "S256"},  # PKCE is asked of every client
    fetch_token=lambda: tokens.get(session.get("key")),
    update_token=keep,
)


@app.get("/")
def home():
    if user := session.get("user"):
        return f'Hello {escape(user["name"] or user["email"])}. <a href="/logout">Sign out</a>'
    return '<a href="/login">Sign in</a>'


@app.get("/login")
def login():
    # Not in client_kwargs, from where Authlib would repeat it with each refresh: a user may have been given less.
    scope = "openid profile email offline_access orders:read"
    return chancery.authorize_redirect(url_for("callback", _external=True), scope=scope)


@app.get("/callback")
def callback():
    try:
        # Checks state, PKCE, nonce and the ID token.
        token = chancery.authorize_access_token()
    except OAuthError as error:
        if error.error == "access_denied":
            return redirect("/")
        raise
    user = chancery.userinfo(token=token)
    session.clear()
    session["key"] = secrets.token_urlsafe(32)
    # Know people by `sub`; names and addresses change.
    session["user"] = {name: user.get(name) for name in ("sub", "name", "email")}
    keep(token)
    return redirect("/")


@app.get("/orders")
def orders():
    """Something the app does for its user at an API. Authlib refreshes the access token when it is about to expire."""
    if session.get("key") not in tokens:
        return redirect("/login")
    answer = chancery.get(f"{API}/orders")
    return answer.text, answer.status_code


@app.get("/logout")
def logout():
    token = tokens.pop(session.get("key"), {})
    session.clear()
    there = chancery.create_logout_url(url_for("home", _external=True), id_token_hint=token.get("id_token"))
    return redirect(there["url"])


@app.errorhandler(OAuthError)
def over(error: OAuthError):
    # The session at Chancery is over: signed out elsewhere, or too old.
    if error.error == "invalid_grant":
        tokens.pop(session.get("key"), None)
        session.clear()
        return redirect("/login")
    app.logger.error("%s", error)
    return "Something went wrong.", 500


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
