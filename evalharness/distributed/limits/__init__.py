"""Limits shared by workers: slots, rates and the budget, handed out by the coordinator."""
