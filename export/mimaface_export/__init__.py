"""Export of the motion U-Net for other runtimes. Nothing in ``mimaface`` imports this."""
