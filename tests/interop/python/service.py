"""The services of docs/integrate/service-to-service.md."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import requests

from pages import INTEROP, Recorder, express, log_in, part, rotate
from program import CLIENT_ID, EMAIL, ISSUER, check

FOLDER = INTEROP / "service"


def main() -> None:
    with express() as api:
        recorder = Recorder(api)
        in_its_own_name(recorder)
        for_a_user(api)
    print("done")


@contextmanager
def module(file: str, **env: str):
    """A page's program as a module of its own, with these settings."""
    os.environ.update(env)
    spec = importlib.util.spec_from_file_location(file, FOLDER / f"{file}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    for name in env:
        del os.environ[name]


def in_its_own_name(recorder: Recorder) -> None:
    env = os.environ | {"API": recorder.address}
    with check("runs as a program, with a secret"):
        done = subprocess.run([sys.executable, FOLDER / "reports.py"], env=env, capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout)["sub"] == CLIENT_ID, done
    with check("runs as a program, with a key"):
        keyed = env | {"CLIENT_ID": os.environ["KEY_ID"], "CLIENT_KEY": os.environ["KEY_FILE"]}
        keyed.pop("CLIENT_SECRET")
        done = subprocess.run([sys.executable, FOLDER / "reports.py"], env=keyed, capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout)["sub"] == os.environ["KEY_ID"], done
    with module("reports", API=recorder.address) as reports:
        with check("fetches a token once"):
            first = [reports.orders() and recorder.tokens[-1] for _ in range(3)]
            assert len(set(first)) == 1 and part(first[0], 1)["aud"] == "orders", part(first[0], 1)
        rotate()
        with check("goes on after a forced rotation, with the token from before"):
            reports.orders()
            assert recorder.tokens[-1] == first[0]
        with check("fetches another before the token ends, by the new key"):
            time.sleep(3)
            reports.orders()
            assert part(recorder.tokens[-1], 0)["kid"] != part(first[0], 0)["kid"]
        with check("fetches another when the API refuses one"):
            last, recorder.refusing = recorder.tokens[-1], 1
            reports.orders()
            assert recorder.tokens[-2] == last != recorder.tokens[-1]
        with check("gets no token for a service it is not registered for"):
            elsewhere = reports.Tokens("orders:read", "payments")
            try:
                elsewhere.get()
            except Exception as error:
                assert getattr(error, "error", None) == "invalid_target", error
            else:
                raise AssertionError("it got one")


def for_a_user(api: str) -> None:
    user = log_in(EMAIL, os.environ["PASSWORD"])
    secret = os.environ["EXCHANGE_SECRET"]
    with module("exchange", CLIENT_ID=os.environ["EXCHANGE_ID"], CLIENT_SECRET=secret) as exchange:
        with check("exchanges its user's token for one of the other service"):
            token = exchange.exchanged(user, "orders", "orders:read")
            claims = part(token, 1)
            assert claims["aud"] == "orders" and claims["act"]["sub"] == os.environ["EXCHANGE_ID"], claims
            assert claims["sub"] == part(user, 1)["sub"] and claims["scope"] == "orders:read", claims
        with check("which takes it, and not the user's own"):
            assert ask(api, token) == 200 and ask(api, user) == 401
        with check("a token that is not good gives none"):
            try:
                exchange.exchanged("nobody", "orders", "orders:read")
            except PermissionError as error:
                assert str(error) == "invalid_request" or str(error) == "invalid_grant", error
            else:
                raise AssertionError("it did")


def ask(api: str, token: str) -> int:
    return requests.get(f"{api}/orders", headers={"authorization": f"Bearer {token}"}, timeout=5).status_code


main()
