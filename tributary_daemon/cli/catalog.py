"""Every command of ``trib``: its place, its one-line summary, its section of the help page."""

from __future__ import annotations

from typing import Final

from tributary_daemon.cli.loader import Entry

_WORK, _LOOK, _FILES = "Work", "Look", "Workflow files"
_FLEET, _SETUP = "Workers and queues", "Set up"

COMMANDS: Final = {
    "submit": Entry("commands.submit:submit", "Record work: a workflow file or name, or an intent", _WORK),
    "run": Entry("commands.run:run", "Run a workflow or an intent here and now, and show its result", _WORK),
    "cancel": Entry("commands.control:cancel", "Cancel runs or intents, in any state", _WORK),
    "retry": Entry(
        "commands.control:retry", "Try failed work again; finished steps keep their results", _WORK
    ),
    "pause": Entry("commands.pause:pause", "Pause runs until they are resumed", _WORK),
    "resume": Entry("commands.pause:resume", "Let paused runs go on", _WORK),
    "signal": Entry("commands.signals:signal", "Send a signal to a run", _WORK),
    "approve": Entry("commands.signals:approve", "Approve what a step of a run asks for", _WORK),
    "reject": Entry("commands.signals:reject", "Reject what a step of a run asks for", _WORK),
    "change": Entry(
        "commands.change:change", "Change work that waits: its priority, queue, time or payload", _WORK
    ),
    "rerun": Entry("commands.control:rerun", "Submit the same work once more, as a new run or intent", _WORK),
    "status": Entry("commands.status:status", "Show one run or intent", _LOOK),
    "watch": Entry("commands.watch:watch", "Follow a run or an intent to its end", _LOOK),
    "logs": Entry("commands.logs:logs", "Show what a run or an intent said, and follow it", _LOOK),
    "list": Entry("commands.list:list_", "List runs and intents, newest first", _LOOK),
    "why": Entry("commands.why:why", "Say why work waits, or why a step was skipped", _LOOK),
    "events": Entry("commands.events:events", "Show what happened, to one run or to all", _LOOK),
    "query": Entry("commands.functions:query", "Ask a workflow function how it goes", _LOOK),
    "validate": Entry("commands.files:validate", "Check workflow files without storing anything", _FILES),
    "plan": Entry("commands.plan:plan", "Show what a workflow would run, and with which options", _FILES),
    "graph": Entry(
        "commands.graph:graph",
        "Draw the graph of a workflow, or of a run with its states",
        _FILES,
    ),
    "test": Entry("commands.test:test", "Run the cases of a test file, with mocks for steps", _FILES),
    "replay": Entry(
        "commands.functions:replay", "Check new code of workflow functions against stored histories", _FILES
    ),
    "fmt": Entry("commands.fmt:fmt", "Bring workflow files into their usual form, comments included", _FILES),
    "convert": Entry(
        "commands.convert:convert", "Convert a workflow of GitHub Actions, Argo or Dagu", _FILES
    ),
    "schema": Entry("commands.schema:schema", "Print the JSON Schema of workflow files, for editors", _FILES),
    "register": Entry("commands.files:register", "Register workflow files under their names", _FILES),
    "eval": Entry(
        "commands.eval:eval_", "Evaluate an expression, as workflows write it inside ${{ }}", _FILES
    ),
    "explain": Entry(
        "commands.explain:explain", "Explain a key of the language, or the code of an error", _FILES
    ),
    "worker": Entry("commands.worker:worker", "Start a worker and serve queues until it is stopped", _FLEET),
    "workers": Entry(
        "commands.workers:workers",
        "List workers with what they run; drain, pause or stop them",
        _FLEET,
    ),
    "health": Entry("commands.health:health", "Ask a worker's health endpoint, as a container does", _FLEET),
    "handlers": Entry("commands.handlers:handlers", "List the handlers that workers have offered", _FLEET),
    "queue": Entry("commands.queue:queue", "List, pause, resume and limit queues", _FLEET),
    "tenant": Entry("commands.tenant:tenant", "List and limit tenants, bind logins to them", _FLEET),
    "cache": Entry("commands.cache:cache", "Show and purge the results that steps use again", _FLEET),
    "schedule": Entry(
        "commands.schedule:schedule", "Add, list, pause, trigger and backfill what starts by itself", _FLEET
    ),
    "dlq": Entry("commands.dlq:dlq", "List, show, requeue and drop dead letters", _FLEET),
    "keys": Entry("commands.keys:keys", "Make, list and rotate encryption keys", _FLEET),
    "blobs": Entry("commands.blobs:blobs", "Tidy what the hook blob keeps elsewhere", _FLEET),
    "prune": Entry("commands.prune:prune", "Remove work that ended long ago", _FLEET),
    "migrate": Entry("commands.migrate:migrate", "Bring the database schema up or down", _SETUP),
    "doctor": Entry("commands.doctor:doctor", "Check this installation and say what to mend", _SETUP),
    "config": Entry("commands.config:config", "Show the settings and where each one comes from", _SETUP),
    "service": Entry("commands.service:service", "Run the worker as a service of systemd", _SETUP),
    "completion": Entry("commands.completion:completion", "Print the completion script of a shell", _SETUP),
    "version": Entry("commands.version:version", "Print the versions of trib and of what it runs on", _SETUP),
}
