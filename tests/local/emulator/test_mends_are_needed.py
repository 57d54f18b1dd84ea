"""Every mend is needed: without it, and with all others, its contract does not hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from local.emulator.control import Emulator
from tests.local.emulator import (
    test_alarm_actions,
    test_alarm_evaluation,
    test_api_destinations,
    test_application_autoscaling,
    test_cloudformation,
    test_codedeploy,
    test_ecs_deployments,
    test_event_archives,
    test_event_replays,
    test_eventbridge_targets,
    test_iam_requests,
    test_lambda_async,
    test_lambda_invocation,
    test_lambda_provisioned,
    test_lambda_versions,
    test_lambda_workers,
    test_log_filters,
    test_metrics,
    test_scheduler,
    test_sqs_move_tasks,
    test_ssm_parameters,
    test_tagged_resources,
)
from tests.local.emulator.account import Account

pytestmark = pytest.mark.local

IMPATIENT = 1.5  # seconds; nothing that the stock emulator lacks comes later than that

CONTRACTS: dict[str, tuple[Callable[[Account], None], ...]] = {
    "lambda_workers": (
        test_lambda_workers.test_environment_holds_the_variables_of_aws_and_none_of_the_host,
        test_lambda_workers.test_packages_come_from_layers_alone,
        test_lambda_workers.test_handler_error_keeps_the_environment_and_its_type,
    ),
    "lambda_invocation": (
        test_lambda_invocation.test_alias_routes_by_weight_and_names_the_executed_version,
        test_lambda_invocation.test_reserved_concurrency_of_zero_stops_every_qualifier,
        test_lambda_invocation.test_every_invocation_is_counted_for_function_alias_and_version,
        test_lambda_invocation.test_queue_s_batch_is_an_invocation_of_the_alias,
    ),
    "lambda_async": (
        test_lambda_async.test_alias_s_configuration_decides_on_retries_and_destination,
        test_lambda_async.test_failure_queue_gets_the_event_as_it_was,
        test_lambda_async.test_topic_needs_a_permission_for_the_alias_and_its_delivery_is_retried,
    ),
    "alarm_evaluation": (
        test_alarm_evaluation.test_alarm_fires_on_its_own_dimensions_and_explains_itself,
        test_alarm_evaluation.test_m_of_n_needs_m,
        test_alarm_evaluation.test_errors_of_a_function_turn_its_alarm_red,
    ),
    "alarm_actions": (
        test_alarm_actions.test_event_of_a_metric_alarm_is_complete,
        test_alarm_actions.test_drill_is_told_with_one_time_stamp_everywhere,
    ),
    "eventbridge_targets": (
        test_eventbridge_targets.test_missing_permission_goes_to_the_dead_letter_queue_with_its_reason,
        test_eventbridge_targets.test_queue_s_own_policy_must_let_the_rule_in,
    ),
    "event_replays": (
        test_event_replays.test_a_replay_goes_to_the_rules_that_are_named_with_new_ids_and_its_name,
        test_event_replays.test_progress_is_told_while_it_runs_and_stays_where_it_was_cancelled,
        test_event_replays.test_what_is_over_cannot_be_cancelled,
        test_event_replays.test_ten_at_once_and_no_window_that_ends_before_its_start,
    ),
    "event_archives": (test_event_archives.test_an_archive_s_own_rule_is_switched_by_its_service_alone,),
    "scheduler": (
        test_scheduler.test_schedule_starts_within_a_second_or_two_in_its_own_time_zone,
        test_scheduler.test_role_without_the_permission_ends_in_the_dead_letter_queue,
        test_scheduler.test_wrong_expressions_and_a_start_in_the_past_are_refused,
    ),
    "lambda_versions": (
        test_lambda_versions.test_alias_refuses_a_version_that_does_not_exist,
        test_lambda_versions.test_weights_lie_between_nought_and_one,
    ),
    "lambda_provisioned": (test_lambda_provisioned.test_what_is_provisioned_is_listed_with_its_qualifier,),
    "api_destinations": (
        test_api_destinations.test_template_may_have_a_connection_and_a_destination,
        test_api_destinations.test_what_is_not_taken_goes_to_the_dead_letter_queue,
    ),
    "cloudformation_lambda": (test_cloudformation.test_function_is_created_with_its_failure_queue_and_its_concurrency,),
    "cloudformation_stages": (test_cloudformation.test_stage_of_an_http_api_has_the_limits_of_its_template,),
    "sam_parameters": (test_cloudformation.test_parameter_s_value_decides_in_the_transform,),
    "iam_requests": (
        test_iam_requests.test_alias_is_read_and_moved_under_its_own_actions,
        test_iam_requests.test_qualified_call_needs_the_qualified_arn,
        test_iam_requests.test_mapping_is_known_by_the_function_that_it_feeds,
        test_iam_requests.test_log_group_is_named_with_its_streams,
        test_iam_requests.test_service_of_ecs_is_named_with_its_cluster,
        test_iam_requests.test_snapshot_of_a_database_is_named_by_itself,
        test_iam_requests.test_schedule_is_named_with_its_group_and_its_role_must_be_passed,
        test_iam_requests.test_metrics_may_be_confined_to_a_namespace,
        test_iam_requests.test_replay_needs_its_bus_its_archive_and_itself,
    ),
    "sqs_move_tasks": (
        test_sqs_move_tasks.test_messages_go_back_to_where_they_came_from_under_a_new_id,
        test_sqs_move_tasks.test_dead_letter_queue_knows_its_sources,
    ),
    "ssm_parameters": (
        test_ssm_parameters.test_pattern_and_type_bind_every_writer,
        test_ssm_parameters.test_history_names_the_writer,
    ),
    "codedeploy": (
        test_codedeploy.test_stop_with_rollback_is_a_deployment_of_its_own,
        test_codedeploy.test_template_may_have_an_application_and_a_group,
    ),
    "ecs_deployments": (
        test_ecs_deployments.test_a_deployment_takes_time_and_the_old_task_runs_so_long,
        test_ecs_deployments.test_a_deployment_knows_its_revision_and_where_it_came_from,
    ),
    "application_autoscaling": (
        test_application_autoscaling.test_limits_force_the_count_at_once_even_when_none_is_named,
        test_application_autoscaling.test_limits_are_set_under_a_target_s_arn_and_the_namespace,
    ),
    "embedded_metrics": (test_metrics.test_metric_in_a_log_line_turns_its_alarm_red,),
    "log_filters": (
        test_log_filters.test_fields_of_json_are_compared,
        test_log_filters.test_one_of_several_optional_terms_is_enough,
        test_log_filters.test_terms_are_all_there_in_their_case_and_none_that_must_not_be,
    ),
    "sqs_metrics": (test_metrics.test_message_in_a_queue_turns_its_alarm_red,),
    "tagged_resources": (test_tagged_resources.test_tagged_resources_are_found_by_type_and_tag,),
}


def mends() -> list[str]:
    """The mends by their files; the package itself needs ministack, which is not in this environment."""
    directory = Path(__file__).resolve().parents[3] / "local" / "emulator" / "mends"
    return sorted(path.stem for path in directory.glob("*.py") if path.stem != "__init__")


def test_every_mend_has_a_contract() -> None:
    assert mends() == sorted(CONTRACTS)


@pytest.mark.parametrize("mend", mends())
def test_contract_fails_without_its_mend(mend: str, tmp_path: Path) -> None:
    with Emulator.start(port=None, home=tmp_path / "emulator", without=(mend,)) as emulator:
        account = Account(emulator, tmp_path, patience=IMPATIENT)
        for contract in CONTRACTS[mend]:
            with pytest.raises((AssertionError, ClientError, BotoCoreError, KeyError, pytest.fail.Exception)):
                contract(account)
