"""A client of Python mcp 2 that takes the steps of a test."""

import asyncio
from contextlib import AsyncExitStack

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from mcp.types import ElicitResult

from steps import SETTINGS, Browser, Memory, follow, run, together

browser, memory = Browser(), Memory()


async def callback() -> AuthorizationCodeResult:
    back = browser.came_back_with
    return AuthorizationCodeResult(code=back["code"], state=back.get("state"), iss=back.get("iss"))


async def elicit(_context, params) -> ElicitResult:
    return ElicitResult(action=await follow(params.url, params.message))


oauth = OAuthClientProvider(
    server_url=SETTINGS["url"],
    client_metadata=OAuthClientMetadata(
        client_name=SETTINGS["name"],
        redirect_uris=[SETTINGS["redirectUri"]],
        token_endpoint_auth_method=SETTINGS.get("authMethod"),
    ),
    storage=memory,
    redirect_handler=browser.open,
    callback_handler=callback,
    client_metadata_url=SETTINGS.get("documentUrl"),
)


async def main() -> None:
    client: Client | None = None

    async def call(step: dict) -> tuple[str, bool]:
        result = await client.call_tool(step["tool"], step.get("arguments", {}))
        return "\n".join(part.text for part in result.content if hasattr(part, "text")), result.is_error

    async with AsyncExitStack() as stack:

        async def take(step: dict) -> dict:
            nonlocal client
            match step["do"]:
                case "connect":
                    http = await stack.enter_async_context(httpx2.AsyncClient(auth=oauth, timeout=60))
                    transport = streamable_http_client(SETTINGS["url"], http_client=http)
                    client = await stack.enter_async_context(Client(transport, mode=SETTINGS.get("mode", "auto"), elicitation_callback=elicit if SETTINGS.get("opensLinks") else None))
                    return {"revision": client.protocol_version}
                case "list":
                    return {"tools": [tool.name for tool in (await client.list_tools()).tools]}
                case "call":
                    return await together(step.get("times", 1), lambda: call(step))
                case "pass":
                    oauth.context.token_expiry_time -= step["seconds"]
                    return {}
                case "tokens":
                    return {"access": memory.tokens.access_token, "refresh": memory.tokens.refresh_token}
                case "close":
                    await stack.aclose()
                    return {}
                case other:
                    raise ValueError(f"unknown step {other}")

        await run(take)


asyncio.run(main())
