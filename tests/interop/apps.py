"""Applications as the pages of `docs/integrate/` have them, each a file that the page shows.

scripts/interop runs this, and its names are there. What is asked of each program is in `python/` and, with a browser, in `browser/`.
"""

from pathlib import Path

import __main__ as interop

HERE = Path(__file__).resolve().parent
CHECKS = HERE / "python"
WEB = "--grant", "authorization_code", "--grant", "refresh_token"
ORDERS = "--scope", "orders:read", "--audience", "orders"

# The programs want 30 s left of a token, Authlib wants 60: so little more makes them refresh within seconds.
NODE_LIFE, PYTHON_LIFE = "32s", "62s"


class Apps:
    def __init__(self, clients: "interop.Clients"):
        self.clients = clients
        self.all = {
            "page-spa": self.spa,
            "page-web-node": self.web_node,
            "page-web-flask": self.web_flask,
            "page-cli": self.cli,
            "page-service": self.service,
        }

    def spa(self) -> None:
        c = self.clients
        chromium, folder, port = c.chromium(), c.npm("browser"), interop.free_port()
        at = f"http://localhost:{port}/"
        spa = c.public(c.chancery, "page-spa", at, at, *ORDERS, "--access-token-life", NODE_LIFE)
        env = c.user(c.chancery, "page-spa") | c.admin() | chromium | {"SPA_ID": spa, "PORT": str(port)}
        c.program("page-spa", ["node", "page-spa.js"], folder, env)

    def web_node(self) -> None:
        folder = self.clients.npm("web-node")
        self.web_app("page-web-node", ["node", folder / "app.js"], NODE_LIFE)

    def web_flask(self) -> None:
        python = self.clients.pip("python")
        self.web_app("page-web-flask", [*python, HERE / "web-flask" / "app.py"], PYTHON_LIFE)

    def web_app(self, name: str, argv: list, life: str) -> None:
        c, at = self.clients, "http://127.0.0.1"
        client, secret = c.register(
            c.chancery, name, *WEB, *ORDERS, "--no-consent", "--access-token-life", life,
            "--redirect-uri", f"{at}/callback", "--post-logout-redirect-uri", f"{at}/",
        )
        env = c.user(c.chancery, name) | c.admin() | {"CLIENT_ID": client, "CLIENT_SECRET": secret}
        c.program(name, [*c.pip("python"), CHECKS / "web_app.py", *argv], HERE, env)

    def cli(self) -> None:
        c = self.clients
        client = c.public(
            c.chancery, "page-cli", "http://127.0.0.1/callback", c.BYE, *ORDERS, "--access-token-life", PYTHON_LIFE,
            "--redirect-uri", "com.example.orders:/callback",
        )
        env = c.user(c.chancery, "page-cli") | c.admin() | {"CLIENT_ID": client, "CLIENT_SECRET": ""}
        c.program("page-cli", [*c.pip("python"), CHECKS / "cli.py"], HERE, env)

    def service(self) -> None:
        c, python, home = self.clients, self.clients.pip("python"), self.clients.run.scratch / "service"
        home.mkdir()
        interop.shown(*python, HERE / "service" / "make_key.py", cwd=home)
        own = *ORDERS, "--grant", "client_credentials", "--access-token-life", NODE_LIFE
        _, secret = c.register(c.chancery, "reports", *own)
        key = "--auth-method", "private_key_jwt", "--jwks", str(home / "reports-jwks.json")
        c.register(c.chancery, "keyed", *own, *key)
        _, exchange_secret = c.register(
            c.chancery, "shop-api", "--grant", "urn:ietf:params:oauth:grant-type:token-exchange",
            "--scope", "orders:read", "--audience", "chancery", "--exchange-audience", "orders",
        )
        clerk = "--email", "clerk@example.test", "--role", "clerk"
        c.chancery.command("users", "create", *clerk, "--password-stdin", said=f"{c.run.password}\n")
        env = c.user(c.chancery, "page-service") | c.admin() | {
            "EMAIL": "clerk@example.test",
            "CLIENT_ID": "reports", "CLIENT_SECRET": secret,
            "KEY_ID": "keyed", "KEY_FILE": str(home / "reports-key.json"),
            "EXCHANGE_ID": "shop-api", "EXCHANGE_SECRET": exchange_secret,
        }
        c.program("page-service", [*python, CHECKS / "service.py"], HERE, env)
