"""A primary and a synchronous standby, to be killed and promoted."""

from __future__ import annotations

from tests.own_server import OwnServer
from tests.servers import until


class Pair:
    """Two servers; a commit on the primary waits until the standby has it.

    Args:
        binaries: from `own_server.programs`.

    Attributes:
        url: of both, in this order.
        ports: of both.
    """

    def __init__(self, binaries):
        self._servers = [OwnServer(binaries), OwnServer(binaries)]
        self.ports = [server.port for server in self._servers]
        self.url = f"postgresql://trib@{','.join(server.host for server in self._servers)}/postgres"

    def alone(self, number):
        """Return the URL of one of them."""
        return self._servers[number].url()

    def start(self):
        """Start both, and replication between them."""
        primary, standby = self._servers
        primary.start()
        standby.copy_of(primary, "-R")
        standby.launch()
        with primary.admin() as admin:
            admin.execute("alter system set synchronous_standby_names = '*'")
            admin.execute("select pg_reload_conf()")
            synced = "select 1 from pg_stat_replication where sync_state = 'sync'"
            until(lambda: admin.execute(synced).fetchone(), 30, "the standby is synchronous")

    def kill(self, number):
        """Kill a server with all its processes at once."""
        self._servers[number].kill()

    def promote(self):
        """Make the standby the primary."""
        self._servers[1].promote()

    def close(self):
        """End both, and remove what they have left."""
        for server in self._servers:
            server.close()
