"""Frisch et al., "GAUDA: Generative Adaptive Uncertainty-guided Diffusion-based Augmentation": its tables."""
