"""The sandbox's own pages: every mailbox like a simple mail program, and what can be made to happen there."""

from sandbox.pages import mail, people, setup
from sandbox.pages.frame import pages

# Each of the modules adds its addresses when it is imported.
__all__ = ["mail", "pages", "people", "setup"]
