"""Dashboards: wandb, TensorBoard and MLflow as views of finished runs, sent as they finish or replayed later."""
