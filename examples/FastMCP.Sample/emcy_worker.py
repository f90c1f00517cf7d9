"""The worker contract of Emcy Gateway for FastMCP: one header proves the gateway, another carries the user's token. Needs nothing but fastmcp."""

import hmac

from fastmcp.dependencies import Depends
from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_http_headers
from starlette.middleware import Middleware

SECRET, TOKEN = b"x-emcy-worker-secret", "x-emcy-access-token"


class RequireWorkerSecret:
    """Refuses, before any FastMCP code runs, every request that did not come through the gateway. Any of the secrets will do: that is rotation."""

    def __init__(self, app, secrets):
        if not secrets or not all(secrets):
            raise ValueError("the worker secret is empty: that would admit everyone")
        self.app, self.secrets = app, [secret.encode() for secret in secrets]

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        sent = [value for name, value in scope["headers"] if name == SECRET]
        if len(sent) != 1 or not any([hmac.compare_digest(sent[0], secret) for secret in self.secrets]):
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0"), (b"www-authenticate", b"Emcy-Worker-Secret")]})
            return await send({"type": "http.response.body"})
        scope["headers"] = [header for header in scope["headers"] if header[0] != SECRET]  # tools never see it
        await self.app(scope, receive, send)


def worker_contract(*secrets):
    """The ASGI middleware for `mcp.run(middleware=…)`."""
    return [Middleware(RequireWorkerSecret, secrets=list(secrets))]


def _access_token() -> str:
    if token := get_http_headers().get(TOKEN):
        return token
    raise ToolError("the gateway sent no access token for this call")


def AccessToken() -> str:
    """Default of a tool's parameter that is to be the user's token for the API; it stays out of the tool's schema."""
    return Depends(_access_token)
