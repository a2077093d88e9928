"""The workflows of chaos, as files that a user would register."""

from __future__ import annotations

_HEAD = """
inputs:
  n: {type: integer, default: 0}
  width: {type: integer, default: 3}
  group: {type: string, default: a}
"""

_STEPS = {
    "chaos.diamond.v1": """
steps:
  first: {task: chaos.quick.v1, with: {n: "${{ inputs.n }}"}}
  left: {needs: first, task: chaos.slow.v1, with: {seconds: 0.7}}
  right: {needs: first, task: chaos.flaky.v1, with: {}}
  booked: {needs: first, task: chaos.effect.v1, with: {seconds: 0.2}}
  last: {needs: [left, right, booked], task: chaos.quick.v1, with: {n: "${{ steps.first.result.n }}"}}
""",
    "chaos.chain.v1": """
steps:
  one: {task: chaos.async.v1, with: {seconds: 0.2}}
  two: {needs: one, task: chaos.once.v1, with: {seconds: 0.3}}
  three: {needs: two, task: chaos.snooze.v1, with: {}}
  four: {needs: three, task: chaos.narrow.v1, with: {seconds: 0.1}}
  five: {needs: four, task: chaos.quick.v1, with: {}}
""",
    "chaos.fan.v1": """
steps:
  before: {task: chaos.quick.v1, with: {}}
  each:
    needs: before
    for_each: "${{ range(inputs.width) }}"
    task: chaos.slow.v1
    with: {seconds: 0.2, n: "${{ item }}"}
    max_parallel: 5
  written:
    needs: each
    for_each: "${{ range(3) }}"
    task: chaos.effect.v1
    with: {seconds: 0.1}
  after: {needs: written, task: chaos.quick.v1, with: {}}
""",
    "chaos.troubled.v1": """
steps:
  good: {task: chaos.quick.v1, with: {}}
  bad: {task: chaos.failing.v1, with: {}}
  tolerated: {task: chaos.abort.v1, with: {}, continue_on_error: true}
  never: {needs: [good, bad], task: chaos.quick.v1, with: {}}
  rescue: {needs: bad, if: failure(), task: chaos.quick.v1, with: {}}
  always: {needs: [never, rescue], if: always(), task: chaos.effect.v1, with: {}}
  further: {needs: tolerated, task: chaos.snooze.v1, with: {}}
finally:
  broom: {task: chaos.slow.v1, with: {seconds: 0.3}}
""",
    "chaos.grouped.v1": """
concurrency: {group: "chaos-${{ inputs.group }}", limit: 1}
steps:
  one: {task: chaos.slow.v1, with: {seconds: 0.3}}
  two: {needs: one, task: chaos.quick.v1, with: {}}
""",
    "chaos.single.v1": """
concurrency: {group: chaos, limit: 2}
steps:
  one: {task: chaos.quick.v1, with: {}}
  two: {needs: one, task: chaos.async.v1, with: {seconds: 0.3}}
""",
    "chaos.parent.v1": """
steps:
  before: {task: chaos.quick.v1, with: {}}
  child: {needs: before, workflow: chaos.diamond.v1, with: {n: "${{ inputs.n }}"}}
  after: {needs: child, task: chaos.once.v1, with: {seconds: 0.1}}
""",
}

SOURCES = {name: f"name: {name}\n{_HEAD}{steps}" for name, steps in _STEPS.items()}
"""By name; what another one starts comes first."""
