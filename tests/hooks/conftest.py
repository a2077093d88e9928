"""Benches of these tests make their databases on the session's server."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def benches_on_the_server(server, monkeypatch):
    """Without it a bench would start the embedded server of whoever runs the tests, and leave it running."""
    monkeypatch.setenv("TRIB_DATABASE_URL", server)
