"""What a task means: classification, several labels per sample, regression. Loss, metrics, what is kept or refused.

Sees config/, data/, models/ and the floors below.
"""
