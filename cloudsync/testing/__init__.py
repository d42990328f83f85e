"""PUBLIC kit for tests: a clock that a test owns and a small platform in memory that keeps state, lags and fails on demand."""
