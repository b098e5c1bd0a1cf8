"""What a training job will cost on machines that are not at hand: nothing is allocated or run."""
