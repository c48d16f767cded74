"""Applications as the pages of `docs/integrate/` have them, each a file that the page shows.

scripts/interop runs this, and its names are there. What is asked of each program is in `python/` and, with a browser, in `browser/`.
"""

import contextlib
import os
import re
import shlex
import subprocess
from pathlib import Path

import __main__ as interop

HERE = Path(__file__).resolve().parent
CHECKS = HERE / "python"
WEB = "--grant-type", "authorization_code", "--grant-type", "refresh_token"
ORDERS = "--scope", "orders:read", "--audience", "orders"

# The programs want 30 s left of a token, Authlib wants 60: so little more makes them refresh within seconds.
NODE_LIFE, PYTHON_LIFE = "32s", "62s"

# The pages whose commands are run, and the ports that they name.
PAGES = "express.md", "fastapi.md", "actix.md", "spa.md", "web-app.md", "mobile-cli.md", "service-to-service.md"
PORTS = "3000", "3001", "3002", "3003", "5173"
CALLERS = PAGES[3:]  # they call an API on port 3001


class Apps:
    def __init__(self, clients: "interop.Clients"):
        self.clients = clients
        self.all = {
            "page-spa": self.spa,
            "page-web-node": self.web_node,
            "page-web-flask": self.web_flask,
            "page-cli": self.cli,
            "page-service": self.service,
            "page-commands": self.commands,
        }

    def spa(self) -> None:
        c = self.clients
        chromium, folder, port = c.chromium(), c.npm("browser"), interop.free_port()
        at = f"http://localhost:{port}/"
        spa = c.public(c.chancery, "page-spa", at, at, *ORDERS, "--access-token-ttl", NODE_LIFE)
        server, api = self.express(c.chancery, ORIGIN=at[:-1])
        env = c.user(c.chancery, "page-spa") | c.admin() | chromium | {
            "SPA_ID": spa, "PORT": str(port), "API": f"http://127.0.0.1:{api}",
        }
        c.program("page-spa", ["node", "page-spa.js"], folder, env)
        self.stop(server)

    def express(self, chancery: "interop.Chancery", **settings: str) -> tuple["interop.Process", int]:
        """The API that the applications call, and its port."""
        run, port = self.clients.run, interop.free_port()
        env = {"CHANCERY_ISSUER": chancery.issuer, "AUDIENCE": "orders", "PORT": str(port), **settings}
        folder, log = interop.EXAMPLES / "express-api", run.scratch / f"express-{port}.log"
        server = interop.Process("express", ["node", "server.js"], interop.clean_env() | env, folder, log)
        run.processes.append(server)
        server.wait_for(port, "/healthz")
        return server, port

    def stop(self, server: "interop.Process") -> None:
        self.clients.run.processes.remove(server)
        server.stop()

    def web_node(self) -> None:
        folder = self.clients.npm("web-node")
        self.web_app("page-web-node", ["node", folder / "app.js"], NODE_LIFE)

    def web_flask(self) -> None:
        python = self.clients.pip("python")
        self.web_app("page-web-flask", [*python, HERE / "web-flask" / "app.py"], PYTHON_LIFE)

    def web_app(self, name: str, argv: list, life: str) -> None:
        c, at = self.clients, "http://127.0.0.1"
        client, secret = c.register(
            c.chancery, name, *WEB, *ORDERS, "--no-consent", "--access-token-ttl", life,
            "--redirect-uri", f"{at}/callback", "--post-logout-redirect-uri", f"{at}/",
        )
        env = c.user(c.chancery, name) | c.admin() | {"CLIENT_ID": client, "CLIENT_SECRET": secret}
        c.program(name, [*c.pip("python"), CHECKS / "web_app.py", *argv], HERE, env)

    def cli(self) -> None:
        c = self.clients
        client = c.public(
            c.chancery, "page-cli", "http://127.0.0.1/callback", c.BYE, *ORDERS, "--access-token-ttl", PYTHON_LIFE,
            "--redirect-uri", "com.example.orders:/callback",
        )
        env = c.user(c.chancery, "page-cli") | c.admin() | {"CLIENT_ID": client, "CLIENT_SECRET": ""}
        c.program("page-cli", [*c.pip("python"), CHECKS / "cli.py"], HERE, env)

    def service(self) -> None:
        c, python, home = self.clients, self.clients.pip("python"), self.clients.run.scratch / "service"
        home.mkdir()
        interop.shown(*python, HERE / "service" / "make_key.py", cwd=home)
        own = *ORDERS, "--grant-type", "client_credentials", "--access-token-ttl", NODE_LIFE
        _, secret = c.register(c.chancery, "reports", *own)
        key = "--auth-method", "private_key_jwt", "--jwks", str(home / "reports-jwks.json")
        c.register(c.chancery, "keyed", *own, *key)
        _, exchange_secret = c.register(
            c.chancery, "shop-api", "--grant-type", "urn:ietf:params:oauth:grant-type:token-exchange",
            "--scope", "orders:read", "--audience", "chancery", "--exchange-audience", "orders",
        )
        clerk = "clerk@example.test", "--role", "clerk"
        c.chancery.command("users", "create", *clerk, "--password-stdin", said=f"{c.run.password}\n")
        env = c.user(c.chancery, "page-service") | c.admin() | {
            "EMAIL": "clerk@example.test",
            "CLIENT_ID": "reports", "CLIENT_SECRET": secret,
            "KEY_ID": "keyed", "KEY_FILE": str(home / "reports-key.json"),
            "EXCHANGE_ID": "shop-api", "EXCHANGE_SECRET": exchange_secret,
        }
        c.program("page-service", [*python, CHECKS / "service.py"], HERE, env)

    # -------------------------------------------------------------- the pages' commands

    def commands(self) -> None:
        """Each page as its reader tries it: a folder with a server of default settings, the page's files, its commands."""
        for name in PAGES:
            c = self.clients
            chancery = interop.Chancery(c.run.binary, c.run.scratch / f"try-{name}", c.run.processes).start()
            ports = {port: interop.free_port() for port in PORTS}
            servers = [chancery.process]
            if name in CALLERS:
                server, ports["3001"] = self.express(chancery)
                servers.append(server)
            text = (interop.ROOT / "docs" / "integrate" / name).read_text().replace(":8080", f":{chancery.port}")
            text = re.sub(rf"\b({'|'.join(ports)})\b", lambda found: str(ports[found[0]]), text)
            script, expected = page_script(text, chancery.home)
            said, at = shell(script, chancery), 0
            for answer in expected:
                found = said.find(answer, at)
                c.check("page-commands", f"{name}: {answer}", found >= 0, said[at:][-2000:])
                at = max(at, found + len(answer))
            ok = said.endswith("\nall done\n")
            c.check("page-commands", f"{name}: its commands, to their end", ok, said[-2000:])
            for server in servers:
                self.stop(server)


