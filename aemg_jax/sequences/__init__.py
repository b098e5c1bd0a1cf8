"""Records -> sequences of feature windows, for models of slow changes such as fatigue."""
