"""Reads RFC 9457 problems."""

from typing import Any

from windlass.testing import Answer


def problem(answer: Answer, status: int, **fields: str) -> dict[str, Any]:
    """The problem that `answer` holds, as RFC 9457 has it; `fields` are parts of the messages by field."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    content: dict[str, Any] = answer.json()
    assert content["type"] == "about:blank"
    assert content["status"] == status
    assert content["title"]
    assert content["detail"]
    assert content["trace_id"]
    errors = {error["field"]: error["message"] for error in content.get("errors", [])}
    assert errors.keys() == {name.replace("__", ".") for name in fields}
    for name, part in fields.items():
        assert part in errors[name.replace("__", ".")]
    return content
