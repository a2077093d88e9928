"""The same for the functions that are the contract for other languages."""

from __future__ import annotations

from tests.model_check.recording import Recorder
from tests.store import protocol_kit as kit


class PublicRecorder(Recorder):
    """Works on an intent as a process of another language does."""

    def claim(self, number, most):
        process = self.kit[number]
        rows = self.connection.execute(
            "select token, attempt, max_attempts from tributary.claim(%s, %s, %s, %s)",
            (process.id, process.queues, process.names, most),
        ).fetchall()
        answer = []
        for seq, attempt, most_attempts in rows:
            lease = (0, self.token(0, seq))
            self.leases[lease] = seq
            self.held[number].append(lease)
            answer.append((*lease, attempt, most_attempts))
        return self.note(("public_claim", number, most), tuple(answer))

    def finish(self, number, lease, outcome, later):
        """Bring an outcome; `release` where it is one."""
        if outcome == "released":
            call = "select tributary.release(%s, %s, %s)"
            stands = kit.scalar(self.connection, call, self.kit[number].id, self.stage.id, self.leases[lease])
        else:
            call = "select tributary.finish(%s, %s, %s, %s, null, null, %s)"
            given = (
                self.kit[number].id,
                self.stage.id,
                self.leases[lease],
                outcome,
                "30 s" if later else "0 s",
            )
            stands = kit.scalar(self.connection, call, *given)
        if lease in self.held[number]:
            self.held[number].remove(lease)
        return self.note(
            ("public_finish", number, lease[1], outcome, later and outcome != "released"), stands
        )

    def heartbeat(self, number, lease):
        call = "select tributary.heartbeat(%s, %s, %s)"
        stands = kit.scalar(self.connection, call, self.kit[number].id, self.stage.id, self.leases[lease])
        return self.note(("public_heartbeat", number, lease[1]), stands)
