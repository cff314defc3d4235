"""Export: scenes as nnU-Net v2, COCO and Hugging Face `datasets` lay them out, synthetic ones marked."""
