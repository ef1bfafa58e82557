"""Seed 3: the dataset processing pipeline, eight durable steps from a crawl to a version."""
