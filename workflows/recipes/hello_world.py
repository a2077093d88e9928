"""The smallest program: a handler, some recorded work, and a worker beside it in the same process.

    python workflows/recipes/hello_world.py

Without a ``TRIB_DATABASE_URL`` an embedded PostgreSQL is started.
"""

from __future__ import annotations

from pydantic import BaseModel

from tributary_daemon import Client, Worker, handler


class Greeting(BaseModel):
    """Whom to greet."""

    name: str


@handler("hello.greet.v1")
def greet(args: Greeting) -> str:
    """Greet somebody."""
    return f"Hello, {args.name}!"


def main() -> None:
    """Record the work, let a worker do it, and print its result."""
    with Client() as client:
        receipt = client.submit(Greeting(name="world"))
        with Worker(client):
            print(receipt.wait(timeout="30s").result)


if __name__ == "__main__":
    main()
