"""For every key of the language: what holds without it, how it is written, and what has to be known of it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Example(NamedTuple):
    """What the table of keys does not say.

    Attributes:
        default: what holds when the key is left out; empty for nothing.
        example: how it is written, one line or several.
        rules: sentences that hold for it.
        codes: of the faults that it can cause.
    """

    default: str
    example: str
    rules: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


_UNDER_ITS_SLOT = (
    "What belongs to a holder, its steps and child runs, works under its slot and takes none of its own."
)
_ATTEMPT = "The timeout bounds one attempt, `retry.budget` all of them, the workflow's `timeout` the run."
_ITEM = "It belongs to the step as a whole; what stands beside it without mention applies to each item."
_HOOK = "Hooks run in the order `undo`, `on_*`, `finally`; a failing hook is a warning, not a failure."
_LEVELS = (
    "The step's own key is stronger than flags of a submit, the handler's own options, `defaults` and the "
    "configuration."
)
_LATE = (
    "An expression is evaluated when the step, or its item, is due; null is as if the key were not written."
)

WORKFLOW: Final[dict[str, Example]] = {
    "name": Example("the stem of the file", "name: user.signup.v1", codes=("TRB121", "TRB122")),
    "description": Example("", "description: Takes an order from its items to its confirmation"),
    "labels": Example("", "labels: {team: data, tier: gold}"),
    "inputs": Example(
        "no inputs",
        'inputs:\n  email: {type: string, pattern: "@"}\n  copies: {type: integer, default: 1, max: 9}',
        ("All faults of the given inputs are reported at once, and a refused submit stores nothing.",),
        ("TRB103", "TRB120", "TRB140", "TRB141"),
    ),
    "secrets": Example(
        "no secrets",
        "secrets: [PGPASSWORD, SLACK_TOKEN]",
        ("Workers read them where they run; they are never stored with a run, and masked in logs.",),
    ),
    "env": Example("", "env: {LOG_LEVEL: info}", codes=("TRB121",)),
    "timeout": Example("no timeout", "timeout: 2h", (_ATTEMPT,), ("TRB109",)),
    "max_parallel": Example("no bound", "max_parallel: 8"),
    "fail_fast": Example("false", "fail_fast: true", ("Without it the siblings of a failed step go on.",)),
    "concurrency": Example(
        "no limit",
        'concurrency: {group: "etl-${{ inputs.env }}", limit: 1, on_limit: queue}',
        (_UNDER_ITS_SLOT,),
    ),
    "schedule": Example(
        "never by itself",
        'schedule:\n  - {cron: "15 2 * * *", timezone: Europe/Berlin, overlap: skip, catchup: 6h}',
        ('A text alone is the cron line: `schedule: "*/5 * * * *"`.',),
    ),
    "preconditions": Example(
        "none",
        "preconditions:\n  - if: inputs.env != 'prod' || !inputs.dry_run\n    message: no dry runs on prod",
    ),
    "defaults": Example("built-in options", "defaults: {max_attempts: 5, timeout: 10m}", (_LEVELS,)),
    "steps": Example(
        "required",
        "steps:\n  hello: {run: echo hello}",
        ("The id of a step is its key; ids are unique across steps and hooks.",),
        ("TRB103", "TRB107", "TRB110", "TRB120"),
    ),
    "result": Example(
        "the results of the steps that nobody needs",
        'result: {user_id: "${{ steps.create_user.result.user_id }}"}',
        ("A reference here adds no need.",),
        ("TRB104", "TRB134"),
    ),
    "on_success": Example("", "on_success:\n  mail: {task: notify.mail.v1}", (_HOOK,)),
    "on_failure": Example(
        "",
        'on_failure:\n  alert: {task: notify.alert.v1, with: {text: "${{ run.error.message }}"}}',
        (_HOOK,),
    ),
    "on_cancel": Example("", "on_cancel:\n  tell: {task: notify.alert.v1}", (_HOOK,)),
    "finally": Example("", 'finally:\n  cleanup: {run: "rm -rf /tmp/etl"}', (_HOOK,)),
    "keep": Example("the setting `keep`", "keep: {days: 90, runs: 200}"),
}

STEP: Final[dict[str, Example]] = {
    "task": Example(
        "",
        "task: accounts.create_user.v1",
        (
            "A step has exactly one action.",
            "A name that no worker offers is a warning, an error with `--strict`.",
        ),
        ("TRB107", "TRB121", "TRB122"),
    ),
    "run": Example(
        "",
        'run: |\n  ./load.sh "$DAY"\n  echo "rows=12" >> "$TRIB_OUTPUT"\nenv: {DAY: "${{ inputs.day }}"}',
        (
            "Expressions reach a script by `env` only.",
            "Lines `name=value` in the file `$TRIB_OUTPUT` are the result.",
            "It is tried once unless `max_attempts` says otherwise.",
        ),
        ("TRB107", "TRB116", "TRB123", "TRB135"),
    ),
    "workflow": Example(
        "",
        "workflow: ./train.yaml\nwith: {model: gbm}",
        ("It is tried once unless `max_attempts` says otherwise.",),
    ),
    "wait": Example(
        "",
        "wait: {signal: warehouse-ready, timeout: 3h, on_timeout: fail}",
        (
            "One of `for` (a duration), `until` (a time) and `signal`.",
            "Its result is the payload of the signal.",
        ),
        ("TRB107", "TRB123"),
    ),
    "approve": Example(
        "",
        "approve: {prompt: Publish these rows?, timeout: 1d, on_timeout: fail}",
        ("It is answered with trib approve and trib reject.", "Its result: {approved, by, at, answer}."),
        ("TRB123",),
    ),
    "want": Example(
        "",
        "want: shop.EnrichedUser\ngiven: {shop.UserID: {id: 7}}",
        ("It becomes the steps whose handlers lead from the given types to the wanted one.",),
    ),
    "given": Example("", "given: {shop.UserID: {id: 7}}"),
    "with": Example(
        "an empty mapping",
        'with: {email: "${{ inputs.email }}"}',
        ("A value that is one expression keeps its type; inside a text it becomes text.",),
        ("TRB104", "TRB115", "TRB123", "TRB132"),
    ),
    "env": Example(
        "",
        'env: {DAY: "${{ inputs.day }}"}',
        ("Names beginning with TRIB_ are reserved.",),
        ("TRB121", "TRB123"),
    ),
    "needs": Example(
        "none",
        "needs: [extract, transform]",
        (
            "A reference to `steps.a` adds the need by itself.",
            "A need is good when it completed, was skipped by its own `if`, or failed and was tolerated.",
        ),
        ("TRB104", "TRB105", "TRB106", "TRB124"),
    ),
    "if": Example(
        "all needs are good",
        "if: inputs.env == 'prod' && steps.check.result.ok",
        (
            "Without a status function the step also asks that all its needs are good.",
            "With `success()`, `failure()`, `always()` or `cancelled()` the condition alone decides.",
            "A skip by `if` is no failure.",
        ),
        ("TRB112", "TRB130"),
    ),
    "for_each": Example(
        "",
        'for_each: ${{ steps.list.result.files }}\ntask: shop.load.v1\nwith: {file: "${{ item.path }}"}',
        (
            "`item` and `index` are at hand; not beside `matrix`.",
            "An empty list completes with an empty list.",
        ),
    ),
    "key": Example(
        "the index",
        "key: ${{ item.name }}",
        (_ITEM, "A retry runs failed items only; the key says which is which."),
    ),
    "matrix": Example(
        "",
        "matrix:\n  model: [gbm, mlp]\n  region: [eu, us]\n  exclude: [{model: mlp, region: us}]",
        ("`matrix.model` is at hand; not beside `for_each`.",),
    ),
    "max_parallel": Example("no bound", "max_parallel: 8", (_ITEM,)),
    "fail_fast": Example("true", "fail_fast: false", (_ITEM,)),
    "tolerate": Example("0", "tolerate: 10%", (_ITEM, "A number of items, or a share of them.")),
    "aggregate": Example("a list of the results", "aggregate: {task: shop.sum.v1, with: {}}", (_ITEM,)),
    "queue": Example("default", "queue: heavy", (_LEVELS, _LATE), ("TRB121",)),
    "priority": Example("0", "priority: 10", (_LEVELS, "Higher goes first.", _LATE)),
    "max_attempts": Example(
        "3; 1 for run, workflow, wait and approve", "max_attempts: 5", (_LEVELS, _LATE), ("TRB109",)
    ),
    "timeout": Example("no timeout", "timeout: 5m", (_LEVELS, _ATTEMPT, _LATE), ("TRB109",)),
    "retry": Example(
        "exponential: 1s, then twice as long each time, up to 5m, ±10%",
        "retry: {backoff: fixed, delay: 10s, budget: 1h, not_on: [ValueError]}",
        (
            _LEVELS,
            "How many executions there are is said by `max_attempts`.",
            "Each level is taken whole: fields are not merged.",
        ),
        ("TRB108", "TRB109"),
    ),
    "run_after": Example(
        "at once",
        "run_after: 30m",
        ("A duration counts from the moment the needs are met.", _LATE),
        ("TRB109",),
    ),
    "continue_on_error": Example(
        "false",
        "continue_on_error: true",
        ("The run completes with a warning, and the step's result is null.",),
    ),
    "cache": Example(
        "no cache",
        'cache: {scope: global, ttl: 1d, key: "extract-${{ inputs.day }}"}',
        (
            "Without `key` the handler's name, its version and the input decide.",
            "Of a sub-workflow that is its name, its revision and its inputs.",
        ),
    ),
    "concurrency": Example(
        "no limit",
        "concurrency: {group: warehouse, limit: 2, on_limit: queue}",
        ("`on_limit` is `queue`, `cancel_pending`, `cancel_running` or `reject`.", _UNDER_ITS_SLOT),
    ),
    "undo": Example(
        "none",
        "undo: {task: shop.refund.v1}",
        (
            "When the run fails or is cancelled, completed steps are undone, the last one first.",
            "It may read the step itself: steps.ID.result. An undone step runs again on any retry.",
        ),
        ("TRB123",),
    ),
    "dir": Example("a scratch directory; the file's own with `trib run`", "dir: ./etl"),
    "shell": Example("bash, where there is one", "shell: sh"),
    "labels": Example("", "labels: {team: data}"),
    "description": Example("", "description: Loads yesterday's orders"),
}

INPUT: Final[dict[str, Example]] = {
    "type": Example("required", "type: integer", codes=("TRB103",)),
    "default": Example("none", "default: 500", codes=("TRB141",)),
    "required": Example("true, unless there is a default", "required: false"),
    "options": Example(
        "",
        "options: [dev, staging, prod]",
        ("Only of a `choice`, which must have them.",),
        ("TRB103", "TRB140"),
    ),
    "min": Example("no bound", "min: 1", codes=("TRB140",)),
    "max": Example("no bound", "max: 10000", codes=("TRB140",)),
    "pattern": Example(
        "any text", 'pattern: "^[a-z]+$"', ("The syntax is that of Python's re module.",), ("TRB140",)
    ),
    "items": Example("anything", "items: string", ("Only of a `list`.",), ("TRB140",)),
    "description": Example("", "description: Day to load"),
}

_ERRORS: Final = (
    "A name is that of the class or of a base, bare (`Timeout`) or dotted (`requests.exceptions.Timeout`).",
    "A pattern has `*`, `?` or `[…]` and matches a name as a whole: `requests.*`.",
    'A pattern with `: ` in it matches the name and the message: `"*: *connection reset*"`.',
)

RETRY: Final[dict[str, Example]] = {
    "backoff": Example(
        "exponential", "backoff: fixed", ("`quadratic` waits delay · n² after the n-th failure.",)
    ),
    "delay": Example("1s", "delay: 500ms"),
    "multiplier": Example("2", "multiplier: 3"),
    "max_delay": Example("5m, or the delay where that is longer", "max_delay: 1h"),
    "jitter": Example("0.1", "jitter: 0"),
    "budget": Example("no bound", "budget: 1h", (_ATTEMPT,)),
    "on": Example("every error", "on: [Timeout, ConnectionError]", _ERRORS),
    "not_on": Example("none", 'not_on: [ValueError, "*: *invalid card*"]', ("It comes before `on`.",)),
    "on_exit": Example("every exit code", "on_exit: [75]"),
}

SECTIONS: Final[dict[str, dict[str, Example]]] = {
    "workflow": WORKFLOW,
    "step": STEP,
    "input": INPUT,
    "retry": RETRY,
}
