"""The console: jobs and endpoints of a cloud as pages in a browser of this computer (``batchrl console``)."""
