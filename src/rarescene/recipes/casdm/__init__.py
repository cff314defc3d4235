"""Zhou et al. 2024, "Image Synthesis with Class-Aware Semantic Diffusion Models": its tables and figures."""
