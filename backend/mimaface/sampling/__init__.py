"""From noise to latents of a shot: schedule, clips, conditions, the sampler."""
