"""From refs to bytes: fetching and reading, politely, with every refusal kept."""
