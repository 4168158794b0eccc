"""Classifiers of feature tables: reading a table, cross-validation, training, prediction."""
