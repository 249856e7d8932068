"""What `windlass invoke` runs functions of: a system of three handlers."""

import logging
import os
from dataclasses import dataclass

from windlass import System

parcels_app = System("parcels_app")


@dataclass
class Parcel:
    id: str
    grams: int


api = parcels_app.api("api")
outgoing = parcels_app.queue("outgoing", Parcel)


@api.post("/parcels", status=201)
def accept(body: Parcel) -> dict[str, str]:
    logging.getLogger("app").info("password=hunter22 in %s", os.environ.get("COLOUR", "no colour"))
    return {"id": body.id, "stage": os.environ["WINDLASS_STAGE"]}


@api.post("/send", uses=[outgoing.send])
def dispatch(body: Parcel) -> None:
    outgoing.send(body)


@outgoing.consumer()
def deliver(parcel: Parcel) -> None:
    raise ValueError("nobody opens")
