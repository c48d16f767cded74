#!/usr/bin/env python3
"""A user at a browser, for programs that have none: goes to an address, signs in and agrees where it is asked to, and prints
where it ended up, as JSON.

    driver.py ADDRESS [--until PREFIX]

It follows redirects and fills in the hosted pages' forms, until a redirect leads to PREFIX or a page has no form.
EMAIL and PASSWORD come from the environment, and so does COOKIES, a file in which a browser's cookies are kept between
two visits. No one's cookies are told apart by port, as in a browser; `Secure` ones go over http, as browsers send them to
a loopback address.
"""

import http.client
import json
import os
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

STEPS = 20


class Form:
    def __init__(self, action: str):
        self.action, self.fields, self.buttons = action, {}, {}

    def rank(self) -> int:
        """Beside the one that goes on, pages have forms that lead elsewhere, such as to another account."""
        return 2 if "password" in self.fields else 1 if "decision" in self.buttons else 0

    def filled_in(self) -> dict:
        fields = dict(self.fields)
        if "password" in fields:
            fields |= {"email": os.environ["EMAIL"], "password": os.environ["PASSWORD"]}
        return fields | self.buttons


class Forms(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.all: list[Form] = []
        self.is_in = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        name, value = attributes.get("name"), attributes.get("value") or ""
        if tag == "form":
            self.all.append(Form(attributes.get("action") or ""))
            self.is_in = True
        elif self.is_in and name and tag == "input":
            self.all[-1].fields[name] = value
        elif self.is_in and name and tag == "button":
            # The first of several is the one that agrees.
            self.all[-1].buttons.setdefault(name, value)

    def handle_endtag(self, tag):
        if tag == "form":
            self.is_in = False


class Browser:
    def __init__(self, jar: Path):
        self.jar = jar
        self.cookies = json.loads(jar.read_text()) if jar.exists() else {}

    def send(self, method: str, address: str, body: str | None = None):
        parts = urlsplit(address)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        self.jar.write_text(json.dumps(self.cookies))
        return answer.status, answer.headers.get("Location"), text

    def visit(self, address: str, until: str | None) -> dict:
        method, body, signed_in = "GET", None, False
        for _ in range(STEPS):
            status, location, page = self.send(method, address, body)
            method, body = "GET", None
            if status in (301, 302, 303) and location:
                address = urljoin(address, location)
                if until and address.startswith(until):
                    return {"address": address, "status": None, "page": ""}
                continue
            form = max(Forms(page).all if status == 200 else [], key=Form.rank, default=None)
            if form is None:
                return {"address": address, "status": status, "page": page}
            fields = form.filled_in()
            if signed_in and "password" in fields:
                raise SystemExit(f"driver: asked twice for a password at {address}")
            signed_in = signed_in or "password" in fields
            method, body, address = "POST", urlencode(fields), urljoin(address, form.action)
        raise SystemExit(f"driver: not there after {STEPS} steps, but at {address}")


def main() -> None:
    address, *rest = sys.argv[1:]
    until = rest[1] if rest[:1] == ["--until"] else None
    browser = Browser(Path(os.environ["COOKIES"]))
    print(json.dumps(browser.visit(address, until)))


if __name__ == "__main__":
    main()
