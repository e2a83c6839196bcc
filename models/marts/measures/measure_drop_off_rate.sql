{{ rate_of_entries('drop_off_rate', 'drops') }}
