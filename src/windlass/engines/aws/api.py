"""An API on AWS: an HTTP API of API Gateway, which calls the functions. They only ask for its address."""

from __future__ import annotations

from windlass.engines.aws.stage import Stage
from windlass.model.api import Api

__all__ = ["AwsApi"]


class AwsApi:
    """Implements `ports.api.ApiPort`."""

    def __init__(self, model: Api, stage: Stage) -> None:
        self._model, self._stage = model, stage

    def url(self) -> str:
        return self._stage.told(self._model.name, "url").rstrip("/")
