"""The diffusion model: configuration, motion U-Net, appearance (MIA), clip conditioning (ICA), autoencoder, checkpoints.

Nothing heavy is imported here; take ``MimaFaceModel`` from :mod:`mimaface.model.family`.
"""
