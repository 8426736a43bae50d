"""Keras models, as files of every kind or in memory."""
