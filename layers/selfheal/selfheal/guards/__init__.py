"""The guards: each in a file of its own, asked in the order of `chain.CHAIN` by the engine and by nobody else."""
