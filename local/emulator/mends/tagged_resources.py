"""GetResources finds parameters and secrets as well.

Stock ministack 1.5.33 knows the tags of both, for conditions in policies, and leaves both out of
``resourcegroupstaggingapi:GetResources``.

AWS lists them: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
"""

from __future__ import annotations

from ministack.services import tagging

from local.emulator.mends import MendError


def apply() -> None:
    for service in ("ssm", "secretsmanager"):
        if service in tagging._COLLECTORS or service not in tagging._RESOURCE_TAG_COLLECTORS:
            raise MendError(f"the tag collectors for {service} are not where they were")
        tagging._COLLECTORS[service] = tagging._RESOURCE_TAG_COLLECTORS[service]
