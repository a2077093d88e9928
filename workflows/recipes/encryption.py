"""What is stored is encrypted: who has the key sees no difference, who has not sees none of it.

    python workflows/recipes/encryption.py

It needs the package cryptography (``pip install 'tributary-daemon[crypto]'``). Real keys come from the
environment, a file or a KMS, and outlive the program: docs/encryption.md.
"""

from __future__ import annotations

import os
from datetime import date

from pydantic import BaseModel

from tributary_daemon import Client, Worker, handler
from tributary_daemon.sealing.sources import generate


class Patient(BaseModel):
    """Nothing that should be read in a backup."""

    name: str
    born: date


@handler("encryption.admit.v1")
def admit(patient: Patient) -> str:
    """Return what is as private as what was given."""
    return f"{patient.name} has room 12"


def with_keys(*keys: str) -> Client:
    """Return a client that has these keys."""
    os.environ["TRIB_ENCRYPTION_KEYS"] = ",".join(keys)
    return Client()


def main() -> None:
    """Submit with one key, look with it and without, and change to another one."""
    old, new = generate("2026", None), generate("2027", None)
    patient = Patient(name="Ada", born=date(1815, 12, 10))
    with with_keys(old) as client, Worker(client):
        receipt = client.submit("encryption.admit.v1", patient)
        print("with the key:", receipt.wait(timeout="30s").result)
    with with_keys() as stranger:
        document = stranger.get(receipt.id)
        print("without it:", document.state, document.payload, document.result)
    with with_keys(new, old) as client:
        rotated = client.rotate_keys()
        print("encrypted anew with", *rotated.keys, "- done:", rotated.done)
    with with_keys(new) as client:
        print("without the old key:", client.get(receipt.id).result)


if __name__ == "__main__":
    main()
