"""Where an engine differs from what the suite asks, each with its reason; `docs/divergences.md` is made from this.

A row is a strict expected failure: a test that passes in spite of its row fails the suite, so that rows go when
their reasons go. A row whose `fault` is moto's or MiniStack's is no difference of the engine: AWS does what the test
asks, as the page says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from windlass.errors import EngineUnavailable, InvalidItem

__all__ = ["DIVERGENCES", "Divergence"]

AWS = ("moto", "ministack")
Failed = pytest.fail.Exception  # what `pytest.raises` raises when nothing was
_DOCS = "https://docs.aws.amazon.com"


@dataclass(frozen=True, slots=True)
class Divergence:
    """Each of `engines` fails each of `tests` with `raises`, because of `reason`, of which `source` is the page. A test
    is named without its parameters, or with them, where only such fail: `test_a[{engine}-1]`."""

    engines: tuple[str, ...]
    tests: tuple[str, ...]
    raises: type[BaseException] | tuple[type[BaseException], ...]
    reason: str
    source: str
    fault: Literal["moto", "MiniStack", "both"] | None = None

    def covers(self, engine: str, test: str, case: str) -> bool:
        """Whether it is about a test of that name, in the case of that name with parameters."""
        named = {name.replace("{engine}", engine) for name in self.tests}
        return engine in self.engines and (test in named or case in named)


_ALARMS = (
    "test_a_breach_is_an_alarm_and_its_end_is_ok",
    "test_a_change_is_logged",
    "test_a_declared_alarm_takes_the_place_of_a_default_one",
    "test_a_handler_is_watched_by_its_function",
    "test_a_mail_tells_of_the_failed_requests",
    "test_a_mail_tells_what_to_look_at_and_how_to_mend_it",
    "test_a_metric_of_ones_own_is_watched",
    "test_a_period_of_several_minutes_is_taken_together",
    "test_a_rate_is_the_average_of_errors",
    "test_a_recovery_tells_how_long_it_was",
    "test_a_schedule_whose_handler_fails_is_an_alarm",
    "test_a_seed_changes_nothing_about_alarms",
    "test_an_alarm_begins_without_data_and_is_ok_when_nothing_happens",
    "test_an_alarm_that_flaps_is_told_of_a_few_times_only",
    "test_an_alarm_with_another_rule_begins_anew",
    "test_changes_that_belong_together_are_one_mail",
    "test_dead_letters_are_an_alarm_until_they_are_gone",
    "test_messages_that_wait_too_long_are_an_alarm",
    "test_missing_data_is_treated_as_declared",
    "test_silence_can_be_the_alarm",
    "test_states_survive_the_engine",
    "test_two_of_three_values_make_an_alarm",
    "test_what_an_api_has",
    "test_what_is_secret_is_not_in_a_mail",
    "test_who_is_told_is_declared",
)
_SITES = (
    "test_a_file_is_sent_as_what_it_is",
    "test_a_file_that_was_changed_has_another_tag",
    "test_a_folder_without_its_slash_is_redirected_there",
    "test_a_page_is_sent_with_a_policy",
    "test_another_method_is_not_offered",
    "test_head_is_get_without_the_body",
    "test_headers_can_be_added_replaced_and_dropped",
    "test_how_long_a_browser_may_use_what_it_has",
    "test_it_needs_no_token_and_no_grant",
    "test_routes_come_first",
    "test_the_index_may_have_another_name",
    "test_what_a_browser_has_is_not_sent_again",
    "test_what_is_not_there_is_a_problem_or_the_sites_own_page",
)

DIVERGENCES: tuple[Divergence, ...] = (
    Divergence(
        AWS,
        ("test_an_unknown_path_is_not_found", "test_another_method_is_not_allowed"),
        AssertionError,
        "A path or a method that no route has is refused by API Gateway itself, before any function: always 404, and "
        'with its own `{"message":"Not Found"}`.',
        f"{_DOCS}/apigateway/latest/developerguide/http-api-develop-routes.html",
    ),
    Divergence(
        AWS,
        ("test_without_a_valid_token_nobody_is_signed_in",),
        KeyError,
        "A token that is not valid is refused by API Gateway's JWT authorizer, before any function: with 401, and with "
        'its own `{"message":"Unauthorized"}` instead of a problem.',
        f"{_DOCS}/apigateway/latest/developerguide/http-api-jwt-authorizer.html",
    ),
    Divergence(
        AWS,
        ("test_a_disabled_user_is_out_at_once",),
        AssertionError,
        "API Gateway checks a token by its signature and its times: an access token of a user who was disabled is good "
        "until it ends. There are no new ones.",
        f"{_DOCS}/cognito/latest/developerguide/token-revocation.html",
    ),
    Divergence(
        AWS,
        ("test_another_address_begins_anew",),
        AssertionError,
        "A function that has read a secret uses its value for up to a minute, as each reading costs.",
        f"{_DOCS}/secretsmanager/latest/userguide/best-practices.html",
    ),
    Divergence(
        AWS,
        (
            "test_an_attempt_that_succeeds_ends_the_tick",
            "test_a_failing_tick_does_not_stop_the_next",
            "test_a_failing_handler_is_tried_again[{engine}-1]",
            "test_a_failing_handler_is_tried_again[{engine}-2]",
        ),
        AssertionError,
        "Lambda tries a firing again with the same event, so `tick.attempt` stays 1; `tick.id` is the same too.",
        f"{_DOCS}/lambda/latest/dg/invocation-async-error-handling.html",
    ),
    Divergence(
        AWS,
        (
            "test_the_latest_missed_firing_is_made_up_for_once",
            "test_the_latest_missed_firing_of_a_year_is_found_at_once",
        ),
        AssertionError,
        "EventBridge Scheduler never stops, so nothing is missed, and nothing made up for.",
        f"{_DOCS}/scheduler/latest/UserGuide/what-is-scheduler.html",
    ),
    Divergence(
        AWS,
        (
            "test_a_poison_message_goes_to_the_dead_letter_queue",
            "test_only_the_failed_messages_of_a_batch_come_again",
            "test_a_message_that_cannot_be_read_harms_no_other",
            "test_a_message_that_cannot_be_stored_harms_no_other_and_ends_as_a_dead_letter",
        ),
        AssertionError,
        "SQS keeps no reason with a dead letter; it is in the function's log, under the message's trace.",
        f"{_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html",
    ),
    Divergence(
        AWS,
        ("test_peek_shows_messages_and_receives_none",),
        AssertionError,
        "SQS shows a message only to who receives it: one whose delay has not ended cannot be looked at.",
        f"{_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html",
    ),
    Divergence(
        AWS,
        ("test_an_operator_finds_a_mail_by_its_id", "test_mails_are_still_there_after_a_restart"),
        (AssertionError, EngineUnavailable),
        "SES keeps no mails, so there is no inbox to look at.",
        f"{_DOCS}/ses/latest/dg/monitor-sending-activity.html",
    ),
    Divergence(
        ("moto",),
        ("test_the_bounds_are_within",),
        EngineUnavailable,
        "moto counts the recipients in the mail's head and those of the call together, and refuses half as many.",
        f"{_DOCS}/ses/latest/dg/quotas.html",
        fault="moto",
    ),
    Divergence(
        ("moto",),
        ("test_an_item_may_have_400_kb_and_not_a_byte_more",),
        InvalidItem,
        "moto counts the size of an item otherwise than DynamoDB, and refuses one of just 400 KB.",
        f"{_DOCS}/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html",
        fault="moto",
    ),
    Divergence(
        ("moto",),
        ("test_a_filter_holds_or_not[{engine}-Compare(op='contains', name='numbers', value=True)-False]",),
        AssertionError,
        "moto finds true among numbers, as Python does: `contains` compares types too.",
        f"{_DOCS}/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html",
        fault="moto",
    ),
    Divergence(
        ("moto",),
        (
            "test_a_duplicate_within_five_minutes_is_dropped",
            "test_the_same_content_is_a_duplicate_where_the_queue_says_so",
        ),
        AssertionError,
        "moto drops the duplicate, but answers with a new id for it.",
        f"{_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html",
        fault="moto",
    ),
    Divergence(
        AWS,
        ("test_tokens_have_the_claims_that_cognito_gives",),
        AssertionError,
        "Neither moto nor MiniStack gives tokens an `event_id`.",
        f"{_DOCS}/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html",
        fault="both",
    ),
    Divergence(
        ("moto",),
        (
            "test_a_refresh_token_gives_new_tokens",
            "test_a_refresh_takes_up_new_groups",
            "test_a_spent_refresh_token_is_refused_once_retries_are_over",
            "test_only_a_refresh_token_refreshes",
            "test_after_signing_out_there_is_no_refresh",
            "test_a_disabled_user_cannot_sign_in",
            "test_a_deleted_user_is_gone",
            "test_signing_in_needs_a_grant",
            "test_sign_in_answers_tokens",
            "test_every_grant_is_needed",
        ),
        (AssertionError, EngineUnavailable),
        "moto does not know `GetTokensFromRefreshToken`, with which a token is traded for others and spent.",
        f"{_DOCS}/cognito-user-identity-pools/latest/APIReference/API_GetTokensFromRefreshToken.html",
        fault="moto",
    ),
    Divergence(
        ("moto",),
        (
            "test_signing_out_with_an_unknown_token_is_no_error[{engine}-nonsense]",
            "test_signing_out_with_an_unknown_token_is_no_error[{engine}-a.b.c.d.e]",
        ),
        EngineUnavailable,
        "moto fails over a refresh token that it cannot read, where Cognito has nothing to revoke.",
        f"{_DOCS}/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html",
        fault="moto",
    ),
    Divergence(
        ("moto",),
        ("test_a_pool_of_names_keeps_an_address_besides", "test_an_address_is_the_same_in_any_case"),
        KeyError,
        "moto leaves the address out of the ID token.",
        f"{_DOCS}/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html",
        fault="moto",
    ),
    Divergence(
        ("ministack",),
        (
            "test_a_refresh_token_gives_new_tokens",
            "test_a_spent_refresh_token_is_refused_once_retries_are_over",
            "test_sign_in_answers_tokens",
            "test_every_grant_is_needed",
        ),
        (AssertionError, Failed),
        "MiniStack does not spend a refresh token, though the app client asks for rotation.",
        f"{_DOCS}/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html",
        fault="MiniStack",
    ),
    Divergence(
        ("ministack",),
        ("test_a_disabled_user_cannot_sign_in",),
        Failed,
        "MiniStack refreshes the tokens of a user who was disabled in the same second.",
        f"{_DOCS}/cognito-user-identity-pools/latest/APIReference/API_AdminUserGlobalSignOut.html",
        fault="MiniStack",
    ),
    Divergence(
        AWS,
        ("test_wrong_credentials_are_401_and_repeated_ones_429",),
        AssertionError,
        "Neither moto nor MiniStack locks a user after wrong passwords.",
        f"{_DOCS}/cognito/latest/developerguide/authentication.html",
        fault="both",
    ),
    Divergence(
        AWS,
        _ALARMS,
        (AssertionError, EngineUnavailable, ValueError),
        "CloudWatch evaluates alarms on AWS, and SNS mails their changes; neither moto nor MiniStack evaluates any.",
        f"{_DOCS}/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html",
        fault="both",
    ),
    Divergence(
        AWS,
        _SITES,
        (AssertionError, KeyError),
        "A site's files are in S3 behind CloudFront on AWS, and are not served by a function; neither moto nor "
        "MiniStack serves a distribution.",
        f"{_DOCS}/AmazonCloudFront/latest/DeveloperGuide/getting-started-secure-static-website-cloudformation-template.html",
        fault="both",
    ),
)
