"""What networks have learnt beside colour: linear classifiers on frozen layers, and fine-tuning for other tasks."""
