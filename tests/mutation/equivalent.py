"""Mutants that are no mistakes: by each, the reason why no input can tell it from the original."""

RULES: dict[str, str] = {}
