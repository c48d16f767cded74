"""What the checks of the pages in docs/integrate share: a page's program as a child, the Express example as the API it calls, and
an administrator who rotates keys."""

import json
import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from program import ISSUER

INTEROP = Path(__file__).resolve().parent.parent
EXPRESS = INTEROP.parent.parent / "examples" / "express-api"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(argv: list, path: str, **env: str):
    """A server as a child, on a port that PORT tells it; where it is, as soon as it answers at `path`."""
    port = free_port()
    child = subprocess.Popen(
        argv, env=os.environ | env | {"PORT": str(port)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        cwd=Path(argv[-1]).parent,
    )
    try:
        for _ in range(150):
            if child.poll() is not None:
                raise SystemExit(f"{argv} ended with {child.returncode}")
            try:
                if requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200:
                    break
            except requests.ConnectionError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"{argv} does not answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(10)


def express(audience: str = "orders"):
    return running(["node", str(EXPRESS / "server.js")], "/healthz", CHANCERY_ISSUER=ISSUER, AUDIENCE=audience)


class Recorder(ThreadingHTTPServer):
    """Stands before an API and notes the tokens that come by. `refusing` of them it answers 401 itself."""

    def __init__(self, api: str):
        super().__init__(("127.0.0.1", 0), Forward)
        self.api, self.tokens, self.refusing = api, [], 0
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Forward(BaseHTTPRequestHandler):
    def do_GET(self):
        authorization = self.headers.get("authorization", "")
        self.server.tokens.append(authorization.removeprefix("Bearer "))
        if self.server.refusing:
            self.server.refusing -= 1
            status, body = 401, b""
        else:
            answer = requests.get(self.server.api + self.path, headers={"authorization": authorization}, timeout=10)
            status, body = answer.status_code, answer.content
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def call(path: str, body: dict, token: str | None = None) -> dict:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = requests.post(ISSUER + path, json=body, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json() if answer.content else {}


def log_in(email: str, password: str) -> str:
    return call("/auth/login", {"email": email, "password": password})["access_token"]


def rotate() -> None:
    admin = log_in(os.environ["ADMIN"], os.environ["ADMIN_PASSWORD"])
    call("/admin/keys/rotate", {"force": True, "reason": "interop"}, admin)


def end_all_sessions() -> None:
    call("/auth/logout", {"all": True}, log_in(os.environ["EMAIL"], os.environ["PASSWORD"]))


def part(token: str, index: int) -> dict:
    from authlib.common.encoding import urlsafe_b64decode

    return json.loads(urlsafe_b64decode(token.split(".")[index].encode()))
