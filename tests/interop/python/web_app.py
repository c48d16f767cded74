"""The web apps of docs/integrate/web-app.md: web_app.py COMMAND... starts one and is its user."""

import secrets
import sys
import time

from pages import Recorder, end_all_sessions, express, part, rotate, running
from program import EMAIL, ISSUER, check, visit


def main() -> None:
    with express() as api:
        recorder = Recorder(api)
        settings = {"API": recorder.address, "SESSION_SECRET": secrets.token_hex(32)}
        with running(sys.argv[1:], "/", **settings) as at:
            signs_in(at, recorder)
    print("done")


def signs_in(at: str, recorder: Recorder) -> None:
    def orders() -> str:
        end = visit(f"{at}/orders")
        assert end["status"] == 200 and '"service":"express"' in end["page"], end
        return recorder.tokens[-1]

    with check("nobody is signed in"):
        assert "Sign in" in visit(f"{at}/")["page"]
    with check("signs in and knows who it is"):
        end = visit(f"{at}/login")
        assert end["address"] == f"{at}/" and EMAIL in end["page"] and "Sign out" in end["page"], end
    with check("calls an API for its user"):
        first = orders()
        claims = part(first, 1)
        assert "orders" in claims["aud"] and claims["iss"] == ISSUER, claims
    rotate()
    with check("goes on after a forced rotation"):
        orders()
    # The client's tokens live little longer than the app wants left of them.
    time.sleep(3)
    with check("refreshes in time, by the new key"):
        second = orders()
        assert second != first and part(second, 0)["kid"] != part(first, 0)["kid"], part(second, 0)
    with check("and again, with the new refresh token"):
        time.sleep(3)
        assert orders() != second
    with check("sends its user to sign in when the session has ended elsewhere"):
        end_all_sessions()
        time.sleep(3)
        end = visit(f"{at}/orders")
        assert end["address"] == f"{at}/" and EMAIL in end["page"], end
    with check("signs out here and there"):
        end = visit(f"{at}/logout")
        assert end["address"].startswith(f"{at}/") and "Sign in" in end["page"], end
        end = visit(f"{at}/login", "--until", f"{at}/callback")
        assert end["status"] is None, end
    with check("takes no answer to a question it did not ask"):
        end = visit(f"{at}/callback?code=forged&state=forged")
        assert "Sign out" not in end["page"], end


main()
