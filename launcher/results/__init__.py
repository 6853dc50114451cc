"""What a job leaves behind: verified copies of its files, its table of estimates, the plot of them."""
