"""What finished work says: runs compared, evaluations read, policies fetched for estimates, the forest plot."""
