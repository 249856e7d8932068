"""A deployed system: which stage of it, in which account and region, and what its parts are called there.

Names are made from the system's, the stage's and the resource's, so that the policies, the Terraform and the running
function agree on them without being told. A resource's name has no hyphen, so names of Windlass's own parts, which have
one after the prefix, can never be a resource's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from windlass.errors import EngineUnavailable

__all__ = ["Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One deployment of `system`: `name` is the stage (`dev`), `account` has twelve digits. `made` holds what AWS made
    up itself, by the names that `told` is asked for: a queue's URL, a user pool's id."""

    system: str
    name: str
    region: str
    account: str
    made: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_environment(cls, system: str, environ: Mapping[str, str], account: str) -> Stage:
        """The stage that a function's environment tells: `WINDLASS_STAGE`, `AWS_REGION`, and `WINDLASS_DATA_URL` for
        what AWS made up. Raises EngineUnavailable for one that does not say it."""
        missing = [name for name in ("WINDLASS_STAGE", "AWS_REGION") if not environ.get(name)]
        if missing:
            raise EngineUnavailable(f"the function's environment lacks {' and '.join(missing)}; deploy it again")
        return cls(
            system,
            environ["WINDLASS_STAGE"],
            environ["AWS_REGION"],
            account,
            {name: value for name, value in environ.items() if name.startswith("WINDLASS_")},
        )

    @staticmethod
    def variable(resource: str, what: str) -> str:
        """The variable of a function's environment that tells `what` of a resource: `WINDLASS_DATA_URL`. `what` is one
        word there, so that the `dead_url` of a queue `data` is not the `url` of another, `data_dead`."""
        return f"WINDLASS_{resource}_{what.replace('_', '')}".upper()

    def told(self, resource: str, what: str) -> str:
        """What AWS made up for a resource: the `url` of a queue or an api, the `pool` and `client` of a user pool.
        Raises EngineUnavailable when the environment does not say it."""
        variable = self.variable(resource, what)
        found = self.made.get(variable)
        if not found:
            raise EngineUnavailable(f"the function's environment lacks {variable}, for {resource}; deploy it again")
        return found

    @property
    def partition(self) -> str:
        """The part of an ARN that differs in China and for the government of the USA."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, service: str, rest: str) -> str:
        """`arn:aws:SERVICE:REGION:ACCOUNT:REST`."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"

    @property
    def prefix(self) -> str:
        """What the names of all parts begin with, without the hyphen after it."""
        return f"{self.system}-{self.name}"

    def called(self, resource: str) -> str:
        """The name of a table, a user pool, an alarm: `shop-dev-orders`."""
        return f"{self.prefix}-{resource}"

    def function(self, handler: str) -> str:
        """The name of a handler's function, and of its role: of both the most is 64 characters
        (https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html). A longer one ends in a hash of it."""
        return _fitted(self.called(handler), 64)

    def schedule(self, resource: str) -> str:
        """The name of a schedule, at most 64 characters, as `function`:
        https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
        return _fitted(self.called(resource), 64)

    def queue(self, resource: str, *, fifo: bool, dead: bool = False) -> str:
        """The name of a queue, or of its dead-letter queue. SQS wants FIFO queues to end in `.fifo`, and takes 80
        characters (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html)."""
        end = ".fifo" if fifo else ""
        return _fitted(f"{self.called(resource)}{'-dead' if dead else ''}", 80 - len(end)) + end

    def secret(self, resource: str) -> str:
        """The name of a secret in Secrets Manager."""
        return f"{self.system}/{self.name}/{resource}"

    @property
    def idempotency_table(self) -> str:
        """The table that keeps the answers of idempotent routes."""
        return f"{self.prefix}-idempotency-keys"


def _fitted(name: str, most: int) -> str:
    """`name`, or where it is longer than `most` its beginning and a hash of all of it."""
    if len(name) <= most:
        return name
    import hashlib  # few names are so long, and a function's start pays for every import

    return f"{name[: most - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
