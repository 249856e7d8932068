"""The real presenter, without the throttles that would bound the measurement to 100 requests a second of a caller."""

from pathlib import Path

from msgspec.structs import replace

from windlass.graph.load import load
from windlass.model.api import Api

presenter = load(Path(__file__).parents[2] / "systems" / "presenter")
for api in presenter.of(Api):
    api.routes[:] = [replace(route, throttle=None, throttle_per_caller=None) for route in api.routes]
