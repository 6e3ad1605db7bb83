"""Configurations with which agents that fit models stay quick: what is checked does not depend on their quality."""

MODELS = {
    "botorch": {"founders": 8, "pool": 60, "samples": 16, "history": 20, "iterations": 10},
    "botorch-turbo": {"founders": 8, "pool": 60, "samples": 16, "history": 20, "iterations": 10},
    "optuna-gp": {"founders": 8, "history": 20, "proposals": 1},
    "optuna-tpe": {"founders": 8, "history": 20},
    "skopt-et": {"founders": 8, "history": 20, "candidates": 200, "fits": 1},
    "skopt-gp": {"founders": 8, "history": 20, "candidates": 200, "fits": 1},
}
MODELS["bayesian"] = {"initial": 8, "rows": 20, "rounds": 1, "iterations": 4}
MODELS["auto"] = {"lead": 15}
POLICIES = {  # of reinforcement learning
    "maskable-ppo": {"rollout": 8, "epochs": 2, "width": 8},
    "ppo": {"rollout": 8, "epochs": 2, "width": 8},
    "sac": {"start": 8, "batch": 16, "width": 8},
}
