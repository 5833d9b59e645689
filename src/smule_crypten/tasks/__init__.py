"""What a task means: classification, several labels a sample, regression. Loss, metrics, what is kept, what is refused.

Sees config/, data/, models/ and the floors below.
"""
