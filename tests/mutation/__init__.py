"""Mutation proof: mistakes are planted in the rules, one at a time, and the tests must notice."""
