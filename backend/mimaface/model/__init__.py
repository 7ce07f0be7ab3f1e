"""The diffusion model: configuration, motion U-Net, appearance (MIA), clip conditioning (ICA), autoencoder, checkpoints.

Imports nothing heavy; ``MimaFaceModel`` is in :mod:`mimaface.model.family`.
"""
