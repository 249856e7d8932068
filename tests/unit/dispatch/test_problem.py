"""Problems that cannot be told as they are."""

from typing import Any

import msgspec
import pytest

from windlass.dispatch.problem import as_problem, problem_response
from windlass.errors import Conflict, Misuse, Problem, ServiceUnavailable


@pytest.mark.parametrize("detail", ["\ud800", object(), KeyError("x")])
def test_a_detail_that_is_no_text_is_left_out(detail: Any) -> None:
    response = problem_response(Conflict(detail, field="body.a"), "t")
    assert response.status == 409
    assert msgspec.json.decode(response.body)["detail"] == "Conflict"


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_a_time_to_come_again_that_is_none_is_left_out(seconds: float) -> None:
    response = problem_response(ServiceUnavailable("no", retry_after=seconds), "t")
    assert "retry-after" not in dict(response.headers)


@pytest.mark.parametrize("status", [0, 99, 100, 600, 9999, -1])
def test_a_status_that_is_none_becomes_500(status: int) -> None:
    problem = Problem("odd")
    problem.status = status
    response = problem_response(problem, "t")
    assert (response.status, msgspec.json.decode(response.body)["status"]) == (500, 500)


def test_what_the_program_did_wrong_is_not_the_callers_to_read() -> None:
    problem = as_problem(Misuse("shop.items holds Item, not dict"))
    assert (problem.status, problem.detail) == (500, "an internal fault; it was logged under this trace id")
