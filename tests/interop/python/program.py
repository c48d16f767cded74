"""What this folder's programs share with scripts/interop: one line for each thing that was tried, which it reads and counts."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager

ISSUER, CLIENT_ID, CLIENT_SECRET = (os.environ[name] for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"))
REDIRECT_URI, BYE, EMAIL = (os.environ[name] for name in ("REDIRECT_URI", "BYE", "EMAIL"))
ALGORITHM = os.environ["ALGORITHM"]


@contextmanager
def check(what: str):
    try:
        yield
    except Exception as error:
        print(f"FAIL {what}: {error!r}", flush=True)
        sys.exit(1)
    print(f"ok {what}", flush=True)


def visit(address: str, *options: str) -> dict:
    told = subprocess.run(
        [*shlex.split(os.environ["DRIVER"]), address, *options], check=True, capture_output=True, text=True
    )
    return json.loads(told.stdout)
