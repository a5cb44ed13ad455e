"""Exchange models with other programs: weights as safetensors, whole models for Hugging Face transformers."""
