"""FastAPI, uvicorn and one httpx.AsyncClient: fastapi_peer.py PORT FOLDER."""

import os
import sys

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

app = FastAPI()
client = httpx.AsyncClient()


@app.get("/token")
async def token() -> dict[str, object]:
    answer = await client.get(
        os.environ["ASSEMBLYAI_BASE_URL"] + "/v3/token",
        params={"expires_in_seconds": 60},
        headers={"Authorization": os.environ["ASSEMBLYAI_API_KEY"]},
    )
    return {"token": answer.json()["token"], "expires_in_seconds": 60}


app.mount("/", StaticFiles(directory=sys.argv[2]))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
