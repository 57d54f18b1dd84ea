"""What would selfheal have done? Alarm history through Respond, the ladder and the engine, in a world that is made up.

Not to be taken for the replay of dead letters or of archived events, which sends something to somebody; here nothing
leaves the process.
"""
