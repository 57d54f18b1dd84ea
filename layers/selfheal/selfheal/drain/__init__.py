"""How a dead-letter queue is emptied without losing a message; what the actions of `drain_dlq` have in common.

way       where letters go: which stay, and how one call sends some (each action is a way)
loop      the canary, the watch, the rest; until the work or the time of this run is over
taking    one chunk of letters: archive → claim → send → record → delete
lanes     chunks side by side
hand      the letters that this run holds, hidden from others
canary    what is sent first, and how long it is watched
move_task SQS's own move, where no archive is wanted
timing    the reserve of time, the waiting, and the rate
report    what is left in place and why, as evidence, and what it says about the action
"""
