"""file_sla's `POST /auth` as one would write it with Chalice, beside its other routes: `python FILE EVENT [client]`.

Chalice validates nothing by itself, so the function looks at its two texts by hand. Its events are those of REST APIs.
Prints the status of the first answer. With `client`, a DynamoDB client is made first, with boto3.
"""

import json
import sys
from typing import Any

from chalice.app import BadRequestError, Chalice

app = Chalice(app_name="file_sla")


@app.route("/auth", methods=["POST"])
def sign_in() -> dict[str, str]:
    assert app.current_request is not None
    body = app.current_request.json_body
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in ("username", "password")):
        raise BadRequestError("username and password must be texts")
    raise NotImplementedError


@app.route("/auth/refresh", methods=["POST"])
@app.route("/file_sla_error", methods=["POST"])
@app.route("/file_sla_errors", methods=["GET"])
@app.route("/summary", methods=["GET"])
def others() -> dict[str, str]:
    raise NotImplementedError


def of_rest_api(event: dict[str, Any]) -> dict[str, Any]:
    """The same request, as a REST API tells it."""
    http = event["requestContext"]["http"]
    return {
        "body": event["body"],
        "headers": event["headers"],
        "httpMethod": http["method"],
        "isBase64Encoded": False,
        "multiValueHeaders": {name: [value] for name, value in event["headers"].items()},
        "multiValueQueryStringParameters": None,
        "path": http["path"],
        "pathParameters": None,
        "requestContext": {
            "httpMethod": http["method"],
            "identity": {"sourceIp": http["sourceIp"]},
            "path": http["path"],
            "resourcePath": http["path"],
        },
        "resource": http["path"],
        "stageVariables": None,
    }


if __name__ == "__main__":
    if sys.argv[2:] == ["client"]:
        import boto3

        boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")
    print("status", app(of_rest_api(json.loads(sys.argv[1])), None)["statusCode"], flush=True)
