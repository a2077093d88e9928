"""Handlers whose every value holds a word, which is then looked for in the database."""

from __future__ import annotations

from typing import Any

from tributary_daemon import Abort, Step, WorkflowContext, handler, workflow


@handler("crypt.echo.v1")
def echo(args: dict) -> dict:
    return args


@handler("crypt.told.v1")
def told(args: dict, step: Step) -> dict:
    """Say, report, and return it."""
    step.log.info("said it", word=args["word"])
    if step.progress is None and args.get("again"):
        step.heartbeat({"word": args["word"]})
        raise ValueError(f"not yet, {args['word']}")
    return {"word": args["word"], "inputs": dict(step.inputs), "progress": step.progress}


@handler("crypt.fails.v1", max_attempts=1)
def fails(args: dict) -> None:
    raise Abort(f"never, {args['word']}")


@handler("crypt.alone.v1", isolation="process")
def alone(args: dict, step: Step) -> dict:
    step.log.info("alone", word=args["word"])
    return args


@handler("crypt.exact.v1")
def exact(args: dict, step: Step) -> dict:
    step.connection().execute("select 1")
    return args


async def paid(connection, word: str) -> str:
    await connection.execute("select 1")
    return f"paid {word}"


@workflow("crypt.flow.v1")
async def flow(ctx: WorkflowContext, word: str, depth: int = 0) -> dict[str, Any]:
    if depth:
        return {"leaf": word}
    ctx.on_failure(echo, {"undone": word})
    ctx.set_status(f"at {word}")
    first = await ctx.run(echo, {"word": word})
    done = await ctx.transaction(paid, word)
    child = await ctx.child("crypt.flow.v1", {"word": word, "depth": 1})
    sent = await ctx.wait_signal("go")
    return {"first": first, "done": done, "child": child, "sent": sent}


@workflow("crypt.anew.v1")
async def anew(ctx: WorkflowContext, word: str, left: int = 1) -> str:
    ctx.on_failure(echo, {"undone": word})
    if left:
        raise ctx.continue_as_new({"word": f"{word}!", "left": 0})
    await ctx.run(echo, {"word": word})
    raise Abort(f"no more, {word}")
