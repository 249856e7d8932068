"""The clients of boto3, made with a loader of descriptions that is quicker than botocore's own."""

import json
from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import UnknownServiceError

from windlass.engines.aws.clients import Clients

SERVICES = ("cloudwatch", "cognito-idp", "dynamodb", "secretsmanager", "sesv2", "sqs")


@pytest.fixture
def clients() -> Clients:
    return Clients("eu-west-1", access_key="key", secret_key="secret")


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_is_as_botocore_would_make_it(clients: Clients, service: str) -> None:
    ours = clients.client(service)
    session = botocore.session.Session()
    theirs = session.create_client(service, "eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours.meta.method_to_api_mapping == theirs.meta.method_to_api_mapping
    names = [ours.meta.service_model, theirs.meta.service_model]
    first, second = ([str(model.operation_model(name)) for name in model.operation_names] for model in names)
    assert first == second
    assert ours.waiter_names == theirs.waiter_names
    assert names[0].signature_version == names[1].signature_version


def test_a_client_is_made_once(clients: Clients) -> None:
    assert clients.client("sqs") is clients.client("sqs")


def test_a_service_that_does_not_exist_is_refused(clients: Clients) -> None:
    with pytest.raises(UnknownServiceError, match="no-such-service"):
        clients.client("no-such-service")


def test_descriptions_of_ones_own_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pigeons" / "2026-01-01"
    folder.mkdir(parents=True)
    description = {
        "version": "2.0",
        "metadata": {
            "apiVersion": "2026-01-01",
            "endpointPrefix": "pigeons",
            "protocol": "json",
            "jsonVersion": "1.0",
            "serviceFullName": "Pigeons",
            "serviceId": "Pigeons",
            "signatureVersion": "v4",
            "targetPrefix": "Pigeons",
        },
        "operations": {"Fly": {"name": "Fly", "http": {"method": "POST", "requestUri": "/"}}},
        "shapes": {},
    }
    (folder / "service-2.json").write_text(json.dumps(description))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    clients = Clients("eu-west-1", endpoint="http://127.0.0.1:9", access_key="key", secret_key="secret")
    assert clients.client("pigeons").meta.method_to_api_mapping == {"fly": "Fly"}


def test_a_client_that_repeats_nothing_is_another(clients: Clients) -> None:
    usual, once = clients.client("dynamodb"), clients.client("dynamodb", once=True)
    assert once is clients.client("dynamodb", once=True)
    assert once is not usual
    assert usual.meta.config.retries["total_max_attempts"] > 1
    assert once.meta.config.retries["total_max_attempts"] == 1
