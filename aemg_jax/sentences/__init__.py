"""From recordings to sentences: rectify, contractions, words, sharded sentence records."""
