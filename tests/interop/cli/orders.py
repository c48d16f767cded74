"""A command line tool whose user signs in with Chancery, in the browser.

orders.py login      opens the browser and waits for it to come back
orders.py list       calls the API, with a fresh token if need be
orders.py logout     ends the session
"""

import json
import os
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8080")
CLIENT_ID = os.environ.get("CLIENT_ID", "orders-cli")
API = os.environ.get("API", "http://127.0.0.1:3001")
STORE = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "orders-cli" / "token.json"
WAIT = 300  # seconds for the user to sign in


def save(token: dict, **_) -> None:
    """Readable by this user only. With the keyring package it could go to the system's keychain instead."""
    STORE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = STORE.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(token, file)
    fresh.replace(STORE)


def session(**options) -> tuple[OAuth2Session, dict]:
    client = OAuth2Session(
        CLIENT_ID,
        code_challenge_method="S256",
        token_endpoint_auth_method="none",  # whoever has the program has what is in it: no secret
        update_token=save,
        **options,
    )
    metadata = client.get(f"{ISSUER}/.well-known/openid-configuration", withhold_token=True).json()
    client.metadata["token_endpoint"] = metadata["token_endpoint"]
    return client, metadata


class Callback(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/callback?"):
            self.server.answer = self.path
        self.send_response(200 if self.server.answer else 404)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"You may close this window and go back to the terminal.")

    def log_message(self, *_):
        pass  # it would write the code to the terminal


def login() -> None:
    # Port 0: any that is free. The address is a number, because `localhost` may be somewhere else.
    server = HTTPServer(("127.0.0.1", 0), Callback)
    server.answer, server.timeout = None, WAIT
    redirect_uri = f"http://127.0.0.1:{server.server_port}/callback"
    client, metadata = session(redirect_uri=redirect_uri)
    verifier = generate_token(64)
    address, state = client.create_authorization_url(
        metadata["authorization_endpoint"],
        scope="openid offline_access orders:read",
        code_verifier=verifier,
    )
    print(f"Sign in at\n\n    {address}\n", flush=True)
    # Some browsers keep the terminal until they are closed.
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
    server.handle_request()
    if server.answer is None:
        sys.exit("nobody signed in")
    answer = dict(parse_qsl(urlsplit(server.answer).query))
    if answer.get("state") != state or answer.get("iss") != ISSUER:
        sys.exit("that was no answer to this question")
    if "error" in answer:
        sys.exit(f"{answer['error']}: {answer.get('error_description', '')}")
    token = client.fetch_token(
        metadata["token_endpoint"],
        grant_type="authorization_code",
        code=answer["code"],
        code_verifier=verifier,
    )
    save(token)
    print("signed in")


def signed_in() -> tuple[OAuth2Session, dict]:
    if not STORE.exists():
        sys.exit("please run: orders.py login")
    return session(token=json.loads(STORE.read_text()))


def orders() -> None:
    client, _ = signed_in()
    answer = client.get(f"{API}/orders")  # refreshes first, when the token is about to expire
    if answer.status_code != 200:
        sys.exit(f"{API} answered {answer.status_code}")
    print(answer.text)


def logout() -> None:
    client, metadata = signed_in()
    client.revoke_token(metadata["revocation_endpoint"], client.token["refresh_token"], "refresh_token")
    STORE.unlink()
    print("signed out")


COMMANDS = {"login": login, "list": orders, "logout": logout}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        COMMANDS[sys.argv[1]]()
    except OAuthError as error:
        if error.error == "invalid_grant":  # the session is over
            STORE.unlink(missing_ok=True)
            sys.exit("please run: orders.py login")
        sys.exit(f"{error.error}: {error.description}")
