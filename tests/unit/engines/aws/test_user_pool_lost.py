"""A user whose creation Cognito did not confirm. Against moto."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from windlass import System
from windlass.engines.aws.stage import Stage
from windlass.engines.aws.user_pool import AwsUserPool
from windlass.errors import Conflict, EngineUnavailable, WrongCredentials
from windlass.ports.clock import ManualClock

ADA, SECRET = "ada@example.com", "correct horse Battery 1!"


def test_a_creation_whose_answer_is_lost_is_not_repeated() -> None:
    with moto_server() as moto:
        direct = clients_of(moto).client("cognito-idp")
        pool_id = direct.create_user_pool(PoolName="todos-dev-users", UsernameAttributes=["email"])["UserPool"]["Id"]
        client = direct.create_user_pool_client(
            UserPoolId=pool_id, ClientName="windlass", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )
        told = {"WINDLASS_USERS_POOL": pool_id, "WINDLASS_USERS_CLIENT": client["UserPoolClient"]["ClientId"]}
        peer = AwsPeer(moto)

        def lose(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            direct.admin_create_user(**asked)
            return 500, {"__type": "InternalErrorException"}

        with peer.listening() as endpoint:
            model = System("todos").user_pool("users", sign_in="email")
            stage = Stage("todos", "dev", REGION, ACCOUNT, told)
            pool = AwsUserPool(model, stage, clients_of(endpoint), ManualClock())
            peer.answers["AdminCreateUser"] = lose
            with pytest.raises(EngineUnavailable, match=r"Cognito did not say whether it made ada@example\.com"):
                pool.create_user(ADA, SECRET)
            assert [operation for operation, _ in peer.asked] == ["AdminCreateUser"]
            with pytest.raises(WrongCredentials):
                pool.sign_in(ADA, SECRET)
            peer.answers.clear()
            with pytest.raises(Conflict):
                pool.create_user(ADA, SECRET)
            pool.set_password(ADA, SECRET)
            assert pool.sign_in(ADA, SECRET).token_type == "Bearer"
