"""aiohttp as server and as client: aiohttp_peer.py PORT FOLDER."""

import os
import sys

from aiohttp import ClientSession, web


async def token(request: web.Request) -> web.Response:
    async with request.app["session"].get(
        os.environ["ASSEMBLYAI_BASE_URL"] + "/v3/token",
        params={"expires_in_seconds": "60"},
        headers={"Authorization": os.environ["ASSEMBLYAI_API_KEY"]},
    ) as answer:
        granted = (await answer.json())["token"]
    return web.json_response({"token": granted, "expires_in_seconds": 60})


async def session(app: web.Application):
    async with ClientSession() as opened:
        app["session"] = opened
        yield


app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_get("/token", token)
app.router.add_static("/", sys.argv[2])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
