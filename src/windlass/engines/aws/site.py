"""A site on AWS: files in S3 behind CloudFront. No function serves them, so there is nothing that it could ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from windlass.errors import EngineUnavailable
from windlass.model.site import Site

__all__ = ["AwsSite"]


class AwsSite:
    """Implements `ports.site.SitePort` by refusing: on AWS a site's files are not in the functions."""

    def __init__(self, model: Site) -> None:
        self._model = model

    def fetch(self, path: str, headers: Mapping[str, str]) -> NoReturn:
        raise EngineUnavailable(f"{self._model.where} is served by CloudFront, not by a function")
