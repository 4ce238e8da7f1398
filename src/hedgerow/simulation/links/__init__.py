"""Generated links: a model of a link in a few dozen numbers, from which a seed makes a course of any length.

`catalogue` holds the models that come with Hedgerow, `fit` makes one from traces, `document` keeps one in a file, `generated`
draws courses, `statistics` says in numbers what any set of courses is like: source and generated pass through the same.
"""

from hedgerow.simulation.links.catalogue import names, published

__all__ = ["names", "published"]
