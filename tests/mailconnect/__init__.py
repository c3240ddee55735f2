"""Tests of mailconnect."""
