"""A service that calls another one for the user who has called it (RFC 8693).

What it got was a token for itself. It must not pass that on: it exchanges it for one that is good at the other service only.
"""

import os
import sys

import requests

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8080")
CLIENT = os.environ.get("CLIENT_ID", "shop-api"), os.environ["CLIENT_SECRET"]


def exchanged(token: str, audience: str, scope: str) -> str:
    answer = requests.post(
        f"{ISSUER}/oauth2/token",
        auth=CLIENT,
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "audience": audience,
            "scope": scope,
        },
        timeout=5,
    )
    if answer.status_code == 400:
        # The user's token is not good any more, or does not give this: say 401 or 403 to whoever has sent it.
        raise PermissionError(answer.json()["error"])
    answer.raise_for_status()
    return answer.json()["access_token"]


if __name__ == "__main__":
    print(exchanged(sys.stdin.read().strip(), "orders", "orders:read"))
