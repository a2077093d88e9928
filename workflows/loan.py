"""A loan application: documents as signals, a pause, a review by chance, a manager's approval, a branch.

    trib worker --import ./workflows/loan.py
    trib submit loan.application.v1 -i applicant=ada -i amount=150000 -i income=90000 -i reviews=1
    trib signal @latest document -d '{"kind": "identity", "pages": 2}'
    trib signal @latest document -d '{"kind": "income", "pages": 1}'
    trib query @latest missing --import ./workflows/loan.py
    trib approve @latest manager --as grace
    trib status @latest

An amount of no more than twice the income passes the credit check. ``reviews`` is the share of applications
that a manager looks at; which ones, is decided by chance, and stays decided. Above 100,000 an underwriter
sets the rate. Who is refused gets a decision that says why; only a fault fails the run.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from tributary_daemon import StepFailed, WaitOver, WorkflowContext, handler, workflow

Kind = Literal["identity", "income"]
LARGE = 100_000


class Application(BaseModel):
    """What is asked for; ``pause`` is the time in which the applicant may think again."""

    applicant: str
    amount: int = Field(gt=0)
    income: int = Field(ge=0)
    reviews: float = Field(default=0.3, ge=0, le=1)
    pause: str = "5s"


class Decision(BaseModel):
    """What became of an application."""

    application_id: UUID
    granted: bool
    reason: str
    percent: float | None = None
    transfer: str | None = None


class CreditArgs(BaseModel):
    """Whose credit is checked, for how much."""

    applicant: str
    amount: int
    income: int


class Credit(BaseModel):
    """Whether it is worth to go on."""

    good: bool


class Document(BaseModel):
    """What the applicant sends; one without pages is empty."""

    kind: Kind
    pages: int


class Checked(BaseModel):
    """Whether a document will do."""

    accepted: bool


class Underwrite(BaseModel):
    """A large loan to be rated."""

    amount: int
    income: int


class Rate(BaseModel):
    """Interest per year."""

    percent: float


class Disburse(BaseModel):
    """How much is paid out, for which application."""

    application_id: UUID
    amount: int


class Paid(BaseModel):
    """Number of the transfer."""

    transfer: str


@handler("loan.check_credit.v1")
def check_credit(args: CreditArgs) -> Credit:
    """Check the credit of an applicant."""
    return Credit(good=args.amount <= 2 * args.income)


@handler("loan.check_document.v1")
def check_document(args: Document) -> Checked:
    """Look at a document."""
    return Checked(accepted=args.pages > 0)


@handler("loan.underwrite.v1")
def underwrite(args: Underwrite) -> Rate:
    """Rate a large loan."""
    return Rate(percent=round(3 + args.amount / max(args.income, 1), 2))


@handler("loan.disburse.v1", max_attempts=10)
def disburse(args: Disburse) -> Paid:
    """Pay out; a transfer is known by its application, so that a second attempt pays nothing twice."""
    return Paid(transfer=f"transfer-{args.application_id.hex[-8:]}")


@workflow("loan.application.v1", timeout="60d")
async def application(ctx: WorkflowContext, args: Application) -> Decision:
    """Decide on a loan, and pay it out."""
    application_id = ctx.uuid7()

    def refused(reason: str) -> Decision:
        return Decision(application_id=application_id, granted=False, reason=reason)

    missing: list[Kind] = ["identity", "income"]
    ctx.on_query("missing", lambda: missing)

    ctx.set_status("checking the credit")
    credit = await ctx.run(
        check_credit, CreditArgs(applicant=args.applicant, amount=args.amount, income=args.income)
    )
    if not credit.good:
        return refused("the amount is too high for the income")

    while missing:
        ctx.set_status(f"waiting for documents: {', '.join(missing)}")
        try:
            document = await ctx.wait_signal("document", Document, timeout="14d")
        except WaitOver:
            return refused(f"not handed in: {', '.join(missing)}")
        checked = await ctx.run(check_document, document)
        if not checked.accepted:
            return refused(f"the document {document.kind} is empty")
        if document.kind in missing:
            missing.remove(document.kind)

    ctx.set_status("a moment to think again")
    await ctx.sleep(args.pause)

    if ctx.random.random() < args.reviews:
        ctx.set_status("a manager looks at it")
        prompt = f"Lend {args.amount} to {args.applicant}?"
        try:
            await ctx.wait_approval("manager", prompt=prompt, timeout="7d")
        except WaitOver:
            return refused("no manager had time")
        except StepFailed as failure:
            return refused(failure.text)

    percent = 4.0
    if args.amount > LARGE:
        percent = (await ctx.run(underwrite, Underwrite(amount=args.amount, income=args.income))).percent
    paid = await ctx.run(disburse, Disburse(application_id=application_id, amount=args.amount))
    ctx.set_status("paid out")
    return Decision(
        application_id=application_id, granted=True, reason="granted", percent=percent, transfer=paid.transfer
    )
