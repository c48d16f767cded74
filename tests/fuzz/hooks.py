"""What Schemathesis needs to know of Chancery: how to be an administrator for as long as the run lasts.

The cases are made from real answers, so sooner or later one of them disables the administrator, sets their password or
revokes the key of their token. Then another one is made, on the command line, as an operator would.
"""

import itertools
import json
import os
import subprocess
import urllib.error
import urllib.request

import schemathesis

BASE = os.environ["FUZZ_BASE"]
CHANCERY = os.environ["FUZZ_CHANCERY"]
PASSWORD = "a password for the fuzzer"

numbers = itertools.count(1)


def ask(path: str, body=None, token=None) -> dict:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(BASE + path, data, headers), timeout=20) as answer:
        return json.load(answer)


def new_admin() -> str:
    email = f"admin{next(numbers)}.{os.getpid()}@fuzz.test"
    command = [CHANCERY, "users", "create", email, "--admin", "--password-stdin"]
    subprocess.run(command, input=PASSWORD.encode(), check=True, capture_output=True, timeout=60)
    return ask("/auth/login", {"email": email, "password": PASSWORD})["access_token"]


@schemathesis.auth(refresh_interval=None)
class Administrator:
    token = None

    def get(self, case, context):
        if Administrator.token is None or not self.is_good():
            Administrator.token = new_admin()
        return Administrator.token

    def is_good(self) -> bool:
        try:
            return bool(ask("/auth/me", token=Administrator.token))
        except urllib.error.HTTPError:
            return False

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}
