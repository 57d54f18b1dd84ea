"""In which state is a CloudFormation stack, and what is there to do? Nothing here ever changes or deletes one."""

from __future__ import annotations

from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, named
from selfheal.checks.stack_status import status_of
from selfheal.clients import client

KIND = CheckKind(
    "stack",
    "a CloudFormation stack is complete; if not, what to do",
    {"stack": named("stack name, with the stage if it has one")},
    main="stack",
    named_by=("stack",),
)
SERVICES = ("cloudformation",)
PERMISSIONS = ("cloudformation:DescribeStacks",)


def look(check: Check) -> list[Finding]:
    """DescribeStacks, always with the name. A stack that is missing is a ValidationError, which has no type."""
    name = check["stack"]
    try:
        (stack,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except AwsError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            advice = "correct the name (is the stage in it?), or deploy it: `sam deploy --stack-name {stack}`"
            problem = Problem("there is no such stack", "it exists", advice.format(stack=name))
            return findings(check, [problem], "")
        translate(error, f"stack {name}")
    seen = stack["StackStatus"]
    status = status_of(seen)
    told = f"{seen}: {status.means}"
    if reason := stack.get("StackStatusReason"):
        told += f" ({reason[:200]})"
    to_do = status.to_do.format(stack=name)
    if status.verdict is Mark.PASS:
        return findings(check, [], f"{told}. {to_do}" if to_do else told)
    return findings(check, [Problem(told, "complete", to_do, status.verdict)], "")
