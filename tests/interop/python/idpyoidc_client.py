"""idpyoidc: its relying party, which is given the issuer and finds the rest."""

from urllib.parse import parse_qsl, urlsplit

from cryptojwt import KeyJar
from idpyoidc.client.rp_handler import RPHandler

from program import BYE, CLIENT_ID, CLIENT_SECRET, EMAIL, ISSUER, REDIRECT_URI, check, visit

SERVICES = {
    "discovery": {"class": "idpyoidc.client.oidc.provider_info_discovery.ProviderInfoDiscovery"},
    "authorization": {"class": "idpyoidc.client.oidc.authorization.Authorization"},
    "accesstoken": {"class": "idpyoidc.client.oidc.access_token.AccessToken"},
    "refresh_token": {"class": "idpyoidc.client.oidc.refresh_access_token.RefreshAccessToken"},
    "userinfo": {"class": "idpyoidc.client.oidc.userinfo.UserInfo"},
    "end_session": {"class": "idpyoidc.client.oidc.end_session.EndSession"},
}
CONFIG = {
    "client_type": "oidc",
    "issuer": ISSUER,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "redirect_uris": [REDIRECT_URI],
    "post_logout_redirect_uris": [BYE],
    "scopes_supported": ["openid", "profile", "email", "offline_access"],
    "response_types_supported": ["code"],
    "client_authn_methods": ["client_secret_basic"],
    "services": SERVICES,
    "add_ons": {
        "pkce": {
            "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
            "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
        }
    },
}


def main() -> None:
    base = REDIRECT_URI.rpartition("/")[0]
    # With a key jar of ours it writes none of its own to disk.
    handler = RPHandler(base_url=base, client_configs={ISSUER: CONFIG}, services=SERVICES, keyjar=KeyJar())
    with check("discovery and the address to go to"):
        address = handler.begin(ISSUER)
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["code_challenge_method"] == "S256" and asked["nonce"] and asked["state"], asked
    with check("the user signs in and comes back"):
        end = visit(address, "--until", REDIRECT_URI)
        answer = dict(parse_qsl(urlsplit(end["address"]).query))
        assert answer["state"] == asked["state"], answer
    with check("code, PKCE and nonce; the ID token; userinfo"):
        result = handler.finalize(ISSUER, answer)
        assert "error" not in result, result
        assert result["userinfo"]["email"] == EMAIL, result
        assert result["id_token"]["iss"] == ISSUER, result
    with check("refresh"):
        fresh = handler.refresh_access_token(asked["state"])
        assert fresh["access_token"] != result["token"], fresh
    with check("signing out comes back"):
        out = handler.logout(asked["state"], post_logout_redirect_uri=BYE)
        end = visit(out["url"], "--until", BYE)
        assert end["address"].startswith(BYE), end
    print("done")


main()
