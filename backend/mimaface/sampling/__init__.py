"""Sampling of a shot's latents from noise: schedule, clips, conditions, sampler."""
