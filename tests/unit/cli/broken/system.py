"""A system with two faults, for what `windlass check` says about them."""

from dataclasses import dataclass

from windlass import System

broken = System("broken")


@dataclass(frozen=True, slots=True)
class Job:
    id: str


jobs = broken.queue("jobs", Job)
nightly = broken.schedule("nightly", cron="0 2 * * ? *")
