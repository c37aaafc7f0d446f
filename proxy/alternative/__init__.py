"""Does without a model: templates, texts made before, pictures that are there. It must never ask a provider, nor guess what is meant."""
