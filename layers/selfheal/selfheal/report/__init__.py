"""The report of an incident: what happened, why, how long it took, and what a person has to find out.

facts      everything that it tells, from the ledger, in one value
markdown   as Markdown, for a ticket or a wiki
page       as one page of HTML that needs nothing else, with the timeline drawn
store      both in the archive
"""
