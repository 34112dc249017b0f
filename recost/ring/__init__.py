"""The shared-memory ring between one worker and the collector: one file, one producer, one consumer."""
