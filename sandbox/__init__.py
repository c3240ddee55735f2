"""A stand-in Microsoft 365 tenant over real HTTP: sign-in pages, token endpoint, Graph mail, and faults on demand.

It imports nothing of the product, and nothing of the product imports it.
"""
