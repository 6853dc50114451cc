"""This computer as the local cloud uses it: data folder, addresses, processes, sockets, store, faults, retries."""
