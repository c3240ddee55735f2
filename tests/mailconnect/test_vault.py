"""Stored tokens."""

from datetime import datetime, timedelta

import pytest
from django.db import connection as database
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from mailconnect import tokens
from mailconnect.microsoft.errors import MicrosoftUnavailable, OperatorProblem, ReconnectNeeded
from mailconnect.models import TokenCache
from tests.mailconnect.owning import ACCESS_TOKEN, connected

pytestmark = pytest.mark.django_db


def stored_bytes(pk: int) -> bytes:
    with database.cursor() as cursor:
        cursor.execute("SELECT envelope FROM mailconnect_tokencache WHERE connection_id = %s", [pk])
        return bytes(cursor.fetchone()[0])


def test_are_encrypted_in_the_database(alice: User, now: datetime) -> None:
    connection = connected(alice, now)

    assert ACCESS_TOKEN.encode() not in stored_bytes(connection.pk)
    assert b"connection" not in stored_bytes(connection.pk)


def test_that_are_fresh_cost_one_query(
    alice: User, now: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    connection = connected(alice, now)

    with django_assert_num_queries(1):
        token = tokens.access_token(connection.pk)

    assert token == ACCESS_TOKEN


def test_that_were_moved_to_another_connection_are_refused(alice: User, bob: User, now: datetime) -> None:
    theirs, ours = connected(alice, now), connected(bob, now)
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE mailconnect_tokencache SET access_envelope = "
            "(SELECT access_envelope FROM mailconnect_tokencache WHERE connection_id = %s) WHERE connection_id = %s",
            [theirs.pk, ours.pk],
        )

    with pytest.raises(OperatorProblem, match="tokens_unreadable"):
        tokens.access_token(ours.pk)


def test_of_a_connection_without_any_ask_for_reconnecting(alice: User, now: datetime) -> None:
    connection = connected(alice, now)
    TokenCache.objects.all().delete()

    with pytest.raises(ReconnectNeeded):
        tokens.access_token(connection.pk)


def test_that_graph_refused_are_dropped_but_not_newer_ones(alice: User, now: datetime) -> None:
    connection = connected(alice, now)

    tokens.drop_access_token(connection.pk, "an older one")
    assert tokens.access_token(connection.pk) == ACCESS_TOKEN

    tokens.drop_access_token(connection.pk, ACCESS_TOKEN)
    assert TokenCache.objects.get().access_expires_at is None


def test_are_not_refreshed_again_right_after_a_failure(alice: User, now: datetime) -> None:
    connection = connected(alice, now, left=timedelta())
    TokenCache.objects.update(refresh_until=timezone.now() + timedelta(seconds=10))

    with pytest.raises(MicrosoftUnavailable):
        tokens.access_token(connection.pk)
