"""Every reason for which selfheal declines to act, with the sentence that a person reads."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Named refusals. The value goes into records, events and metrics; `sentence` into messages."""

    # what came in
    NOT_AN_ALARM = "not_an_alarm"
    NOT_A_REQUEST = "not_a_request"
    UNKNOWN_ACTION = "unknown_action"
    BAD_TARGET = "bad_target"
    BAD_OPTIONS = "bad_options"
    FOREIGN_ALARM = "foreign_alarm"
    NO_RUNBOOK = "no_runbook"
    RESPONSE_OFF = "response_off"
    OWN_ALARM = "own_alarm"
    # guards, in the order in which they are asked
    PAUSED = "paused"
    TAKEN_OVER = "taken_over"
    MAINTENANCE = "maintenance"
    SUGGEST_ONLY = "suggest_only"
    EXEMPT = "exempt"
    TOO_LATE = "too_late"
    NOT_RED = "not_red"
    ALARM_MOVED_ON = "alarm_moved_on"
    ALARM_MUTED = "alarm_muted"
    OLDER_THAN_DEPLOYMENT = "older_than_deployment"
    TARGET_OWNED = "target_owned"
    LEASED = "leased"
    COOLDOWN = "cooldown"
    RATE_LIMIT = "rate_limit"
    DOES_NOT_HELP = "does_not_help"
    BLAST_RADIUS = "blast_radius"
    STORM = "storm"
    GUARD_UNREADABLE = "guard_unreadable"
    # what the action found
    TARGET_NOT_FOUND = "target_not_found"
    TARGET_FORBIDDEN = "target_forbidden"
    TARGET_UNREADABLE = "target_unreadable"
    NOT_A_FLAG = "not_a_flag"
    PERSON_REQUIRED = "person_required"
    ALIAS_ON_LATEST = "alias_on_latest"
    NO_EARLIER_VERSION = "no_earlier_version"
    VERSION_UNFIT = "version_unfit"
    DEPLOYMENT_IN_FLIGHT = "deployment_in_flight"
    SCHEDULE_ENDED = "schedule_ended"
    MANAGED_RULE = "managed_rule"
    QUEUE_HAS_REDRIVE = "queue_has_redrive"
    NO_REPLAY_TARGET = "no_replay_target"
    NOT_A_REDRIVE_SOURCE = "not_a_redrive_source"
    PROVISIONED_CONCURRENCY = "provisioned_concurrency"
    ROTATION_IN_PROGRESS = "rotation_in_progress"
    ENVIRONMENT_UNREADABLE = "environment_unreadable"
    ENVIRONMENT_TOO_LARGE = "environment_too_large"
    FUNCTION_NOT_READY = "function_not_ready"
    LATEST_DIFFERS = "latest_differs"
    DATABASE_BUSY = "database_busy"
    DATABASE_IN_CLUSTER = "database_in_cluster"
    NO_DATA_API = "no_data_api"
    NO_SUCH_BACKUP = "no_such_backup"
    BACKUP_UNFIT = "backup_unfit"
    PLACE_TAKEN = "place_taken"
    CHECKS_NOT_PASSED = "checks_not_passed"
    NO_SUCH_SWEEP = "no_such_sweep"
    SERVICE_STOPPED = "service_stopped"
    SERVICE_DEPLOYING = "service_deploying"
    DAEMON_SERVICE = "daemon_service"
    OTHER_CONTROLLER = "other_controller"
    NO_EARLIER_REVISION = "no_earlier_revision"
    REVISION_UNFIT = "revision_unfit"
    BEYOND_MOST = "beyond_most"
    NO_RULES_NAMED = "no_rules_named"
    RULE_DISABLED = "rule_disabled"
    ARCHIVE_UNFIT = "archive_unfit"
    ARCHIVE_LAGS = "archive_lags"
    WINDOW_UNFIT = "window_unfit"
    HANDLERS_FORGET = "handlers_forget"
    TOO_MANY_REPLAYS = "too_many_replays"
    REPLAY_OVER = "replay_over"
    REF_IS_A_COMMIT = "ref_is_a_commit"
    WORKFLOW_DISABLED = "workflow_disabled"
    CHANGED_MEANWHILE = "changed_meanwhile"
    EVIDENCE_MISSING = "evidence_missing"
    # rollouts and deployments
    ROLLOUT_TOO_EARLY = "rollout_too_early"
    NOT_OFF_PEAK = "not_off_peak"
    FOREIGN_DEPLOYMENT = "foreign_deployment"
    NOT_A_DEPLOYMENT = "not_a_deployment"
    # undo and approvals
    NOTHING_TO_UNDO = "nothing_to_undo"
    IRREVERSIBLE = "irreversible"
    CHANGED_SINCE = "changed_since"
    ALREADY_UNDONE = "already_undone"
    NO_SUCH_APPROVAL = "no_such_approval"
    APPROVAL_EXPIRED = "approval_expired"
    ALREADY_DECIDED = "already_decided"
    NO_SUCH_INCIDENT = "no_such_incident"

    @property
    def sentence(self) -> str:
        """What a person on call reads when nothing more precise is known."""
        return _SENTENCES[self]


