"""Early exits in pictures: small classifiers at a model's joints, and from which confidence each may answer for the whole model."""
