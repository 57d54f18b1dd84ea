"""The first draft of a runbook, from what is found in an account by the prefix of its names.

found     what was found, as plain values
look      reads it from AWS
write     writes the draft
"""
