{{ rate_of_entries('open_rate', 'opens') }}
