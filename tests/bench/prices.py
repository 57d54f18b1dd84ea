"""What AWS charges, in USD, us-east-1, without any free allowance: the one table that the cost model computes with.

`source`: the name of AWS's price page. `seen`: when the number was last seen there or in a dated text that quotes it.
Not `confirmed`: known from use, and quoted by nobody that we could read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REGION = "us-east-1"


@dataclass(frozen=True)
class Price:
    """USD for one `unit`."""

    usd: float
    unit: str
    source: str
    seen: str
    confirmed: bool = True


PRICES = {
    "lambda_gb_s": Price(0.0000133334, "GB-second, arm64", "AWS Lambda pricing", "2026-08"),
    "lambda_request": Price(0.20e-6, "request", "AWS Lambda pricing", "2026-08"),
    "dynamodb_write": Price(0.625e-6, "write request unit", "Amazon DynamoDB pricing, on-demand", "2026-08"),
    "dynamodb_read": Price(0.125e-6, "read request unit", "Amazon DynamoDB pricing, on-demand", "2026-08"),
    "dynamodb_gb": Price(0.25, "GB-month", "Amazon DynamoDB pricing, on-demand", "2026-08", confirmed=False),
    "dynamodb_pitr_gb": Price(0.20, "GB-month", "Amazon DynamoDB pricing, backup", "2026-08", confirmed=False),
    "event": Price(1.0e-6, "custom event", "Amazon EventBridge pricing", "2026-08"),
    "schedule": Price(1.0e-6, "invocation of a schedule", "Amazon EventBridge pricing", "2026-08", confirmed=False),
    "sns": Price(0.50e-6, "publish", "Amazon SNS pricing", "2026-08"),
    "sns_mail": Price(2.0e-5, "mail", "Amazon SNS pricing", "2026-08", confirmed=False),
    "sqs": Price(0.40e-6, "request, standard queue", "Amazon SQS pricing", "2026-08"),
    "s3_put": Price(0.005e-3, "PUT", "Amazon S3 pricing", "2026-08", confirmed=False),
    "log_gb": Price(0.50, "GB taken in", "Amazon CloudWatch pricing", "2026-06"),
    "log_kept_gb": Price(0.03, "GB-month", "Amazon CloudWatch pricing", "2026-08", confirmed=False),
    "metric": Price(0.30, "custom metric-month, by the hour", "Amazon CloudWatch pricing", "2026-02"),
    "alarm": Price(0.10, "metric-month of a standard alarm", "Amazon CloudWatch pricing", "2026-02"),
    "dashboard": Price(3.0, "dashboard-month after the first three", "Amazon CloudWatch pricing", "2026-06"),
    "cloudwatch_call": Price(0.01e-3, "API request", "Amazon CloudWatch pricing", "2024-04"),
    "step_functions": Price(0.025e-3, "state transition, Standard", "AWS Step Functions pricing", "2026-08"),
    "ssm_step": Price(0.002, "step", "AWS Systems Manager pricing, Automation", "2026-08", confirmed=False),
    "fargate_vcpu_h": Price(0.04048, "vCPU-hour, x86", "AWS Fargate pricing", "2026-08", confirmed=False),
    "fargate_gb_h": Price(0.004445, "GB-hour, x86", "AWS Fargate pricing", "2026-08", confirmed=False),
    "t4g_small_h": Price(0.0168, "hour", "Amazon EC2 on-demand pricing", "2026-08", confirmed=False),
    "m4_xlarge_h": Price(0.20, "hour", "Amazon EC2 on-demand pricing", "2026-08", confirmed=False),
}


def usd(name: str) -> float:
    """The price of one unit."""
    return PRICES[name].usd


@dataclass(frozen=True)
class Line:
    """`count` units of `price`."""

    what: str
    count: float
    price: str

    @property
    def usd(self) -> float:
        """What it costs."""
        return self.count * usd(self.price)


def total(lines: Sequence[Line]) -> float:
    """USD."""
    return sum(line.usd for line in lines)
