"""What the actions on secrets and data rely on, and the stock emulator does right.

It has no Data API, which the unit tests stub, and copies in S3 whatever the conditions of the copy say.
"""

from __future__ import annotations

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local


def test_a_label_is_only_moved_off_the_version_that_has_it(account: Account) -> None:
    aws, name = account.client("secretsmanager"), account.name("secret")
    old = aws.create_secret(Name=name, SecretString="1")["VersionId"]
    now = aws.put_secret_value(SecretId=name, SecretString="2")["VersionId"]
    move = {"SecretId": name, "VersionStage": "AWSCURRENT", "RemoveFromVersionId": now, "MoveToVersionId": old}

    aws.update_secret_version_stage(**move)
    refused(aws.update_secret_version_stage, "InvalidParameterException", **move)

    labels = aws.describe_secret(SecretId=name)["VersionIdsToStages"]
    assert (labels[old], labels[now]) == (["AWSCURRENT"], ["AWSPREVIOUS"])


def test_a_snapshot_has_its_tags_and_is_taken_once(account: Account) -> None:
    aws, name = account.client("rds"), account.name("db").lower()
    aws.create_db_instance(
        DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
        MasterUsername="shop", MasterUserPassword="not-a-secret", MultiAZ=True,
    )  # fmt: skip
    asked = {"DBSnapshotIdentifier": f"auto-{name}", "DBInstanceIdentifier": name}
    aws.create_db_snapshot(**asked, Tags=[{"Key": "selfheal:action", "Value": "a"}])

    refused(aws.create_db_snapshot, "DBSnapshotAlreadyExists", **asked)

    [found] = aws.describe_db_snapshots(DBSnapshotIdentifier=f"auto-{name}")["DBSnapshots"]
    assert (found["Status"], found["DBInstanceIdentifier"]) == ("available", name)
    assert found["TagList"] == [{"Key": "selfheal:action", "Value": "a"}]
    refused(aws.describe_db_snapshots, "DBSnapshotNotFound", DBSnapshotIdentifier="auto-other")


def test_an_object_is_copied_with_its_tags(account: Account) -> None:
    aws, bucket = account.client("s3"), account.name("bucket")
    aws.create_bucket(Bucket=bucket)
    etag = aws.put_object(Bucket=bucket, Key="day/a", Body=b"1", Tagging="kind=backup")["ETag"]
    source = {"Bucket": bucket, "Key": "day/a"}

    aws.copy_object(Bucket=bucket, Key="restore/a", CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*")

    [found] = aws.list_objects_v2(Bucket=bucket, Prefix="restore/")["Contents"]
    assert (found["Size"], found["ETag"]) == (1, etag)
    tags = aws.get_object_tagging(Bucket=bucket, Key="restore/a")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "backup"}]


def test_what_did_not_change_is_not_published_again(account: Account) -> None:
    function, aws = account.function(), account.client("lambda")
    name = {"FunctionName": function.name}
    environment = {"Variables": {"A": "1", "MARKER": "x"}}
    aws.update_function_configuration(**name, Environment=environment)
    latest = aws.get_function_configuration(**name)

    versions = {aws.publish_version(**name, CodeSha256=latest["CodeSha256"])["Version"] for _ in range(2)}

    [version] = versions
    assert aws.get_function_configuration(**name, Qualifier=version)["Environment"] == environment
    aws.update_function_configuration(**name, Environment={"Variables": {"A": "2"}})
    assert aws.get_function_configuration(**name, Qualifier=version)["Environment"] == environment
    assert latest["RevisionId"] != aws.get_function_configuration(**name)["RevisionId"]
    stale = {"Environment": environment, "RevisionId": latest["RevisionId"]}
    refused(aws.update_function_configuration, "PreconditionFailedException", **name, **stale)
