"""Model servers of this computer: started, asked whether they are well, ended; for transform jobs and endpoints."""
