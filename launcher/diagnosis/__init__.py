"""Why a job failed, hangs or was slow: facts from its events, records and log, and tables that decide."""
