"""Export of a model's networks for other runtimes. Nothing in ``mimaface`` imports this but the command that runs it."""
