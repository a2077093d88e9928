"""What a real leader does for work that expires, for runs with a `keep`, and for unique keys."""

from __future__ import annotations

import dataclasses

from tributary_daemon.app import Client
from tributary_daemon.client.workflow import Workflow


def test_a_leader_cancels_what_expires_prunes_by_keep_and_forgets_keys(crew, desk):
    spec = dataclasses.replace(Workflow("t.kept.v1").add("a", "trib.noop.v1").spec(), keep={"runs": 1})
    with Client(desk.url) as client:
        for _ in range(3):
            client.cancel(client.submit(spec).id)
        client.cancel(client.submit("trib.noop.v1", unique="ended").id)
        client.submit("trib.noop.v1", unique="alive", queue="nobody")
        # nobody serves its queue, so no claim ever meets it
        late = client.submit("trib.noop.v1", queue="nobody", expires=1).id
        crew()
        desk.until(late, "cancelled", 30)
        assert client.get(late).reason == "expired"
        desk.wait(lambda: desk.one("select count(*) from tributary.runs")[0] == 1, 20, "one run is kept")
        keys = "select array_agg(key) from tributary.unique_keys"
        desk.wait(lambda: desk.one(keys)[0] == ["alive"], 20, "the other key is forgotten")
