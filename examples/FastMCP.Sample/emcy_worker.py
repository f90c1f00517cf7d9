"""The worker contract of Emcy Gateway for FastMCP: one header proves the gateway, another carries the user's token. Needs nothing but fastmcp."""

import hmac

from fastmcp.dependencies import Depends
from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_http_headers, get_http_request
from starlette.middleware import Middleware

SECRET, TOKEN, REFUSAL = b"x-emcy-worker-secret", "x-emcy-access-token", "emcy.refusal"


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


class AnswerRefusal:
    """Turns the API's refusal of the token into the status of this answer, so that the gateway refreshes the token and tries again (rule 5).

    A tool's exception alone would be a result with status 200. So the head waits for the first byte of the body: later than that it cannot change.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope.get("method") != "POST":
            return await self.app(scope, receive, send)
        head = None

        async def send_late(message):
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
            elif scope.get(REFUSAL) is None or head is None:
                if head is not None:
                    await send(head)
                head = None
                await send(message)
            elif not message.get("more_body"):
                await send(scope[REFUSAL])
                await send({"type": "http.response.body"})

        await self.app(scope, receive, send_late)


def worker_contract(*secrets):
    """The ASGI middleware for `mcp.run(middleware=…)`."""
    return [Middleware(RequireWorkerSecret, secrets=list(secrets)), Middleware(AnswerRefusal)]


def _access_token() -> str:
    if token := get_http_headers().get(TOKEN):
        return token
    raise ToolError("the gateway sent no access token for this call")


def AccessToken() -> str:
    """Default of a tool's parameter that is to be the user's token for the API; it stays out of the tool's schema."""
    return Depends(_access_token)


def token_refused(status: int, challenge: str | None) -> ToolError:
    """What a tool raises when the API answered 401, or 403 for a missing scope; `challenge` is the API's WWW-Authenticate."""
    headers = [(b"content-length", b"0")] + ([(b"www-authenticate", challenge.encode())] if challenge else [])
    get_http_request().scope[REFUSAL] = {"type": "http.response.start", "status": status, "headers": headers}
    return ToolError("the API refused the access token" if status == 401 else "the access token lacks a scope")
