"""rally_pipeline: how far has a rally run, who is buying, and is what the brokers say about it true?

Holds the version and nothing else, so that importing the package costs nothing.
"""

__version__ = "0.1.0"