_SENTENCES: dict[Refusal, str] = {
    Refusal.NOT_AN_ALARM: "This is not a CloudWatch alarm notification; send one of the three alarm shapes.",
    Refusal.NOT_A_REQUEST: "This is not an action request; see the event file of this function.",
    Refusal.UNKNOWN_ACTION: "This function has no such action.",
    Refusal.BAD_TARGET: "The target does not name what this action needs.",
    Refusal.BAD_OPTIONS: "An option is unknown or has the wrong type.",
    Refusal.FOREIGN_ALARM: "The alarm belongs to another account or region; deploy selfheal there.",
    Refusal.NO_RUNBOOK: "No response of any runbook fits this alarm; add one, or exclude the alarm.",
    Refusal.RESPONSE_OFF: "The response for this alarm is switched off in its runbook.",
    Refusal.OWN_ALARM: "This is an alarm of selfheal itself; it goes to people, never to selfheal.",
    Refusal.PAUSED: "selfheal is paused for this system.",
    Refusal.TAKEN_OVER: "A person has taken this incident over; selfheal watches and does not act.",
    Refusal.MAINTENANCE: "The system is in a maintenance window of its runbook; what is risky waits for its end.",
    Refusal.SUGGEST_ONLY: "The mode is suggest: this is what would have been done; a person decides.",
    Refusal.EXEMPT: "The target is exempt (tag selfheal:exempt or the runbook says so).",
    Refusal.TOO_LATE: "The request is older than its not_after; the world may have moved on.",
    Refusal.NOT_RED: "The alarm is no longer in ALARM.",
    Refusal.ALARM_MOVED_ON: "The alarm has changed its state since this request was made.",
    Refusal.ALARM_MUTED: "The alarm is muted or suppressed.",
    Refusal.OLDER_THAN_DEPLOYMENT: "The alarm began before the last deployment; rolling that back would not help.",
    Refusal.TARGET_OWNED: "Another open incident owns this target.",
    Refusal.LEASED: "Another action is working on this target right now.",
    Refusal.COOLDOWN: "This target was acted on a short while ago for another incident.",
    Refusal.RATE_LIMIT: "The response has acted for as many incidents as its limits allow; a person decides.",
    Refusal.DOES_NOT_HELP: "The response acted for several incidents and healed none; a person decides.",
    Refusal.BLAST_RADIUS: "So many targets of this system were changed in the last hour that a person decides.",
    Refusal.STORM: "Several systems went red together: what they share is broken; what is risky waits for a person.",
    Refusal.GUARD_UNREADABLE: "A guard could not be read, and this action is risky.",
    Refusal.TARGET_NOT_FOUND: "The target does not exist.",
    Refusal.TARGET_FORBIDDEN: "The target is outside the ARN patterns given to the stack as parameters.",
    Refusal.TARGET_UNREADABLE: "AWS did not say what the target looks like, so nothing was decided.",
    Refusal.NOT_A_FLAG: "The parameter is not a flag: its value must be exactly true or false.",
    Refusal.PERSON_REQUIRED: "This action needs a person: say who asks for it in requested_by.",
    Refusal.ALIAS_ON_LATEST: "The alias points to $LATEST, which is no version; publish one and point it there.",
    Refusal.NO_EARLIER_VERSION: "There is no earlier published version that differs from the current one.",
    Refusal.VERSION_UNFIT: "The version asked for is missing, failed, or the current one.",
    Refusal.DEPLOYMENT_IN_FLIGHT: "A CodeDeploy deployment is shifting this alias; stop it with rollback first.",
    Refusal.SCHEDULE_ENDED: "The schedule's end date has passed; enabling it would do nothing.",
    Refusal.MANAGED_RULE: "The rule belongs to an AWS service, which would break without it.",
    Refusal.QUEUE_HAS_REDRIVE: "Looking at this queue would push messages on: it has a redrive policy itself.",
    Refusal.NO_REPLAY_TARGET: "It is not known where these messages go; name replay_to in the target.",
    Refusal.NOT_A_REDRIVE_SOURCE: "No SQS queue uses this queue as its dead-letter queue; replay it instead.",
    Refusal.PROVISIONED_CONCURRENCY: "The function has more provisioned concurrency than that; remove it first.",
    Refusal.ROTATION_IN_PROGRESS: "A rotation of this secret is in progress; let it end, or cancel it first.",
    Refusal.ENVIRONMENT_UNREADABLE: "Lambda can't decrypt the environment, so it can't be written back whole.",
    Refusal.ENVIRONMENT_TOO_LARGE: "The function's environment has no room for the marker: Lambda allows 4 KB.",
    Refusal.FUNCTION_NOT_READY: "The function's last update is still in progress, or it failed.",
    Refusal.LATEST_DIFFERS: "$LATEST is not what the alias serves; to publish it would put something else live.",
    Refusal.DATABASE_BUSY: "The database is not available at the moment; ask again once it is.",
    Refusal.DATABASE_IN_CLUSTER: "The instance belongs to a cluster; name the cluster.",
    Refusal.NO_DATA_API: "The database has no Data API; a person runs the SQL of the evidence with psql.",
    Refusal.NO_SUCH_BACKUP: "There is no backup of this day.",
    Refusal.BACKUP_UNFIT: "An object of the backup can't be copied by one call: over 5 GB, or in an archive tier.",
    Refusal.PLACE_TAKEN: "Something else lies where the copy would go; nothing is ever overwritten.",
    Refusal.CHECKS_NOT_PASSED: "The checks that must pass first did not pass, or not lately enough.",
    Refusal.NO_SUCH_SWEEP: "The system's runbook has no sweep of this name.",
    Refusal.SERVICE_STOPPED: "The service is to run no task, so there is nothing to restart; scale it up instead.",
    Refusal.SERVICE_DEPLOYING: "A deployment of this service is in progress; wait for its end, or roll it back.",
    Refusal.DAEMON_SERVICE: "A DAEMON service runs one task on each instance; it has no desired count to set.",
    Refusal.OTHER_CONTROLLER: "ECS does not deploy this service itself; what deploys it must do this.",
    Refusal.NO_EARLIER_REVISION: "There is no earlier task definition that this service ran well with.",
    Refusal.REVISION_UNFIT: "The task definition to go to is missing, INACTIVE, failed, or the current one.",
    Refusal.BEYOND_MOST: "More tasks were asked for than the option `most` allows.",
    Refusal.NO_RULES_NAMED: "A replay goes only to rules that are named; with none, every rule would get the events.",
    Refusal.RULE_DISABLED: "A rule that is to receive the events is disabled, and would receive nothing.",
    Refusal.ARCHIVE_UNFIT: "The archive is not ENABLED, or it keeps the events of another bus.",
    Refusal.ARCHIVE_LAGS: "The window ended less than 10 minutes ago; the archive may not have all of it yet.",
    Refusal.WINDOW_UNFIT: "The window is empty, in the future, or reaches back beyond what the archive keeps.",
    Refusal.HANDLERS_FORGET: "The handlers may not remember these events, and would carry them out again.",
    Refusal.TOO_MANY_REPLAYS: "AWS runs ten replays at once in an account; wait for one to end, or cancel it.",
    Refusal.REPLAY_OVER: "The replay of this request was cancelled or failed; a new one needs a new action_id.",
    Refusal.REF_IS_A_COMMIT: "GitHub takes a branch or a tag here, no commit; tag it, or use a rollback workflow.",
    Refusal.WORKFLOW_DISABLED: "The workflow is disabled on GitHub.",
    Refusal.CHANGED_MEANWHILE: "Somebody else keeps changing the target; nothing was done.",
    Refusal.EVIDENCE_MISSING: "The evidence could not be captured first, and this step would destroy it.",
    Refusal.ROLLOUT_TOO_EARLY: "The rollout that must come before this one is not proven yet.",
    Refusal.NOT_OFF_PEAK: "The runbook lets this rollout begin only in its off-peak windows.",
    Refusal.FOREIGN_DEPLOYMENT: "The deployment belongs to another account or region; deploy selfheal there.",
    Refusal.NOT_A_DEPLOYMENT: "This is no deployment event; send what CodeDeploy or ECS send, or the form in the docs.",
    Refusal.NOTHING_TO_UNDO: "There is no recorded change to undo.",
    Refusal.IRREVERSIBLE: "This action cannot be undone.",
    Refusal.CHANGED_SINCE: "The target was changed by somebody else after the action; undo would destroy that.",
    Refusal.ALREADY_UNDONE: "This change was undone before.",
    Refusal.NO_SUCH_APPROVAL: "No step waits for a decision under this name.",
    Refusal.APPROVAL_EXPIRED: "The time to approve is over; it counts as denied.",
    Refusal.ALREADY_DECIDED: "This was decided before; the first decision counts.",
    Refusal.NO_SUCH_INCIDENT: "There is no incident of this name in the ledger.",
}