def page_script(page: str, home: Path) -> tuple[str, list[str]]:
    """The page's files, written; its commands; and what it says they answer: comments that begin with a digit or a brace."""
    script, expected, name = ["set -euo pipefail"], [], None
    shown = re.compile(
        r"(`(?P<path>[^`\n]+)`:\n\n<!-- file: [^\n]* -->\n|(?P<skip><!-- not run[^\n]*-->\n))?"
        r"```(?P<kind>\w*)\n(?P<body>.*?)^```$",
        re.S | re.M,
    )
    for block in shown.finditer(page):
        if block["path"]:
            # Written when its turn comes, for commands may make the folder.
            file = home / "files" / block["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["body"])
            path = shlex.quote(block["path"])
            script.append(f"mkdir -p $(dirname {path}) && cp files/{path} {path}")
        elif block["kind"] == "sh" and not block["skip"]:
            script.append(block["body"])
            expected += re.findall(r"^# ([\d{][^…\n]*)", block["body"], re.M)
    return "\n".join([*script, "echo", "echo all done"]), expected


def shell(script: str, chancery) -> str:
    """Runs it with `chancery` on the PATH, and ends what it has left running."""
    tools = chancery.home / "tools"
    tools.mkdir()
    (tools / "chancery").symlink_to(chancery.binary)
    driver = shlex.join([interop.sys.executable, str(HERE / "driver.py")])
    env = chancery.env({}) | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(chancery.home / "config"),
        # What was built by an earlier run is kept.
        "CARGO_TARGET_DIR": str(interop.TARGET / "interop" / "orders-api"),
        "BROWSER": f"{driver} %s", "COOKIES": str(chancery.home / "cookies"),
        "EMAIL": "ada@example.com", "PASSWORD": "a rather long password",
    }
    log = chancery.home / "commands.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            ["bash", "-c", script], env=env, cwd=chancery.home, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )
    try:
        child.wait(900)
    finally:
        # Its servers are in the same group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, interop.signal.SIGTERM)
    return log.read_text(errors="replace")
