"""Splits by subject, session and repetition, and the batch loader."""
