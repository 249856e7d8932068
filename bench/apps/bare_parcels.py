"""What `parcels` does, as two bare Lambda handlers with json."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["accept", "arrive"]


def _parcel(text: str) -> dict[str, Any]:
    parcel = json.loads(text)
    if not isinstance(parcel["id"], str) or not isinstance(parcel["to"], str) or not 1 <= len(parcel["to"]) <= 200:
        raise ValueError("id and to must be texts")
    if not isinstance(parcel["grams"], int) or not 1 <= parcel["grams"] <= 31_500:
        raise ValueError("grams must be 1 to 31,500")
    return {"id": parcel["id"], "to": parcel["to"], "grams": parcel["grams"]}


def accept(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take a parcel."""
    try:
        parcel = _parcel(event["body"])
    except (ValueError, KeyError) as error:
        return {"statusCode": 400, "body": json.dumps({"detail": str(error)})}
    return {"statusCode": 201, "headers": {"content-type": "application/json"}, "body": json.dumps(parcel)}


def arrive(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Note which parcels are here."""
    failures = []
    for record in event["Records"]:
        try:
            _parcel(record["body"])
        except (ValueError, KeyError):
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
