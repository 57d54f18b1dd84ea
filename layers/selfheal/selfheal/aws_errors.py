"""AWS's error codes, translated in one place: nobody else compares code strings."""

from __future__ import annotations

from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from selfheal.errors import ChangedMeanwhile, NotApplied, TargetForbidden, TargetNotFound, Throttled, Unreadable

_NOT_FOUND = {
    "ResourceNotFoundException",
    "ResourceNotFound",
    "ParameterNotFound",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NoSuchKey",
    "404",
    "NotFoundException",
    "NotFound",  # SNS
    "NoSuchEntity",  # IAM
    "DBInstanceNotFound",
    "DBClusterNotFoundFault",
    "DBSnapshotNotFound",
    "DBClusterSnapshotNotFoundFault",
    "DeploymentDoesNotExistException",
    "ApplicationDoesNotExistException",
    "DeploymentGroupDoesNotExistException",
    "ClusterNotFoundException",  # ECS, as the next three
    "ServiceNotFoundException",
    "ServiceNotActiveException",
    "ServiceDeploymentNotFoundException",
    "TargetGroupNotFound",
    "ReplicationGroupNotFoundFault",
    "CacheClusterNotFound",
    "ServerlessCacheNotFoundFault",
    "InvalidGroup.NotFound",  # EC2, security groups
}
_FORBIDDEN = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "ForbiddenException",
    "403",
}
_LOST_RACE = {
    "PreconditionFailedException",
    "PreconditionFailed",
    "412",
    "ConflictException",
    "TooManyUpdates",
    "ConcurrentModificationException",  # EventBridge
    "OperationAbortedException",  # CloudWatch Logs
    "ConcurrentUpdateException",  # Application Auto Scaling
}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",  # SQS
    "ProvisionedThroughputExceededException",
}
_NO_ANSWER = _THROTTLED | {
    "ServiceException",
    "InternalServerError",
    "InternalServerException",
    "InternalFailure",
    "InternalError",
    "ServiceUnavailable",
    "ServiceUnavailableError",  # Data API, as the next four
    "DatabaseResumingException",
    "DatabaseUnavailableException",
    "InternalServerErrorException",
    "StatementTimeoutException",
    "500",
    "503",
}

AwsError = (ClientError, BotoCoreError)
"""What a boto3 call can raise; `except AwsError as error: translate(error, what)`."""


def code_of(error: ClientError | BotoCoreError) -> str:
    """AWS's error code, or the exception's name where no answer came."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def translate(error: ClientError | BotoCoreError, what: str) -> NoReturn:
    """Raise the selfheal error for `error`; `what` names the resource and the call in words."""
    code = code_of(error)
    message = f"{what}: {error}"
    if code in _NOT_FOUND:
        raise TargetNotFound(message) from error
    if code in _FORBIDDEN:
        raise TargetForbidden(message) from error
    if code in _LOST_RACE:
        raise ChangedMeanwhile(message) from error
    if code in _NO_ANSWER or _went_unanswered(error):
        raise unreadable(error, what) from error
    raise NotApplied(message) from error


def unreadable(error: ClientError | BotoCoreError, what: str) -> Unreadable:
    """The error of a read that `what` did not answer; Throttled where AWS only wants it later."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(error, ClientError) else 0
    return (Throttled if code_of(error) in _THROTTLED or status == 429 else Unreadable)(what, str(error))


def _went_unanswered(error: ClientError | BotoCoreError) -> bool:
    """No answer, or the service's own failure: the call may have taken effect. Parameters are checked before it."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429
    return not isinstance(error, ParamValidationError)
