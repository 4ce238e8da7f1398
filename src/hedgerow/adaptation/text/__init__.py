"""Early exits in text: MiniLM on 20 newsgroups, after DeeBERT (Xin et al. 2020) and PABEE (Zhou et al. 2020).

`words` and `sources` read texts, `training_text` trains (PyTorch), `exits` calibrates and compares the rules, `figures` runs the
exits as a chain and times them. All but the training runs without PyTorch.
"""
