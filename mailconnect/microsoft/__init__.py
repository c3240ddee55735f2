"""Entra ID and Microsoft Graph: the only place that speaks to Microsoft."""
