"""A service that trusts Chancery's access tokens.

It shares no secret with Chancery and does not call it per request: PyJWKClient fetches the key set with the
first token, keeps it for five minutes (as long as Chancery's Cache-Control says), and asks again for a `kid`
it does not know, at most every 30 seconds. Leave `cache_keys` off: that cache never expires, so a revoked key
would be trusted until the next restart.
"""

import os
from collections.abc import Callable
from typing import Annotated, Any

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

PORT = int(os.environ.get("PORT", "3002"))
ISSUER = os.environ.get("CHANCERY_ISSUER", "http://127.0.0.1:8080")
AUDIENCE = os.environ.get("AUDIENCE", "chancery")
ALGORITHM = os.environ.get("ALGORITHM", "RS256")  # and no other; Chancery's keys.algorithm
# The library's own defaults.
JWKS_CACHE = float(os.environ.get("JWKS_CACHE", "300"))
JWKS_COOL_DOWN = float(os.environ.get("JWKS_COOL_DOWN", "30"))

jwks = jwt.PyJWKClient(
    f"{ISSUER}/.well-known/jwks.json", timeout=5, lifespan=JWKS_CACHE, cooldown_duration=JWKS_COOL_DOWN
)
bearer = HTTPBearer(auto_error=False)


def caller(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> dict[str, Any]:
    """The claims of the caller's token. Not `async`: fetching keys blocks, so FastAPI gives it a thread."""
    if credentials is None:
        raise unauthorized("Bearer")
    try:
        token = credentials.credentials
        key = jwks.get_signing_key_from_jwt(token)
        verified = jwt.decode_complete(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=5,
            options={"require": ["iss", "aud", "exp", "sub"]},
        )
    except jwt.PyJWKClientConnectionError as error:
        # The token may be good; we cannot tell without the keys.
        raise HTTPException(503, "key set unavailable", {"Retry-After": "5"}) from error
    except jwt.PyJWTError as error:
        raise unauthorized('Bearer error="invalid_token"') from error
    # RFC 9068: only access tokens open an API, and PyJWT leaves `typ` to us.
    if verified["header"].get("typ") != "at+jwt":
        raise unauthorized('Bearer error="invalid_token"')
    return verified["payload"]


Caller = Annotated[dict[str, Any], Depends(caller)]


def scope(wanted: str) -> Callable[[Caller], dict[str, Any]]:
    """The same, for callers whose token has this scope, too."""

    def with_scope(claims: Caller) -> dict[str, Any]:
        if wanted not in claims.get("scope", "").split():
            challenge = f'Bearer error="insufficient_scope", scope="{wanted}"'
            raise HTTPException(403, "forbidden", {"WWW-Authenticate": challenge})
        return claims

    return with_scope


def unauthorized(challenge: str) -> HTTPException:
    return HTTPException(401, "unauthorized", {"WWW-Authenticate": challenge})


app = FastAPI(title="fastapi-service")


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/orders")
def orders(claims: Caller) -> dict[str, Any]:
    return {"service": "fastapi", "sub": claims["sub"], "scope": claims.get("scope")}


@app.post("/orders", status_code=201)
def order(claims: Annotated[dict[str, Any], Depends(scope("orders:write"))]) -> dict[str, Any]:
    return {"service": "fastapi", "sub": claims["sub"], "scope": claims.get("scope")}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
