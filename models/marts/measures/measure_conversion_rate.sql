{{ rate_of_entries('conversion_rate', 'conversions') }}
