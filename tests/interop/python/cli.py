"""The command line tool of docs/integrate/mobile-cli.md, and an app with a scheme of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from authlib.integrations.requests_client import OAuth2Session

from pages import INTEROP, Recorder, end_all_sessions, express, part, rotate
from program import CLIENT_ID, ISSUER, check, visit

SCHEME = "com.example.orders:/callback"


def main() -> None:
    with express() as api, tempfile.TemporaryDirectory() as home:
        tool(Recorder(api), Path(home))
    scheme()
    print("done")


def tool(recorder: Recorder, home: Path) -> None:
    env = os.environ | {
        "API": recorder.address,
        "XDG_CONFIG_HOME": str(home),
        "BROWSER": f"{os.environ['DRIVER']} %s",  # what `webbrowser` opens
    }

    def run(command: str) -> subprocess.CompletedProcess:
        argv = [sys.executable, str(INTEROP / "cli" / "orders.py"), command]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)

    def works(command: str) -> str:
        done = run(command)
        assert done.returncode == 0, done
        return done.stdout

    def orders() -> str:
        assert json.loads(works("list"))["service"] == "express"
        return recorder.tokens[-1]

    with check("asks to log in first"):
        assert "orders.py login" in run("list").stderr
    with check("signs in by a loopback address with a port of its own choice"):
        assert "signed in" in works("login")
    store = home / "orders-cli" / "token.json"
    with check("keeps its tokens to its user"):
        assert store.stat().st_mode & 0o077 == 0
    with check("calls the API"):
        first = orders()
        assert "orders" in part(first, 1)["aud"], part(first, 1)
    rotate()
    with check("goes on after a forced rotation"):
        orders()
    time.sleep(3)
    with check("refreshes in time, by the new key, and keeps the new tokens"):
        before = json.loads(store.read_text())
        second = orders()
        after = json.loads(store.read_text())
        assert part(second, 0)["kid"] != part(first, 0)["kid"]
        assert after["access_token"] == second and after["refresh_token"] != before["refresh_token"]
    with check("logs out, which ends the session"):
        last = store.read_text()
        works("logout")
        assert not store.exists()
        store.write_text(last)
        time.sleep(3)
        done = run("list")
        assert done.returncode != 0 and "orders.py login" in done.stderr and not store.exists(), done
    with check("says so when the session was ended elsewhere"):
        works("login")
        end_all_sessions()
        time.sleep(3)
        done = run("list")
        assert done.returncode != 0 and "orders.py login" in done.stderr, done


def scheme() -> None:
    """An app that the system opens for its own scheme: the driver stops there, as a browser would."""
    with check("an app with a scheme of its own gets the code"):
        app = OAuth2Session(
            CLIENT_ID, redirect_uri=SCHEME, scope="openid offline_access", code_challenge_method="S256",
            token_endpoint_auth_method="none",
        )
        metadata = app.get(f"{ISSUER}/.well-known/openid-configuration", withhold_token=True).json()
        verifier = "v" * 64
        address, state = app.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
        end = visit(address, "--until", SCHEME)
        answer = parse_qs(urlsplit(end["address"]).query)
        assert answer["state"] == [state] and answer["iss"] == [ISSUER], answer
    with check("and tokens for it"):
        token = app.fetch_token(
            metadata["token_endpoint"], authorization_response=end["address"], state=state, code_verifier=verifier
        )
        assert token["refresh_token"] and token["id_token"]


main()
