"""file_sla's API as one would write it for Lambda with FastAPI, Pydantic and Mangum: `python FILE EVENT [client]`.

The routes and what they take are file_sla's; what they do with AWS is left out, as nothing of it comes before the first
answer. Prints the status of that answer. With `client`, a DynamoDB client is made first, with boto3.
"""

import json
import os
import sys
from datetime import date
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from mangum import Mangum
from pydantic import BaseModel, Field

os.environ["AWS_REGION"] = "eu-west-1"

app = FastAPI(title="File SLA")


class Credentials(BaseModel):
    username: str
    password: str


class Refresh(BaseModel):
    refresh_token: Annotated[str, Field(min_length=1, max_length=8192)]


class Tokens(BaseModel):
    access_token: str
    id_token: str
    refresh_token: str
    expires_in: int


class File(BaseModel):
    filename: Annotated[str, Field(min_length=1, max_length=1024)]
    creation_date: Annotated[str, Field(alias="creationDate")]


class Folder(BaseModel):
    folder: Annotated[str, Field(min_length=1, max_length=1024)]
    sla: Annotated[int, Field(ge=1, le=525_600)]
    files: list[File] | File


class Report(BaseModel):
    sla_error: list[Folder] | Folder


class Stored(BaseModel):
    stored: list[str]


class Breach(BaseModel):
    ErrorId: str
    Folder: str
    AffectedDate: str
    SLA: int
    Files: list[File]
    Day: str


class Found(BaseModel):
    items: list[Breach]
    next: str | None = None


class Summary(BaseModel):
    total: dict[str, int]
    by_folder: list[dict[str, Any]]
    by_day: list[dict[str, Any]]


@app.exception_handler(RequestValidationError)
async def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to what is not valid: 400, as file_sla has it."""
    assert isinstance(error, RequestValidationError)
    problem = {"title": "Bad Request", "status": 400, "errors": [fault["msg"] for fault in error.errors()]}
    return JSONResponse(problem, 400, media_type="application/problem+json")


@app.post("/auth")
async def sign_in(body: Credentials) -> Tokens:
    """Sign in with a user name and a password."""
    raise NotImplementedError


@app.post("/auth/refresh")
async def refresh(body: Refresh) -> Tokens:
    """Trade a refresh token for new tokens."""
    raise NotImplementedError


@app.post("/file_sla_error")
async def store(body: Report, idempotency_key: Annotated[str | None, Header()] = None) -> Stored:
    """Store the breaches that a collector found."""
    raise NotImplementedError


@app.get("/file_sla_errors")
async def search(
    date: date | None = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    to: date | None = None,
    folder: Annotated[str | None, Query(min_length=1)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: str | None = None,
) -> Found:
    """Search breaches."""
    raise NotImplementedError


@app.get("/summary")
async def summary(first: Annotated[date, Query(alias="from")], to: date) -> Summary:
    """Count breaches and files."""
    raise NotImplementedError


handle = Mangum(app, lifespan="off")

if __name__ == "__main__":
    if sys.argv[2:] == ["client"]:
        import boto3

        boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")
    print("status", handle(json.loads(sys.argv[1]), None)["statusCode"], flush=True)  # type: ignore[arg-type]
