"""How callers prove who they are: tokens, passwords, browser sessions, and the word of identity providers."""
