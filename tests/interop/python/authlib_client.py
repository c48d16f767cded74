"""Authlib: its Flask client, which finds everything by discovery, and its session for the rest."""

import secrets
import threading

from authlib.integrations.flask_client import OAuth
from authlib.integrations.requests_client import OAuth2Session
from flask import Flask, redirect, session, url_for
from werkzeug.serving import make_server

from program import ALGORITHM, CLIENT_ID, CLIENT_SECRET, EMAIL, ISSUER, check, visit

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
oauth = OAuth(app)
chancery = oauth.register(
    "chancery",
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_id=CLIENT_ID,
    client_secret=CLIENT_SECRET,
    client_kwargs={"scope": "openid profile email offline_access", "code_challenge_method": "S256"},
)
got = []


@app.get("/login")
def login():
    return chancery.authorize_redirect(url_for("callback", _external=True))


@app.get("/cb")
def callback():
    # The library checks state, nonce, PKCE and the ID token, and fetches the keys itself.
    got.append(chancery.authorize_access_token())
    session["email"] = got[-1]["userinfo"]["email"] if "email" in got[-1]["userinfo"] else chancery.userinfo()["email"]
    return redirect("/")


@app.get("/")
def home():
    return session.get("email", "nobody")


def main() -> None:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.port}"

    with check("the Flask client signs in: discovery, code, PKCE, nonce, ID token"):
        end = visit(f"{at}/login")
        assert end["status"] == 200 and end["page"] == EMAIL, end
    [token] = got
    claims = token["userinfo"]
    with check("the ID token is from here and for us"):
        assert claims["iss"] == ISSUER and CLIENT_ID in [claims["aud"], *claims["aud"]], claims
    with check("whoever is signed in already is not asked again"):
        end = visit(f"{at}/login")
        assert end["page"] == EMAIL and len(got) == 2, end
        assert got[1]["userinfo"]["auth_time"] == claims["auth_time"]

    metadata = chancery.load_server_metadata()
    with check("the keys sign with what discovery names"):
        assert ALGORITHM in metadata["id_token_signing_alg_values_supported"], metadata
    endpoint = metadata["token_endpoint"]
    own = OAuth2Session(CLIENT_ID, CLIENT_SECRET, token=token, token_endpoint=endpoint)
    with check("refresh"):
        fresh = own.refresh_token(endpoint)
        assert fresh["refresh_token"] != token["refresh_token"], fresh
    with check("userinfo with the fresh token"):
        info = own.get(metadata["userinfo_endpoint"])
        assert info.status_code == 200 and info.json()["sub"] == claims["sub"], info.text
    with check("a session that refreshes by itself"):
        expired = OAuth2Session(
            CLIENT_ID, CLIENT_SECRET, token=fresh | {"expires_at": 1}, token_endpoint=endpoint
        )
        info = expired.get(metadata["userinfo_endpoint"])
        assert info.status_code == 200 and expired.token["access_token"] != fresh["access_token"], info.text
    with check("introspection"):
        answer = own.introspect_token(metadata["introspection_endpoint"], token=expired.token["access_token"])
        assert answer.json()["active"] is True, answer.text
    with check("revocation"):
        answer = own.revoke_token(metadata["revocation_endpoint"], token=expired.token["refresh_token"])
        assert answer.status_code == 200, answer.text
        answer = own.introspect_token(metadata["introspection_endpoint"], token=expired.token["refresh_token"])
        assert answer.json() == {"active": False}, answer.text
    with check("client credentials"):
        service = OAuth2Session(CLIENT_ID, CLIENT_SECRET, scope="orders:read")
        answer = service.fetch_token(endpoint, grant_type="client_credentials")
        assert answer["scope"] == "orders:read" and "refresh_token" not in answer, answer
    print("done")


main()
