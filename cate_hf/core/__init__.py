"""What every room uses: files, names, progress, threads, launching, the states of runs."""
