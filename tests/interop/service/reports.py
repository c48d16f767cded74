"""A service that calls another one, in its own name (RFC 6749, section 4.4)."""

import json
import os
import threading
import time
from pathlib import Path

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8080")
CLIENT_ID = os.environ.get("CLIENT_ID", "reports")
API = os.environ.get("API", "http://127.0.0.1:3001")
EARLY = 30  # seconds before its end that a token is replaced


def client(metadata: dict) -> OAuth2Session:
    """By CLIENT_KEY, a file with a private key, or else by CLIENT_SECRET."""
    if "CLIENT_KEY" not in os.environ:
        return OAuth2Session(CLIENT_ID, os.environ["CLIENT_SECRET"])
    key = ECKey.import_key(json.loads(Path(os.environ["CLIENT_KEY"]).read_text()))
    session = OAuth2Session(CLIENT_ID, key, token_endpoint_auth_method="private_key_jwt")
    # Authlib's own proofs live for an hour; Chancery takes none that is good for more than five minutes.
    proof = {"exp": int(time.time()) + 60}
    session.register_client_auth_method(
        PrivateKeyJWT(metadata["token_endpoint"], proof, headers={"kid": key.kid}, alg="ES256")
    )
    return session


class Tokens:
    """One token for all threads, fetched when it is first needed and again shortly before it expires."""

    def __init__(self, scope: str, resource: str):
        self.wish = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
        self.lock = threading.Lock()
        self.metadata = self.token = None

    def get(self, refused: str | None = None) -> str:
        """`refused`: a token that the service has just answered 401; it is not given again."""
        with self.lock:
            if self.token is None or self.token["access_token"] == refused or self.is_old():
                if self.metadata is None:
                    answer = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=5)
                    answer.raise_for_status()
                    self.metadata = answer.json()
                with client(self.metadata) as session:
                    self.token = session.fetch_token(self.metadata["token_endpoint"], timeout=5, **self.wish)
            return self.token["access_token"]

    def is_old(self) -> bool:
        return time.time() > self.token["expires_at"] - EARLY


tokens = Tokens("orders:read", "orders")


def orders() -> dict:
    token = tokens.get()
    answer = requests.get(f"{API}/orders", headers={"authorization": f"Bearer {token}"}, timeout=5)
    if answer.status_code == 401:  # once more, with a new one: its key may have been revoked
        token = tokens.get(refused=token)
        answer = requests.get(f"{API}/orders", headers={"authorization": f"Bearer {token}"}, timeout=5)
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    print(json.dumps(orders()))
