"""The measured functions: a route that validates and answers, and a consumer. Neither asks anything of a resource, so
that what is measured is the way from the event to the handler and back."""

from typing import Annotated

import msgspec

from windlass import Meta, System

parcels = System("parcels")


class Parcel(msgspec.Struct):
    id: str
    to: Annotated[str, Meta(min_length=1, max_length=200)]
    grams: Annotated[int, Meta(ge=1, le=31_500)]


api = parcels.api("api")
arrivals = parcels.queue("arrivals", Parcel)


@api.post("/parcels", status=201)
def accept(body: Parcel) -> Parcel:
    """Take a parcel."""
    return body


@arrivals.consumer(batch=100)
def arrive(parcel: Parcel) -> None:
    """Note that a parcel is here."""
