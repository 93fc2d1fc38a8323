"""Labels for the notes room and the scores of the extractor on them; `make eval`. Not part of the tests."""
