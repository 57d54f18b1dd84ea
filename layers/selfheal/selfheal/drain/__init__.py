"""How a dead-letter queue is emptied without losing a message; what the actions of `drain_dlq` have in common.

way       where letters go: which stay, and how one is sent (each action is a way)
loop      receive, take, delete, until the work or the time of this run is over
taking    one letter: archive → claim → send → record
hand      the letters that this run holds, hidden from others
canary    what is sent first, and how long it is watched
timing    the reserve of time, the waiting, and the rate
report    what is left in place and why, as evidence, and what it says about the action
"""
