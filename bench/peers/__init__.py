"""Other libraries beside ours: installed in environments of their own, run in processes of their own."""
