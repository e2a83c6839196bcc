{{ rate_of_entries('identified_rate', 'known_entries') }}
