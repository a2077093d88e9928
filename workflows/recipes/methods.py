"""Handlers that are methods: a class keeps what they share, and is built once per process.

    python workflows/recipes/methods.py

The price list is read when the first of them is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tributary_daemon import Client, Worker, Workflow, handler


@dataclass
class PriceList:
    """What goods cost, in cents; a real one would ask a service."""

    cents: dict[str, int] = field(default_factory=lambda: {"tea": 350, "cake": 420})


class Shop:
    """A shop with its price list."""

    def __init__(self) -> None:
        self.prices = PriceList()

    @handler("shop.price.v1")
    def price(self, goods: str) -> int:
        """Look one price up."""
        return self.prices.cents[goods]

    @handler("shop.total.v1")
    def total(self, prices: list[int]) -> str:
        """Add them up."""
        return f"{sum(prices) / 100:.2f}"


def main() -> None:
    """Look two prices up, and add them."""
    order = (
        Workflow("shop.order.v1", result="${{ steps.total.result }}")
        .add("tea", Shop.price, {"goods": "tea"})
        .add("cake", Shop.price, {"goods": "cake"})
        .add("total", Shop.total, {"prices": ["${{ steps.tea.result }}", "${{ steps.cake.result }}"]})
    )
    with Client() as client, Worker(client):
        print(client.submit(order).wait(timeout="30s").result)


if __name__ == "__main__":
    main()
