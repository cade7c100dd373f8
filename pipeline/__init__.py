"""Audits image classifiers for shortcuts: models that are right for the wrong reason."""
