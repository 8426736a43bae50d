"""PyTorch models: state dicts, pickled modules, TorchScript, torch.export programs, in memory."""
